// Scale of measurements by hand: the size of pixels where they lie. Points are in pixels of the frame.

import { holds } from './geometry.js';

/**
 * Size of a pixel in mm, { x, y }, for a measurement with this line; null if it is not known for all of
 * it, or differs. `ellipse`: three points of an ellipse whose inside is measured, too.
 */
export function scaleOf({ pixelMm, regions }, line, ellipse) {
  if (!regions.length) return pixelMm;
  const scales = pixelsOf(line).map((point) => regions.find((region) => isIn(region, point))?.pixelMm ?? null);
  const [first] = scales;
  const isSame = (other) => first && other && first.x === other.x && first.y === other.y;
  if (!scales.every(isSame)) return null;
  const inside = ellipse ? regions.filter((region) => cornersOf(region).some((corner) => holds(...ellipse, corner))) : [];
  return inside.every((region) => isSame(region.pixelMm)) ? first : null;
}

/** The topmost region is the first. */
function isIn({ x0, y0, x1, y1 }, { x, y }) { return x >= x0 && x < x1 && y >= y0 && y < y1; }

function cornersOf({ x0, y0, x1, y1 }) {
  return [x0, x1 - 1].flatMap((x) => [y0, y1 - 1].map((y) => ({ x, y })));
}

/** Pixels along a line through points. */
function pixelsOf(line) {
  return line.slice(1).flatMap((to, index) => {
    const from = line[index];
    const steps = Math.max(Math.ceil(Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y))), 1);
    const at = (axis, step) => Math.round(from[axis] + (to[axis] - from[axis]) * step / steps);
    return Array.from({ length: steps + 1 }, (_, step) => ({ x: at('x', step), y: at('y', step) }));
  });
}
