// The state of the page: signals, and the parts that hold some of their own. Components and effects
// that read a signal are updated when it changes.

import { computed, effect, signal } from '@preact/signals';
import { Device, type Frame } from './device/connection';
import type { Status } from './device/messages';
import type { Mask } from './device/wire';
import { Calipers } from './image/calipers';
import { Prompting } from './image/prompting';
import { Prompts } from './image/prompts';
import { View } from './image/view';
import { deviceLine, type Situation } from './texts/facts';
import { text, worded } from './texts/words';

/** Age of an image that is no longer current. */
const STALE_MS = 1000;
const NOTICE_MS = 4000;
/** Time over which arriving frames are counted. */
const RATE_MS = 2000;

/** True while the device is connected. */
export const connected = signal(false);
/** State of the device; null while it is not connected. */
export const status = signal<Status | null>(null);
/** The last known state of the device. */
export const lastStatus = signal<Status | null>(null);
/** The newest frame. */
export const frame = signal<Frame | null>(null);
/** The newest mask of each object. */
export const masks = signal<ReadonlyMap<number, Mask>>(new Map());
/** Names of objects by number. */
export const names = signal<ReadonlyMap<number, string>>(new Map());
/** Time of the last end of a freeze. */
export const unfrozenAt = signal(-Infinity);
/** Words over the image about something that has just happened. */
export const notice = signal<string | null>(null);
/** Time of the last look at the clock, in ms of `performance.now()`. */
export const now = signal(performance.now());

/** Times at which frames arrived. */
let arrivals: number[] = [];
const framesPerSecond = signal('0');

export const device = new Device();
export const view = new View();
export const calipers = new Calipers(view);
export const prompts = new Prompts(device, notDone);
export const prompting = new Prompting({
  view, prompts, calipers, notice: showNotice,
  isCurrent() {
    look();
    return isCurrent();
  },
  isLost: (object) => masks.value.get(object)?.state === 'lost',
  dropMask,
});

/** Looks at the clock, on which depends what is current. */
export function look(): void {
  now.value = performance.now();
  arrivals = arrivals.filter((at) => now.value - at < RATE_MS);
  if (status.value) framesPerSecond.value = (arrivals.length / (RATE_MS / 1000)).toFixed(0);
}

/** Takes a frame of the device. */
export function show(newest: Frame): void {
  if (newest.id !== frame.value?.id) calipers.end();
  frame.value?.bitmap.close();
  frame.value = newest;
  view.frame = newest;
  arrivals.push(newest.receivedAt);
  look();
}

/** Forgets the mask of an object. */
export function dropMask(object: number): void {
  masks.value = new Map([...masks.value].filter(([other]) => other !== object));
}

/** Shows words over the image for some time; null removes them. */
export function showNotice(words: string | null, forMs = NOTICE_MS): void {
  notice.value = words;
  setTimeout(() => { if (notice.value === words) notice.value = null; }, forMs);
}

/** Says that a request has failed. */
export function notDone(error: unknown): void { showNotice(`${text().notDone}: ${worded(error)}`); }

/** Age of the newest frame; null without one. */
export const ageMs = computed(() => frame.value && frame.value.ageUs / 1000 + now.value - frame.value.receivedAt);

/** State of the shown image. */
export const situation = computed((): Situation => {
  if (!connected.value || ageMs.value === null) return 'waiting';
  if (status.value?.activity === 'frozen') return 'frozen';
  const held = now.value - unfrozenAt.value < STALE_MS;
  return ageMs.value > STALE_MS && !held ? 'stale' : 'live';
});

/** True if the shown image is current, so that a tap refers to it. */
export function isCurrent(): boolean { return situation.value === 'live' || situation.value === 'frozen'; }

/** True if images arrive from the source, or would without a freeze. */
export function isPlaying(status: Status | null): boolean {
  return status?.source.state === 'playing' && status.activity !== 'paused';
}

/** Masks to show: those of present objects, captured within a second of the frame. */
export const shownMasks = computed((): Mask[] => {
  const shown = frame.value;
  if (!shown || !isCurrent()) return [];
  return [...masks.value.values()].filter((mask) => prompts.has(mask.object) && mask.state !== 'lost'
    && Math.abs(shown.capturedUs - mask.capturedUs) < STALE_MS * 1000);
});

/** The mask that facts about an object are taken from; null if there is none. */
export function knownMask(object: number): Mask | null {
  const mask = masks.value.get(object);
  return mask && (mask.state === 'lost' || shownMasks.value.includes(mask)) ? mask : null;
}

/** True if the selected object has a prompt that can be changed now. */
export const canErase = computed(() =>
  isCurrent() && prompts.has(prompting.selected.value) && !calipers.on.value);

/** One line about the device; null before its first message. */
export const deviceWords = computed(() => lastStatus.value && deviceLine(lastStatus.value, framesPerSecond.value));

effect(() => { if (situation.value !== 'frozen') calipers.on.value = false; });
effect(() => { if (!canErase.value) prompting.erasing.value = false; });
