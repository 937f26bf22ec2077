// Points and boxes: those that the device reports, and local changes not confirmed yet.

/** Longest time that a local change is shown without confirmation by the device, in ms. */
const UNCONFIRMED_MS = 1000;
/** Longest absence of the image after which prompts are applied without a question, in ms. */
const ABSENCE_MS = 10000;
const NOTHING = { points: [], box: null };

const isSet = ({ points, box }) => points.length > 0 || box !== null;

export class Prompts {
  constructor(device, failed) {
    this.device = device;
    this.failed = failed;
    this.reported = new Map();
    /** By object: prompt, number of pending requests, and the time when the change expires. */
    this.tapped = new Map();
    /** Objects changed by this page, and those of them whose change was undone; the last at the end. */
    this.done = [];
    this.undone = [];
    /** Objects prompted before a long absence of the image; not applied until the user agrees. */
    this.old = new Set();
    /** Time since which no images arrive; null while they do. */
    this.awaySince = null;
  }

  /** The prompt to apply. */
  of(object) { return this.old.has(object) ? NOTHING : this.stored(object); }

  has(object) { return isSet(this.of(object)); }

  /** The prompt of the device, with local changes. */
  stored(object) {
    return this.tapped.get(object)?.prompt ?? this.reported.get(object) ?? NOTHING;
  }

  hasStored(object) { return isSet(this.stored(object)); }

  /** Notes that images no longer arrive. */
  away() { this.awaySince ??= performance.now(); }

  /** Notes an image; unless `playing`, it may be one from before the absence. */
  back(playing) {
    if (this.awaySince === null) return;
    const isLong = performance.now() - this.awaySince > ABSENCE_MS;
    if (!isLong && !playing) return;
    this.awaySince = null;
    const known = [...this.reported.keys(), ...this.tapped.keys()];
    if (isLong) this.old = new Set(known.filter((object) => this.hasStored(object)));
  }

  /** Applies old prompts again. */
  keep() { this.old.clear(); }

  /** Removes old prompts. */
  forget() {
    const objects = [...this.old];
    this.old.clear();
    for (const object of objects) this.clear(object);
  }

  update(objects) {
    this.reported = new Map(objects.map(({ object, points, box }) => [object, { points, box }]));
    for (const [object, { underWay }] of this.tapped) {
      if (underWay === 0) this.tapped.delete(object);
    }
    for (const object of this.old) {
      if (!this.hasStored(object)) this.old.delete(object);
    }
  }

  add(object, point) {
    const now = this.of(object);
    this.edit(object, { ...now, points: [...now.points, point] }, { Add: point });
  }

  /** Prompts a structure anew, as after it was lost. */
  replace(object, prompt) { this.set(object, { ...NOTHING, ...prompt }); }

  setBox(object, box) { this.set(object, { ...this.of(object), box }); }

  removeBox(object) { this.set(object, { ...this.of(object), box: null }); }

  remove(object, index) {
    const now = this.of(object);
    this.set(object, { ...now, points: now.points.filter((_, i) => i !== index) });
  }

  clear(object) { if (this.has(object)) this.edit(object, NOTHING, 'Clear'); }

  /** Undoes the last change of this page, or else of `selected`; returns the changed object. */
  undo(selected) {
    const object = this.done.pop() ?? selected;
    this.undone.push(object);
    this.change(object, this.stored(object), 'Undo');
    return object;
  }

  /** Makes the last undone change again; returns the changed object. */
  redo(selected) {
    const object = this.undone.pop() ?? selected;
    this.done.push(object);
    this.change(object, this.stored(object), 'Redo');
    return object;
  }

  set(object, prompt) {
    const { points, box } = prompt;
    if (points.length === 0 && box === null) return this.clear(object);
    const bbox = box && { x0: box[0], y0: box[1], x1: box[2], y1: box[3] };
    this.edit(object, prompt, { Set: { points, bbox } });
  }

  edit(object, prompt, change) {
    this.done.push(object);
    this.undone = [];
    this.change(object, prompt, change);
  }

  async change(object, prompt, change) {
    this.old.delete(object);
    const entry = this.tapped.get(object) ?? { underWay: 0 };
    entry.prompt = prompt;
    entry.underWay += 1;
    this.tapped.set(object, entry);
    try {
      await this.device.post('prompt', { object, change });
    } catch (error) {
      this.tapped.delete(object);
      this.failed(error);
    }
    entry.underWay -= 1;
    setTimeout(() => {
      if (entry.underWay === 0 && this.tapped.get(object) === entry) this.tapped.delete(object);
    }, UNCONFIRMED_MS);
  }
}
