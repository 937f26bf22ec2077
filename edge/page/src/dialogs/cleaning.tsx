// Lock for cleaning the screen: touches and keys do nothing for a while.

import { signal } from '@preact/signals';
import { text } from '../texts/words';
import { close, open } from './dialog';

const SECONDS = 30;
const LOOK_MS = 200;

/** Seconds until the page is unlocked; 0 while it is not locked. */
const leftS = signal(0);

/** Locks the page behind a dialog, and returns when it is unlocked. */
export async function lockForCleaning(): Promise<void> {
  const keep = (event: Event) => event.preventDefault();
  window.addEventListener('keydown', keep, true);
  const end = performance.now() + 1000 * SECONDS;
  open('cleaning');
  for (let left = SECONDS; left > 0; left = Math.ceil((end - performance.now()) / 1000)) {
    leftS.value = left;
    await new Promise((done) => { setTimeout(done, LOOK_MS); });
  }
  window.removeEventListener('keydown', keep, true);
  leftS.value = 0;
  close('cleaning');
}

export function CleaningDialog() {
  return (
    // Escape would close the dialog.
    <dialog id="cleaning" aria-label={text().clean} onCancel={(event) => event.preventDefault()}>
      <p>{leftS.value ? text().cleaning(leftS.value) : ''}</p>
    </dialog>
  );
}
