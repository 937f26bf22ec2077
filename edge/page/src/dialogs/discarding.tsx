// The dialog that asks why a capture is deleted, and deletes it.

import { signal } from '@preact/signals';
import { codeOf } from '../device/connection';
import { device } from '../store';
import { named } from '../texts/recorded';
import { text, worded } from '../texts/words';
import { Close, close, open } from './dialog';
import { list } from './list';
import { review } from './review';

/** Reasons of the device (wire/SPEC.md), in the order of the buttons. */
type Reason = 'WrongStructure' | 'WrongPatient' | 'PoorImage' | 'Test' | 'Other';

/** The capture to delete, and the chosen reason. */
const capture = signal<string | undefined>(undefined);
const reason = signal<Reason | null>(null);
const note = signal('');
/** True while the request is on its way; it cannot be cancelled. */
const busy = signal(false);
/** Words about the request: it is on its way, or was refused. */
const said = signal('');

export function openDiscarding(): void {
  [capture.value] = review.shown.value;
  reason.value = null;
  note.value = '';
  said.value = '';
  open('discarding');
}

async function discard(): Promise<void> {
  const id = capture.value;
  const next = review.beside(1) ?? review.beside(-1);
  const body = { reason: reason.value, ...(reason.value === 'Other' ? { note: note.value.trim() } : {}) };
  busy.value = true;
  said.value = text().discarding;
  try {
    await device.delete(`records/${id}`, body).catch((error) => {
      // Another page was faster.
      if (codeOf(error) !== 'no-such-record') throw error;
    });
    await list.update();
  } catch (error) {
    said.value = worded(error);
    return;
  } finally {
    busy.value = false;
  }
  close('discarding');
  review.replace(next);
}

export function DiscardingDialog() {
  const words = text();
  const reasons: [Reason, string][] = [
    ['WrongStructure', words.wrongStructure], ['WrongPatient', words.wrongPatient], ['PoorImage', words.poorImage],
    ['Test', words.test], ['Other', words.other],
  ];
  const other = reason.value === 'Other';
  const canDiscard = reason.value && !(other && !note.value.trim());
  return (
    <dialog id="discarding" class="sheet" aria-labelledby="discardQuestion"
      onCancel={(event) => { if (busy.value) event.preventDefault(); }}>
      <p id="discardQuestion">{capture.value && words.discardQuestion(named(capture.value))}</p>
      <div id="reasons" class="row" role="group" aria-label={words.why}>
        {reasons.map(([value, label]) => (
          <button key={value} value={value} aria-pressed={reason.value === value} disabled={busy.value}
            onClick={() => { reason.value = value; }}>{label}</button>
        ))}
      </div>
      <label id="noteLine" hidden={!other}><span>{words.note}</span>
        <input id="note" maxLength={120} autocomplete="off" value={note.value}
          onInput={({ currentTarget }) => { note.value = currentTarget.value; }} /></label>
      <p id="discardRefused" role="alert">{said.value}</p>
      <div class="row">
        <button id="discardYes" disabled={busy.value || !canDiscard} onClick={discard}>{words.discard}</button>
        <Close words={words.no} disabled={busy.value} />
      </div>
    </dialog>
  );
}
