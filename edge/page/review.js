// Review of stored captures: one after the other, two compared, and deletion.

import { named } from './recorded.js';
import { Shot } from './shot.js';
import { setText, text, worded } from './words.js';

const element = (id) => document.getElementById(id);

export class Review {
  /** `captures`: the list. */
  constructor(device, captures) {
    Object.assign(this, { device, captures });
    const figure = element('shots').firstElementChild;
    this.shots = [figure, figure.parentElement.appendChild(figure.cloneNode(true))].map((of) => new Shot(device, of));
    /** Names of the shown capture, and of the one that it is compared with. */
    this.shown = [];
    /** True while the capture to compare with is being chosen in the list. */
    this.choosing = false;
    const actions = {
      older: () => this.step(1), newer: () => this.step(-1), outlines: () => this.outline(),
      compare: () => this.compare(), playClip: () => this.playClip(), discard: () => this.ask(), discardYes: () => this.discard(),
    };
    for (const [id, act] of Object.entries(actions)) element(id).addEventListener('click', act);
    element('review').addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft') this.step(1);
      else if (key === 'ArrowRight') this.step(-1);
    });
    element('captures').addEventListener('close', () => this.choose(false));
    element('discarding').addEventListener('cancel', (event) => {
      if (element('discardYes').disabled && this.reason) event.preventDefault();
    });
    element('reasons').addEventListener('click', ({ target }) => { if (target.value) this.select(target.value); });
    element('note').addEventListener('input', () => this.select(this.reason));
  }

  /** Opens a capture, or compares with it if this was asked for. */
  open(id) {
    const second = this.choosing && id !== this.shown[0];
    this.show(second ? [this.shown[0], id] : [id]);
    this.choose(false);
    if (!element('review').open) element('review').showModal();
  }

  async show(shown) {
    const [before] = this.shown;
    this.shown = shown;
    this.arrange();
    const two = shown.length === 2;
    const [first, second] = this.shots;
    if (!two) second.clear();
    if (before !== shown[0] || !first.record) await first.show(shown[0]);
    if (this.shown !== shown) return;
    this.playClip(false);
    if (two && this.shown === shown) await second.show(shown[1], first.record);
  }

  /** Makes room for the shown captures, and enables what can be done with them. */
  arrange() {
    const two = this.shown.length === 2;
    element('shots').classList.toggle('two', two);
    this.shots[1].figure.hidden = !two;
    element('compare').setAttribute('aria-pressed', two);
    element('discard').disabled = two || !this.isThere(this.shown[0]);
    const at = this.place();
    element('older').disabled = this.beside(at, 1) === undefined;
    element('newer').disabled = this.beside(at, -1) === undefined;
  }

  /** The list was updated: another page may have deleted what is shown. */
  refresh() {
    // A deletion by this page shows the next capture itself.
    if (!element('review').open || element('discarding').open) return;
    this.arrange();
    for (const [at, id] of this.shown.entries()) if (!this.isThere(id)) this.shots[at].gone(id);
    if (!this.shots[0].record) this.playClip(false);
  }

  isThere(id) { return this.captures.all.includes(id); }

  /** Place in the list of the capture that can be stepped from: the last one shown. One that was deleted lies between two others. */
  place() {
    const at = this.captures.ids.indexOf(this.shown.at(-1));
    if (at !== -1) this.at = at;
    return at === -1 ? this.at - 0.5 : at;
  }

  /** The next capture in a direction; two compared ones are never the same. */
  beside(at, by) {
    const next = by > 0 ? Math.floor(at + by) : Math.ceil(at + by);
    const { ids } = this.captures;
    return this.shown.length === 2 && ids[next] === this.shown[0] ? ids[next + by] : ids[next];
  }

  step(by) {
    const next = this.beside(this.place(), by);
    if (next) this.show([...this.shown.slice(0, -1), next]);
  }

  outline() {
    const outlined = !this.shots[0].outlined;
    for (const shot of this.shots) {
      shot.outlined = outlined;
      shot.draw();
    }
    element('outlines').setAttribute('aria-pressed', outlined);
  }

  /** Plays the clip of the first capture, if it has one, or ends this. */
  playClip(playing = element('playClip').getAttribute('aria-pressed') === 'false') {
    const [first] = this.shots;
    element('playClip').hidden = !first.record?.clip || this.shown.length === 2;
    element('playClip').setAttribute('aria-pressed', playing);
    // The clip has its outlines.
    element('outlines').disabled = playing;
    first.play(playing).catch((error) => {
      this.playClip(false);
      first.fail(this.shown[0], error);
    });
  }

  /** Lets the user choose the other capture in the list, or ends the comparison. */
  compare() {
    if (this.shown.length === 2) this.show(this.shown.slice(0, 1));
    else {
      this.choose(true);
      element('review').close();
    }
  }

  choose(choosing) {
    this.choosing = choosing;
    element('choose').hidden = !choosing;
  }

  /** Asks for the reason of a deletion. */
  ask() {
    element('note').value = '';
    setText(element('discardRefused'), '');
    setText(element('discardQuestion'), text.discardQuestion(named(this.shown[0])));
    this.select(null);
    element('discarding').showModal();
  }

  select(reason) {
    this.reason = reason;
    for (const button of element('reasons').children) {
      button.setAttribute('aria-pressed', button.value === reason);
    }
    const other = reason === 'Other';
    element('noteLine').hidden = !other;
    element('discardYes').disabled = !reason || (other && !element('note').value.trim());
  }

  async discard() {
    const [id] = this.shown;
    const next = this.beside(this.place(), 1) ?? this.beside(this.place(), -1);
    const note = this.reason === 'Other' ? { note: element('note').value.trim() } : {};
    // A request on its way cannot be cancelled.
    const buttons = [...element('discarding').querySelectorAll('button')];
    for (const button of buttons) button.disabled = true;
    setText(element('discardRefused'), text.discarding);
    try {
      await this.device.delete(`records/${id}`, { reason: this.reason, ...note }).catch((error) => {
        // Another page was faster.
        if (error.code !== 'no-such-record') throw error;
      });
      await this.captures.update();
    } catch (error) {
      setText(element('discardRefused'), worded(error));
      return;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
    element('discarding').close();
    if (next) this.show([next]);
    else element('review').close();
  }
}
