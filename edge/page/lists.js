// Content of the dialogs: saved captures, and the description of the build.

import { language, text } from './words.js';

/** The list of captures, newest first. */
export class Captures {
  /** `list`: the element that shows the captures. */
  constructor(device, list) {
    Object.assign(this, { device, list });
    /** Thumbnails requested so far, by record. */
    this.pictures = new Map();
  }

  async show() {
    const { records } = await (await this.device.get('records')).json();
    const before = this.pictures;
    const missing = records.filter(({ id, error }) => !error && !before.has(id));
    this.pictures = new Map(records.map(({ id }) => [id, before.get(id) ?? document.createElement('canvas')]));
    const items = records.map((record) => this.item(record));
    this.list.replaceChildren(...(items.length ? items : [item('', text.noCaptures)]));
    // One after the other, to leave the device time for masks.
    for (const { id } of missing) {
      await this.draw(id).catch((error) => {
        this.pictures.delete(id);
        throw error;
      });
    }
  }

  async draw(id) {
    const canvas = this.pictures.get(id);
    const answer = await this.device.get(`records/${id}/thumbnail`);
    const picture = await createImageBitmap(await answer.blob());
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext('2d').drawImage(picture, 0, 0);
    picture.close();
  }

  item({ id, captured_us: captured, objects, upload, error }) {
    if (error) return item(this.pictures.get(id), `! ${text.damaged}`, id);
    const when = new Date(captured / 1000).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
    return item(this.pictures.get(id), when, text.outlined(objects.length), text.upload[upload]);
  }
}

function item(picture, ...lines) {
  const entry = document.createElement('li');
  entry.append(picture, ...lines.map((words) => {
    const line = document.createElement('span');
    line.textContent = words;
    return line;
  }));
  return entry;
}

/** The build that can be switched to, if there is one. */
export function otherOf(slots) {
  const roles = ['staged', 'previous'];
  return [slots?.a, slots?.b].find((build) => build && roles.includes(build.role));
}

/** Description of the build as terms and values. */
export function describe({ name, version, classes, base, adapter, precision, agreement, slots }, reload) {
  const percent = (part) => part.toLocaleString(language, { style: 'percent', maximumFractionDigits: 1 });
  const agrees = agreement && text.agrees(percent(agreement.mean_iou), percent(agreement.min_iou), agreement.masks);
  const terms = [
    [text.name, `${name} ${version}`], [text.classes, classes.join(', ') || text.anyStructure],
    [text.adapter, adapter ?? text.none], [text.base, base],
    [text.precision, [text.bits[precision], ...(agrees ? [agrees] : [])].join('; ')],
    ...['a', 'b'].filter((slot) => slots?.[slot]).map((slot) => {
      const { name: build, version: of, role } = slots[slot];
      return [`${text.slot} ${slot.toUpperCase()}`, `${build} ${of}: ${text.role[role]}`];
    }),
    ...(reload?.reason ? [[text.reload.failed, reload.reason]] : []),
  ];
  return terms.flat().map((words, index) => {
    const line = document.createElement(index % 2 ? 'dd' : 'dt');
    line.textContent = words;
    return line;
  });
}
