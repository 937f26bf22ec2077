// The dialog that lists stored captures.

import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { RecordJson } from '../device/messages';
import { notDone, status } from '../store';
import { dayInWords, named } from '../texts/recorded';
import { text, worded } from '../texts/words';
import { Close, open } from './dialog';
import { list } from './list';
import { review } from './review';

/** True while captures are copied onto the stick, and words about that. */
const copying = signal(false);
const copied = signal('');

export function openCaptures(): void {
  open('captures');
  updateCaptures();
}

/** Reads the list again, and what the review shows of it. */
export function updateCaptures(): void { list.update().then(() => review.refresh()).catch(notDone); }

async function copy(): Promise<void> {
  copying.value = true;
  try {
    const done = await list.copy((from, of) => { copied.value = text().copying(from, of); });
    copied.value = text().copied(done.new, done.there);
  } catch (error) {
    copied.value = `${text().notCopied} ${worded(error)}`;
  }
  copying.value = false;
}

export function CapturesDialog() {
  const entries = useRef<HTMLUListElement>(null);
  const choose = (day: string) => {
    if (entries.current) entries.current.scrollTop = 0;
    list.choose(day);
  };
  const shown = list.shown.value;
  useLayoutEffect(() => {
    const watcher = new IntersectionObserver((changes) => list.look(changes.map(({ target, isIntersecting }) => (
      { id: (target as HTMLElement).dataset.id ?? '', isInView: isIntersecting }
    ))), { root: entries.current, rootMargin: '100px' });
    // Reports those in view after every update of the list, because their descriptions may have changed.
    for (const entry of entries.current?.querySelectorAll('[data-id]') ?? []) watcher.observe(entry);
    return () => watcher.disconnect();
  }, [shown]);
  return (
    <dialog id="captures" class="sheet" aria-label={text().captures} onClose={() => review.endChoosing()}>
      <select id="day" aria-label={text().day} value={list.day.value}
        onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {list.all.value && <option value="">{text().allDays(list.all.value.length)}</option>}
        {[...list.days.value].map(([day, of]) => <option key={day} value={day}>{text().onDay(dayInWords(day), of.length)}</option>)}
      </select>
      <p id="choose" role="status" hidden={!review.choosing.value}>{text().chooseOther}</p>
      <ul id="list" ref={entries} tabIndex={0} aria-label={text().captures}>
        {list.all.value && !shown.length && <li><span>{text().noCaptures}</span></li>}
        {shown.map((id) => <EntryItem key={id} id={id} />)}
      </ul>
      <p id="copied" role="status" hidden={!copied.value}>{copied.value}</p>
      <div class="row"><CopyButton /><Close /></div>
    </dialog>
  );
}

/** Button that copies the listed captures; devices that make no copies have none. */
function CopyButton() {
  const stick = status.value?.stick ?? null;
  const count = list.ids.value.length;
  return (
    <button id="copyThem" hidden={stick === null} disabled={!stick || copying.value || !count} onClick={copy}>
      {stick ? text().copy(count) : text().noStick}
    </button>
  );
}

function EntryItem({ id }: { id: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { record, thumbnail } = list.entry(id);
  useLayoutEffect(() => {
    if (!canvas.current || !thumbnail) return;
    [canvas.current.width, canvas.current.height] = [thumbnail.width, thumbnail.height];
    canvas.current.getContext('2d')?.drawImage(thumbnail, 0, 0);
  }, [thumbnail]);
  return (
    <li data-id={id}>
      <button onClick={() => review.open(id)}>
        <canvas ref={canvas} />
        {[named(id), ...wordsAbout(record)].map((words, index) => <span key={index}>{words}</span>)}
      </button>
    </li>
  );
}

/** Lines about a record: undefined until it is fetched, null if it cannot be read. */
function wordsAbout(record: RecordJson | null | undefined): string[] {
  if (record === undefined) return [];
  if (record === null) return [`! ${text().damaged}`];
  const { objects, upload, archive, clip } = record;
  return [
    [text().outlined(objects.length), ...(clip ? [text().clip] : [])].join(', '), text().upload[upload],
    ...(archive ? [text().archive[archive.state]] : []),
  ];
}
