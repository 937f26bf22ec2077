// Settings of this screen. They stay in the browser.

import { languages } from './words.js';

const KEY = 'settings';

/** Values of each setting, the default first. */
const VALUES = {
  theme: ['dark', 'light', 'dim'],
  language: languages,
  hand: ['right', 'left'],
  size: ['normal', 'large'],
  look: ['line', 'fill'],
  labels: ['size', 'name', 'none'],
};

export class Settings {
  /** `changed` is called after every change, and once at the start. */
  constructor(defaults, changed) {
    const initial = Object.fromEntries(Object.entries(VALUES).map(([name, [first]]) => [name, first]));
    Object.assign(this, { changed, defaults: { ...initial, ...defaults } });
    /** Settings that were chosen here; only these are stored. */
    this.chosen = stored();
    for (const button of document.querySelectorAll('[data-choice] button')) {
      const name = button.parentElement.dataset.choice;
      button.addEventListener('click', () => this.set(name, button.value));
    }
    this.show();
  }

  set(name, value) {
    this.chosen[name] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(this.chosen));
    } catch {
      // A browser without storage keeps the setting until it is closed.
    }
    this.show();
  }

  show() {
    this.values = { ...this.defaults, ...this.chosen };
    Object.assign(document.documentElement.dataset, this.values);
    for (const button of document.querySelectorAll('[data-choice] button')) {
      const chosen = this.values[button.parentElement.dataset.choice] === button.value;
      button.setAttribute('aria-pressed', chosen);
    }
    this.changed(this.values);
  }
}

/** Stored settings that this page knows. */
function stored() {
  try {
    const known = ([name, value]) => VALUES[name]?.includes(value);
    return Object.fromEntries(Object.entries(JSON.parse(localStorage.getItem(KEY)) ?? {}).filter(known));
  } catch {
    return {};
  }
}
