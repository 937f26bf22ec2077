// The canvas: image, masks, markers. A `Spot` is in pixels of the frame, of which (0, 0) is the centre
// of the first; an `At` is in CSS pixels of the canvas.

import { signal } from '@preact/signals';
import type { Box, Point, Prompt } from '../device/messages';
import type { Cells, Scale } from '../device/wire';
import type { Spot } from './geometry';

export type At = [x: number, y: number];

/** An image to draw. */
export interface Picture extends Partial<Scale> { bitmap: ImageBitmap; width: number; height: number }

/** A mask to draw, and what is kept of it from one drawing to the next. */
export interface DrawnMask extends Cells {
  object: number;
  measured: { parts: number; contour: [number, number][] } | null;
  /** Edges of the cells, the cells as an image; true if the contour is the whole outline. */
  edges?: Path2D;
  image?: OffscreenCanvas;
  whole?: boolean;
}

export interface DrawnPrompt extends Prompt { object: number; selected: boolean }

/** Line and ends of a measurement by hand. */
export interface DrawnCaliper { line: Spot[]; ends: Spot[] }

/** Everything on the canvas except the image. */
export interface Scene {
  masks: DrawnMask[];
  /** Words beside outlines, by object. */
  labels: ReadonlyMap<number, string>;
  prompts: DrawnPrompt[];
  calipers: DrawnCaliper[];
  /** True if fingers can take the ends of measurements. */
  measuring: boolean;
  /** Two corners of a box that is being drawn. */
  drag: [At, At] | null;
  cursor: Spot | null;
  filled: boolean;
  /** Opacity of masks, 0 to 1. */
  opacity: number;
}

/** Magnification, and the place of the frame in the middle of the canvas, as shares of its sides. */
interface Part { zoom: number; middle: [number, number] }

const WHOLE: Part = { zoom: 1, middle: [0.5, 0.5] };

/** Place of the frame on the canvas, and CSS pixels per pixel of the frame. */
interface Place { scale: number; left: number; top: number; width: number; height: number }

/** Left, top, right, bottom of a label. */
type Rectangle = [number, number, number, number];

type Pen = CanvasRenderingContext2D;

export const COLOURS = [
  '#ffd400', '#00c8ff', '#ff7ad9', '#5ee05e', '#ff9d3c', '#b99cff', '#ff8080', '#ffffff',
];
const MARKER_PX = 11;
const HANDLE_PX = 8;
const CROSS_PX = 7;
const LARGEST_ZOOM = 8;

export class View {
  /** Places of the labels that were drawn last. */
  labels: Rectangle[] = [];
  private readonly picture = signal<Picture | null>(null);
  /** The part of the frame that is shown. */
  readonly part = signal<Part>(WHOLE);

  /** `canvas`: that of the page once it is rendered; until then, there is no frame to draw. */
  constructor(public canvas = document.createElement('canvas')) {}

  get frame(): Picture | null { return this.picture.value; }

  set frame(frame: Picture | null) { this.picture.value = frame; }

  /** Magnification; 1 shows all of the frame. */
  get zoom(): number { return this.part.value.zoom; }

  /** Shows all of the frame. */
  fit(): void { this.part.value = WHOLE; }

  /** Width and height of the frame. */
  private get sides(): [number, number] { return this.frame ? [this.frame.width, this.frame.height] : [1, 1]; }

  /** Position of the frame, in CSS pixels of the canvas. */
  place(): Place {
    const { clientWidth, clientHeight } = this.canvas;
    const [frameWidth, frameHeight] = this.sides;
    const scale = this.zoom * Math.min(clientWidth / frameWidth, clientHeight / frameHeight);
    const [width, height] = [scale * frameWidth, scale * frameHeight];
    const edge = (canvas: number, side: number, middle: number) => {
      // No margin on one side while something is cut off on the other.
      const room = (canvas - side) / 2;
      const off = (0.5 - middle) * side;
      return room + Math.min(Math.max(off, Math.min(room, 0)), Math.max(-room, 0));
    };
    const [x, y] = this.part.value.middle;
    return { scale, left: edge(clientWidth, width, x), top: edge(clientHeight, height, y), width, height };
  }

  /** Magnifies about a position in CSS pixels of the canvas, which stays where it is. */
  zoomBy(factor: number, [x, y]: At): void {
    if (!this.frame) return;
    const before = this.place();
    this.part.value = { ...this.part.value, zoom: Math.min(Math.max(this.zoom * factor, 1), LARGEST_ZOOM) };
    const by = this.place().scale / before.scale;
    this.moveTo(x - by * (x - before.left), y - by * (y - before.top));
  }

  /** Moves the left and top edge of the frame there, as far as there is something to show. */
  private moveTo(left: number, top: number): void {
    const { width, height } = this.place();
    const { clientWidth, clientHeight } = this.canvas;
    const { zoom } = this;
    const show = (left: number, top: number) => {
      this.part.value = { zoom, middle: [(clientWidth / 2 - left) / width, (clientHeight / 2 - top) / height] };
    };
    show(left, top);
    const shown = this.place();
    show(shown.left, shown.top);
  }

  /** Follows two fingers from `before` to `after`. */
  pinch(before: [At, At], after: [At, At]): void {
    if (!this.frame) return;
    const apart = ([[ax, ay], [bx, by]]: [At, At]) => Math.max(Math.hypot(ax - bx, ay - by), 1);
    const middle = ([[ax, ay], [bx, by]]: [At, At]): At => [(ax + bx) / 2, (ay + by) / 2];
    const [from, to] = [middle(before), middle(after)];
    this.zoomBy(apart(after) / apart(before), from);
    const { left, top } = this.place();
    this.moveTo(left + to[0] - from[0], top + to[1] - from[1]);
  }

  toFrame([x, y]: At): Spot {
    const { scale, left, top } = this.place();
    const [width, height] = this.sides;
    const clamp = (value: number, side: number) => Math.min(Math.max(value, 0), side - 1);
    return { x: clamp((x - left) / scale - 0.5, width), y: clamp((y - top) / scale - 0.5, height) };
  }

  toCanvas({ x, y }: Spot): At {
    const { scale, left, top } = this.place();
    return [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
  }

  /** Index of the point within `reach` of the position, or -1. */
  markerAt(points: Spot[], [x, y]: At, reach: number): number {
    const distances = points.map((point) => {
      const [px, py] = this.toCanvas(point);
      return Math.hypot(px - x, py - y);
    });
    const nearest = Math.min(...distances);
    return nearest <= reach ? distances.indexOf(nearest) : -1;
  }

  /** Corners of a box: left top, right top, right bottom, left bottom, in CSS pixels of the canvas. */
  corners([x0, y0, x1, y1]: Box): [At, At, At, At] {
    const at = (x: number, y: number) => this.toCanvas({ x, y });
    return [at(x0, y0), at(x1, y0), at(x1, y1), at(x0, y1)];
  }

  /** True if the position is within `reach` of an edge of the box. */
  onEdge(box: Box, [x, y]: At, reach: number): boolean {
    const [[left, top], , [right, bottom]] = this.corners(box);
    const within = (by: number) => x >= left - by && x <= right + by && y >= top - by && y <= bottom + by;
    return within(reach) && !(within(-reach));
  }

  draw({ masks, labels, prompts, calipers, measuring, drag, cursor, filled, opacity }: Scene): void {
    const { canvas, frame } = this;
    const ratio = window.devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext('2d') as Pen;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!frame) return;
    const place = this.place();
    pen.drawImage(frame.bitmap, place.left, place.top, place.width, place.height);
    for (const mask of masks) {
      if (filled) this.fill(pen, mask, place, opacity);
      else this.outline(pen, mask, place, opacity);
    }
    this.labels = [];
    for (const mask of masks) this.label(pen, mask, labels.get(mask.object) ?? '');
    for (const { object, points, box, selected } of prompts) {
      const colour = colourOf(object);
      if (box) this.box(pen, this.toCanvas({ x: box[0], y: box[1] }), this.toCanvas({ x: box[2], y: box[3] }), colour);
      if (box && selected) this.corners(box).forEach((corner) => this.handle(pen, corner, colour));
      for (const point of points) this.marker(pen, point, colour, selected);
    }
    calipers.forEach((caliper, index) => this.caliper(pen, caliper, index + 1, measuring));
    if (drag) this.box(pen, drag[0], drag[1], '#ffffff');
    if (cursor) this.cross(pen, this.toCanvas(cursor));
  }

  private fill(pen: Pen, mask: DrawnMask, place: Place, opacity: number): void {
    const contour = this.contour(mask);
    pen.globalAlpha = opacity;
    if (contour) {
      pen.fillStyle = colourOf(mask.object);
      pen.fill(contour);
    } else {
      mask.image ??= cellImage(mask);
      pen.drawImage(mask.image, place.left, place.top, place.width, place.height);
    }
    pen.globalAlpha = 1;
  }

  private outline(pen: Pen, mask: DrawnMask, place: Place, opacity: number): void {
    let path = this.contour(mask);
    if (!path) {
      mask.edges ??= edges(mask);
      const [w, h] = [place.width / mask.width, place.height / mask.height];
      path = new Path2D();
      path.addPath(mask.edges, new DOMMatrix([w, 0, 0, h, place.left, place.top]));
    }
    // An outline hides less of the image than a fill.
    pen.globalAlpha = Math.min(1, 2 * opacity);
    this.stroke(pen, path, colourOf(mask.object), 2.5);
    pen.globalAlpha = 1;
  }

  /** Writes words about an object above its outline. */
  private label(pen: Pen, { object, measured }: DrawnMask, words: string): void {
    if (!words || !measured) return;
    const [x, y] = measured.contour.reduce((top, at) => (at[1] < top[1] ? at : top));
    const [left, top] = this.toCanvas({ x, y });
    pen.save();
    pen.font = '600 15px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.lineJoin = 'round';
    pen.lineWidth = 4;
    pen.strokeStyle = '#000';
    pen.fillStyle = colourOf(object);
    const { clientWidth, clientHeight } = this.canvas;
    const most = clientWidth - 8;
    const half = Math.min(pen.measureText(words).width, most) / 2 + 4;
    const middle = Math.min(Math.max(left, half), clientWidth - half);
    const place = this.freePlace([middle - half, top - 26, middle + half, top - 4], clientHeight);
    this.labels.push(place);
    const line = place[3] - 5;
    pen.strokeText(words, middle, line, most);
    pen.fillText(words, middle, line, most);
    pen.restore();
  }

  /** The place nearest to a wanted one, moved up or down, where no other label is. */
  private freePlace([left, top, right, bottom]: Rectangle, height: number): Rectangle {
    const shifted = (by: number): Rectangle => [left, top + by, right, bottom + by];
    const isFree = ([x0, y0, x1, y1]: Rectangle) => y0 >= 0 && y1 <= height
      && this.labels.every(([a0, b0, a1, b1]) => x1 <= a0 || a1 <= x0 || y1 <= b0 || b1 <= y0);
    const inside = Math.max(-top, 0);
    const steps = [...Array(COLOURS.length + 1).keys()].flatMap((step) => [-step, step]);
    const places = steps.map((step) => shifted(inside + step * (bottom - top)));
    return places.find(isFree) ?? shifted(inside);
  }

  /** The measured contour, or null if there is none or it is not the whole outline. */
  private contour(mask: DrawnMask): Path2D | null {
    mask.whole ??= mask.measured?.parts === 1 && partsWithoutHoles(mask) === 1;
    if (!mask.whole || !mask.measured) return null;
    const path = new Path2D();
    mask.measured.contour.forEach(([x, y]) => path.lineTo(...this.toCanvas({ x, y })));
    path.closePath();
    return path;
  }

  /** Draws a line with a dark rim, visible on bright tissue. */
  private stroke(pen: Pen, path: Path2D, colour: string, width: number): void {
    pen.lineJoin = 'round';
    for (const [style, rim] of [['#000', 2.5], [colour, 0]] as const) {
      pen.strokeStyle = style;
      pen.lineWidth = width + rim;
      pen.stroke(path);
    }
  }

  private box(pen: Pen, [x0, y0]: At, [x1, y1]: At, colour: string): void {
    const path = new Path2D();
    path.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    pen.setLineDash([8, 6]);
    this.stroke(pen, path, colour, 2);
    pen.setLineDash([]);
  }

  private handle(pen: Pen, [x, y]: At, colour: string): void {
    const square = new Path2D();
    square.rect(x - HANDLE_PX, y - HANDLE_PX, 2 * HANDLE_PX, 2 * HANDLE_PX);
    this.stroke(pen, square, '#fff', 2);
    pen.fillStyle = colour;
    pen.fill(square);
  }

  /** Draws a marker: a disc, for the selected object a larger one with + or −. */
  private marker(pen: Pen, point: Point, colour: string, selected: boolean): void {
    const [x, y] = this.toCanvas(point);
    const radius = selected ? MARKER_PX : MARKER_PX / 2;
    const disc = new Path2D();
    disc.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = point.positive ? colour : '#000';
    pen.fill(disc);
    pen.strokeStyle = point.positive ? '#000' : colour;
    pen.lineWidth = 2;
    pen.stroke(disc);
    if (!selected) return;
    const sign = new Path2D();
    sign.moveTo(x - radius / 2, y);
    sign.lineTo(x + radius / 2, y);
    if (point.positive) {
      sign.moveTo(x, y - radius / 2);
      sign.lineTo(x, y + radius / 2);
    }
    pen.lineWidth = 3;
    pen.stroke(sign);
  }

  /** Draws a measurement with its number, and rings around its ends if fingers can take them. */
  private caliper(pen: Pen, { line, ends }: DrawnCaliper, number: number, measuring: boolean): void {
    const path = new Path2D();
    line.forEach((point) => path.lineTo(...this.toCanvas(point)));
    const places = ends.map((end) => this.toCanvas(end));
    for (const [x, y] of places) {
      path.addPath(new Path2D(`M${x - CROSS_PX} ${y}h${2 * CROSS_PX}M${x} ${y - CROSS_PX}v${2 * CROSS_PX}`));
      if (!measuring) continue;
      path.moveTo(x + 2 * CROSS_PX, y);
      path.arc(x, y, 2 * CROSS_PX, 0, 2 * Math.PI);
    }
    this.stroke(pen, path, '#fff', 1.5);
    const [x, y] = places[0] as At;
    pen.font = 'bold 18px system-ui, sans-serif';
    pen.lineWidth = 4;
    pen.strokeStyle = '#000';
    pen.strokeText(String(number), x + 2 * CROSS_PX, y - CROSS_PX);
    pen.fillStyle = '#fff';
    pen.fillText(String(number), x + 2 * CROSS_PX, y - CROSS_PX);
  }

  private cross(pen: Pen, [x, y]: At): void {
    const path = new Path2D(`M${x - 14} ${y}H${x + 14}M${x} ${y - 14}V${y + 14}`);
    this.stroke(pen, path, '#fff', 2);
  }
}

/** Colour of an object. */
function colourOf(object: number): string { return COLOURS[object] ?? '#ffffff'; }

/**
 * Number of parts minus number of holes, from the corners of the outline: an outline has four more
 * corners that point outwards than inwards, that of a hole four fewer.
 */
function partsWithoutHoles({ bits, width, height }: Cells): number {
  const inside = (x: number, y: number) => (x >= 0 && y >= 0 && x < width && y < height ? bits[y * width + x] as number : 0);
  let corners = 0;
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const [a, b, c, d] = [inside(x - 1, y - 1), inside(x, y - 1), inside(x - 1, y), inside(x, y)];
      const count = a + b + c + d;
      if (count === 1) corners++;
      else if (count === 3) corners--;
      // Cells that touch by corners are not connected.
      else if (count === 2 && a === d) corners += 2;
    }
  }
  return corners / 4;
}

/** The cells of a mask as an image. */
function cellImage({ bits, width, height, object }: DrawnMask): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  const image = pen.createImageData(width, height);
  const part = (at: number) => Number.parseInt(colourOf(object).slice(at, at + 2), 16);
  const [red, green, blue] = [part(1), part(3), part(5)];
  bits.forEach((inside, cell) => {
    image.data.set([red, green, blue, inside ? 255 : 0], 4 * cell);
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** Edges between inside and outside cells, in cells. */
function edges({ bits, width, height }: Cells): Path2D {
  const path = new Path2D();
  const inside = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && bits[y * width + x] === 1;
  const line = (x0: number, y0: number, x1: number, y1: number) => { path.moveTo(x0, y0); path.lineTo(x1, y1); };
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (inside(x, y) !== inside(x - 1, y)) line(x, y, x, y + 1);
      if (inside(x, y) !== inside(x, y - 1)) line(x, y, x + 1, y);
    }
  }
  return path;
}
