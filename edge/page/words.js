// The texts of the page in the chosen language.

import en from './en.js';
import de from './de.js';

const LANGUAGES = { en, de };

/** The language, `en` or `de`, and its texts; they change with `speak`. */
export let language = 'en';
export let text = en;

/** Language of the browser, or English. */
export function preferred() {
  return navigator.language.startsWith('de') ? 'de' : 'en';
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

/** Changes the language and labels all elements that name their text. */
export function speak(name) {
  language = name;
  text = LANGUAGES[name];
  document.documentElement.lang = name;
  for (const labelled of document.querySelectorAll('[data-text]')) {
    setText(labelled, text[labelled.dataset.text]);
  }
  for (const labelled of document.querySelectorAll('[data-label]')) {
    labelled.setAttribute('aria-label', text[labelled.dataset.label]);
  }
}
