// Dialogs of the browser, opened and closed by their ids.

import { text } from '../texts/words';

export type DialogId = 'ask' | 'captures' | 'review' | 'discarding' | 'naming' | 'examination' | 'settings' | 'signIn'
  | 'cleaning' | 'build' | 'sure' | 'patient';

/** The dialog with this id; the page has all of them, open or not. */
function dialog(id: DialogId): HTMLDialogElement { return document.getElementById(id) as HTMLDialogElement; }

/** Opens a dialog over everything else. */
export function open(id: DialogId): void { dialog(id).showModal(); }

export function close(id: DialogId): void { dialog(id).close(); }

export function isOpen(id: DialogId): boolean { return dialog(id).open; }

/** Closes all dialogs except some, given as a selector. */
export function closeAll(except: string): void {
  for (const open of document.querySelectorAll<HTMLDialogElement>(`dialog[open]:not(${except})`)) open.close();
}

/** The button that closes the dialog it is in. */
export function Close({ words, disabled }: { words?: string; disabled?: boolean }) {
  return (
    <button class="close" type="button" disabled={disabled} onClick={({ currentTarget }) => currentTarget.closest('dialog')?.close()}>
      {words ?? text().close}
    </button>
  );
}
