// Facts about records: days, masks and measurements. A record is the content of its record.json.

import { grade, sizes } from './facts.js';
import { language, number, text } from './words.js';

/** Time of capture, from the name of a record such as 00000042-20261123T064433.123456Z. */
export function capturedAt(id) {
  const [, y, mo, d, h, mi, s, ms] = /-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})/.exec(id);
  return new Date(Date.UTC(y, mo - 1, d, h, mi, s, ms));
}

export function when(id) {
  return capturedAt(id).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** Day of the capture in the time zone of this screen, as a key that sorts. */
export function dayOf(id) {
  const at = capturedAt(id);
  const two = (value) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** Days with captures and their names, in the order of the names. */
export function days(ids) {
  const found = new Map();
  for (const id of ids) {
    const day = dayOf(id);
    if (!found.has(day)) found.set(day, []);
    found.get(day).push(id);
  }
  return found;
}

/** Lines about an object of a record, as [class, words]. */
export function objectLines({ label, object, state, score, prompt, measured, area_px: areaPx }) {
  const [kind, symbol, word] = grade({ state, score }, true);
  const { points, box } = prompt;
  const given = [...(points.length ? [text.points(points.length)] : []), ...(box ? [text.box] : [])];
  const found = measured ? sizes({
    parts: measured.parts, areaPx: measured.area_px,
    longestPx: measured.longest_px, shortestPx: measured.shortest_px,
    physical: measured.area_mm2 === null ? null : {
      areaMm2: measured.area_mm2, longestMm: measured.longest_mm, shortestMm: measured.shortest_mm,
    },
  }, label) : [['', areaPx ? `${text.area}: ${number(areaPx, 0)} px` : text.emptyMask]];
  // Devices whose build knows several structures store the number alone.
  const name = label === `object ${object}` ? `${text.object} ${object}` : `${object} ${label}`;
  return [[`mark ${kind}`, `${name} ${symbol} ${word}`], ['', given.join(', ')], ...found];
}

/** Number and time of a capture; several of one frozen image have the same time. */
export function named(id) { return `${text.captureNumber} ${Number(id.split('-')[0])}, ${when(id)}`; }

/** Words about the area of an object of the second record, compared with that of the first. */
export function difference(first, second) {
  if (!first?.measured || !second.measured) return text.notInBoth;
  if (first.label !== second.label) return text.namesDiffer;
  const pair = (key) => [first, second].map(({ measured }) => measured[key]);
  const mm2 = pair('area_mm2');
  const scaled = mm2.every((area) => area !== null);
  if (!scaled && mm2.some((area) => area !== null)) return text.notComparable;
  const [before, after] = scaled ? mm2 : pair('area_px');
  const signed = (value, options) => value.toLocaleString(language, { signDisplay: 'exceptZero', useGrouping: false, ...options });
  const share = signed(after / before - 1, { style: 'percent', maximumFractionDigits: 1 });
  const by = `${signed(after - before, { maximumFractionDigits: 0 })} ${scaled ? 'mm²' : 'px'}`;
  return `${text.areaDifference}: ${by} (${share})`;
}
