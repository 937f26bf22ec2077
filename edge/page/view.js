// The canvas: image, masks, markers. Positions are in frame pixels; (0, 0) is the centre of the first.

export const COLOURS = [
  '#ffd400', '#00c8ff', '#ff7ad9', '#5ee05e', '#ff9d3c', '#b99cff', '#ff8080', '#ffffff',
];
const MARKER_PX = 11;
const HANDLE_PX = 8;
const CROSS_PX = 7;
const LARGEST_ZOOM = 8;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.frame = null;
    this.fit();
  }

  /** Shows all of the frame. */
  fit() {
    this.zoom = 1;
    /** Place of the frame in the middle of the canvas, as shares of its sides. */
    this.middle = [0.5, 0.5];
  }

  /** Position of the frame, in CSS pixels of the canvas. */
  place() {
    const canvas = [this.canvas.clientWidth, this.canvas.clientHeight];
    const frame = [this.frame.width, this.frame.height];
    const scale = this.zoom * Math.min(canvas[0] / frame[0], canvas[1] / frame[1]);
    const [width, height] = frame.map((side) => scale * side);
    const [left, top] = [width, height].map((side, axis) => {
      // No margin on one side while something is cut off on the other.
      const room = (canvas[axis] - side) / 2;
      const off = (0.5 - this.middle[axis]) * side;
      return room + Math.min(Math.max(off, Math.min(room, 0)), Math.max(-room, 0));
    });
    return { scale, left, top, width, height };
  }

  /** Magnifies about a position in CSS pixels of the canvas, which stays where it is. */
  zoomBy(factor, [x, y]) {
    if (!this.frame) return;
    const before = this.place();
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), LARGEST_ZOOM);
    const by = this.place().scale / before.scale;
    this.moveTo(x - by * (x - before.left), y - by * (y - before.top));
  }

  /** Moves the left and top edge of the frame there, as far as there is something to show. */
  moveTo(left, top) {
    const { width, height } = this.place();
    const { clientWidth, clientHeight } = this.canvas;
    this.middle = [(clientWidth / 2 - left) / width, (clientHeight / 2 - top) / height];
    const shown = this.place();
    this.middle = [(clientWidth / 2 - shown.left) / width, (clientHeight / 2 - shown.top) / height];
  }

  /** Follows two fingers from `before` to `after`. */
  pinch(before, after) {
    if (!this.frame) return;
    const apart = ([[ax, ay], [bx, by]]) => Math.max(Math.hypot(ax - bx, ay - by), 1);
    const middle = ([[ax, ay], [bx, by]]) => [(ax + bx) / 2, (ay + by) / 2];
    const [from, to] = [middle(before), middle(after)];
    this.zoomBy(apart(after) / apart(before), from);
    const { left, top } = this.place();
    this.moveTo(left + to[0] - from[0], top + to[1] - from[1]);
  }

  toFrame(x, y) {
    const { scale, left, top } = this.place();
    const clamp = (value, side) => Math.min(Math.max(value, 0), side - 1);
    return {
      x: clamp((x - left) / scale - 0.5, this.frame.width),
      y: clamp((y - top) / scale - 0.5, this.frame.height),
    };
  }

  toCanvas({ x, y }) {
    const { scale, left, top } = this.place();
    return [left + (x + 0.5) * scale, top + (y + 0.5) * scale];
  }

  /** Index of the point within `reach` of the position, or -1. */
  markerAt(points, x, y, reach) {
    const distances = points.map((point) => {
      const [px, py] = this.toCanvas(point);
      return Math.hypot(px - x, py - y);
    });
    const nearest = Math.min(...distances);
    return nearest <= reach ? distances.indexOf(nearest) : -1;
  }

  /** Corners of a box: left top, right top, right bottom, left bottom, in CSS pixels of the canvas. */
  corners([x0, y0, x1, y1]) {
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(([x, y]) => this.toCanvas({ x, y }));
  }

  /** True if the position is within `reach` of an edge of the box. */
  onEdge(box, x, y, reach) {
    const [[left, top], , [right, bottom]] = this.corners(box);
    const within = (by) => x >= left - by && x <= right + by && y >= top - by && y <= bottom + by;
    return within(reach) && !(within(-reach));
  }

  /**
   * `masks`: masks to show; `prompts`: [object, prompt, selected]; `calipers`: lines and ends of
   * measurements, which `measuring` moves; `drag`: two corners of a box.
   */
  draw({ masks, labels, prompts, calipers, measuring, drag, cursor, filled, opacity }) {
    const { canvas, frame } = this;
    const ratio = window.devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((s) => Math.round(s * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!frame) return;
    const place = this.place();
    pen.drawImage(frame.bitmap, place.left, place.top, place.width, place.height);
    for (const mask of masks) {
      if (filled) this.fill(pen, mask, place, opacity);
      else this.outline(pen, mask, place, opacity);
    }
    /** Places of the labels, as [left, top, right, bottom]. */
    this.labels = [];
    for (const mask of masks) this.label(pen, mask, labels.get(mask.object));
    for (const [object, { points, box }, selected] of prompts) {
      const colour = COLOURS[object];
      if (box) this.box(pen, this.toCanvas({ x: box[0], y: box[1] }), this.toCanvas({ x: box[2], y: box[3] }), colour);
      if (box && selected) this.corners(box).forEach((corner) => this.handle(pen, corner, colour));
      for (const point of points) this.marker(pen, point, colour, selected);
    }
    calipers.forEach((caliper, index) => this.caliper(pen, caliper, index + 1, measuring));
    if (drag) this.box(pen, drag[0], drag[1], '#ffffff');
    if (cursor) this.cross(pen, this.toCanvas(cursor));
  }

  fill(pen, mask, place, opacity) {
    const contour = this.contour(mask);
    pen.globalAlpha = opacity;
    if (contour) {
      pen.fillStyle = COLOURS[mask.object];
      pen.fill(contour);
    } else {
      mask.image ??= cellImage(mask);
      pen.drawImage(mask.image, place.left, place.top, place.width, place.height);
    }
    pen.globalAlpha = 1;
  }

  outline(pen, mask, place, opacity) {
    let path = this.contour(mask);
    if (!path) {
      mask.edges ??= edges(mask);
      const [w, h] = [place.width / mask.width, place.height / mask.height];
      path = new Path2D();
      path.addPath(mask.edges, new DOMMatrix([w, 0, 0, h, place.left, place.top]));
    }
    // An outline hides less of the image than a fill.
    pen.globalAlpha = Math.min(1, 2 * opacity);
    this.stroke(pen, path, COLOURS[mask.object], 2.5);
    pen.globalAlpha = 1;
  }

  /** Writes words about an object above its outline. */
  label(pen, { object, measured }, words) {
    if (!words) return;
    const [x, y] = measured.contour.reduce((top, at) => (at[1] < top[1] ? at : top));
    const [left, top] = this.toCanvas({ x, y });
    pen.save();
    pen.font = '600 15px system-ui, sans-serif';
    pen.textAlign = 'center';
    pen.lineJoin = 'round';
    pen.lineWidth = 4;
    pen.strokeStyle = '#000';
    pen.fillStyle = COLOURS[object];
    const { clientWidth, clientHeight } = this.canvas;
    const most = clientWidth - 8;
    const half = Math.min(pen.measureText(words).width, most) / 2 + 4;
    const middle = Math.min(Math.max(left, half), clientWidth - half);
    const place = this.freePlace([middle - half, top - 26, middle + half, top - 4], clientHeight);
    this.labels.push(place);
    const at = [middle, place[3] - 5];
    pen.strokeText(words, ...at, most);
    pen.fillText(words, ...at, most);
    pen.restore();
  }

  /** The place nearest to a wanted one, moved up or down, where no other label is. */
  freePlace([left, top, right, bottom], height) {
    const shifted = (by) => [left, top + by, right, bottom + by];
    const isFree = ([x0, y0, x1, y1]) => y0 >= 0 && y1 <= height
      && this.labels.every(([a0, b0, a1, b1]) => x1 <= a0 || a1 <= x0 || y1 <= b0 || b1 <= y0);
    const inside = Math.max(-top, 0);
    const steps = [...Array(COLOURS.length + 1).keys()].flatMap((step) => [-step, step]);
    const places = steps.map((step) => shifted(inside + step * (bottom - top)));
    return places.find(isFree) ?? places[0];
  }

  /** The measured contour, or null if there is none or it is not the whole outline. */
  contour(mask) {
    mask.whole ??= mask.measured?.parts === 1 && partsWithoutHoles(mask) === 1;
    if (!mask.whole) return null;
    const path = new Path2D();
    mask.measured.contour.forEach(([x, y]) => path.lineTo(...this.toCanvas({ x, y })));
    path.closePath();
    return path;
  }

  /** Draws a line with a dark rim, visible on bright tissue. */
  stroke(pen, path, colour, width) {
    pen.lineJoin = 'round';
    for (const [style, rim] of [['#000', 2.5], [colour, 0]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width + rim;
      pen.stroke(path);
    }
  }

  box(pen, [x0, y0], [x1, y1], colour) {
    const path = new Path2D();
    path.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    pen.setLineDash([8, 6]);
    this.stroke(pen, path, colour, 2);
    pen.setLineDash([]);
  }

  handle(pen, [x, y], colour) {
    const square = new Path2D();
    square.rect(x - HANDLE_PX, y - HANDLE_PX, 2 * HANDLE_PX, 2 * HANDLE_PX);
    this.stroke(pen, square, '#fff', 2);
    pen.fillStyle = colour;
    pen.fill(square);
  }

  /** Draws a marker: a disc, for the selected object a larger one with + or −. */
  marker(pen, point, colour, selected) {
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
  caliper(pen, { line, ends }, number, measuring) {
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
    const [x, y] = places[0];
    pen.font = 'bold 18px system-ui, sans-serif';
    pen.lineWidth = 4;
    pen.strokeStyle = '#000';
    pen.strokeText(number, x + 2 * CROSS_PX, y - CROSS_PX);
    pen.fillStyle = '#fff';
    pen.fillText(number, x + 2 * CROSS_PX, y - CROSS_PX);
  }

  cross(pen, [x, y]) {
    const path = new Path2D(`M${x - 14} ${y}H${x + 14}M${x} ${y - 14}V${y + 14}`);
    this.stroke(pen, path, '#fff', 2);
  }
}

/**
 * Number of parts minus number of holes, from the corners of the outline: an outline has four more
 * corners that point outwards than inwards, that of a hole four fewer.
 */
function partsWithoutHoles({ bits, width, height }) {
  const inside = (x, y) => (x >= 0 && y >= 0 && x < width && y < height ? bits[y * width + x] : 0);
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
function cellImage({ bits, width, height, object }) {
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext('2d');
  const image = pen.createImageData(width, height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(COLOURS[object].slice(at, at + 2), 16));
  bits.forEach((inside, cell) => {
    image.data.set([red, green, blue, inside ? 255 : 0], 4 * cell);
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}

/** Edges between inside and outside cells, in cells. */
function edges({ bits, width, height }) {
  const path = new Path2D();
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && bits[y * width + x] === 1;
  const line = (x0, y0, x1, y1) => { path.moveTo(x0, y0); path.lineTo(x1, y1); };
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (inside(x, y) !== inside(x - 1, y)) line(x, y, x, y + 1);
      if (inside(x, y) !== inside(x, y - 1)) line(x, y, x + 1, y);
    }
  }
  return path;
}
