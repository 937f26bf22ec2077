// The stored captures, newest first, of all days or of one. Descriptions and thumbnails are fetched
// when they are scrolled into view.

import { batch, computed, signal } from '@preact/signals';
import { codeOf } from '../device/connection';
import type { RecordJson } from '../device/messages';
import { device, notDone } from '../store';
import { days } from '../texts/recorded';

/** Number of entries added when the end of the list is reached. */
const PAGE = 40;

/** Number of captures that are copied with one request. */
const COPIED_AT_ONCE = 10;

/** A capture in the list. */
export interface Entry {
  id: string;
  /** Its description, once that is fetched; null if it cannot be read. */
  record: RecordJson | null | undefined;
  thumbnail: ImageBitmap | undefined;
}

class CaptureList {
  /** Names of all captures; null until they are known. */
  readonly all = signal<string[] | null>(null);
  /** The chosen day; empty for all. */
  readonly day = signal('');
  readonly days = computed(() => days(this.all.value ?? []));
  /** Names of the captures of the chosen day. */
  readonly ids = computed(() => this.days.value.get(this.day.value) ?? this.all.value ?? []);
  /** Names of those that the page shows, from the first. */
  readonly shown = computed(() => this.ids.value.slice(0, this.count.value));
  private readonly count = signal(PAGE);
  private readonly entries = signal<ReadonlyMap<string, Entry>>(new Map());
  private readonly inView = new Set<string>();
  /** The last update, and the fetching of descriptions: one after the other. */
  private asked = {};
  private turn: Promise<void> = Promise.resolve();

  /** Reads the names of the captures again. */
  async update(): Promise<void> {
    const asked = {};
    this.asked = asked;
    const { ids } = await device.json<{ ids: string[] }>('records/ids');
    // A later answer may arrive before this one.
    if (this.asked !== asked) return;
    batch(() => {
      this.count.value = Math.max(this.shown.value.length, PAGE);
      this.all.value = ids;
      if (!this.days.value.has(this.day.value)) this.day.value = '';
      const there = new Set(ids);
      this.entries.value = new Map([...this.entries.value].filter(([id]) => there.has(id)));
    });
  }

  /** Shows the captures of a day, or of all. */
  choose(day: string): void {
    batch(() => {
      this.day.value = day;
      this.count.value = PAGE;
    });
  }

  entry(id: string): Entry { return this.entries.value.get(id) ?? { id, record: undefined, thumbnail: undefined }; }

  /** Takes which entries have come into view, or left it. */
  look(changes: { id: string; isInView: boolean }[]): void {
    for (const { id, isInView } of changes) {
      this.inView[isInView ? 'add' : 'delete'](id);
      if (isInView) this.reach(id);
    }
  }

  /** Fetches what an entry in view shows, and adds entries behind the last one. */
  private reach(id: string): void {
    // One after the other, to leave the device time for masks.
    this.turn = this.turn.then(() => (this.inView.has(id) ? this.fetch(id) : undefined)).catch((error) => {
      if (codeOf(error) !== 'no-such-record') notDone(error);
    });
    const shown = this.shown.value;
    if (id === shown.at(-1) && shown.length < this.ids.value.length) this.count.value = shown.length + PAGE;
  }

  private async fetch(id: string): Promise<void> {
    try {
      const record = await device.json<RecordJson>(`records/${id}`);
      const thumbnail = this.entry(id).thumbnail ?? await device.image(`records/${id}/thumbnail`);
      this.entries.value = new Map(this.entries.value).set(id, { id, record, thumbnail });
    } catch (error) {
      if (codeOf(error) !== 'disk') throw error;
      this.entries.value = new Map(this.entries.value).set(id, { ...this.entry(id), record: null });
    }
  }

  /** Copies the listed captures onto the stick, some at a time. `progress` takes the number so far. */
  async copy(progress: (done: number, of: number) => void): Promise<{ new: number; there: number }> {
    const ids = this.ids.value;
    const done = { new: 0, there: 0 };
    for (let from = 0; from < ids.length; from += COPIED_AT_ONCE) {
      progress(from, ids.length);
      const answer = await device.send('POST', 'records/copy', { ids: ids.slice(from, from + COPIED_AT_ONCE) });
      const counts = await answer.json() as { new: number; there: number };
      done.new += counts.new;
      done.there += counts.there;
    }
    return done;
  }
}

export const list = new CaptureList();
