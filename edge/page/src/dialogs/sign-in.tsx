// The dialog that unlocks the screen: users, and a keypad for the PIN.

import { signal } from '@preact/signals';
import { RequestError } from '../device/connection';
import { text, worded } from '../texts/words';
import { known, signIn } from '../users';
import { Close, close, open } from './dialog';

const MIN_DIGITS = 4;
const MAX_DIGITS = 12;

/** Users to choose from, the chosen one, and the digits so far. */
const users = signal<string[]>([]);
const chosen = signal<string | null>(null);
const pin = signal('');
/** Words about what to do, or why the last attempt failed. */
const said = signal('');

/** Asks for the user and the PIN. The last user stays chosen. */
export function openSignIn(): void {
  users.value = known.value?.users ?? [];
  chosen.value = users.value.find((name) => name === chosen.value || users.value.length === 1) ?? null;
  said.value = text().signIn;
  open('signIn');
}

async function submit(): Promise<void> {
  const digits = pin.value;
  pin.value = '';
  try {
    await signIn(chosen.value ?? '', digits);
    close('signIn');
  } catch (error) {
    const waits = error instanceof RequestError && error.code === 'too-many-pins';
    said.value = waits ? text().tooManyPins(error.retryS) : worded(error);
  }
}

function write(digits: string): void { pin.value = digits.slice(0, MAX_DIGITS); }

export function SignInDialog() {
  return (
    <dialog id="signIn" class="sheet" aria-label={text().unlock} onClose={() => write('')}>
      <form onSubmit={(event) => { event.preventDefault(); submit(); }}>
        <div>
          <div id="users" class="row" role="group" aria-label={text().signIn}>
            {users.value.map((name) => (
              <button key={name} type="button" value={name} aria-pressed={name === chosen.value}
                onClick={() => { chosen.value = name; }}>{name}</button>
            ))}
          </div>
          <input id="pin" type="password" inputMode="none" maxLength={MAX_DIGITS} autocomplete="off" placeholder="PIN"
            aria-label="PIN" value={pin.value} onInput={({ currentTarget }) => write(currentTarget.value)} />
          <p role="alert">{said.value}</p>
          <Close />
        </div>
        <div id="keypad" role="group" aria-label="PIN">
          {['1', '2', '3', '4', '5', '6', '7', '8', '9'].map((digit) => <Digit key={digit} digit={digit} />)}
          <button name="delete" type="button" aria-label={text().erase} onClick={() => write(pin.value.slice(0, -1))}>←</button>
          <Digit digit="0" />
          <button name="enter" disabled={chosen.value === null || pin.value.length < MIN_DIGITS}>OK</button>
        </div>
      </form>
    </dialog>
  );
}

function Digit({ digit }: { digit: string }) {
  return <button value={digit} type="button" onClick={() => write(pin.value + digit)}>{digit}</button>;
}
