// The dialog that chooses the patient: from the worklist of the hospital, by a scanner, or typed.

import { signal } from '@preact/signals';
import { createRef } from 'preact';
import type { Planned, PlannedExamination, StudyDetails } from '../device/messages';
import { device, lastStatus } from '../store';
import { closeStudy, openStudy, study } from '../study';
import { dateOf, nameOf, patientOf } from '../texts/patient';
import { text, worded } from '../texts/words';
import { Close, close, isOpen, open } from './dialog';

/** Examinations of today; null until they are known. */
const planned = signal<PlannedExamination[] | null>(null);
/** Words about the worklist. */
const said = signal('');

const form = createRef<HTMLFormElement>();
const number = createRef<HTMLInputElement>();

/** Opens with the worklist, if there is one: it must not move under a finger. */
export async function openPatient(): Promise<void> {
  planned.value = null;
  said.value = '';
  if (lastStatus.value?.worklist) await readWorklist();
  if (isOpen('patient')) return;
  form.current?.reset();
  open('patient');
  // A scanner types into it.
  number.current?.focus();
}

async function readWorklist(): Promise<void> {
  try {
    const { examinations, is_complete: isComplete } = await device.json<Planned>('worklist');
    planned.value = examinations;
    if (!isComplete) said.value = text().morePlanned;
    else if (!examinations.length) said.value = text().nothingPlanned;
  } catch (error) {
    said.value = worded(error);
  }
}

function choose(details: Partial<StudyDetails>): void {
  close('patient');
  openStudy(details);
}

/** Planned examinations of a scanned number: of the patient, or of the request. */
function scanned(code: string): StudyDetails[] {
  const all = (planned.value ?? []).map((examination) => examination.study);
  return all.filter(({ patient_id: id, accession_number: request }) => code && [id, request].includes(code));
}

/** Opens the study that was typed; a number alone may be that of a planned examination. */
function submit(event: Event): void {
  event.preventDefault();
  const fields = new FormData(form.current ?? undefined);
  const typed = (name: string) => String(fields.get(name) ?? '').trim();
  const names = [typed('family'), typed('given')];
  const [found, ...others] = scanned(typed('number'));
  if (found && !others.length && !names.join('')) {
    choose(found);
    return;
  }
  // `^` divides the parts of a name.
  const name = names.map((part) => part.replaceAll(/[\^=\\]/g, ' ')).join('^').replace(/\^$/, '');
  choose({
    patient_id: typed('number'), patient_name: name, birth_date: typed('born').replaceAll('-', ''), sex: typed('sex'),
  });
}

export function PatientDialog() {
  const words = text();
  const current = study.value;
  return (
    <dialog id="patient" class="sheet" aria-label={words.patient}>
      <p id="openStudy" hidden={!current}>
        {current && [patientOf(current), dateOf(current.birth_date), current.procedure].filter(Boolean).join(' · ')}
      </p>
      <ul id="planned" tabIndex={0} aria-label={words.planned} hidden={!planned.value?.length}>
        {(planned.value ?? []).map((examination, index) => <Entry key={index} {...examination} />)}
      </ul>
      <p id="plannedSaid" role="status" hidden={!said.value}>{said.value}</p>
      <form ref={form} onSubmit={submit}>
        <label><span>{words.patientNumber}</span>
          <input ref={number} name="number" required maxLength={64} autocomplete="off" /></label>
        <label><span>{words.familyName}</span><input name="family" maxLength={40} autocomplete="off" /></label>
        <label><span>{words.givenName}</span><input name="given" maxLength={40} autocomplete="off" /></label>
        <label><span>{words.born}</span><input name="born" type="date" autocomplete="off" /></label>
        <label><span>{words.sex}</span>
          <select name="sex">
            <option value="" />
            <option value="F">{words.sexes.F}</option><option value="M">{words.sexes.M}</option><option value="O">{words.sexes.O}</option>
          </select></label>
        <div class="row">
          <button name="begin">{words.beginStudy}</button>
          <button name="end" type="button" hidden={!current} onClick={() => { close('patient'); closeStudy(); }}>{words.endStudy}</button>
          <Close />
        </div>
      </form>
    </dialog>
  );
}

function Entry({ time, study: details }: PlannedExamination) {
  const what = details.step || details.procedure;
  return (
    <li>
      <button type="button" value={details.study_uid} onClick={() => choose(details)}>
        {[time, nameOf(details.patient_name) || details.patient_id].filter(Boolean).join('  ')}
        <small>{[details.patient_id, dateOf(details.birth_date), what].filter(Boolean).join(' · ')}</small>
      </button>
    </li>
  );
}
