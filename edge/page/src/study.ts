// The study: the patient and the examination that captures belong to.

import { signal } from '@preact/signals';
import type { Status, Study, StudyDetails } from './device/messages';
import { device, notDone } from './store';

/** The open study; null without one, and while the screen is locked. */
export const study = signal<Study | null>(null);

/** The last request, so that a late answer does not replace a newer one. */
let asked = {};

async function ask(answer: () => Promise<Study | null>): Promise<void> {
  const own = {};
  asked = own;
  const found = await answer();
  if (asked === own) study.value = found;
}

/** Reads the study if it is another one than that of the device. */
export function followStudy({ study_opened_us: openedUs }: Status): void {
  if (openedUs === (study.peek()?.opened_us ?? null)) return;
  if (openedUs === null) forgetStudy();
  else readStudy();
}

/** Reads the study of the device. */
export function readStudy(): void {
  ask(async () => (await device.json<{ study: Study | null }>('study')).study).catch(console.warn);
}

/** Shows no patient, because the study has ended or the screen is locked. */
export function forgetStudy(): void {
  asked = {};
  study.value = null;
}

/** Opens a study, and closes the one before. */
export function openStudy(details: Partial<StudyDetails>): void {
  const answer = async () => (await (await device.send('PUT', 'study', details)).json() as { study: Study }).study;
  ask(answer).catch(notDone);
}

export function closeStudy(): void { device.delete('study', {}).then(forgetStudy).catch(notDone); }
