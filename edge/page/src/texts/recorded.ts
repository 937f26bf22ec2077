// Texts about records: days, masks and measurements.

import type { RecordedMeasures, RecordedObject } from '../device/messages';
import type { Sizes } from '../device/wire';
import { given, grade, type Line, sizes } from './facts';
import { language, number, text } from './words';

/** Time of capture, from the name of a record such as 00000042-20261123T064433.123456Z. */
function capturedAt(id: string): Date {
  const [, y, mo, d, h, mi, s, ms] = (/-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})/.exec(id) ?? []).map(Number);
  return new Date(Date.UTC(y ?? 0, (mo ?? 1) - 1, d, h, mi, s, ms));
}

function when(id: string): string {
  return capturedAt(id).toLocaleString(language.value, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** Day of the capture in the time zone of this screen, as a key that sorts. */
function dayOf(id: string): string {
  const at = capturedAt(id);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** Days with captures and their names, in the order of the names. */
export function days(ids: string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const id of ids) {
    const day = dayOf(id);
    found.set(day, [...(found.get(day) ?? []), id]);
  }
  return found;
}

/** A day of `days` in words. */
export function dayInWords(day: string): string {
  // Noon, which is on this day in all time zones of daylight saving.
  return new Date(`${day}T12:00`).toLocaleDateString(language.value, { dateStyle: 'full' });
}

/** Lines about an object of a record. */
export function objectLines({ label, object, state, score, prompt, measured, area_px: areaPx }: RecordedObject): [Line, ...Line[]] {
  const [kind, symbol, word] = grade({ state, score }, true);
  const found: Line[] = measured ? sizes(sizesOf(measured), label)
    : [['', areaPx ? `${text().area}: ${number(areaPx, 0)} px` : text().emptyMask]];
  // Devices whose build knows several structures store the number alone.
  const name = label === `object ${object}` ? `${text().object} ${object}` : `${object} ${label}`;
  return [[`mark ${kind}`, `${name} ${symbol} ${word}`], ['', given(prompt)], ...found];
}

function sizesOf(measured: RecordedMeasures): Sizes {
  const { parts, area_px: areaPx, longest_px: longestPx, shortest_px: shortestPx } = measured;
  const { area_mm2: areaMm2, longest_mm: longestMm, shortest_mm: shortestMm } = measured;
  const isScaled = areaMm2 !== null && longestMm !== null && shortestMm !== null;
  return { parts, areaPx, longestPx, shortestPx, physical: isScaled ? { areaMm2, longestMm, shortestMm } : null };
}

/** Number and time of a capture; several of one frozen image have the same time. */
export function named(id: string): string {
  return `${text().captureNumber} ${Number.parseInt(id, 10)}, ${when(id)}`;
}

/** Words about the area of an object of the second record, compared with that of the first. */
export function difference(first: RecordedObject | undefined, second: RecordedObject): string {
  if (!first?.measured || !second.measured) return text().notInBoth;
  if (first.label !== second.label) return text().namesDiffer;
  const [beforeMm2, afterMm2] = [first.measured.area_mm2, second.measured.area_mm2];
  if ((beforeMm2 === null) !== (afterMm2 === null)) return text().notComparable;
  const before = beforeMm2 ?? first.measured.area_px;
  const after = afterMm2 ?? second.measured.area_px;
  const signed = (value: number, options: Intl.NumberFormatOptions) =>
    value.toLocaleString(language.value, { signDisplay: 'exceptZero', useGrouping: false, ...options });
  const share = signed(after / before - 1, { style: 'percent', maximumFractionDigits: 1 });
  const by = `${signed(after - before, { maximumFractionDigits: 0 })} ${beforeMm2 === null ? 'px' : 'mm²'}`;
  return `${text().areaDifference}: ${by} (${share})`;
}
