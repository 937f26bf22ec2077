// The dialogs: captures and their review, settings, build, and access token.

import { describe, otherOf } from './build.js';
import { Captures } from './captures.js';
import { setText, text, worded } from './words.js';

const COPIED_AT_ONCE = 10;

const element = (id) => document.getElementById(id);

export class Dialogs {
  /** `reload()`: state of the replacement of the build. `failed(error)`: a request has failed. */
  constructor(device, reload, failed) {
    Object.assign(this, { device, reload, failed });
    const parts = { list: element('list'), day: element('day') };
    this.captures = new Captures(device, parts, (id) => this.openReview(id), failed);
    /** Loaded with the first capture that is opened. */
    this.review = null;
    for (const close of document.querySelectorAll('.close')) {
      close.addEventListener('click', () => close.closest('dialog').close());
    }
    element('ask').addEventListener('submit', (event) => {
      event.preventDefault();
      element('ask').close();
    });
    // Sends the token however the dialog is closed; if it is wrong, the device asks again.
    element('ask').addEventListener('close', () => {
      device.setToken(element('token').value);
      element('token').value = '';
    });
  }

  openReview(id) {
    const { device, captures } = this;
    this.review ??= import('./review.js').then(({ Review }) => new Review(device, captures));
    this.review.then((review) => review.open(id)).catch((error) => {
      this.review = null;
      this.failed(error);
    });
  }

  openCaptures() {
    element('captures').showModal();
    this.showCaptures();
  }

  openSettings() { element('settings').showModal(); }

  openBuild() {
    element('settings').close();
    element('build').showModal();
    this.showBuild();
  }

  /** Asks whether to switch to the other build. */
  openSwitch() { element('sure').showModal(); }

  closeSwitch() { element('sure').close(); }

  /** Asks for the access token, for a reason. */
  ask(reason) {
    for (const open of document.querySelectorAll('dialog[open]')) open.close();
    element('ask').showModal();
    setText(element('refused'), text[reason] ?? '');
  }

  /** Updates the open dialogs; `changed(key)`: true if this part of the state has changed. */
  update(changed) {
    if (changed('records') && element('captures').open) this.showCaptures();
    if ((changed('build') || changed('reload')) && element('build').open) this.showBuild();
  }

  /** `stick`: true if there is one, undefined or null on a device that makes no copies. */
  offerCopy(stick) {
    const button = element('copyThem');
    button.hidden = stick === undefined || stick === null;
    button.disabled = !stick || this.copying || !this.captures.ids.length;
    setText(button, stick ? text.copy(this.captures.ids.length) : text.noStick);
  }

  /** Copies the listed captures onto the stick, some at a time. */
  async copyCaptures() {
    this.copying = true;
    const say = (words) => {
      element('copied').hidden = false;
      setText(element('copied'), words);
    };
    const { ids } = this.captures;
    const done = { new: 0, there: 0 };
    try {
      for (let from = 0; from < ids.length; from += COPIED_AT_ONCE) {
        say(text.copying(from, ids.length));
        const some = ids.slice(from, from + COPIED_AT_ONCE);
        const counts = await (await this.device.send('POST', 'records/copy', { ids: some })).json();
        done.new += counts.new;
        done.there += counts.there;
      }
      say(text.copied(done.new, done.there));
    } catch (error) {
      say(`${text.notCopied} ${worded(error)}`);
    }
    this.copying = false;
  }

  showCaptures() { this.captures.update().then(() => this.review).then((review) => review?.refresh()).catch(this.failed); }

  showBuild() { this.readBuild().catch(this.failed); }

  async readBuild() {
    const build = await (await this.device.get('build')).json();
    element('card').replaceChildren(...describe(build, this.reload()));
    const other = otherOf(build);
    element('other').hidden = !other;
    element('update').hidden = !build.update;
    if (!other) return;
    setText(element('other'), text.use(`${other.name} ${other.version}`));
    setText(element('question'), text.sure(`${other.name} ${other.version}`, `${build.name} ${build.version}`));
  }
}
