// The bar below a frozen image: scrolls through the last seconds and plays them.

import { setIcon } from './icons.js';
import { setText, text } from './words.js';

/** Time between two frames while the real one is unknown. */
const FRAME_MS = 40;

export class Cine {
  /** `changed` is called when playing begins or ends, `save` to save all frames. */
  constructor(bar, device, { failed, changed, save }) {
    Object.assign(this, { bar, device, failed, changed, buffer: null, playing: false, player: null, asked: null });
    const find = (name) => bar.querySelector(`[name="${name}"]`);
    [this.slider, this.time, this.button] = [find('frame'), find('time'), find('play')];
    setIcon(find('back'), 'back');
    setIcon(find('forward'), 'forward');
    find('back').addEventListener('click', () => this.step(-1));
    find('forward').addEventListener('click', () => this.step(1));
    this.button.addEventListener('click', () => this.play(!this.playing));
    setIcon(find('save'), 'clip');
    find('save').addEventListener('click', () => {
      this.play(false);
      save();
    });
    this.slider.addEventListener('input', () => {
      this.play(false);
      this.show(Number(this.slider.value));
    });
    this.update(null);
  }

  /** Takes the state of the buffer from a status message; null unless frozen. */
  update(buffer) {
    this.buffer = buffer?.frames > 1 ? buffer : null;
    this.bar.hidden = !this.buffer;
    if (!this.buffer) {
      this.play(false);
      this.wanted = null;
      return;
    }
    const { frames, shown } = this.buffer;
    this.slider.max = frames - 1;
    if (this.asked === null) this.slider.value = shown;
    const before = (this.frameMs() * (frames - 1 - shown)) / 1000;
    setText(this.time, before === 0 ? text.newest : text.before(before.toFixed(1)));
  }

  frameMs() {
    const { frames, span_ms: span } = this.buffer;
    return span > 0 ? span / (frames - 1) : FRAME_MS;
  }

  step(by) {
    if (!this.buffer) return;
    this.play(false);
    this.show((this.wanted ?? this.buffer.shown) + by);
  }

  /** Shows a frame; of several that are asked for meanwhile, the last. */
  async show(number) {
    this.wanted = Math.min(Math.max(number, 0), this.buffer.frames - 1);
    if (this.asked !== null) return;
    while (this.buffer && this.wanted !== null && this.wanted !== this.asked) {
      this.asked = this.wanted;
      await this.device.post('cine', { frame: this.asked }).catch(this.failed);
    }
    this.asked = null;
    this.wanted = null;
  }

  play(playing) {
    if (this.playing === playing) return;
    this.playing = playing;
    this.changed();
    // One that has not noticed the end yet goes on.
    if (playing) this.player ??= this.next().finally(() => { this.player = null; });
  }

  /** Plays the next frame, after the newest the oldest. */
  async next() {
    while (this.playing && this.buffer) {
      const due = performance.now() + this.frameMs();
      await this.show((this.buffer.shown + 1) % this.buffer.frames);
      await new Promise((done) => { setTimeout(done, Math.max(due - performance.now(), 0)); });
    }
  }

  draw() {
    setIcon(this.button, this.playing ? 'freeze' : 'goOn');
    this.button.setAttribute('aria-label', this.playing ? text.pause : text.play);
  }
}
