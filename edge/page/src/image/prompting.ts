// Prompting on the image: taps, boxes and their removal, by fingers or by a cursor that keys move. In
// measuring mode, the same gestures move and remove measurements.

import { signal } from '@preact/signals';
import type { Box } from '../device/messages';
import { text } from '../texts/words';
import type { Calipers } from './calipers';
import type { Spot } from './geometry';
import { type Carry, Gestures } from './gestures';
import type { Prompts } from './prompts';
import type { At, View } from './view';

/** Distance at which a finger hits a handle, or holds a point: half the size of a button. */
const REACH_MM = 6;
/** A tap closer to a point hits it. */
const HIT_MM = 2.5;

/** Something that can be removed: words for the removal, and the removal. */
interface Removable { words: string; remove: () => void }

/** An offered removal, with the position of the finger or cursor on the canvas. */
export interface Removal extends Removable { at: At; byKey: boolean }

/** Parts of the page that prompting works on. */
interface Parts {
  view: View;
  prompts: Prompts;
  calipers: Calipers;
  /** True if the shown image may be prompted. */
  isCurrent(): boolean;
  /** True if the device has lost an object. */
  isLost(object: number): boolean;
  /** Forgets the mask of an object. */
  dropMask(object: number): void;
  /** Shows a notice, null for none. */
  notice(words: string | null): void;
}

export class Prompting {
  /** Number of the object that is prompted, and the sign of its next point. */
  readonly selected = signal(0);
  readonly positive = signal(true);
  /** True if the next tap removes a point or a box. */
  readonly erasing = signal(false);
  /** Corners of the box that is being drawn, in pixels of the canvas. */
  readonly drag = signal<[At, At] | null>(null);
  /** Cursor of the keyboard, in pixels of the frame. */
  readonly cursor = signal<Spot | null>(null);
  /** The offered removal of what was held. */
  readonly removal = signal<Removal | null>(null);
  /** First corner of the box that keys draw. */
  private corner: Spot | null = null;
  /** Moves the measurement that the cursor holds; null if it holds none. */
  private carried: Carry | null = null;

  constructor(private readonly parts: Parts) {}

  /** Answers gestures and keys on the canvas of the page. */
  attach(canvas: HTMLCanvasElement): void {
    new Gestures(canvas, this.parts.view, {
      may: () => this.parts.isCurrent(),
      grip: (at) => this.grip(at),
      begin: () => { [this.cursor.value, this.removal.value] = [null, null]; },
      carry: (at) => this.carry(at),
      drag: (corners) => { this.drag.value = this.draws() ? corners : null; },
      // A finger that slips while it erases does not draw.
      box: (corners) => (this.draws() ? this.setBox(corners) : this.tap(corners[0])),
      tap: (at) => this.tap(at),
      hold: (at) => this.offerRemoval(at, false),
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    canvas.addEventListener('blur', () => {
      [this.cursor.value, this.drag.value, this.corner, this.carried] = [null, null, null, null];
    });
  }

  /** True if fingers set prompts, instead of erasing or measuring. */
  private draws(): boolean { return !this.erasing.value && !this.parts.calipers.on.value; }

  /** The function that moves the measurement at a position, or null. */
  private carry(at: At): Carry | null {
    const { calipers } = this.parts;
    return calipers.on.value ? calipers.carry(at, REACH_MM * Gestures.mm()) : null;
  }

  /** True if a new prompt replaces that of the selected object, which is lost or from before. */
  private isOver(): boolean {
    const object = this.selected.value;
    return this.parts.isLost(object) || this.parts.prompts.old.value.has(object);
  }

  /** Index of the point of the selected object within `mm` of a position, or -1. */
  private pointAt(at: At, mm: number): number {
    const { points } = this.parts.prompts.of(this.selected.value);
    return this.parts.view.markerAt(points, at, mm * Gestures.mm());
  }

  private tap(at: At): void {
    const { view, prompts, calipers, notice, dropMask } = this.parts;
    const object = this.selected.value;
    const point = view.toFrame(at);
    if (calipers.on.value) {
      notice(text().measureHint);
    } else if (this.erasing.value) {
      const found = this.removable(at);
      found?.remove();
      notice(found ? null : text().eraseHint);
      this.erasing.value = !found;
    } else if (this.isOver()) {
      // What drifted away with the image is of no use any more.
      prompts.replace(object, { points: [{ ...point, positive: true }] });
      dropMask(object);
    } else if (this.pointAt(at, HIT_MM) >= 0) {
      notice(text().holdToRemove);
    } else {
      prompts.add(object, { ...point, positive: this.positive.value });
    }
  }

  private setBox([from, to]: [At, At]): void {
    const { view, prompts, dropMask } = this.parts;
    const object = this.selected.value;
    const [a, b] = [view.toFrame(from), view.toFrame(to)];
    const box: Box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
    if (box[0] >= box[2] || box[1] >= box[3]) return;
    if (this.isOver()) {
      prompts.replace(object, { box });
      dropMask(object);
    } else {
      prompts.setBox(object, box);
    }
  }

  /** The corner opposite to the one that a finger takes, or null. */
  private grip([x, y]: At): At | null {
    const { box } = this.parts.prompts.of(this.selected.value);
    if (!box || this.isOver() || !this.draws()) return null;
    const corners = this.parts.view.corners(box);
    const apart = corners.map(([left, top]) => Math.hypot(left - x, top - y));
    const least = Math.min(...apart);
    const opposite = corners[(apart.indexOf(least) + 2) % 4];
    return opposite && least <= REACH_MM * Gestures.mm() ? opposite : null;
  }

  /** The point, box or measurement at a position; null if there is none. */
  private removable(at: At): Removable | null {
    const { view, prompts, calipers } = this.parts;
    const object = this.selected.value;
    if (calipers.on.value) {
      const found = calipers.find(at, REACH_MM * Gestures.mm());
      return found ? { words: text().removeCaliper, remove: () => calipers.remove(found.caliper) } : null;
    }
    // The device may move the points meanwhile, but does not reorder them.
    const index = this.pointAt(at, REACH_MM);
    if (index >= 0) return { words: text().removePoint, remove: () => prompts.remove(object, index) };
    const { box } = prompts.of(object);
    if (!box || !view.onEdge(box, at, REACH_MM * Gestures.mm())) return null;
    return { words: text().removeBox, remove: () => prompts.removeBox(object) };
  }

  /** Offers to remove what is at a position; false if there is nothing. */
  private offerRemoval(at: At, byKey: boolean): boolean {
    const found = this.removable(at);
    if (!found) return false;
    this.parts.notice(null);
    this.removal.value = { ...found, at, byKey };
    return true;
  }

  /** Removes what was held. */
  remove(): void {
    this.removal.value?.remove();
    this.removal.value = null;
    this.parts.view.canvas.focus();
  }

  private key(event: KeyboardEvent): void {
    const { view, calipers } = this.parts;
    if (!this.parts.isCurrent() || !view.frame) return;
    const { width, height } = view.frame;
    const step = width / (event.shiftKey ? 10 : 100);
    const moves: Record<string, At> = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    const move = moves[event.key];
    const cursor = this.cursor.value ?? { x: width / 2, y: height / 2 };
    const here = view.toCanvas(cursor);
    this.cursor.value = cursor;
    if (move) {
      const moved = { x: cursor.x + move[0], y: cursor.y + move[1] };
      this.cursor.value = view.toFrame(view.toCanvas(moved));
      this.carried?.(view.toCanvas(this.cursor.value));
    } else if (calipers.on.value && event.key === 'Enter') {
      this.carried = this.carried ? null : this.carry(here);
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.tap(here);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      this.offerRemoval(here, true);
    } else if (event.key === 'b' && this.draws()) {
      if (this.corner) this.setBox([view.toCanvas(this.corner), here]);
      this.corner = this.corner ? null : cursor;
    } else {
      return;
    }
    event.preventDefault();
    this.drag.value = this.corner ? [view.toCanvas(this.corner), view.toCanvas(this.cursor.value)] : null;
  }
}
