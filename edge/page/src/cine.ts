// Playing and scrolling through the last seconds of a frozen image.

import { computed, effect, signal } from '@preact/signals';
import type { CineExtent } from './device/messages';
import { device, notDone, status } from './store';

/** Time between two frames while the real one is unknown. */
const FRAME_MS = 40;

class Cine {
  /** The frames; null unless the image is frozen. */
  readonly buffer = computed((): CineExtent | null => {
    const extent = status.value?.cine;
    return extent && extent.frames > 1 ? extent : null;
  });
  /** Number of the frame at which the slider is. */
  readonly position = signal(0);
  readonly playing = signal(false);
  private player: Promise<void> | null = null;
  /** Number of the frame that the device was asked to show, and of the one to ask for next. */
  private asked: number | null = null;
  private wanted: number | null = null;

  constructor() {
    effect(() => {
      const buffer = this.buffer.value;
      if (!buffer) {
        this.playing.value = false;
        this.wanted = null;
      } else if (this.asked === null) {
        this.position.value = buffer.shown;
      }
    });
  }

  /** Time between two frames. */
  frameMs({ frames, span_ms: span }: CineExtent): number {
    return span > 0 ? span / (frames - 1) : FRAME_MS;
  }

  step(by: number): void {
    if (!this.buffer.value) return;
    this.play(false);
    this.show((this.wanted ?? this.buffer.value.shown) + by);
  }

  /** Shows the frame at which the slider was set. */
  slide(position: number): void {
    this.position.value = position;
    this.play(false);
    this.show(position);
  }

  /** Shows a frame; of several that are asked for meanwhile, the last. */
  private async show(number: number): Promise<void> {
    if (!this.buffer.value) return;
    this.wanted = Math.min(Math.max(number, 0), this.buffer.value.frames - 1);
    if (this.asked !== null) return;
    while (this.buffer.value && this.wanted !== null && this.wanted !== this.asked) {
      this.asked = this.wanted;
      await device.post('cine', { frame: this.asked }).catch(notDone);
    }
    this.asked = null;
    this.wanted = null;
  }

  play(playing: boolean): void {
    if (this.playing.value === playing) return;
    this.playing.value = playing;
    // One that has not noticed the end yet goes on.
    if (playing) this.player ??= this.next().finally(() => { this.player = null; });
  }

  /** Plays the next frame, after the newest the oldest. */
  private async next(): Promise<void> {
    while (this.playing.value && this.buffer.value) {
      const due = performance.now() + this.frameMs(this.buffer.value);
      await this.show((this.buffer.value.shown + 1) % this.buffer.value.frames);
      await new Promise((done) => { setTimeout(done, Math.max(due - performance.now(), 0)); });
    }
  }
}

export const cine = new Cine();
