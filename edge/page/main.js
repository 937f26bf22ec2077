// The page: sends prompts and commands, and shows frames, masks and the state of the device.

import { Device } from './device.js';
import { Captures, describe, otherOf } from './lists.js';
import { Prompts } from './prompts.js';
import { COLOURS, View } from './view.js';
import en from './en.js';
import de from './de.js';

const STALE_MS = 1000;
const NOTICE_MS = 4000;
/** A touch that moves farther than this draws a box instead of a tap. */
const DRAG_PX = 14;
const LOOK_MS = 200;
const CARD_MS = 2000;

const language = navigator.language.startsWith('de') ? 'de' : 'en';
const text = { en, de }[language];
const element = (id) => document.getElementById(id);
const canvas = element('picture');

const view = new View(canvas);
const masks = new Map();
let status = null;
let connected = false;
let selected = 0;
let positive = true;
let filled = false;
let drag = null;
let cursor = null;
let corner = null;
let arrivals = [];
let notice = null;
let drawing = false;

const device = new Device({
  frame(frame) {
    connected = true;
    view.frame?.bitmap.close();
    view.frame = frame;
    arrivals = arrivals.filter((at) => frame.receivedAt - at < 2000).concat(frame.receivedAt);
    redraw();
  },
  mask(mask) {
    // A mask sent before its object was cleared must not appear as the answer to the next tap.
    if (prompts.has(mask.object)) masks.set(mask.object, mask);
    redraw();
  },
  status(message) {
    connected = true;
    const [before, now] = [status?.records, message.records];
    // Reported when the counters change: a requested capture is not on the disk yet.
    if (before && now.refused > before.refused) showNotice(text.notCaptured);
    else if (before && now.kept > before.kept) showNotice(text.captured);
    const changed = (key) => JSON.stringify(status?.[key]) !== JSON.stringify(message[key]);
    const [stored, another] = [changed('records'), changed('build') || changed('reload')];
    status = message;
    if (stored && element('captures').open) showCaptures();
    if (another && element('build').open) showBuild();
    redraw();
  },
  prompts({ objects }) {
    prompts.update(objects);
    redraw();
  },
  lost() {
    connected = false;
    status = null;
    redraw();
  },
  unauthorized(reason) {
    for (const open of document.querySelectorAll('dialog[open]')) open.close();
    element('ask').showModal();
    setText(element('refused'), text[reason] ?? '');
  },
});
const prompts = new Prompts(device, notDone);
const captures = new Captures(device, element('list'), text, language);

/** Milliseconds since the frame was captured. */
function age() {
  return view.frame.ageUs / 1000 + performance.now() - view.frame.receivedAt;
}

function state() {
  if (!connected || !view.frame) return 'waiting';
  if (status?.activity === 'frozen') return 'frozen';
  return age() > STALE_MS ? 'stale' : 'live';
}

/** Masks to show: those of present objects, captured within a second of the frame. */
function shown() {
  const now = state();
  if (now !== 'live' && now !== 'frozen') return [];
  return [...masks.values()].filter((mask) => prompts.has(mask.object) && mask.state !== 'lost'
    && Math.abs(view.frame.capturedUs - mask.capturedUs) < STALE_MS * 1000);
}

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const all = COLOURS.map((_, object) => [object, prompts.of(object), object === selected]);
    const opacity = element('opacity').value / 100;
    const visible = state() === 'live' || state() === 'frozen' ? all : [];
    view.draw({ masks: shown(), prompts: visible, drag, cursor, filled, opacity });
    showState();
    showFacts();
  });
}

/** Sets a text only if it differs, because screen readers speak every change. */
function setText(target, words) {
  if (target.textContent !== words) target.textContent = words;
}

function showState() {
  const now = state();
  element('stage').dataset.state = now;
  const seconds = view.frame ? (age() / 1000).toFixed(1) : '';
  const words = view.frame ? [text.age(seconds)].concat(now === 'frozen' ? text.frozen : []) : [];
  setText(element('age'), words.join(' · '));
  const warning = notice ?? reasonFor(now);
  element('notice').hidden = !warning;
  setText(element('notice'), warning ?? '');
  const running = status?.activity === 'running' || !status;
  setText(element('freeze'), running ? text.freeze : text.goOn);
  element('capture').disabled = !status?.records;
  element('notDiagnostic').hidden = status?.diagnostic === true;
  if (!status) return;
  const rate = text.rate((arrivals.filter((at) => performance.now() - at < 2000).length / 2).toFixed(0));
  const latency = status.latency_ms === null ? [] : [`${Math.round(status.latency_ms / 10) * 10} ms`];
  const { degradation: { level, cause }, reload } = status;
  const slowed = level ? [text.slowed(text.cause[cause], level)] : [];
  const news = [...slowed, ...(reload.state === 'idle' ? [] : [text.reload[reload.state]])];
  const line = [status.build, ...news, ...latency, rate, text.broker[status.broker]];
  setText(element('status'), line.join(' · '));
}

function reasonFor(now) {
  if (!connected) return text.noConnection;
  const { source, activity } = status ?? {};
  if (source?.reason) return `${text.noPicture}: ${source.reason}`;
  if (activity === 'paused') return text.paused;
  if (source?.state === 'ended') return text.ended;
  if (now === 'waiting') return `${text.noPicture}: ${text.starting}`;
  return now === 'stale' ? text.stale : null;
}

function grade(mask) {
  if (!mask) return ['none', '…', mayPrompt() ? text.working : text.waiting];
  const why = text.reason[mask.reason];
  if (mask.state === 'lost') return ['lost', '✕', why ? `${text.lost} (${why})` : text.lost];
  if (mask.state === 'uncertain') return ['poor', '!', why ? `${text.uncertain}: ${why}` : text.uncertain];
  if (mask.score >= 0.85) return ['good', '✓', text.good];
  return mask.score >= 0.7 ? ['fair', '~', text.fair] : ['poor', '!', text.poor];
}

function showFacts() {
  const visible = new Set(shown());
  const maskOf = (object) => {
    const mask = masks.get(object);
    return mask && (visible.has(mask) || mask.state === 'lost') ? mask : null;
  };
  for (const [object, button] of [...element('objects').children].entries()) {
    const [, symbol, word] = prompts.has(object) ? grade(maskOf(object)) : ['', '', ''];
    setText(button, `${object + 1} ${symbol}`.trim());
    button.setAttribute('aria-label', `${text.object} ${object + 1} ${word}`.trim());
    button.setAttribute('aria-pressed', object === selected);
  }
  const { points, box } = prompts.of(selected);
  const asked = [...(points.length ? [text.points(points.length)] : []), ...(box ? [text.box] : [])];
  const lines = [['', asked.join(', ') || text.noPrompt]];
  const mask = maskOf(selected);
  if (asked.length) {
    const [kind, symbol, word] = grade(mask);
    lines.unshift([`mark ${kind}`, `${symbol} ${word}`]);
  }
  if (asked.length && mask?.measured) lines.push(...sizes(mask.measured));
  const facts = element('facts');
  const before = [...facts.children].map((line) => `${line.className} ${line.textContent}`).join('\n');
  if (before === lines.map((line) => line.join(' ')).join('\n')) return;
  facts.replaceChildren(...lines.map(([kind, words]) => {
    const line = document.createElement('p');
    line.className = kind;
    line.textContent = words;
    return line;
  }));
}

function sizes({ parts, areaPx, longestPx, shortestPx, physical }) {
  const others = parts > 1 ? [['', text.parts(parts)]] : [];
  // No thousands separator: 1.804 could be read as a decimal fraction.
  const format = (digits) => ({ maximumFractionDigits: digits, useGrouping: false });
  const number = (value, digits) => value.toLocaleString(language, format(digits));
  if (physical) {
    const { areaMm2, longestMm, shortestMm } = physical;
    return [
      ['', `${text.area}: ${number(areaMm2, 0)} mm²`],
      ['', `${text.diameters}: ${number(longestMm, 1)} × ${number(shortestMm, 1)} mm`], ...others,
    ];
  }
  return [
    ['', `${text.area}: ${number(areaPx, 0)} px (${text.notToScale})`],
    ['', `${text.diameters}: ${number(longestPx, 0)} × ${number(shortestPx, 0)} px`], ...others,
  ];
}

function showNotice(words) {
  notice = words;
  redraw();
  setTimeout(() => {
    if (notice === words) notice = null;
    redraw();
  }, NOTICE_MS);
}

function notDone(error) { showNotice(`${text.notDone}: ${error.message}`); }

/** Largest distance at which a tap hits a marker: half the size of a button. */
function reach() {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--target')) / 2;
}

function tap(x, y) {
  const index = view.markerAt(prompts.of(selected).points, x, y, reach());
  if (index >= 0) prompts.remove(selected, index);
  else prompts.add(selected, { ...view.toFrame(x, y), positive });
  redraw();
}

function setBox(from, to) {
  const [a, b] = [view.toFrame(...from), view.toFrame(...to)];
  const box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
  if (box[0] < box[2] && box[1] < box[3]) prompts.setBox(selected, box);
  redraw();
}

/** True if the shown image is current, so that a tap refers to it. */
function mayPrompt() {
  return view.frame && (state() === 'live' || state() === 'frozen');
}

let touch = null;
canvas.addEventListener('pointerdown', (event) => {
  if (!event.isPrimary || event.button !== 0 || !mayPrompt()) return;
  canvas.setPointerCapture(event.pointerId);
  cursor = null;
  touch = [event.offsetX, event.offsetY];
});
canvas.addEventListener('pointermove', (event) => {
  if (!event.isPrimary || !touch) return;
  const here = [event.offsetX, event.offsetY];
  if (drag || Math.hypot(here[0] - touch[0], here[1] - touch[1]) > DRAG_PX) drag = [touch, here];
  redraw();
});
canvas.addEventListener('pointerup', (event) => {
  if (!event.isPrimary || !touch) return;
  if (drag) setBox(...drag);
  else tap(...touch);
  [touch, drag] = [null, null];
});
canvas.addEventListener('pointercancel', () => {
  [touch, drag] = [null, null];
  redraw();
});
document.addEventListener('contextmenu', (event) => event.preventDefault());

canvas.addEventListener('keydown', (event) => {
  if (!mayPrompt()) return;
  const step = view.frame.width / (event.shiftKey ? 10 : 100);
  const moves = {
    ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
  };
  cursor ??= { x: view.frame.width / 2, y: view.frame.height / 2 };
  const here = view.toCanvas(cursor);
  if (moves[event.key]) {
    const [dx, dy] = moves[event.key];
    cursor = view.toFrame(...view.toCanvas({ x: cursor.x + dx, y: cursor.y + dy }));
  } else if (event.key === 'Enter' || event.key === ' ') {
    tap(...here);
  } else if (event.key === 'b') {
    if (corner) setBox(view.toCanvas(corner), here);
    corner = corner ? null : cursor;
  } else {
    return;
  }
  event.preventDefault();
  drag = corner ? [view.toCanvas(corner), view.toCanvas(cursor)] : null;
  redraw();
});
canvas.addEventListener('blur', () => {
  [cursor, corner, drag] = [null, null, null];
  redraw();
});

// Gloved fingers rest long or slip a little, which browsers do not treat as a click.
document.addEventListener('touchend', (event) => {
  const button = event.target.closest('button');
  if (!button || !event.cancelable) return;
  event.preventDefault();
  const { clientX, clientY } = event.changedTouches[0];
  if (button.contains(document.elementFromPoint(clientX, clientY))) button.click();
}, { passive: false });

function onPress(id, act) {
  element(id).addEventListener('click', () => {
    act();
    redraw();
  });
}

function command(name) {
  device.post('command', name).catch(notDone);
}

function showCaptures() { captures.show().catch(notDone); }

function showBuild() { readBuild().catch(notDone); }

async function readBuild() {
  const build = await (await device.get('build')).json();
  element('card').replaceChildren(...describe(build, status?.reload, text, language));
  const other = otherOf(build.slots);
  element('other').hidden = !other;
  element('update').hidden = !build.update;
  if (!other) return;
  setText(element('other'), text.use(`${other.name} ${other.version}`));
  setText(element('question'), text.sure(`${other.name} ${other.version}`, `${build.name} ${build.version}`));
}

function labelSwitches() {
  setText(element('sign'), positive ? text.positive : text.negative);
  element('sign').setAttribute('aria-pressed', !positive);
  setText(element('style'), filled ? text.outline : text.fill);
}

onPress('sign', () => { positive = !positive; labelSwitches(); });
onPress('style', () => { filled = !filled; labelSwitches(); });
onPress('undo', () => prompts.undo(selected));
onPress('clear', () => { prompts.clear(selected); masks.delete(selected); });
onPress('freeze', () => command(!status || status.activity === 'running' ? 'Freeze' : 'Unfreeze'));
onPress('capture', () => command('Capture'));
onPress('showCaptures', () => { element('captures').showModal(); showCaptures(); });
onPress('showBuild', () => { element('build').showModal(); showBuild(); });
onPress('other', () => element('sure').showModal());
onPress('yes', () => { element('sure').close(); command('SwitchBuild'); });
onPress('update', () => command('Update'));
for (const close of document.querySelectorAll('.close')) {
  close.addEventListener('click', () => close.parentElement.close());
}
element('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  element('ask').close();
});
// Sends the token however the dialog is closed; if it is wrong, the device asks again.
element('ask').addEventListener('close', () => {
  device.setToken(element('token').value);
  element('token').value = '';
});
element('opacity').addEventListener('input', redraw);

document.documentElement.lang = language;
for (const labelled of document.querySelectorAll('[data-text]')) setText(labelled, text[labelled.dataset.text]);
for (const labelled of document.querySelectorAll('[data-label]')) {
  labelled.setAttribute('aria-label', text[labelled.dataset.label]);
}
element('objects').append(...COLOURS.map((colour, object) => {
  const button = document.createElement('button');
  button.style.background = colour;
  button.addEventListener('click', () => { selected = object; redraw(); });
  return button;
}));
labelSwitches();
redraw();
new ResizeObserver(redraw).observe(canvas);
setInterval(redraw, LOOK_MS);
// The end of a trial is not signalled, so the card is refreshed periodically.
setInterval(() => { if (connected && element('build').open) showBuild(); }, CARD_MS);
device.connect();
