// Users: the screen is locked until one signs in with a PIN, and again after some time without a
// touch. The device refuses requests of a locked screen; the page hides its buttons.

import { setText, text, worded } from './words.js';

const LOOK_MS = 200;
/** Touches are reported to the device once in this share of the time that locks the screen. */
const REPORTED = 0.05;
const MIN_DIGITS = 4;

const element = (id) => document.getElementById(id);

export class Users {
  /** `changed()`: the screen was locked or unlocked. */
  constructor(dialog, device, changed) {
    Object.assign(this, { dialog, device, changed });
    /** Names, and time that locks the screen; undefined if the device knows no users. */
    this.known = undefined;
    /** Name of the user who is signed in, and of the one chosen in the dialog. */
    this.user = null;
    this.chosen = null;
    this.pin = element('pin');
    this.said = dialog.querySelector('p');
    for (const kind of ['pointerdown', 'keydown', 'wheel']) {
      window.addEventListener(kind, () => { this.touchedAt = performance.now(); }, true);
    }
    const pad = element('keypad');
    pad.prepend(...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(button));
    pad.addEventListener('click', ({ target }) => this.press(target));
    element('users').addEventListener('click', ({ target }) => { if (target.value) this.choose(target.value); });
    this.pin.addEventListener('input', () => this.choose(this.chosen));
    dialog.addEventListener('close', () => { this.pin.value = ''; });
    dialog.addEventListener('submit', (event) => {
      event.preventDefault();
      this.signIn(this.chosen, this.pin.value);
    });
    setInterval(() => this.look(), LOOK_MS);
  }

  /** Takes what the device says about users. */
  update(known) {
    this.known = known;
    if (!known) this.user = null;
    this.show();
  }

  show() {
    const locked = Boolean(this.known && !this.user);
    document.documentElement.toggleAttribute('data-locked', locked);
    element('image').inert = locked;
    element('lockScreen').hidden = !this.known;
    setText(element('who'), this.user ?? '');
    this.changed();
  }

  /** Locks the screen after some time without a touch; before, reports touches to the device. */
  look() {
    if (!this.user) return;
    const [now, limit] = [performance.now(), this.known.lock_after_ms];
    if (now - this.touchedAt >= limit) this.lock(true);
    else if (this.touchedAt > this.reportedAt && now - this.reportedAt > REPORTED * limit) {
      this.reportedAt = now;
      this.device.send('PUT', 'session', {}).catch(console.warn);
    }
  }

  /** Ends the session. `idle`: nobody has touched the screen. */
  lock(idle) {
    this.device.delete('session', { idle }).catch(console.warn);
    this.ended();
  }

  /** The session has ended. */
  ended() {
    if (!this.user) return;
    this.device.session = null;
    this.user = null;
    for (const open of document.querySelectorAll('dialog[open]:not(#ask, #cleaning)')) open.close();
    this.show();
  }

  /** Asks for the user and the PIN. The last user stays chosen. */
  open() {
    const { users } = this.known;
    element('users').replaceChildren(...users.map(button));
    this.choose(users.find((name) => name === this.chosen || users.length === 1) ?? null);
    setText(this.said, text.signIn);
    this.dialog.showModal();
  }

  choose(name) {
    this.chosen = name;
    for (const user of element('users').children) user.setAttribute('aria-pressed', user.value === name);
    this.dialog.querySelector('[name=enter]').disabled = name === null || this.pin.value.length < MIN_DIGITS;
  }

  press({ name, value }) {
    const digits = name === 'delete' ? this.pin.value.slice(0, -1) : this.pin.value + (value ?? '');
    this.pin.value = digits.slice(0, this.pin.maxLength);
    this.choose(this.chosen);
  }

  async signIn(user, pin) {
    this.pin.value = '';
    this.choose(user);
    try {
      const { session } = await (await this.device.send('POST', 'session', { user, pin })).json();
      this.device.session = session;
      this.user = user;
      this.touchedAt = performance.now();
      this.reportedAt = this.touchedAt;
      this.dialog.close();
      this.show();
    } catch (error) {
      setText(this.said, error.code === 'too-many-pins' ? text.tooManyPins(error.retryS) : worded(error));
    }
  }
}

function button(words) {
  return Object.assign(document.createElement('button'), { type: 'button', value: words, textContent: words });
}
