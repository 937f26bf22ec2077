// The page: sends prompts and commands, and shows frames, masks and the state of the device.

import { Device } from './device.js';
import { deviceLine, grade, lines, reasonFor } from './facts.js';
import { Gestures } from './gestures.js';
import { setIcon } from './icons.js';
import { actionOf } from './keys.js';
import { Captures, describe, otherOf } from './lists.js';
import { Prompts } from './prompts.js';
import { Settings } from './settings.js';
import { COLOURS, View } from './view.js';
import { preferred, setText, speak, text } from './words.js';

const STALE_MS = 1000;
const NOTICE_MS = 4000;
const LOOK_MS = 200;
const CARD_MS = 2000;
/** Distance at which a finger hits a handle, or holds a point: half the size of a button. */
const REACH_MM = 6;
/** A tap closer to a point hits it. */
const HIT_MM = 2.5;

const element = (id) => document.getElementById(id);
const canvas = element('picture');
const view = new View(canvas);
const masks = new Map();
let status = null;
let connected = false;
let selected = 0;
let positive = true;
let drag = null;
let cursor = null;
let corner = null;
let arrivals = [];
let notice = null;
let drawing = false;
/** Number of the frame and revisions of the masks on the screen. */
let onScreen = null;
/** Time of the last end of a freeze. */
let unfrozenAt = -Infinity;
/** Removes what was held, once the user agrees. */
let removal = null;

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
    const before = status;
    status = message;
    tellCaptures(before?.records, message.records);
    if (before?.activity === 'frozen' && message.activity !== 'frozen') unfrozenAt = performance.now();
    const changed = (key) => JSON.stringify(before?.[key]) !== JSON.stringify(message[key]);
    if (changed('records') && element('captures').open) showCaptures();
    if ((changed('build') || changed('reload')) && element('build').open) showBuild();
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
const captures = new Captures(device, element('list'));

/** Milliseconds since the frame was captured. */
function age() {
  return view.frame.ageUs / 1000 + performance.now() - view.frame.receivedAt;
}

function state() {
  if (!connected || !view.frame) return 'waiting';
  if (status?.activity === 'frozen') return 'frozen';
  const held = performance.now() - unfrozenAt < STALE_MS;
  return age() > STALE_MS && !held ? 'stale' : 'live';
}

/** True if the shown image is current, so that a tap refers to it. */
function isCurrent() {
  return state() === 'live' || state() === 'frozen';
}

/** Masks to show: those of present objects, captured within a second of the frame. */
function shown() {
  if (!isCurrent()) return [];
  return [...masks.values()].filter((mask) => prompts.has(mask.object) && mask.state !== 'lost'
    && Math.abs(view.frame.capturedUs - mask.capturedUs) < STALE_MS * 1000);
}

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
    showState();
    showObjects();
  });
}

function draw() {
  const all = COLOURS.map((_, object) => [object, prompts.of(object), object === selected]);
  const opacity = element('opacity').value / 100;
  const filled = settings.values.look === 'fill';
  const drawn = shown();
  view.draw({ masks: drawn, prompts: isCurrent() ? all : [], drag, cursor, filled, opacity });
  onScreen = view.frame && { frame_id: view.frame.id, masks: drawn.map((mask) => mask.revision) };
}

function showState() {
  const now = state();
  element('stage').dataset.state = now;
  const seconds = view.frame ? (age() / 1000).toFixed(1) : '';
  const words = view.frame ? [text.age(seconds)].concat(now === 'frozen' ? text.frozen : []) : [];
  setText(element('age'), words.join(' · '));
  const warning = notice ?? reasonFor(now, connected, status);
  element('notice').hidden = !warning;
  setText(element('notice'), warning ?? '');
  const running = status?.activity === 'running' || !status;
  label('freeze', running ? text.freeze : text.goOn, running ? 'freeze' : 'goOn');
  element('freeze').setAttribute('aria-pressed', !running);
  label('sign', positive ? text.positive : text.negative, positive ? 'inside' : 'outside');
  element('sign').setAttribute('aria-pressed', !positive);
  element('capture').disabled = !status?.records;
  element('fit').hidden = view.zoom === 1;
  element('remove').hidden = !removal;
  element('notDiagnostic').hidden = status?.diagnostic === true;
  if (!status) return;
  const recent = arrivals.filter((at) => performance.now() - at < 2000).length;
  setText(element('status'), deviceLine(status, (recent / 2).toFixed(0)));
}

function label(id, words, icon) {
  setText(element(id).querySelector('span'), words);
  setIcon(element(id), icon);
}

/** The mask that the facts are about; null if there is none. */
function known(object) {
  const mask = masks.get(object);
  return mask && (mask.state === 'lost' || shown().includes(mask)) ? mask : null;
}

function showObjects() {
  for (const [object, button] of [...element('objects').children].entries()) {
    const [, symbol, word] = prompts.has(object) ? grade(known(object), isCurrent()) : ['', '', ''];
    setText(button, `${object} ${symbol}`.trim());
    button.setAttribute('aria-label', `${text.object} ${object} ${word}`.trim());
    button.setAttribute('aria-pressed', object === selected);
  }
  const facts = lines(prompts.of(selected), known(selected), isCurrent());
  const before = [...element('facts').children].map((line) => `${line.className} ${line.textContent}`);
  if (before.join('\n') === facts.map((line) => line.join(' ')).join('\n')) return;
  element('facts').replaceChildren(...facts.map(([kind, words]) => {
    const line = document.createElement('p');
    line.className = kind;
    line.textContent = words;
    return line;
  }));
}

function showNotice(words) {
  notice = words;
  redraw();
  setTimeout(() => {
    if (notice === words) notice = null;
    redraw();
  }, NOTICE_MS);
}

function worded({ code, message }) { return text.refusal[code] ?? message; }

function notDone(error) { showNotice(`${text.notDone}: ${worded(error)}`); }

function isLost() { return masks.get(selected)?.state === 'lost'; }

/** Index of the point of the selected object within `mm` of a position, or -1. */
function pointAt([x, y], mm) {
  return view.markerAt(prompts.of(selected).points, x, y, mm * Gestures.mm());
}

function tap(at) {
  const point = view.toFrame(...at);
  if (isLost()) {
    // What drifted away with the image is of no use any more.
    prompts.replace(selected, { points: [{ ...point, positive: true }] });
    masks.delete(selected);
  } else if (pointAt(at, HIT_MM) >= 0) {
    showNotice(text.holdToRemove);
  } else {
    prompts.add(selected, { ...point, positive });
  }
  redraw();
}

function setBox([from, to]) {
  const [a, b] = [view.toFrame(...from), view.toFrame(...to)];
  const box = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
  if (box[0] >= box[2] || box[1] >= box[3]) return redraw();
  if (isLost()) {
    prompts.replace(selected, { box });
    masks.delete(selected);
  } else {
    prompts.setBox(selected, box);
  }
  redraw();
}

/** The corner opposite to the one that a finger takes, or null. */
function grip([x, y]) {
  const { box } = prompts.of(selected);
  if (!box || isLost()) return null;
  const corners = view.corners(box);
  const apart = corners.map(([left, top]) => Math.hypot(left - x, top - y));
  const nearest = apart.indexOf(Math.min(...apart));
  return apart[nearest] <= REACH_MM * Gestures.mm() ? corners[(nearest + 2) % 4] : null;
}

/** Offers to remove what is at a position; false if there is nothing. */
function offerRemoval(at) {
  const object = selected;
  const index = pointAt(at, REACH_MM);
  const { box } = prompts.of(object);
  const onBox = index < 0 && box && view.onEdge(box, ...at, REACH_MM * Gestures.mm());
  if (index < 0 && !onBox) return false;
  const held = prompts.of(object).points[index];
  notice = null;
  removal = () => {
    // The device may have moved the points meanwhile, but not reordered them.
    if (onBox) prompts.removeBox(object);
    else if (held) prompts.remove(object, index);
  };
  const button = element('remove');
  setText(button, onBox ? text.removeBox : text.removePoint);
  button.hidden = false;
  const place = (at, size, room) => `${Math.min(Math.max(at - size / 2, 0), room - size)}px`;
  button.style.left = place(at[0], button.offsetWidth, canvas.clientWidth);
  button.style.top = place(at[1] - button.offsetHeight, button.offsetHeight, canvas.clientHeight);
  redraw();
  return true;
}

new Gestures(canvas, view, {
  may: isCurrent,
  grip,
  begin() { [cursor, removal] = [null, null]; redraw(); },
  drag(corners) { drag = corners; redraw(); },
  box: setBox,
  tap,
  hold: offerRemoval,
  moved: redraw,
});
document.addEventListener('contextmenu', (event) => event.preventDefault());

canvas.addEventListener('keydown', (event) => {
  if (!isCurrent()) return;
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
    tap(here);
  } else if (event.key === 'Delete' || event.key === 'Backspace') {
    if (offerRemoval(here)) element('remove').focus();
  } else if (event.key === 'b') {
    if (corner) setBox([view.toCanvas(corner), here]);
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

/** Captures what is on the screen now, not what may be there when the device answers. */
function capture() {
  const refused = (words) => showNotice(`${text.notCaptured} ${words}`);
  if (!isCurrent()) return refused(reasonFor(state(), connected, status));
  if (!status?.records) return refused(text.refusal['no-records']);
  device.postNow('capture', onScreen).catch((error) => refused(worded(error)));
}

/** Reports captures when the counters change: a requested one is not on the disk yet. */
function tellCaptures(before, now) {
  if (!before || !now) return;
  const because = text.refusal[now.refused_because] ?? text.seeLog;
  if (now.refused > before.refused && now.refused_because === 'not-announced') showNotice(because);
  else if (now.refused > before.refused) showNotice(`${text.notCaptured} ${because}`);
  else if (now.kept > before.kept) showNotice(text.captured);
}

function showCaptures() { captures.show().catch(notDone); }

function showBuild() { readBuild().catch(notDone); }

async function readBuild() {
  const build = await (await device.get('build')).json();
  element('card').replaceChildren(...describe(build, status?.reload));
  const other = otherOf(build.slots);
  element('other').hidden = !other;
  element('update').hidden = !build.update;
  if (!other) return;
  setText(element('other'), text.use(`${other.name} ${other.version}`));
  setText(element('question'), text.sure(`${other.name} ${other.version}`, `${build.name} ${build.version}`));
}

const actions = {
  sign() { positive = !positive; },
  undo() { selected = prompts.undo(selected); },
  redo() { selected = prompts.redo(selected); },
  clear() { prompts.clear(selected); masks.delete(selected); },
  freeze() { command(!status || status.activity === 'running' ? 'Freeze' : 'Unfreeze'); },
  capture,
  showCaptures() { element('captures').showModal(); showCaptures(); },
  showSettings() { element('settings').showModal(); },
  showBuild() { element('settings').close(); element('build').showModal(); showBuild(); },
  other() { element('sure').showModal(); },
  yes() { element('sure').close(); command('SwitchBuild'); },
  update() { command('Update'); },
  fit() { view.fit(); },
  remove() { removal?.(); removal = null; canvas.focus(); },
};
for (const [id, act] of Object.entries(actions)) onPress(id, act);

/** Actions of keys alone. */
const keyed = {
  ...actions,
  next() { selected = (selected + 1) % COLOURS.length; },
  zoomIn() { view.zoomBy(1.25, [canvas.clientWidth / 2, canvas.clientHeight / 2]); },
  zoomOut() { view.zoomBy(0.8, [canvas.clientWidth / 2, canvas.clientHeight / 2]); },
};
document.addEventListener('keydown', (event) => {
  const action = event.defaultPrevented ? null : actionOf(event);
  if (!action) return;
  event.preventDefault();
  keyed[action]();
  redraw();
});

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

element('objects').append(...COLOURS.map((colour, object) => {
  const button = document.createElement('button');
  button.style.setProperty('--colour', colour);
  button.addEventListener('click', () => { selected = object; redraw(); });
  return button;
}));
const icons = { undo: 'undo', redo: 'redo', clear: 'clear', capture: 'capture', showCaptures: 'captures', showSettings: 'settings' };
for (const [id, icon] of Object.entries(icons)) setIcon(element(id), icon);
const settings = new Settings(element('settings'), { language: preferred() }, (values) => {
  speak(values.language);
  redraw();
});
new ResizeObserver(redraw).observe(canvas);
setInterval(redraw, LOOK_MS);
// The end of a trial is not signalled, so the card is refreshed periodically.
setInterval(() => { if (connected && element('build').open) showBuild(); }, CARD_MS);
device.connect();
