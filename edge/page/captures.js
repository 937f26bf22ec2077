// The list of captures, newest first, of all days or of one. Descriptions and thumbnails are
// fetched when they are scrolled into view.

import { days, named } from './recorded.js';
import { language, text } from './words.js';

/** Number of entries added when the end of the list is reached. */
const PAGE = 40;

export class Captures {
  /** `list`, `day`: elements; `choose(id)`: called with the chosen capture. */
  constructor(device, { list, day }, choose, failed) {
    Object.assign(this, { device, list, day, choose, failed });
    this.all = [];
    this.days = new Map();
    /** Entries created so far, by record. */
    this.entries = new Map();
    this.inView = new Set();
    this.turn = Promise.resolve();
    this.watcher = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        this.inView[isIntersecting ? 'add' : 'delete'](target);
        if (isIntersecting) this.reach(target);
      }
    }, { root: list, rootMargin: '100px' });
    day.addEventListener('change', () => {
      list.scrollTop = 0;
      this.show(PAGE);
    });
  }

  /** Names of the listed captures. */
  get ids() { return this.days.get(this.day.value) ?? this.all; }

  async update() {
    const turn = {};
    this.asked = turn;
    const { ids } = await (await this.device.get('records/ids')).json();
    // A later answer may arrive before this one.
    if (this.asked !== turn) return;
    Object.assign(this, { all: ids, days: days(ids) });
    const chosen = this.day.value;
    const options = [...this.days].map(([day, of]) => {
      // Noon, which is on this day in all time zones of daylight saving.
      const name = new Date(`${day}T12:00`).toLocaleDateString(language, { dateStyle: 'full' });
      return new Option(text.onDay(name, of.length), day);
    });
    this.day.replaceChildren(new Option(text.allDays(ids.length), ''), ...options);
    this.day.value = this.days.has(chosen) ? chosen : '';
    const there = new Set(ids);
    for (const id of this.entries.keys()) if (!there.has(id)) this.entries.delete(id);
    this.show(this.list.children.length);
  }

  /** Shows at least the first `count` captures. */
  show(count) {
    const { ids } = this;
    const entries = ids.slice(0, Math.max(count, PAGE)).map((id) => this.entry(id));
    const shown = [...this.list.children];
    if (!entries.length) this.list.replaceChildren(item([], text.noCaptures));
    else if (entries.length !== shown.length || entries.some((entry, at) => entry !== shown[at])) {
      this.list.replaceChildren(...entries);
    }
    this.watcher.disconnect();
    // Reports those in view, also if they were in view before.
    for (const entry of entries) this.watcher.observe(entry);
  }

  entry(id) {
    let entry = this.entries.get(id);
    if (!entry) {
      const button = document.createElement('button');
      button.addEventListener('click', () => this.choose(id));
      entry = item([button], named(id));
      entry.dataset.id = id;
      button.append(document.createElement('canvas'), ...entry.querySelectorAll('span'));
      this.entries.set(id, entry);
    }
    return entry;
  }

  /** Fetches what an entry in view shows, and adds entries behind the last one. */
  reach(entry) {
    const { id } = entry.dataset;
    const fill = () => this.inView.has(entry) && this.fill(entry.firstChild, id);
    // One after the other, to leave the device time for masks.
    this.turn = this.turn.then(fill).catch((error) => {
      if (error.code !== 'no-such-record') this.failed(error);
    });
    const { length } = this.list.children;
    if (entry === this.list.lastChild && length < this.ids.length) this.show(length + PAGE);
  }

  async fill(button, id) {
    const canvas = button.firstChild;
    const lines = [named(id)];
    try {
      const { objects, upload, archive, clip } = await (await this.device.get(`records/${id}`)).json();
      lines.push([text.outlined(objects.length), ...(clip ? [text.clip] : [])].join(', '), text.upload[upload], ...(archive ? [text.archive[archive.state]] : []));
      if (!canvas.dataset.drawn) await this.draw(canvas, id);
    } catch (error) {
      if (error.code !== 'disk') throw error;
      lines.push(`! ${text.damaged}`);
    }
    button.replaceChildren(canvas, ...lines.map(line));
  }

  async draw(canvas, id) {
    const answer = await this.device.get(`records/${id}/thumbnail`);
    const image = await createImageBitmap(await answer.blob());
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext('2d').drawImage(image, 0, 0);
    canvas.dataset.drawn = 'true';
    image.close();
  }
}

function line(words) {
  const element = document.createElement('span');
  element.textContent = words;
  return element;
}

function item(children, ...words) {
  const entry = document.createElement('li');
  entry.append(...children, ...words.map(line));
  return entry;
}
