// A stored capture on the screen: image, outlines and prompts, and words about them.

import { signal } from '@preact/signals';
import { codeOf, RequestError } from '../device/connection';
import type { RecordJson, RecordedObject } from '../device/messages';
import { type DrawnMask, View } from '../image/view';
import { device } from '../store';
import type { Line } from '../texts/facts';
import { patientOf } from '../texts/patient';
import { difference, named, objectLines } from '../texts/recorded';
import { number, text, worded } from '../texts/words';

/** Source of the words about a capture: its record, and the one that it is compared with; or an error. */
type About = 'loading' | { record: RecordJson; first: RecordJson | null } | { error: unknown };

export class Shot {
  readonly record = signal<RecordJson | null>(null);
  /** Address of the animation that plays; null for none. */
  readonly clip = signal<string | null>(null);
  private readonly view = new View();
  private readonly about = signal<{ id: string; about: About } | null>(null);
  private masks: DrawnMask[] = [];
  private outlined = true;
  /** The last call of `show`, and that of `play`. */
  private turn = {};
  private played = {};

  /** Draws on this canvas from now on. */
  attach(canvas: HTMLCanvasElement): void {
    this.view.canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Shows a capture, compared with the record `first` if there is one. */
  async show(id: string, first: RecordJson | null = null): Promise<void> {
    const turn = {};
    this.turn = turn;
    this.clear();
    this.about.value = { id, about: 'loading' };
    const path = `records/${id}`;
    try {
      const record = await device.json<RecordJson>(path);
      const bitmap = await device.image(`${path}/frame.png`);
      const masks = [];
      for (const object of record.objects) {
        if (object.mask) masks.push(maskOf(object, await device.image(`${path}/${object.mask}`)));
      }
      // Another one was chosen in the meantime.
      if (this.turn !== turn) return;
      this.record.value = record;
      this.masks = masks;
      this.view.frame = { bitmap, width: bitmap.width, height: bitmap.height };
      this.about.value = { id, about: { record, first } };
    } catch (error) {
      if (this.turn !== turn) return;
      this.fail(id, error);
    }
    this.draw();
  }

  /** Plays the clip of the capture, or ends this. */
  async play(id: string, playing: boolean): Promise<void> {
    const played = {};
    this.played = played;
    if (this.clip.value) URL.revokeObjectURL(this.clip.value);
    this.clip.value = null;
    if (!playing) return;
    const gif = await (await device.get(`records/${id}/clip.gif`)).blob();
    // Another one was chosen in the meantime, or none.
    if (this.played === played) this.clip.value = URL.createObjectURL(gif);
  }

  clear(): void {
    this.play('', false);
    this.view.frame?.bitmap.close();
    this.view.frame = null;
    this.record.value = null;
    this.masks = [];
    this.draw();
  }

  /** The capture was deleted by another page. */
  gone(id: string): void {
    this.turn = {};
    this.clear();
    this.fail(id, new RequestError('no such record', 'no-such-record'));
  }

  /** Says why the capture or its clip cannot be shown. */
  fail(id: string, error: unknown): void { this.about.value = { id, about: { error } }; }

  /** Shows or hides outlines and prompts. */
  outline(outlined: boolean): void {
    this.outlined = outlined;
    this.draw();
  }

  /** Lines about the capture. */
  lines(): Line[] {
    if (!this.about.value) return [];
    const { id, about } = this.about.value;
    return [['time', named(id)], ...wordsAbout(about)];
  }

  private draw(): void {
    const prompts = this.record.value?.objects.map(({ object, prompt }) => ({ ...prompt, object, selected: true })) ?? [];
    const { masks } = this;
    const drawn = this.outlined ? { masks, prompts } : { masks: [], prompts: [] };
    this.view.draw({
      ...drawn, labels: new Map(), calipers: [], measuring: false, drag: null, cursor: null, filled: false, opacity: 1,
    });
  }
}

function wordsAbout(about: About): Line[] {
  if (about === 'loading') return [['', text().loading]];
  if ('error' in about) {
    return [['poor', `! ${codeOf(about.error) === 'disk' ? text().damaged : worded(about.error)}`]];
  }
  const { record: { build, objects, upload, archive, clip, operator, study }, first } = about;
  const lines: Line[] = study ? [['', patientOf(study)]] : [];
  if (!first) lines.push(['', `${text().build}: ${build.name} ${build.version}`], ['', text().upload[upload]]);
  if (archive) lines.push(['', text().archive[archive.state]]);
  if (operator) lines.push(['', text().savedBy(operator)]);
  if (clip) lines.push(['', text().clipLine(clip.frames, number((clip.last_us - clip.first_us) / 1e6, 1))]);
  for (const object of objects) {
    const [name, ...facts] = objectLines(object);
    lines.push(name);
    const other = first?.objects.find((found) => found.object === object.object);
    if (first) lines.push(['difference', difference(other, object)]);
    lines.push(...facts);
  }
  return objects.length ? lines : [...lines, ['', text().outlined(0)]];
}

/** A mask as the view draws it, from its image, which is white inside. */
function maskOf({ object, measured }: RecordedObject, image: ImageBitmap): DrawnMask {
  const { width, height } = image;
  const pen = new OffscreenCanvas(width, height).getContext('2d') as OffscreenCanvasRenderingContext2D;
  pen.drawImage(image, 0, 0);
  image.close();
  const { data } = pen.getImageData(0, 0, width, height);
  const bits = Uint8Array.from({ length: width * height }, (_, cell) => ((data[4 * cell] ?? 0) > 127 ? 1 : 0));
  const contour = measured && { parts: measured.parts, contour: measured.contour_px };
  return { object, width, height, bits, measured: contour };
}
