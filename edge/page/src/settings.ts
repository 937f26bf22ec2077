// Settings of this screen. They stay in the browser.

import { computed, signal } from '@preact/signals';
import { codes, preferred } from './texts/words';

const KEY = 'settings';

/** Values of each setting. */
const VALUES = {
  theme: ['dark', 'light', 'dim'],
  language: codes,
  hand: ['right', 'left'],
  size: ['normal', 'large'],
  look: ['line', 'fill'],
  labels: ['size', 'name', 'none'],
} as const;

export type Name = keyof typeof VALUES;
export type Values = { [N in Name]: typeof VALUES[N][number] };

/** Settings that were chosen here; only these are stored. */
const chosen = signal<Partial<Values>>(stored());

export const settings = computed((): Values => ({
  theme: 'dark', language: preferred(), hand: 'right', size: 'normal', look: 'line', labels: 'size', ...chosen.value,
}));

export function choose<N extends Name>(name: N, value: Values[N]): void {
  chosen.value = { ...chosen.value, [name]: value };
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen.value));
  } catch {
    // A browser without storage keeps the setting until it is closed.
  }
}

/** Stored settings that this page knows. */
function stored(): Partial<Values> {
  try {
    const values = Object.entries(JSON.parse(localStorage.getItem(KEY) ?? '{}') as object);
    const isKnown = ([name, value]: [string, unknown]) =>
      Object.hasOwn(VALUES, name) && (VALUES[name as Name] as readonly unknown[]).includes(value);
    return Object.fromEntries(values.filter(isKnown));
  } catch {
    return {};
  }
}
