// Points and boxes: those that the device reports, and local changes not confirmed yet.

import { signal } from '@preact/signals';
import type { Device } from '../device/connection';
import type { Box, Point, Prompt, PromptsMessage } from '../device/messages';

/** Longest time that a local change is shown without confirmation by the device, in ms. */
const UNCONFIRMED_MS = 1000;
/** Longest absence of the image after which prompts are applied without a question, in ms. */
const ABSENCE_MS = 10000;
const NOTHING: Prompt = { points: [], box: null };

/** A local change: the prompt, and the number of pending requests. */
interface Tapped { prompt: Prompt; underWay: number }

type Change =
  | 'Undo' | 'Redo' | 'Clear'
  | { Add: Point }
  | { Set: { points: Point[]; bbox: { x0: number; y0: number; x1: number; y1: number } | null } };

const isSet = ({ points, box }: Prompt) => points.length > 0 || box !== null;

export class Prompts {
  /** Objects prompted before a long absence of the image; not applied until the user agrees. */
  readonly old = signal<ReadonlySet<number>>(new Set());
  private readonly reported = signal<ReadonlyMap<number, Prompt>>(new Map());
  private readonly tapped = signal<ReadonlyMap<number, Tapped>>(new Map());
  /** Objects changed by this page, and those of them whose change was undone; the last at the end. */
  private readonly done: number[] = [];
  private undone: number[] = [];
  /** Time since which no images arrive; null while they do. */
  private awaySince: number | null = null;

  constructor(private readonly device: Device, private readonly failed: (error: unknown) => void) {}

  /** The prompt to apply. */
  of(object: number): Prompt { return this.old.value.has(object) ? NOTHING : this.stored(object); }

  has(object: number): boolean { return isSet(this.of(object)); }

  /** The prompt of the device, with local changes. */
  private stored(object: number): Prompt {
    return this.tapped.value.get(object)?.prompt ?? this.reported.value.get(object) ?? NOTHING;
  }

  hasStored(object: number): boolean { return isSet(this.stored(object)); }

  /** Notes that images no longer arrive. */
  away(): void { this.awaySince ??= performance.now(); }

  /** Notes an image; unless `playing`, it may be one from before the absence. */
  back(playing: boolean): void {
    if (this.awaySince === null) return;
    const isLong = performance.now() - this.awaySince > ABSENCE_MS;
    if (!isLong && !playing) return;
    this.awaySince = null;
    if (!isLong) return;
    const known = [...this.reported.value.keys(), ...this.tapped.value.keys()];
    this.old.value = new Set(known.filter((object) => this.hasStored(object)));
  }

  /** Applies old prompts again. */
  keep(): void { this.old.value = new Set(); }

  /** Removes old prompts. */
  forget(): void {
    const objects = [...this.old.value];
    this.keep();
    for (const object of objects) this.clear(object);
  }

  /** Takes the prompts that the device reports. */
  update(objects: PromptsMessage['objects']): void {
    this.reported.value = new Map(objects.map(({ object, points, box }) => [object, { points, box }]));
    this.tapped.value = new Map([...this.tapped.value].filter(([, { underWay }]) => underWay > 0));
    this.old.value = new Set([...this.old.value].filter((object) => this.hasStored(object)));
  }

  add(object: number, point: Point): void {
    const now = this.of(object);
    this.edit(object, { ...now, points: [...now.points, point] }, { Add: point });
  }

  /** Prompts a structure anew, as after it was lost. */
  replace(object: number, prompt: Partial<Prompt>): void { this.set(object, { ...NOTHING, ...prompt }); }

  setBox(object: number, box: Box): void { this.set(object, { ...this.of(object), box }); }

  removeBox(object: number): void { this.set(object, { ...this.of(object), box: null }); }

  remove(object: number, index: number): void {
    const now = this.of(object);
    this.set(object, { ...now, points: now.points.filter((_, i) => i !== index) });
  }

  clear(object: number): void { if (this.has(object)) this.edit(object, NOTHING, 'Clear'); }

  /** Undoes the last change of this page, or else of `selected`; returns the changed object. */
  undo(selected: number): number {
    const object = this.done.pop() ?? selected;
    this.undone.push(object);
    this.change(object, this.stored(object), 'Undo');
    return object;
  }

  /** Makes the last undone change again; returns the changed object. */
  redo(selected: number): number {
    const object = this.undone.pop() ?? selected;
    this.done.push(object);
    this.change(object, this.stored(object), 'Redo');
    return object;
  }

  private set(object: number, prompt: Prompt): void {
    const { points, box } = prompt;
    const bbox = box && { x0: box[0], y0: box[1], x1: box[2], y1: box[3] };
    if (isSet(prompt)) this.edit(object, prompt, { Set: { points, bbox } });
    else this.clear(object);
  }

  private edit(object: number, prompt: Prompt, change: Change): void {
    this.done.push(object);
    this.undone = [];
    this.change(object, prompt, change);
  }

  private async change(object: number, prompt: Prompt, change: Change): Promise<void> {
    if (this.old.value.has(object)) this.old.value = new Set([...this.old.value].filter((other) => other !== object));
    // Requests on their way share the entry of their object.
    const entry = this.tapped.value.get(object) ?? { prompt, underWay: 0 };
    entry.prompt = prompt;
    entry.underWay += 1;
    this.tapped.value = new Map(this.tapped.value).set(object, entry);
    try {
      await this.device.post('prompt', { object, change });
    } catch (error) {
      this.confirm(object);
      this.failed(error);
    }
    entry.underWay -= 1;
    setTimeout(() => {
      if (entry.underWay === 0 && this.tapped.value.get(object) === entry) this.confirm(object);
    }, UNCONFIRMED_MS);
  }

  /** Shows what the device reports of an object, instead of the local change. */
  private confirm(object: number): void {
    this.tapped.value = new Map([...this.tapped.value].filter(([other]) => other !== object));
  }
}
