// Lock for cleaning the screen: touches and keys do nothing for a while.

import { setText, text } from './words.js';

const SECONDS = 30;

/** Locks the page behind a dialog, and returns when it is unlocked. */
export async function lock(dialog) {
  const line = dialog.querySelector('p');
  // Escape would close the dialog.
  const keep = (event) => event.preventDefault();
  dialog.addEventListener('cancel', keep);
  window.addEventListener('keydown', keep, true);
  const end = performance.now() + 1000 * SECONDS;
  dialog.showModal();
  for (let left = SECONDS; left > 0; left = Math.ceil((end - performance.now()) / 1000)) {
    setText(line, text.cleaning(left));
    await new Promise((done) => { setTimeout(done, 200); });
  }
  window.removeEventListener('keydown', keep, true);
  dialog.removeEventListener('cancel', keep);
  dialog.close();
}
