// Measurements by hand on a frozen image: distances, ellipses and angles.

import {
  angle, area, beside, circumference, distance, fromLine, halfAxes, height, otherEnd, outline,
} from './geometry.js';
import { scaleOf } from './scale.js';
import { number, text } from './words.js';

/** Largest number of measurements. */
const MOST = 6;

/** Size of a pixel whose scale is not known. */
const PIXEL = { x: 1, y: 1 };

export class Calipers {
  /** `changed()`: something has to be drawn. */
  constructor(view, changed) {
    Object.assign(this, { view, changed });
    this.end();
  }

  /** Stops measuring and removes everything, as when the image is no longer frozen. */
  end() {
    /** True while fingers measure instead of prompting. */
    this.on = false;
    /**
     * Measurements: kind, and points in pixels of the frame. A distance has two ends; an ellipse the
     * ends of one axis, and one of the other; an angle has its vertex second.
     */
    this.list = [];
    /** Lists before each change, and after each undone one. */
    this.past = [];
    this.future = [];
  }

  isFull() { return this.list.length >= MOST; }

  /** Places a measurement in the middle of the visible image, below the one before. */
  add(kind) {
    if (this.isFull()) return;
    const { clientWidth, clientHeight } = this.view.canvas;
    const at = (x, y) => this.view.toFrame(x * clientWidth, y * clientHeight);
    const y = 0.35 + 0.08 * this.list.length;
    const [left, right, above] = [at(0.38, y), at(0.62, y), at(0.5, y - 0.12)];
    const pixel = this.pixel({ kind: 'ellipse', points: [left, right, above] });
    const units = [left, right, above].map((point) => toUnit(point, pixel));
    const points = {
      distance: [left, right],
      ellipse: [left, right, toPixels(otherEnd(...units), pixel)],
      angle: [right, left, above],
    };
    this.change([...this.list, { kind, points: points[kind] }]);
  }

  remove(caliper) { this.change(this.list.filter((other) => other !== caliper)); }

  clear() { if (this.list.length) this.change([]); }

  undo() { this.step(this.past, this.future); }

  redo() { this.step(this.future, this.past); }

  step(from, to) {
    if (!from.length) return;
    to.push(this.list);
    this.list = from.pop();
  }

  change(list) {
    this.past.push(this.list);
    this.future = [];
    this.list = list;
  }

  /** The measurement within `reach` of a position on the canvas, and the index of its end there. */
  find([x, y], reach) {
    const onCanvas = (point) => {
      const [left, top] = this.view.toCanvas(point);
      return { x: left, y: top };
    };
    const nearest = (parts) => parts.filter(({ apart }) => apart <= reach).sort((a, b) => a.apart - b.apart)[0];
    const ends = this.list.flatMap((caliper) => caliper.points.map((point, index) => (
      { caliper, index, apart: distance(onCanvas(point), { x, y }) }
    )));
    const lines = this.list.map((caliper) => {
      const corners = lineOf(caliper).map(onCanvas);
      const parts = corners.slice(1).map((corner, index) => fromLine({ x, y }, corners[index], corner));
      return { caliper, index: null, apart: Math.min(...parts) };
    });
    return nearest(ends) ?? nearest(lines);
  }

  /** Takes the end or the line at a position; returns the function that moves it, or null. */
  carry(at, reach) {
    const found = this.find(at, reach);
    if (!found) return null;
    let carried = found.caliper;
    return (to) => {
      if (!this.list.includes(carried)) return;
      if (carried === found.caliper) this.change(this.list);
      const { scale } = this.view.place();
      const moved = this.moved(found, (to[0] - at[0]) / scale, (to[1] - at[1]) / scale);
      this.list = this.list.map((other) => (other === carried ? moved : other));
      carried = moved;
      this.changed();
    };
  }

  /** The measurement with one end or all of it moved, inside of the frame. */
  moved({ caliper: { kind, points }, index }, dx, dy) {
    const isMoved = (end) => index === null || end === index;
    const held = points.filter((_, end) => isMoved(end));
    const by = {
      x: within(dx, held.map(({ x }) => x), this.view.frame.width),
      y: within(dy, held.map(({ y }) => y), this.view.frame.height),
    };
    const shifted = points.map((point, end) => (isMoved(end) ? { x: point.x + by.x, y: point.y + by.y } : point));
    if (kind !== 'ellipse' || index === null) return { kind, points: shifted };
    const pixel = this.pixel({ kind, points: shifted });
    const [a, b, c] = shifted.map((point) => toUnit(point, pixel));
    // The other axis keeps its length while this one is moved.
    const away = index === 2 ? height(a, b, c) : height(...points.map((point) => toUnit(point, pixel)));
    return { kind, points: [shifted[0], shifted[1], toPixels(beside(a, b, away), pixel)] };
  }

  /** Lines and ends to draw, in pixels of the frame. */
  drawn() { return this.list.map((caliper) => ({ line: lineOf(caliper), ends: caliper.points })); }

  /** Results, in mm, or in pixels where the scale is not known or differs along the measurement. */
  results() {
    return this.list.map((caliper) => {
      const { kind, points } = caliper;
      const scale = this.scale(caliper);
      const [unit, digits] = scale ? ['mm', 1] : ['px', 0];
      const [a, b, c] = points.map((point) => toUnit(point, scale ?? PIXEL));
      if (kind === 'angle') return `${number(angle(a, b, c), 0)}°`;
      if (kind === 'distance') return `${number(distance(a, b), digits)} ${unit}`;
      const axes = halfAxes(a, b, c);
      const around = `${text.circumference}: ${number(circumference(...axes), digits)} ${unit}`;
      return `${around}, ${text.area}: ${number(area(...axes), 0)} ${unit}²`;
    });
  }

  /** Size of the pixels of a measurement in mm; null if it is not known, or differs. */
  scale({ kind, points }) {
    const { frame } = this.view;
    return frame && scaleOf(frame, lineOf({ kind, points }), kind === 'ellipse' ? points : null);
  }

  /** Size of the pixels of a measurement in mm, or 1. */
  pixel(caliper) { return this.scale(caliper) ?? PIXEL; }
}

/** Pixels to mm or to the unit of `pixel`, and back. */
function toUnit({ x, y }, pixel) { return { x: x * pixel.x, y: y * pixel.y }; }

function toPixels({ x, y }, pixel) { return { x: x / pixel.x, y: y / pixel.y }; }

function lineOf({ kind, points }) { return kind === 'ellipse' ? outline(...points) : points; }

/** The part of a movement that keeps these places on a side of the frame. */
function within(by, places, side) {
  const least = Math.min(-Math.min(...places), 0);
  const most = Math.max(side - 1 - Math.max(...places), 0);
  return Math.min(Math.max(by, least), most);
}
