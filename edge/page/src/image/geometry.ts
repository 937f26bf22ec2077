// Geometry of measurements by hand. Lengths have the unit of the points.

export interface Spot { x: number; y: number }

/** Number of corners with which an ellipse is drawn. */
const CORNERS = 64;

/** Length of the line from `a` to `b`. */
export function distance(a: Spot, b: Spot): number { return Math.hypot(b.x - a.x, b.y - a.y); }

/** Angle at `vertex` between the directions to `a` and to `b`, 0 to 180 degrees. */
export function angle(a: Spot, vertex: Spot, b: Spot): number {
  const [ax, ay, bx, by] = [a.x - vertex.x, a.y - vertex.y, b.x - vertex.x, b.y - vertex.y] as const;
  return Math.abs(Math.atan2(ax * by - ay * bx, ax * bx + ay * by)) * 180 / Math.PI;
}

/** Area of an ellipse with these half axes. */
export function area(p: number, q: number): number { return Math.PI * p * q; }

/**
 * Circumference of an ellipse with these half axes: Ramanujan's second approximation (1914). Its
 * error is below 0.041 %, and below 0.00001 % up to a ratio of 3 : 1.
 */
export function circumference(p: number, q: number): number {
  if (p + q === 0) return 0;
  const h = ((p - q) / (p + q)) ** 2;
  return Math.PI * (p + q) * (1 + 3 * h / (10 + Math.sqrt(4 - 3 * h)));
}

/** Half axes of the ellipse with an axis from `a` to `b` that is `c` wide beside its middle. */
export function halfAxes(a: Spot, b: Spot, c: Spot): [number, number] {
  return [distance(a, b) / 2, Math.abs(height(a, b, c))];
}

/** The end of the other axis of an ellipse: perpendicular to `a`-`b`, as far away from it as `c`. */
export function otherEnd(a: Spot, b: Spot, c: Spot): Spot { return beside(a, b, height(a, b, c)); }

/** The point at this distance beside the middle of `a`-`b`. */
export function beside(a: Spot, b: Spot, away: number): Spot {
  const normal = normalOf(a, b);
  return { x: (a.x + b.x) / 2 + away * normal.x, y: (a.y + b.y) / 2 + away * normal.y };
}

/** Distance of `c` from the line through `a` and `b`, negative on one side. */
export function height(a: Spot, b: Spot, c: Spot): number {
  const normal = normalOf(a, b);
  return (c.x - a.x) * normal.x + (c.y - a.y) * normal.y;
}

function normalOf(a: Spot, b: Spot): Spot {
  const length = distance(a, b);
  return length > 0 ? { x: (a.y - b.y) / length, y: (b.x - a.x) / length } : { x: 0, y: 1 };
}

/** Outline of the ellipse with an axis from `a` to `b` and one from its middle to `c`, closed. */
export function outline(a: Spot, b: Spot, c: Spot): Spot[] {
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  return Array.from({ length: CORNERS + 1 }, (_, corner) => {
    const [u, v] = [Math.cos(2 * Math.PI * corner / CORNERS), Math.sin(2 * Math.PI * corner / CORNERS)];
    const along = (axis: 'x' | 'y') => middle[axis] + u * (b[axis] - middle[axis]) + v * (c[axis] - middle[axis]);
    return { x: along('x'), y: along('y') };
  });
}

/** True if `point` is within the ellipse with an axis from `a` to `b` and one from its middle to `c`. */
export function holds(a: Spot, b: Spot, c: Spot, point: Spot): boolean {
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  const from = ({ x, y }: Spot) => ({ x: x - middle.x, y: y - middle.y });
  const [u, v, p] = [from(b), from(c), from(point)] as const;
  const cross = (first: Spot, second: Spot) => first.x * second.y - first.y * second.x;
  // The point as a sum of parts of both half axes.
  const [along, away] = [cross(p, v) / cross(u, v), cross(u, p) / cross(u, v)];
  return along ** 2 + away ** 2 < 1;
}

/** Distance of `point` from the line from `a` to `b`, or from its nearer end. */
export function fromLine(point: Spot, a: Spot, b: Spot): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(Math.max(along, 0), 1);
  return Math.hypot(point.x - a.x - share * dx, point.y - a.y - share * dy);
}
