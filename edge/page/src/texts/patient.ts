// Texts about patients.

import type { StudyDetails } from '../device/messages';
import { language } from './words';

/** A name of DICOM for people: `Doe^Jane^^Dr.` is `Doe, Jane`. */
export function nameOf(name: string): string {
  // The first of up to three spellings: alphabetic, ideographic, phonetic.
  const [first = ''] = name.split('=').filter((spelling) => spelling.replaceAll('^', '').trim());
  const [family = '', given = ''] = first.split('^').map((part) => part.trim());
  return [family, given].filter(Boolean).join(', ');
}

/** A date of DICOM, `YYYYMMDD`, for people; empty for anything else. */
export function dateOf(date: string): string {
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(date) ?? [];
  if (!year) return '';
  return new Date(`${year}-${month}-${day}T12:00`)
    .toLocaleDateString(language.value, { year: 'numeric', month: '2-digit', day: '2-digit' });
}

/** Name and number of a patient in one line. */
export function patientOf({ patient_name: name, patient_id: id }: Pick<StudyDetails, 'patient_name' | 'patient_id'>): string {
  return [nameOf(name), id].filter(Boolean).join(' · ');
}
