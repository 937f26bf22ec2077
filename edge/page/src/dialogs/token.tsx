// The dialog that asks for the access token of the device.

import { signal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { device } from '../store';
import { text } from '../texts/words';
import { close, closeAll, isOpen, open } from './dialog';

/** Reason why the last token was refused; null without one. */
const refused = signal<'wrongToken' | 'tooManyTokens' | null>(null);

/** Asks for the token, for a reason. */
export function askForToken(reason: 'wrongToken' | 'tooManyTokens' | null): void {
  closeAll('#ask');
  refused.value = reason;
  if (!isOpen('ask')) open('ask');
}

export function TokenDialog() {
  const token = useRef<HTMLInputElement>(null);
  // Sends the token however the dialog is closed; if it is wrong, the device asks again.
  const send = () => {
    device.setToken(token.current?.value ?? '');
    if (token.current) token.current.value = '';
  };
  return (
    <dialog id="ask" onClose={send}>
      <form onSubmit={(event) => { event.preventDefault(); close('ask'); }}>
        <p id="refused" role="alert">{refused.value && text()[refused.value]}</p>
        <label><span>{text().token}</span><input id="token" ref={token} type="password" autocomplete="off" /></label>
        <button id="enter">{text().enter}</button>
      </form>
    </dialog>
  );
}
