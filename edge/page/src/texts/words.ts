// The texts of the page in the chosen language.

import { signal } from '@preact/signals';
import { codeOf } from '../device/connection';
import { de } from './de';
import { en, type Texts } from './en';
import { es } from './es';
import { fr } from './fr';

/** Texts of all languages; the first is the default. */
export const languages = { en, de, es, fr } satisfies Record<string, Texts>;

export type Language = keyof typeof languages;

/** Codes of all languages, the default first. */
export const codes = Object.keys(languages) as Language[];

/** The chosen language. */
export const language = signal<Language>('en');

/** The texts in the chosen language. */
export function text(): Texts {
  return languages[language.value];
}

/** Language of the browser, or English. */
export function preferred(): Language {
  return codes.find((code) => navigator.language.startsWith(code)) ?? 'en';
}

/** A number for display. No thousands separator: 1.804 could be read as a decimal fraction. */
export function number(value: number, digits: number): string {
  return value.toLocaleString(language.value, { maximumFractionDigits: digits, useGrouping: false });
}

/** The text for a code of the device, if the page knows it. */
export function known<T extends object>(table: T, code: string | null | undefined): T[keyof T] | undefined {
  return code && Object.hasOwn(table, code) ? table[code as keyof T] : undefined;
}

/** Words for an error of a request. */
export function worded(error: unknown): string {
  return known(text().refusal, codeOf(error)) ?? (error instanceof Error ? error.message : String(error));
}
