// Start of the page: renders it, connects to the device, and takes what the device sends.

import '../style.css';
import { batch, effect } from '@preact/signals';
import { render } from 'preact';
import { keyed } from './actions';
import type { Events } from './device/connection';
import type { RecordCounts, Status } from './device/messages';
import { readBuild } from './dialogs/build';
import { updateCaptures } from './dialogs/captures';
import { isOpen } from './dialogs/dialog';
import { newsOfBuild } from './dialogs/examination';
import { askForToken } from './dialogs/token';
import { startDrawing } from './drawing';
import { actionOf } from './keys';
import { Page } from './page';
import { settings } from './settings';
import {
  calipers, connected, device, frame, isPlaying, lastStatus, look, masks, names, prompting, prompts, show, showNotice,
  status, unfrozenAt,
} from './store';
import { known, language, text } from './texts/words';
import { followStudy, forgetStudy } from './study';
import { ended, locked, startLocking } from './users';

// The tests run these in the browser.
export * as facts from './texts/facts';
export * as geometry from './image/geometry';
export { scaleOf } from './image/scale';
export { View } from './image/view';
export { signsOf } from './signs';
export { languages } from './texts/words';

const LOOK_MS = 200;
const CARD_MS = 2000;

const events: Events = {
  frame: (newest) => batch(() => {
    connected.value = true;
    prompts.back(isPlaying(status.value));
    show(newest);
  }),
  mask(mask) {
    // A mask sent before its object was cleared must not appear as the answer to the next tap.
    if (prompts.hasStored(mask.object)) masks.value = new Map(masks.value).set(mask.object, mask);
  },
  status: (message) => batch(() => {
    const [before, last] = [status.value, lastStatus.value];
    connected.value = true;
    status.value = message;
    lastStatus.value = message;
    if (frame.value && !isPlaying(message)) prompts.away();
    if (message.activity !== 'frozen') calipers.end();
    if (before?.activity === 'frozen' && message.activity !== 'frozen') unfrozenAt.value = performance.now();
    const news = newsOfBuild(last, message) ?? newsOfCaptures(before?.records, message.records);
    if (news) showNotice(news);
    updateDialogs(before, message);
  }),
  prompts: ({ objects, names: given }) => batch(() => {
    prompts.update(objects);
    names.value = new Map(Object.entries(given).map(([object, name]) => [Number(object), name]));
  }),
  lost: () => batch(() => {
    connected.value = false;
    status.value = null;
    if (frame.value) prompts.away();
  }),
  unauthorized: askForToken,
  locked: ended,
};

/** News about captures when the counters change: a requested one is not on the disk yet. */
function newsOfCaptures(before: RecordCounts | null | undefined, now: RecordCounts | null): string | null {
  if (!before || !now) return null;
  if (now.refused > before.refused) {
    const because = known(text().refusal, now.refused_because) ?? text().seeLog;
    if (now.refused_because === 'not-announced') return because;
    const others = now.kept > before.kept ? [text().othersCaptured] : [];
    return [text().notCaptured, because, ...others].join(' ');
  }
  return now.kept > before.kept ? text().captured : null;
}

/** Updates the open dialogs with what has changed on the device. */
function updateDialogs(before: Status | null, now: Status): void {
  const changed = (key: keyof Status) => JSON.stringify(before?.[key]) !== JSON.stringify(now[key]);
  if (isOpen('captures') && changed('records')) updateCaptures();
  if (isOpen('build') && (changed('build') || changed('reload'))) readBuild();
}

effect(() => {
  Object.assign(document.documentElement.dataset, settings.value);
  language.value = settings.value.language;
  document.documentElement.lang = settings.value.language;
});

effect(() => {
  if (locked.value) forgetStudy();
  else if (lastStatus.value) followStudy(lastStatus.value);
});

render(<Page />, document.body);
const canvas = document.querySelector<HTMLCanvasElement>('#image');
if (canvas) {
  prompting.attach(canvas);
  startDrawing(canvas);
}
startLocking();

document.addEventListener('contextmenu', (event) => event.preventDefault());

// Gloved fingers rest long or slip a little, which browsers do not treat as a click.
document.addEventListener('touchend', (event) => {
  const button = event.target instanceof Element && event.target.closest('button');
  const touch = event.changedTouches[0];
  if (!button || !touch || !event.cancelable) return;
  event.preventDefault();
  if (button.contains(document.elementFromPoint(touch.clientX, touch.clientY))) button.click();
}, { passive: false });

document.addEventListener('keydown', (event) => {
  const action = event.defaultPrevented ? null : actionOf(event);
  if (!action) return;
  event.preventDefault();
  keyed[action]();
});

setInterval(look, LOOK_MS);
// The end of a trial is not signalled, so the description of the build is refreshed periodically.
setInterval(() => { if (connected.value && isOpen('build')) readBuild(); }, CARD_MS);
device.start(events);
