// Measurements by hand on a frozen image: distances, ellipses and angles.

import { signal } from '@preact/signals';
import type { PixelSize } from '../device/wire';
import { number, text } from '../texts/words';
import type { Carry } from './gestures';
import {
  angle, area, beside, circumference, distance, fromLine, halfAxes, height, otherEnd, outline, type Spot,
} from './geometry';
import { scaleOf } from './scale';
import type { At, DrawnCaliper, View } from './view';

/** Largest number of measurements. */
const MOST = 6;

/** Size of a pixel whose scale is not known. */
const PIXEL: PixelSize = { x: 1, y: 1 };

/** Kinds of measurements, which are also the names of their buttons. */
export const KINDS = ['distance', 'ellipse', 'angle'] as const;

type Kind = typeof KINDS[number];

/**
 * Points of a measurement, in pixels of the frame. A distance has two ends; an ellipse the ends of one
 * axis, and one of the other; an angle has its vertex second.
 */
type Caliper =
  | { readonly kind: 'distance'; readonly points: [Spot, Spot] }
  | { readonly kind: 'ellipse' | 'angle'; readonly points: [Spot, Spot, Spot] };

const NONE: readonly Caliper[] = [];

/** A measurement, and the index of its end; null for its line. */
interface Found { caliper: Caliper; index: number | null }

export class Calipers {
  /** True while fingers measure instead of prompting. */
  readonly on = signal(false);
  private readonly list = signal(NONE);
  /** Lists before each change, and after each undone one. */
  private past: (readonly Caliper[])[] = [];
  private future: (readonly Caliper[])[] = [];

  constructor(private readonly view: View) {}

  /** Stops measuring and removes everything, as when the image is no longer frozen. */
  end(): void {
    this.on.value = false;
    this.list.value = NONE;
    this.past = [];
    this.future = [];
  }

  isFull(): boolean { return this.list.value.length >= MOST; }

  /** Places a measurement in the middle of the visible image, below the one before. */
  add(kind: Kind): void {
    if (this.isFull()) return;
    const { clientWidth, clientHeight } = this.view.canvas;
    const at = (x: number, y: number) => this.view.toFrame([x * clientWidth, y * clientHeight]);
    const y = 0.35 + 0.08 * this.list.value.length;
    const [left, right, above] = [at(0.38, y), at(0.62, y), at(0.5, y - 0.12)];
    this.change([...this.list.value, this.made(kind, left, right, above)]);
  }

  private made(kind: Kind, left: Spot, right: Spot, above: Spot): Caliper {
    if (kind === 'distance') return { kind, points: [left, right] };
    if (kind === 'angle') return { kind, points: [right, left, above] };
    const pixel = this.pixel({ kind, points: [left, right, above] });
    const unit = (point: Spot) => toUnit(point, pixel);
    return { kind, points: [left, right, toPixels(otherEnd(unit(left), unit(right), unit(above)), pixel)] };
  }

  remove(caliper: Caliper): void { this.change(this.list.value.filter((other) => other !== caliper)); }

  clear(): void { if (this.list.value.length) this.change(NONE); }

  undo(): void { this.step(this.past, this.future); }

  redo(): void { this.step(this.future, this.past); }

  private step(from: (readonly Caliper[])[], to: (readonly Caliper[])[]): void {
    const list = from.pop();
    if (!list) return;
    to.push(this.list.value);
    this.list.value = list;
  }

  private change(list: readonly Caliper[]): void {
    this.past.push(this.list.value);
    this.future = [];
    this.list.value = list;
  }

  /** The measurement within `reach` of a position on the canvas, and the index of its end there. */
  find([x, y]: At, reach: number): Found | undefined {
    const onCanvas = (point: Spot): Spot => {
      const [left, top] = this.view.toCanvas(point);
      return { x: left, y: top };
    };
    const nearest = (parts: (Found & { apart: number })[]) =>
      parts.filter(({ apart }) => apart <= reach).sort((a, b) => a.apart - b.apart)[0];
    const ends = this.list.value.flatMap((caliper) => caliper.points.map((point, index) => (
      { caliper, index, apart: distance(onCanvas(point), { x, y }) }
    )));
    const lines = this.list.value.map((caliper) => {
      const corners = lineOf(caliper).map(onCanvas);
      const parts = corners.slice(1).map((corner, index) => fromLine({ x, y }, corners[index] as Spot, corner));
      return { caliper, index: null, apart: Math.min(...parts) };
    });
    return nearest(ends) ?? nearest(lines);
  }

  /** Takes the end or the line at a position; returns the function that moves it, or null. */
  carry(at: At, reach: number): Carry | null {
    const found = this.find(at, reach);
    if (!found) return null;
    let carried = found.caliper;
    return (to) => {
      if (!this.list.value.includes(carried)) return;
      if (carried === found.caliper) this.change(this.list.value);
      const { scale } = this.view.place();
      const moved = this.moved(found, (to[0] - at[0]) / scale, (to[1] - at[1]) / scale);
      this.list.value = this.list.value.map((other) => (other === carried ? moved : other));
      carried = moved;
    };
  }

  /** The measurement with one end or all of it moved, inside of the frame. */
  private moved({ caliper, index }: Found, dx: number, dy: number): Caliper {
    const isMoved = (end: number) => index === null || end === index;
    const held = caliper.points.filter((_, end) => isMoved(end));
    const { width, height: frameHeight } = this.view.frame ?? { width: 1, height: 1 };
    const by = {
      x: within(dx, held.map(({ x }) => x), width),
      y: within(dy, held.map(({ y }) => y), frameHeight),
    };
    const points = caliper.points.map((point, end) => (isMoved(end) ? { x: point.x + by.x, y: point.y + by.y } : point));
    const shifted = { ...caliper, points } as Caliper;
    if (caliper.kind !== 'ellipse' || shifted.kind !== 'ellipse' || index === null) return shifted;
    const pixel = this.pixel(shifted);
    const [a, b, c] = inUnit(shifted.points, pixel);
    // The other axis keeps its length while this one is moved.
    const away = index === 2 ? height(a, b, c) : height(...inUnit(caliper.points, pixel));
    return { kind: 'ellipse', points: [shifted.points[0], shifted.points[1], toPixels(beside(a, b, away), pixel)] };
  }

  /** Lines and ends to draw, in pixels of the frame. */
  drawn(): DrawnCaliper[] {
    return this.list.value.map((caliper) => ({ line: lineOf(caliper), ends: caliper.points }));
  }

  /** Results, in mm, or in pixels where the scale is not known or differs along the measurement. */
  results(): string[] {
    return this.list.value.map((caliper) => {
      const scale = this.scale(caliper);
      const pixel = scale ?? PIXEL;
      const [unit, digits] = scale ? ['mm', 1] as const : ['px', 0] as const;
      if (caliper.kind === 'distance') {
        const [a, b] = caliper.points;
        return `${number(distance(toUnit(a, pixel), toUnit(b, pixel)), digits)} ${unit}`;
      }
      const points = inUnit(caliper.points, pixel);
      if (caliper.kind === 'angle') return `${number(angle(...points), 0)}°`;
      const axes = halfAxes(...points);
      const around = `${text().circumference}: ${number(circumference(...axes), digits)} ${unit}`;
      return `${around}, ${text().area}: ${number(area(...axes), 0)} ${unit}²`;
    });
  }

  /** Size of the pixels of a measurement in mm; null if it is not known, or differs. */
  private scale(caliper: Caliper): PixelSize | null {
    const { frame } = this.view;
    if (!frame) return null;
    const scale = { pixelMm: frame.pixelMm ?? null, regions: frame.regions ?? [] };
    return scaleOf(scale, lineOf(caliper), caliper.kind === 'ellipse' ? caliper.points : null);
  }

  /** Size of the pixels of a measurement in mm, or 1. */
  private pixel(caliper: Caliper): PixelSize { return this.scale(caliper) ?? PIXEL; }
}

/** Pixels to mm or to the unit of `pixel`, and back. */
function toUnit({ x, y }: Spot, pixel: PixelSize): Spot { return { x: x * pixel.x, y: y * pixel.y }; }

function toPixels({ x, y }: Spot, pixel: PixelSize): Spot { return { x: x / pixel.x, y: y / pixel.y }; }

function inUnit([a, b, c]: [Spot, Spot, Spot], pixel: PixelSize): [Spot, Spot, Spot] {
  return [toUnit(a, pixel), toUnit(b, pixel), toUnit(c, pixel)];
}

function lineOf(caliper: Caliper): Spot[] {
  return caliper.kind === 'ellipse' ? outline(...caliper.points) : caliper.points;
}

/** The part of a movement that keeps these places on a side of the frame. */
function within(by: number, places: number[], side: number): number {
  const least = Math.min(-Math.min(...places), 0);
  const most = Math.max(side - 1 - Math.max(...places), 0);
  return Math.min(Math.max(by, least), most);
}
