// Scale of measurements by hand: the size of pixels where they lie. Points are in pixels of the frame.

import type { PixelSize, Region, Scale } from '../device/wire';
import { holds, type Spot } from './geometry';

/**
 * Size of a pixel in mm for a measurement with this line; null if it is not known for all of
 * it, or differs. `ellipse`: three points of an ellipse whose inside is measured, too.
 */
export function scaleOf({ pixelMm, regions }: Scale, line: Spot[], ellipse: [Spot, Spot, Spot] | null): PixelSize | null {
  if (!regions.length) return pixelMm;
  const scales = pixelsOf(line).map((point) => regions.find((region) => isIn(region, point))?.pixelMm ?? null);
  const first = scales[0] ?? null;
  const isSame = (other: PixelSize | null) => first && other && first.x === other.x && first.y === other.y;
  if (!scales.every(isSame)) return null;
  const inside = ellipse ? regions.filter((region) => cornersOf(region).some((corner) => holds(...ellipse, corner))) : [];
  return inside.every((region) => isSame(region.pixelMm)) ? first : null;
}

/** The topmost region is the first. */
function isIn({ x0, y0, x1, y1 }: Region, { x, y }: Spot): boolean {
  return x >= x0 && x < x1 && y >= y0 && y < y1;
}

function cornersOf({ x0, y0, x1, y1 }: Region): Spot[] {
  return [x0, x1 - 1].flatMap((x) => [y0, y1 - 1].map((y) => ({ x, y })));
}

/** Pixels along a line through points. */
function pixelsOf(line: Spot[]): Spot[] {
  return line.slice(1).flatMap((to, index) => {
    const from = line[index] as Spot;
    const steps = Math.max(Math.ceil(Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y))), 1);
    const at = (axis: 'x' | 'y', step: number) => Math.round(from[axis] + (to[axis] - from[axis]) * step / steps);
    return Array.from({ length: steps + 1 }, (_, step) => ({ x: at('x', step), y: at('y', step) }));
  });
}
