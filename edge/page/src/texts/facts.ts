// Texts about objects and about the device.

import type { Prompt, Status } from '../device/messages';
import type { Mask, Sizes } from '../device/wire';
import { circumference } from '../image/geometry';
import { known, number, text } from './words';

/** A line of text, with the class of its element. */
export type Line = [kind: string, words: string];

/** The parts of a mask that are graded. Masks of records have further states and no reason. */
interface Graded { state: string; score: number; reason?: Mask['reason'] }

/** State of the shown image. */
export type Situation = 'waiting' | 'live' | 'frozen' | 'stale';

/** Class, symbol and words for a mask; null for no mask. */
export function grade(mask: Graded | null, working: boolean): [kind: string, symbol: string, words: string] {
  if (!mask) return ['none', '…', working ? text().working : text().waiting];
  const why = known(text().reason, mask.reason);
  if (mask.state === 'lost') return ['lost', '✕', why ? `${text().lost} (${why})` : text().lost];
  if (mask.state === 'uncertain') return ['poor', '!', why ? `${text().uncertain}: ${why}` : text().uncertain];
  if (mask.score >= 0.85) return ['good', '✓', text().good];
  return mask.score >= 0.7 ? ['fair', '~', text().fair] : ['poor', '!', text().poor];
}

/** Words for the parts of a prompt. */
export function given({ points, box }: Prompt): string {
  return [...(points.length ? [text().points(points.length)] : []), ...(box ? [text().box] : [])].join(', ');
}

/** Lines about an object. */
export function lines(prompt: Prompt, mask: Mask | null, name: string | undefined, working: boolean): Line[] {
  const words = given(prompt);
  if (!words) return [['', text().noPrompt]];
  const [kind, symbol, word] = grade(mask, working);
  const found = mask?.measured ? sizes(mask.measured, name) : [];
  return [[`mark ${kind}`, `${symbol} ${word}`], ['', words], ...found];
}

/** Lines about the size of a mask. Heads have a circumference: that of an ellipse. */
export function sizes({ parts, areaPx, longestPx, shortestPx, physical }: Sizes, name?: string): Line[] {
  const others: Line[] = parts > 1 ? [['', text().parts(parts)]] : [];
  if (physical) {
    const { areaMm2, longestMm, shortestMm } = physical;
    const around: Line[] = /\bhead\b/i.test(name ?? '')
      ? [['', `${text().circumference}: ${number(circumference(longestMm / 2, shortestMm / 2), 0)} mm`]] : [];
    return [
      ['', `${text().area}: ${number(areaMm2, 0)} mm²`],
      ['', `${text().diameters}: ${number(longestMm, 1)} × ${number(shortestMm, 1)} mm`], ...around, ...others,
    ];
  }
  return [
    ['', `${text().area}: ${number(areaPx, 0)} px (${text().notToScale})`],
    ['', `${text().diameters}: ${number(longestPx, 0)} × ${number(shortestPx, 0)} px`], ...others,
  ];
}

/** Words beside an outline, by the setting for labels: its name, and its size if that is to scale. */
export function caption({ measured }: Pick<Mask, 'measured'>, name: string | undefined, setting: 'size' | 'name' | 'none'): string {
  if (setting === 'none' || !measured) return '';
  const { physical } = measured;
  const size = setting === 'size' && physical
    ? `${number(physical.longestMm, 1)} × ${number(physical.shortestMm, 1)} mm` : '';
  return [name, size].filter(Boolean).join('  ');
}

/** Reason why there is no current image; null if there is one. */
export function reasonFor(situation: Situation, connected: boolean, status: Status | null): string | null {
  if (!connected) return text().noConnection;
  const { source, activity } = status ?? {};
  const trouble = known(text().source, source?.code ?? source?.state);
  if (trouble) return `${text().noImage}: ${trouble}`;
  if (activity === 'paused') return text().paused;
  if (source?.state === 'ended') return text().ended;
  if (situation === 'waiting') return `${text().noImage}: ${text().starting}`;
  return situation === 'stale' ? text().stale : null;
}

/** One line about the device. */
export function deviceLine({ build, latency_ms: ms, degradation, reload }: Status, framesPerSecond: string): string {
  const latency = ms === null ? [] : [`${Math.round(ms / 10) * 10} ms`];
  const { level, cause } = degradation;
  const slowed = level && cause ? [text().slowed(text().cause[cause], level)] : [];
  const news = reload.state === 'idle' ? [] : [text().reload[reload.state]];
  return [build, ...slowed, ...news, ...latency, text().rate(framesPerSecond)].join(' · ');
}
