// Gestures on the image: tap, long press, box, handles of a box, pinch and pan.

import type { At, View } from './view';

const HOLD_MS = 500;
/** Longest time between the taps of a double tap. */
const DOUBLE_MS = 300;
/** A finger that slips less far taps; farther, it draws a box. */
const SLIP_MM = 8;
/** The same for a finger on a handle. */
const GRIP_MM = 2;

/** Moves what a finger has taken to a position. */
export type Carry = (to: At) => void;

/** Answers to gestures. */
export interface Responses {
  /** True if the image may be prompted. */
  may(): boolean;
  /** The corner opposite to the handle at a position, or null. */
  grip(at: At): At | null;
  /** The function that moves what is at a position, or null. */
  carry(at: At): Carry | null;
  /** The box while it is drawn, null at its end. */
  drag(corners: [At, At] | null): void;
  box(corners: [At, At]): void;
  tap(at: At): void;
  /** True if something there answers a long press. */
  hold(at: At): boolean;
  /** A touch begins. */
  begin(): void;
}

/** A touch by one finger: where it began, what it took, where it is, and what has come of it. */
interface Touch { at: At; grip: At | null; carry: Carry | null; here: At; drawn: boolean; held: boolean }

export class Gestures {
  /** Positions of fingers, by number of the pointer. */
  private readonly fingers = new Map<number, At>();
  private touch: Touch | null = null;
  private tapped: { at: At; timer: number } | null = null;
  private timer = 0;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly view: View, private readonly on: Responses) {
    canvas.addEventListener('pointerdown', (event) => this.down(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
    canvas.addEventListener('pointerup', (event) => this.up(event));
    canvas.addEventListener('pointercancel', (event) => this.cancel(event));
    canvas.addEventListener('wheel', (event) => this.wheel(event));
  }

  /** Pixels per millimetre of the screen. */
  static mm(): number {
    return Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--mm'));
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    const at: At = [event.offsetX, event.offsetY];
    this.fingers.set(event.pointerId, at);
    this.on.begin();
    // A second finger pinches instead.
    this.drop();
    if (this.fingers.size > 1 || !this.on.may()) return;
    const touch = { at, grip: this.on.grip(at), carry: this.on.carry(at), here: at, drawn: false, held: false };
    this.touch = touch;
    this.timer = window.setTimeout(() => {
      if (this.touch === touch && !touch.drawn) touch.held = this.on.hold(at);
    }, HOLD_MS);
  }

  private move(event: PointerEvent): void {
    if (!this.fingers.has(event.pointerId)) return;
    const before = [...this.fingers.values()];
    const at: At = [event.offsetX, event.offsetY];
    this.fingers.set(event.pointerId, at);
    if (this.fingers.size === 2) this.view.pinch(before as [At, At], [...this.fingers.values()] as [At, At]);
    else if (this.touch && !this.touch.held) this.draw(this.touch, at);
  }

  private draw(touch: Touch, at: At): void {
    touch.here = at;
    const slip = Gestures.mm() * (touch.grip || touch.carry ? GRIP_MM : SLIP_MM);
    touch.drawn ||= Math.hypot(at[0] - touch.at[0], at[1] - touch.at[1]) > slip;
    if (!touch.drawn) return;
    if (touch.carry) touch.carry(at);
    else this.on.drag([touch.grip ?? touch.at, at]);
  }

  private up(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    const { touch } = this;
    this.drop();
    if (!touch || touch.held) return;
    if (touch.carry && touch.drawn) return;
    if (touch.drawn) this.on.box([touch.grip ?? touch.at, touch.here]);
    else this.tap(touch.at);
  }

  /** In a magnified image, a tap waits for a second one, which shows all of the image again. */
  private tap(at: At): void {
    const before = this.tapped;
    clearTimeout(before?.timer);
    this.tapped = null;
    if (before && Math.hypot(at[0] - before.at[0], at[1] - before.at[1]) < SLIP_MM * Gestures.mm()) {
      this.view.fit();
      return;
    }
    if (before) this.on.tap(before.at);
    if (this.view.zoom === 1) {
      this.on.tap(at);
      return;
    }
    const timer = window.setTimeout(() => {
      this.tapped = null;
      this.on.tap(at);
    }, DOUBLE_MS);
    this.tapped = { at, timer };
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    this.view.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, [event.offsetX, event.offsetY]);
  }

  private cancel(event: PointerEvent): void {
    this.fingers.delete(event.pointerId);
    this.drop();
  }

  /** Forgets an unfinished gesture of one finger. */
  private drop(): void {
    clearTimeout(this.timer);
    this.touch = null;
    this.on.drag(null);
  }
}
