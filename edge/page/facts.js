// Texts about objects and about the device.

import { circumference } from './geometry.js';
import { number, text } from './words.js';

/** Class, symbol and words for a mask; null for no mask. */
export function grade(mask, working) {
  if (!mask) return ['none', '…', working ? text.working : text.waiting];
  const why = text.reason[mask.reason];
  if (mask.state === 'lost') return ['lost', '✕', why ? `${text.lost} (${why})` : text.lost];
  if (mask.state === 'uncertain') return ['poor', '!', why ? `${text.uncertain}: ${why}` : text.uncertain];
  if (mask.score >= 0.85) return ['good', '✓', text.good];
  return mask.score >= 0.7 ? ['fair', '~', text.fair] : ['poor', '!', text.poor];
}

/** Lines about an object, as [class, words]. */
export function lines({ points, box }, mask, name, working) {
  const prompt = [...(points.length ? [text.points(points.length)] : []), ...(box ? [text.box] : [])];
  if (!prompt.length) return [['', text.noPrompt]];
  const [kind, symbol, word] = grade(mask, working);
  const found = mask?.measured ? sizes(mask.measured, name) : [];
  return [[`mark ${kind}`, `${symbol} ${word}`], ['', prompt.join(', ')], ...found];
}

/** Lines about the size of a mask, as [class, words]. Heads have a circumference: that of an ellipse. */
export function sizes({ parts, areaPx, longestPx, shortestPx, physical }, name) {
  const others = parts > 1 ? [['', text.parts(parts)]] : [];
  if (physical) {
    const { areaMm2, longestMm, shortestMm } = physical;
    const around = /\bhead\b/i.test(name)
      ? [['', `${text.circumference}: ${number(circumference(longestMm / 2, shortestMm / 2), 0)} mm`]] : [];
    return [
      ['', `${text.area}: ${number(areaMm2, 0)} mm²`],
      ['', `${text.diameters}: ${number(longestMm, 1)} × ${number(shortestMm, 1)} mm`], ...around, ...others,
    ];
  }
  return [
    ['', `${text.area}: ${number(areaPx, 0)} px (${text.notToScale})`],
    ['', `${text.diameters}: ${number(longestPx, 0)} × ${number(shortestPx, 0)} px`], ...others,
  ];
}

/** Words beside an outline, by the setting for labels: its name, and its size if that is to scale. */
export function caption({ measured }, name, setting) {
  if (setting === 'none' || !measured) return '';
  const { physical } = measured;
  const size = setting === 'size' && physical
    ? `${number(physical.longestMm, 1)} × ${number(physical.shortestMm, 1)} mm` : '';
  return [name, size].filter(Boolean).join('  ');
}

/** Reason why there is no current image; null if there is one. */
export function reasonFor(state, connected, status) {
  if (!connected) return text.noConnection;
  const { source, activity } = status ?? {};
  const trouble = text.source[source?.code ?? source?.state];
  if (trouble) return `${text.noImage}: ${trouble}`;
  if (activity === 'paused') return text.paused;
  if (source?.state === 'ended') return text.ended;
  if (state === 'waiting') return `${text.noImage}: ${text.starting}`;
  return state === 'stale' ? text.stale : null;
}

/** One line about the device. */
export function deviceLine({ build, latency_ms: ms, degradation, reload }, framesPerSecond) {
  const latency = ms === null ? [] : [`${Math.round(ms / 10) * 10} ms`];
  const { level, cause } = degradation;
  const slowed = level ? [text.slowed(text.cause[cause], level)] : [];
  const news = reload.state === 'idle' ? [] : [text.reload[reload.state]];
  return [build, ...slowed, ...news, ...latency, text.rate(framesPerSecond)].join(' · ');
}
