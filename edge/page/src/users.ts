// Users: the screen is locked until one signs in with a PIN, and again after some time without a
// touch. The device refuses requests of a locked screen; the page hides its buttons.

import { computed, effect, signal } from '@preact/signals';
import { closeAll } from './dialogs/dialog';
import { device, lastStatus } from './store';

const LOOK_MS = 200;
/** Touches are reported to the device once in this share of the time that locks the screen. */
const REPORTED = 0.05;

/** Users that the device knows; undefined if it knows none. */
export const known = computed(() => lastStatus.value?.sign_in);

/** Name of the user who is signed in. */
export const user = signal<string | null>(null);

/** True until a user signs in. */
export const locked = computed(() => Boolean(known.value && !user.value));

let touchedAt = -Infinity;
let reportedAt = -Infinity;

/** Begins to lock the screen after some time without a touch. */
export function startLocking(): void {
  for (const kind of ['pointerdown', 'keydown', 'wheel']) {
    window.addEventListener(kind, () => { touchedAt = performance.now(); }, true);
  }
  effect(() => { if (!known.value) user.value = null; });
  effect(() => { document.documentElement.toggleAttribute('data-locked', locked.value); });
  setInterval(look, LOOK_MS);
}

/** Locks the screen after some time without a touch; before, reports touches to the device. */
function look(): void {
  if (!user.value || !known.value) return;
  const [now, limit] = [performance.now(), known.value.lock_after_ms];
  if (now - touchedAt >= limit) lock(true);
  else if (touchedAt > reportedAt && now - reportedAt > REPORTED * limit) {
    reportedAt = now;
    device.send('PUT', 'session', {}).catch(console.warn);
  }
}

/** Starts a session; throws if the device refuses it. */
export async function signIn(name: string, pin: string): Promise<void> {
  const { session } = await (await device.send('POST', 'session', { user: name, pin })).json() as { session: string };
  device.session = session;
  touchedAt = performance.now();
  reportedAt = touchedAt;
  user.value = name;
}

/** Ends the session. `idle`: nobody has touched the screen. */
export function lock(idle: boolean): void {
  device.delete('session', { idle }).catch(console.warn);
  ended();
}

/** The session has ended. */
export function ended(): void {
  if (!user.value) return;
  device.session = null;
  user.value = null;
  closeAll('#ask, #cleaning');
}
