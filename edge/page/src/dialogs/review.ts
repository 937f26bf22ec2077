// Review of stored captures: one after the other, two compared.

import { effect, signal } from '@preact/signals';
import { close, isOpen, open } from './dialog';
import { list } from './list';
import { Shot } from './shot';

class Review {
  readonly first = new Shot();
  readonly second = new Shot();
  /** Names of the shown capture, and of the one that it is compared with. */
  readonly shown = signal<[string?, string?]>([]);
  /** True while the capture to compare with is being chosen in the list. */
  readonly choosing = signal(false);
  /** True if outlines and prompts are drawn. */
  readonly outlined = signal(true);
  /** True while the clip of the first capture plays. */
  readonly playing = signal(false);
  /** Last place in the list of the capture that can be stepped from. */
  private at = 0;

  constructor() {
    effect(() => {
      const at = this.listed();
      if (at !== -1) this.at = at;
    });
  }

  /** Opens a capture, or compares with it if this was asked for. */
  open(id: string): void {
    const [before] = this.shown.value;
    this.show(this.choosing.value && id !== before ? [before, id] : [id]);
    this.endChoosing();
    if (!isOpen('review')) open('review');
  }

  private async show(shown: [string?, string?]): Promise<void> {
    const [before] = this.shown.value;
    const [id, other] = shown;
    this.shown.value = shown;
    if (!other) this.second.clear();
    if (id && (before !== id || !this.first.record.value)) await this.first.show(id);
    // Another one was chosen in the meantime.
    if (this.shown.value !== shown) return;
    this.play(false);
    if (other) await this.second.show(other, this.first.record.value);
  }

  /** The list was updated: another page may have deleted what is shown. */
  refresh(): void {
    // A deletion by this page shows the next capture itself.
    if (!isOpen('review') || isOpen('discarding')) return;
    const [id, other] = this.shown.value;
    if (id && !this.isThere(id)) this.first.gone(id);
    if (other && !this.isThere(other)) this.second.gone(other);
    if (!this.first.record.value) this.play(false);
  }

  isThere(id: string | undefined): boolean { return id !== undefined && Boolean(list.all.value?.includes(id)); }

  isComparing(): boolean { return this.shown.value.length === 2; }

  /** Index in the list of the capture that can be stepped from: the last one shown. */
  private listed(): number {
    const last = this.shown.value.at(-1);
    return last === undefined ? -1 : list.ids.value.indexOf(last);
  }

  /** The next older (1) or newer (-1) capture; two compared ones are never the same. */
  beside(by: 1 | -1): string | undefined {
    const listed = this.listed();
    // One that was deleted lay between two others.
    const at = listed === -1 ? this.at - 0.5 : listed;
    const next = by > 0 ? Math.floor(at + by) : Math.ceil(at + by);
    const ids = list.ids.value;
    return this.isComparing() && ids[next] === this.shown.value[0] ? ids[next + by] : ids[next];
  }

  step(by: 1 | -1): void {
    const next = this.beside(by);
    if (next) this.show(this.isComparing() ? [this.shown.value[0], next] : [next]);
  }

  /** Shows a capture in place of a deleted one; without any, the list is all that is left. */
  replace(next: string | undefined): void {
    if (next) this.show([next]);
    else close('review');
  }

  toggleOutlines(): void {
    this.outlined.value = !this.outlined.value;
    for (const shot of [this.first, this.second]) shot.outline(this.outlined.value);
  }

  /** Plays the clip of the first capture, or ends this. */
  play(playing: boolean): void {
    this.playing.value = playing;
    const id = this.shown.value[0] ?? '';
    this.first.play(id, playing).catch((error) => {
      this.play(false);
      this.first.fail(id, error);
    });
  }

  /** Lets the user choose the other capture in the list, or ends the comparison. */
  compare(): void {
    if (this.isComparing()) {
      this.show([this.shown.value[0]]);
    } else {
      this.choosing.value = true;
      close('review');
    }
  }

  endChoosing(): void { this.choosing.value = false; }
}

export const review = new Review();
