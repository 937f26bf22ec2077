// The texts of the page in the chosen language.

import en from './en.js';

/** Codes of all languages, the default first. Each has a file, which is loaded when it is chosen. */
export const languages = ['en', 'de', 'es', 'fr'];

/** The language, as `en`, and its texts; they change with `speak`. */
export let language = 'en';
export let text = en;

/** Language of the browser, or English. */
export function preferred() {
  return languages.find((name) => navigator.language.startsWith(name)) ?? 'en';
}

/** A number for display. No thousands separator: 1.804 could be read as a decimal fraction. */
export function number(value, digits) {
  return value.toLocaleString(language, { maximumFractionDigits: digits, useGrouping: false });
}

/** Words for an error of a request. */
export function worded({ code, message }) { return text.refusal[code] ?? message; }

/** Sets a text only if it differs, because screen readers speak every change. */
export function setText(target, words) {
  if (target.textContent !== words) target.textContent = words;
}

let wanted = 'en';

/** Changes the language and labels all elements that name their text. */
export async function speak(name) {
  wanted = name;
  const texts = name === 'en' ? en : (await import(`./${name}.js`)).default;
  // Another may have been chosen meanwhile.
  if (wanted !== name) return;
  language = name;
  text = texts;
  document.documentElement.lang = name;
  for (const labelled of document.querySelectorAll('[data-text]')) {
    setText(labelled, text[labelled.dataset.text]);
  }
  for (const labelled of document.querySelectorAll('[data-label]')) {
    labelled.setAttribute('aria-label', text[labelled.dataset.label]);
  }
}
