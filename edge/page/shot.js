// A stored capture on the screen: image, outlines and prompts, and words about them.

import { difference, named, objectLines } from './recorded.js';
import { number, text, worded } from './words.js';
import { View } from './view.js';

export class Shot {
  /** `figure`: element with a canvas, and one for the words. */
  constructor(device, figure) {
    const canvas = figure.querySelector('canvas');
    const [about, clip] = ['.about', 'img'].map((of) => figure.querySelector(of));
    Object.assign(this, { device, figure, about, clip, view: new View(canvas) });
    this.masks = [];
    this.record = null;
    this.outlined = true;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Shows a capture, compared with the record `first` if there is one. */
  async show(id, first = null) {
    const turn = {};
    this.turn = turn;
    this.clear();
    this.write(id, [['', text.loading]]);
    const path = `records/${id}`;
    try {
      const record = await (await this.device.get(path)).json();
      const frame = await this.image(`${path}/frame.png`);
      const masks = [];
      for (const object of record.objects.filter(({ mask }) => mask)) {
        masks.push(maskOf(object, await this.image(`${path}/${object.mask}`)));
      }
      // Another one was chosen in the meantime.
      if (this.turn !== turn) return;
      Object.assign(this, { record, masks });
      this.view.frame = { bitmap: frame, width: frame.width, height: frame.height };
      this.write(id, this.lines(first));
    } catch (error) {
      if (this.turn !== turn) return;
      this.fail(id, error);
    }
    this.draw();
  }

  /** Plays the clip of the capture, or ends this. */
  async play(playing) {
    const { clip } = this;
    const played = {};
    this.played = played;
    URL.revokeObjectURL(clip.src);
    clip.hidden = true;
    if (!playing) return;
    const gif = await (await this.device.get(`records/${this.record.id}/clip.gif`)).blob();
    // Another one was chosen in the meantime, or none.
    if (this.played !== played) return;
    clip.src = URL.createObjectURL(gif);
    clip.hidden = false;
  }

  clear() {
    this.play(false);
    this.view.frame?.bitmap.close();
    this.view.frame = null;
    Object.assign(this, { record: null, masks: [] });
    this.draw();
  }

  /** Fetches an image; it is not part of the page, so that no cache keeps it. */
  async image(path) {
    return createImageBitmap(await (await this.device.get(path)).blob());
  }

  lines(first) {
    const { build, objects, upload, archive, clip, operator } = this.record;
    const about = first ? [] : [['', `${text.build}: ${build.name} ${build.version}`], ['', text.upload[upload]]];
    if (archive) about.push(['', text.archive[archive.state]]);
    if (operator) about.push(['', text.savedBy(operator)]);
    if (clip) about.push(['', text.clipLine(clip.frames, number((clip.last_us - clip.first_us) / 1e6, 1))]);
    for (const object of objects) {
      const [name, ...lines] = objectLines(object);
      const other = first?.objects.find((found) => found.object === object.object);
      about.push(name, ...(first ? [['difference', difference(other, object)]] : []), ...lines);
    }
    return objects.length ? about : [...about, ['', text.outlined(0)]];
  }

  /** Says why the capture or its clip cannot be shown. */
  /** The capture was deleted by another page. */
  gone(id) {
    this.turn = {};
    this.clear();
    this.fail(id, { code: 'no-such-record' });
  }

  fail(id, error) {
    this.write(id, [['poor', `! ${error.code === 'disk' ? text.damaged : worded(error)}`]]);
  }

  write(id, lines) {
    this.about.replaceChildren(...[['time', named(id)], ...lines].map(([kind, words]) => {
      const line = document.createElement('p');
      line.className = kind;
      line.textContent = words;
      return line;
    }));
  }

  draw() {
    const prompts = this.record?.objects.map(({ object, prompt }) => [object, prompt, true]) ?? [];
    const { masks } = this;
    const drawn = this.outlined ? { masks, prompts } : { masks: [], prompts: [] };
    this.view.draw({ ...drawn, labels: new Map(), calipers: [], measuring: false, drag: null, cursor: null, filled: false, opacity: 1 });
  }
}

/** A mask as the view draws it, from its image, which is white inside. */
function maskOf({ object, measured }, image) {
  const { width, height } = image;
  const pen = new OffscreenCanvas(width, height).getContext('2d');
  pen.drawImage(image, 0, 0);
  image.close();
  const { data } = pen.getImageData(0, 0, width, height);
  const bits = Uint8Array.from({ length: width * height }, (_, cell) => (data[4 * cell] > 127 ? 1 : 0));
  const contour = measured && { parts: measured.parts, contour: measured.contour_px };
  return { object, width, height, bits, measured: contour };
}
