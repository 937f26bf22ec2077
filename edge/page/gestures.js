// Gestures on the image: tap, long press, box, handles of a box, pinch and pan.

const HOLD_MS = 500;
/** Longest time between the taps of a double tap. */
const DOUBLE_MS = 300;
/** A finger that slips less far taps; farther, it draws a box. */
const SLIP_MM = 8;
/** The same for a finger on a handle. */
const GRIP_MM = 2;

export class Gestures {
  /**
   * `on.may()`: true if the image may be prompted. `on.grip(at)`: the corner opposite to the handle
   * at a position, or null. `on.carry(at)`: the function that moves what is at a position, or null.
   * `on.drag(corners)`: the box while it is drawn, null at its end. `on.box(corners)`, `on.tap(at)`:
   * finished gestures. `on.hold(at)`: true if something there answers a long press. `on.begin()`,
   * `on.moved()`: a touch begins; the view has moved.
   */
  constructor(canvas, view, on) {
    Object.assign(this, { canvas, view, on });
    /** Positions of fingers, by number of the pointer. */
    this.fingers = new Map();
    this.touch = null;
    this.tapped = null;
    const listen = (name, act) => canvas.addEventListener(name, act.bind(this));
    listen('pointerdown', this.down);
    listen('pointermove', this.move);
    listen('pointerup', this.up);
    listen('pointercancel', this.cancel);
    listen('wheel', this.wheel);
  }

  /** Pixels per millimetre of the screen. */
  static mm() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--mm'));
  }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const at = [event.offsetX, event.offsetY];
    this.fingers.set(event.pointerId, at);
    this.on.begin();
    // A second finger pinches instead.
    this.drop();
    if (this.fingers.size > 1 || !this.on.may()) return;
    const grip = this.on.grip(at);
    this.touch = { at, grip, carry: this.on.carry(at), here: at, drawn: false, held: false };
    this.timer = setTimeout(() => {
      if (this.touch && !this.touch.drawn) this.touch.held = this.on.hold(at);
    }, HOLD_MS);
  }

  move(event) {
    if (!this.fingers.has(event.pointerId)) return;
    const before = [...this.fingers.values()];
    const at = [event.offsetX, event.offsetY];
    this.fingers.set(event.pointerId, at);
    if (this.fingers.size === 2) {
      this.view.pinch(before, [...this.fingers.values()]);
      this.on.moved();
    } else if (this.touch && !this.touch.held) {
      this.draw(at);
    }
  }

  draw(at) {
    const { touch } = this;
    touch.here = at;
    const slip = Gestures.mm() * (touch.grip || touch.carry ? GRIP_MM : SLIP_MM);
    touch.drawn ||= Math.hypot(at[0] - touch.at[0], at[1] - touch.at[1]) > slip;
    if (!touch.drawn) return;
    if (touch.carry) touch.carry(at);
    else this.on.drag([touch.grip ?? touch.at, at]);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    const { touch } = this;
    this.drop();
    if (!touch || touch.held) return;
    if (touch.carry && touch.drawn) return;
    if (touch.drawn) this.on.box([touch.grip ?? touch.at, touch.here]);
    else this.tap(touch.at);
  }

  /** In a magnified image, a tap waits for a second one, which shows all of the image again. */
  tap(at) {
    const before = this.tapped;
    clearTimeout(before?.timer);
    this.tapped = null;
    if (before && Math.hypot(at[0] - before.at[0], at[1] - before.at[1]) < SLIP_MM * Gestures.mm()) {
      this.view.fit();
      return this.on.moved();
    }
    if (before) this.on.tap(before.at);
    if (this.view.zoom === 1) return this.on.tap(at);
    const timer = setTimeout(() => {
      this.tapped = null;
      this.on.tap(at);
    }, DOUBLE_MS);
    this.tapped = { at, timer };
  }

  wheel(event) {
    event.preventDefault();
    this.view.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, [event.offsetX, event.offsetY]);
    this.on.moved();
  }

  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.drop();
  }

  /** Forgets an unfinished gesture of one finger. */
  drop() {
    clearTimeout(this.timer);
    this.touch = null;
    this.on.drag(null);
  }
}
