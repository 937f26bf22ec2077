// Points and boxes: those that the device reports, and local changes not confirmed yet.

/** Longest time that a local change is shown without confirmation by the device, in ms. */
const UNCONFIRMED_MS = 1000;
const NOTHING = { points: [], box: null };

export class Prompts {
  constructor(device, failed) {
    this.device = device;
    this.failed = failed;
    this.reported = new Map();
    /** By object: prompt, number of pending requests, and the time when the change expires. */
    this.tapped = new Map();
  }

  of(object) {
    return this.tapped.get(object)?.prompt ?? this.reported.get(object) ?? NOTHING;
  }

  has(object) {
    const { points, box } = this.of(object);
    return points.length > 0 || box !== null;
  }

  update(objects) {
    this.reported = new Map(objects.map(({ object, points, box }) => [object, { points, box }]));
    for (const [object, { underWay }] of this.tapped) {
      if (underWay === 0) this.tapped.delete(object);
    }
  }

  add(object, point) {
    const now = this.of(object);
    this.change(object, { ...now, points: [...now.points, point] }, { Add: point });
  }

  setBox(object, [x0, y0, x1, y1]) {
    this.set(object, { ...this.of(object), box: [x0, y0, x1, y1] });
  }

  remove(object, index) {
    const now = this.of(object);
    this.set(object, { ...now, points: now.points.filter((_, i) => i !== index) });
  }

  clear(object) { this.change(object, NOTHING, 'Clear'); }

  undo(object) { this.change(object, this.of(object), 'Undo'); }

  set(object, prompt) {
    const { points, box } = prompt;
    if (points.length === 0 && box === null) return this.clear(object);
    const bbox = box && { x0: box[0], y0: box[1], x1: box[2], y1: box[3] };
    this.change(object, prompt, { Set: { points, bbox } });
  }

  async change(object, prompt, change) {
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
