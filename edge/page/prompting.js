// Prompting on the image: taps, boxes and their removal, by fingers or by a cursor that keys move. In
// measuring mode, the same gestures move and remove measurements.

import { Gestures } from './gestures.js';
import { setText, text } from './words.js';

/** Distance at which a finger hits a handle, or holds a point: half the size of a button. */
const REACH_MM = 6;
/** A tap closer to a point hits it. */
const HIT_MM = 2.5;

export class Prompting {
  /**
   * `removeButton`: the button that removes what was held. `on.isCurrent()`: true if the shown image
   * may be prompted. `on.notice(words)` shows a notice, null for none. `on.changed()`: something has
   * to be drawn.
   */
  constructor(canvas, view, { prompts, masks, calipers }, removeButton, on) {
    Object.assign(this, { canvas, view, prompts, masks, calipers, removeButton, on });
    /** Number of the object that is prompted, and the sign of its next point. */
    this.selected = 0;
    this.positive = true;
    /** True if the next tap removes a point or a box. */
    this.erasing = false;
    /** Corners of the box that is being drawn, in pixels of the canvas. */
    this.drag = null;
    /** Cursor of the keyboard and the first corner of its box, in pixels of the frame. */
    this.cursor = null;
    this.corner = null;
    /** Removes what was held, once the user agrees. */
    this.removal = null;
    /** Moves the measurement that the cursor holds; null if it holds none. */
    this.carried = null;
    new Gestures(canvas, view, {
      may: on.isCurrent,
      grip: (at) => this.grip(at),
      begin: () => { [this.cursor, this.removal] = [null, null]; on.changed(); },
      carry: (at) => this.carry(at),
      drag: (corners) => { this.drag = this.draws() ? corners : null; on.changed(); },
      // A finger that slips while it erases does not draw.
      box: (corners) => (this.draws() ? this.setBox(corners) : this.tap(corners[0])),
      tap: (at) => this.tap(at),
      hold: (at) => this.offerRemoval(at),
      moved: on.changed,
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    canvas.addEventListener('blur', () => {
      [this.cursor, this.corner, this.drag, this.carried] = [null, null, null, null];
      on.changed();
    });
  }

  /** True if fingers set prompts, instead of erasing or measuring. */
  draws() { return !this.erasing && !this.calipers.on; }

  /** The function that moves the measurement at a position, or null. */
  carry(at) {
    return this.calipers.on ? this.calipers.carry(at, REACH_MM * Gestures.mm()) : null;
  }

  /** True if a new prompt replaces that of the selected object, which is lost or from before. */
  isOver() {
    return this.masks.get(this.selected)?.state === 'lost' || this.prompts.old.has(this.selected);
  }

  /** Index of the point of the selected object within `mm` of a position, or -1. */
  pointAt([x, y], mm) {
    return this.view.markerAt(this.prompts.of(this.selected).points, x, y, mm * Gestures.mm());
  }

  tap(at) {
    const point = this.view.toFrame(...at);
    if (this.calipers.on) {
      this.on.notice(text.measureHint);
    } else if (this.erasing) {
      const found = this.removable(at);
      found?.remove();
      this.on.notice(found ? null : text.eraseHint);
      this.erasing = !found;
    } else if (this.isOver()) {
      // What drifted away with the image is of no use any more.
      this.prompts.replace(this.selected, { points: [{ ...point, positive: true }] });
      this.masks.delete(this.selected);
    } else if (this.pointAt(at, HIT_MM) >= 0) {
      this.on.notice(text.holdToRemove);
    } else {
      this.prompts.add(this.selected, { ...point, positive: this.positive });
    }
    this.on.changed();
  }

  setBox([from, to]) {
    const [a, b] = [this.view.toFrame(...from), this.view.toFrame(...to)];
    const box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
    if (box[0] >= box[2] || box[1] >= box[3]) return this.on.changed();
    if (this.isOver()) {
      this.prompts.replace(this.selected, { box });
      this.masks.delete(this.selected);
    } else {
      this.prompts.setBox(this.selected, box);
    }
    this.on.changed();
  }

  /** The corner opposite to the one that a finger takes, or null. */
  grip([x, y]) {
    const { box } = this.prompts.of(this.selected);
    if (!box || this.isOver() || !this.draws()) return null;
    const corners = this.view.corners(box);
    const apart = corners.map(([left, top]) => Math.hypot(left - x, top - y));
    const nearest = apart.indexOf(Math.min(...apart));
    return apart[nearest] <= REACH_MM * Gestures.mm() ? corners[(nearest + 2) % 4] : null;
  }

  /**
   * The point, box or measurement at a position: words for its removal, and the removal. Null if
   * there is none.
   */
  removable(at) {
    const { prompts, calipers, selected: object } = this;
    if (calipers.on) {
      const found = calipers.find(at, REACH_MM * Gestures.mm());
      return found ? { words: text.removeCaliper, remove: () => calipers.remove(found.caliper) } : null;
    }
    // The device may move the points meanwhile, but does not reorder them.
    const index = this.pointAt(at, REACH_MM);
    if (index >= 0) return { words: text.removePoint, remove: () => prompts.remove(object, index) };
    const { box } = prompts.of(object);
    if (!box || !this.view.onEdge(box, ...at, REACH_MM * Gestures.mm())) return null;
    return { words: text.removeBox, remove: () => prompts.removeBox(object) };
  }

  /** Offers to remove what is at a position; false if there is nothing. */
  offerRemoval(at) {
    const { canvas, removeButton: button } = this;
    const found = this.removable(at);
    if (!found) return false;
    this.on.notice(null);
    this.removal = found.remove;
    setText(button, found.words);
    button.hidden = false;
    const place = (at, size, room) => `${Math.min(Math.max(at - size / 2, 0), room - size)}px`;
    button.style.left = place(at[0], button.offsetWidth, canvas.clientWidth);
    button.style.top = place(at[1] - button.offsetHeight, button.offsetHeight, canvas.clientHeight);
    this.on.changed();
    return true;
  }

  /** Removes what was held. */
  remove() {
    this.removal?.();
    this.removal = null;
    this.canvas.focus();
  }

  key(event) {
    if (!this.on.isCurrent()) return;
    const { view } = this;
    const step = view.frame.width / (event.shiftKey ? 10 : 100);
    const moves = {
      ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    };
    this.cursor ??= { x: view.frame.width / 2, y: view.frame.height / 2 };
    const here = view.toCanvas(this.cursor);
    if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      const moved = { x: this.cursor.x + dx, y: this.cursor.y + dy };
      this.cursor = view.toFrame(...view.toCanvas(moved));
      this.carried?.(view.toCanvas(this.cursor));
    } else if (this.calipers.on && event.key === 'Enter') {
      this.carried = this.carried ? null : this.carry(here);
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.tap(here);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      if (this.offerRemoval(here)) this.removeButton.focus();
    } else if (event.key === 'b' && this.draws()) {
      if (this.corner) this.setBox([view.toCanvas(this.corner), here]);
      this.corner = this.corner ? null : this.cursor;
    } else {
      return;
    }
    event.preventDefault();
    this.drag = this.corner ? [view.toCanvas(this.corner), view.toCanvas(this.cursor)] : null;
    this.on.changed();
  }
}
