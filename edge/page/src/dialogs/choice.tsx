// Buttons for the values of a setting, of which one is chosen.

import { choose, type Name, settings, type Values } from '../settings';
import { text } from '../texts/words';

interface ChoiceProps<N extends Name> {
  name: N;
  /** Values and their words, in the order of the buttons. */
  words: [Values[N], string][];
  /** True if each word is in the language that it names. */
  isLanguage?: boolean;
}

export function Choice<N extends Name>({ name, words, isLanguage }: ChoiceProps<N>) {
  return (
    <div role="group" data-choice={name} aria-label={text()[name]}>
      {words.map(([value, word]) => (
        <button key={value} value={value} lang={isLanguage ? value : undefined}
          aria-pressed={settings.value[name] === value} onClick={() => choose(name, value)}>{word}</button>
      ))}
    </div>
  );
}
