// The page: sends prompts and commands, and shows frames, masks and the state of the device.

import { Calipers } from './calipers.js';
import { Cine } from './cine.js';
import { lock } from './cleaning.js';
import { Device } from './device.js';
import { Dialogs } from './dialogs.js';
import { Examination } from './examination.js';
import { caption, deviceLine, grade, lines, reasonFor } from './facts.js';
import { setIcon } from './icons.js';
import { actionOf } from './keys.js';
import { Naming } from './naming.js';
import { Prompting } from './prompting.js';
import { Prompts } from './prompts.js';
import { Settings } from './settings.js';
import { showSigns } from './signs.js';
import { Users } from './users.js';
import { COLOURS, View } from './view.js';
import { preferred, setText, speak, text, worded } from './words.js';

const STALE_MS = 1000;
const NOTICE_MS = 4000;
const CLIP_MS = 600000;
const LOOK_MS = 200;
const CARD_MS = 2000;
/** Kinds of measurements, which are also the names of their buttons. */
const KINDS = ['distance', 'ellipse', 'angle'];

const element = (id) => document.getElementById(id);
const canvas = element('image');
const view = new View(canvas);
const calipers = new Calipers(view, redraw);
const masks = new Map();
let status = null;
let connected = false;
let arrivals = [];
let notice = null;
let drawing = false;
/** Names of objects by number. */
let names = new Map();
/** Number of the frame and revisions of the masks on the screen. */
let onScreen = null;
/** Time of the last end of a freeze. */
let unfrozenAt = -Infinity;

const device = new Device({
  frame(frame) {
    connected = true;
    prompts.back(isPlaying(status));
    if (frame.id !== view.frame?.id) calipers.end();
    view.frame?.bitmap.close();
    view.frame = frame;
    arrivals = arrivals.filter((at) => frame.receivedAt - at < 2000).concat(frame.receivedAt);
    redraw();
  },
  mask(mask) {
    // A mask sent before its object was cleared must not appear as the answer to the next tap.
    if (prompts.hasStored(mask.object)) masks.set(mask.object, mask);
    redraw();
  },
  status(message) {
    connected = true;
    const before = status;
    status = message;
    if (view.frame && !isPlaying(message)) prompts.away();
    tellCaptures(before?.records, message.records);
    if (message.activity !== 'frozen') calipers.end();
    if (before?.activity === 'frozen' && message.activity !== 'frozen') unfrozenAt = performance.now();
    const changed = (key) => JSON.stringify(before?.[key]) !== JSON.stringify(message[key]);
    dialogs.update(changed);
    users.update(message.sign_in);
    const news = examination.update(message);
    if (news) showNotice(news);
    cine.update(message.cine);
    redraw();
  },
  prompts({ objects, names: given }) {
    prompts.update(objects);
    names = new Map(Object.entries(given).map(([object, name]) => [Number(object), name]));
    redraw();
  },
  lost() {
    connected = false;
    status = null;
    cine.update(null);
    if (view.frame) prompts.away();
    redraw();
  },
  unauthorized(reason) {
    dialogs.ask(reason);
  },
  locked() { users.ended(); },
});
const prompts = new Prompts(device, notDone);
const prompting = new Prompting(canvas, view, { prompts, masks, calipers }, element('remove'), {
  isCurrent, notice: showNotice, changed: redraw,
});
const cine = new Cine(element('cine'), device, { failed: notDone, changed: redraw, save: () => capture({ clip: true }) });
const naming = new Naming(element('naming'), device, {
  name: (object, name) => device.post('name', { object, name }).catch(notDone), failed: notDone,
});
const examination = new Examination(element('examination'), element('examine'), device, notDone);
const dialogs = new Dialogs(device, () => status?.reload, notDone);
const users = new Users(element('signIn'), device, redraw);

/** Milliseconds since the frame was captured. */
function age() {
  return view.frame.ageUs / 1000 + performance.now() - view.frame.receivedAt;
}

/** True if images arrive from the source, or would without a freeze. */
function isPlaying(status) {
  return status?.source.state === 'playing' && status.activity !== 'paused';
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
  const all = COLOURS.map((_, object) => [object, prompts.of(object), object === prompting.selected]);
  const opacity = element('opacity').value / 100;
  const filled = settings.values.look === 'fill';
  const drawn = shown();
  const { drag, cursor } = prompting;
  const labelOf = (mask) => caption(mask, names.get(mask.object), settings.values.labels);
  view.draw({
    masks: drawn, prompts: isCurrent() ? all : [], calipers: isCurrent() ? calipers.drawn() : [],
    labels: new Map(drawn.map((mask) => [mask.object, labelOf(mask)])),
    measuring: calipers.on, drag, cursor, filled, opacity,
  });
  element('stage').dataset.frame = view.frame?.id ?? '';
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
  const { positive } = prompting;
  label('sign', positive ? text.positive : text.negative, positive ? 'inside' : 'outside');
  element('sign').setAttribute('aria-pressed', !positive);
  cine.draw();
  for (const button of [element('capture'), element('cine').querySelector('[name=save]')]) button.disabled = !status?.records;
  element('returned').hidden = !prompts.old.size || !isCurrent();
  showTools();
  element('remove').hidden = !prompting.removal;
  dialogs.offerCopy(status?.stick);
  element('notDiagnostic').hidden = status?.diagnostic === true;
  if (!status) return;
  const recent = arrivals.filter((at) => performance.now() - at < 2000).length;
  const line = deviceLine(status, (recent / 2).toFixed(0));
  setText(element('status'), line);
  // Small screens show the line only if it has news.
  element('status').parentElement.toggleAttribute('data-news', status.degradation.level > 0 || status.reload.state !== 'idle');
  setText(element('signWords'), `${line} · ${showSigns(element('signs'), status)}`);
}

/** Shows the buttons over the image that are of use now, and the results of measurements. */
function showTools() {
  calipers.on &&= state() === 'frozen';
  const canErase = isCurrent() && prompts.has(prompting.selected) && !calipers.on;
  prompting.erasing &&= canErase;
  // A frozen image keeps its build.
  examination.show(connected && state() !== 'frozen');
  element('fit').hidden = view.zoom === 1 || calipers.on;
  element('nameIt').hidden = !canErase;
  setText(element('nameIt'), names.get(prompting.selected) ?? text.nameIt);
  element('erase').hidden = !canErase;
  element('erase').setAttribute('aria-pressed', prompting.erasing);
  element('measure').hidden = state() !== 'frozen';
  element('measure').setAttribute('aria-pressed', calipers.on);
  for (const kind of KINDS) {
    element(kind).hidden = !calipers.on;
    element(kind).disabled = calipers.isFull();
  }
  const results = isCurrent() ? calipers.results() : [];
  setText(element('results'), results.map((result, index) => `${index + 1}  ${result}`).join('\n'));
  element('results').hidden = !results.length;
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
  const { selected } = prompting;
  for (const [object, button] of [...element('objects').children].entries()) {
    const [, symbol, word] = prompts.has(object) ? grade(known(object), isCurrent()) : ['', '', ''];
    setText(button, `${object} ${symbol}`.trim());
    button.setAttribute('aria-label', [text.object, object, names.get(object), word].filter((part) => part || part === 0).join(' '));
    button.setAttribute('aria-pressed', object === selected);
  }
  const facts = lines(prompts.of(selected), known(selected), names.get(selected), isCurrent());
  const before = [...element('facts').children].map((line) => `${line.className} ${line.textContent}`);
  if (before.join('\n') === facts.map((line) => line.join(' ')).join('\n')) return;
  element('facts').replaceChildren(...facts.map(([kind, words]) => {
    const line = document.createElement('p');
    line.className = kind;
    line.textContent = words;
    return line;
  }));
}

function showNotice(words, forMs = NOTICE_MS) {
  notice = words;
  redraw();
  setTimeout(() => {
    if (notice === words) notice = null;
    redraw();
  }, forMs);
}

function notDone(error) { showNotice(`${text.notDone}: ${worded(error)}`); }

// The footer is too low for a button; the settings have the same words.
document.querySelector('footer').addEventListener('click', () => showNotice(element('signWords').textContent));

document.addEventListener('contextmenu', (event) => event.preventDefault());

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
function capture(more = {}) {
  const refused = (words) => showNotice(`${text.notCaptured} ${words}`);
  if (!isCurrent()) return refused(reasonFor(state(), connected, status));
  if (!status?.records) return refused(text.refusal['no-records']);
  // Compressing a clip takes seconds to minutes; the next result replaces the words.
  if (more.clip) showNotice(text.savingClip, CLIP_MS);
  device.postNow('capture', { ...onScreen, ...more }).catch((error) => refused(worded(error)));
}

/** Reports captures when the counters change: a requested one is not on the disk yet. */
function tellCaptures(before, now) {
  if (!before || !now) return;
  const because = text.refusal[now.refused_because] ?? text.seeLog;
  if (now.refused > before.refused && now.refused_because === 'not-announced') showNotice(because);
  else if (now.refused > before.refused) {
    const others = now.kept > before.kept ? [text.othersCaptured] : [];
    showNotice([text.notCaptured, because, ...others].join(' '));
  } else if (now.kept > before.kept) showNotice(text.captured);
}

const actions = {
  sign() { prompting.positive = !prompting.positive; },
  undo() {
    if (calipers.on) calipers.undo();
    else prompting.selected = prompts.undo(prompting.selected);
  },
  redo() {
    if (calipers.on) calipers.redo();
    else prompting.selected = prompts.redo(prompting.selected);
  },
  clear() {
    if (calipers.on) return calipers.clear();
    prompts.clear(prompting.selected);
    masks.delete(prompting.selected);
  },
  freeze() { command(!status || status.activity === 'running' ? 'Freeze' : 'Unfreeze'); },
  capture() { capture(); },
  showCaptures() { dialogs.openCaptures(); },
  copyThem() { dialogs.copyCaptures(); },
  showSettings() { dialogs.openSettings(); },
  clean() {
    element('settings').close();
    lock(element('cleaning'));
  },
  lockScreen() { users.lock(false); },
  unlock() { users.open(); },
  showBuild() { dialogs.openBuild(); },
  other() { dialogs.openSwitch(); },
  yes() { dialogs.closeSwitch(); command('SwitchBuild'); },
  update() { command('Update'); },
  fit() { view.fit(); },
  remove() { prompting.remove(); },
  nameIt() { naming.open(prompting.selected, names.get(prompting.selected)); },
  examine() { examination.open(); },
  erase() { prompting.erasing = !prompting.erasing; },
  measure() { calipers.on = !calipers.on; },
  keep() { prompts.keep(); },
  forget() { prompts.old.forEach((object) => masks.delete(object)); prompts.forget(); },
};
for (const [id, act] of Object.entries(actions)) onPress(id, act);
for (const kind of KINDS) onPress(kind, () => calipers.add(kind));

/** Actions of keys alone. */
const keyed = {
  ...actions,
  stepBack() { cine.step(-1); },
  stepForward() { cine.step(1); },
  play() { cine.play(!cine.playing); },
  next() { prompting.selected = (prompting.selected + 1) % COLOURS.length; },
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

element('opacity').addEventListener('input', redraw);

element('objects').append(...COLOURS.map((colour, object) => {
  const button = document.createElement('button');
  button.style.setProperty('--colour', colour);
  button.addEventListener('click', () => { prompting.selected = object; redraw(); });
  return button;
}));
const icons = { undo: 'undo', redo: 'redo', clear: 'clear', capture: 'capture', showCaptures: 'captures', showSettings: 'settings' };
for (const [id, icon] of Object.entries(icons)) setIcon(element(id), icon);
const settings = new Settings({ language: preferred() }, (values) => {
  speak(values.language).then(redraw, notDone);
  redraw();
});
new ResizeObserver(redraw).observe(canvas);
setInterval(redraw, LOOK_MS);
// The end of a trial is not signalled, so the card is refreshed periodically.
setInterval(() => { if (connected) dialogs.update((key) => key === 'build'); }, CARD_MS);
device.connect();
