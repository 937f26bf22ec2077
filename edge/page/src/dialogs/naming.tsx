// The dialog that gives the selected object a name, of a structure of the build or any words.

import { signal } from '@preact/signals';
import { createRef } from 'preact';
import type { Build } from '../device/messages';
import { device, notDone } from '../store';
import { text } from '../texts/words';
import { Choice } from './choice';
import { Close, close, isOpen, open } from './dialog';

/** The object to name, its name so far, and structures of the build. */
const object = signal<number | null>(null);
const before = signal<string | undefined>(undefined);
const classes = signal<string[]>([]);

const input = createRef<HTMLInputElement>();

/** Opens when the choices are there, because they must not move under a finger. */
export async function openNaming(of: number, name: string | undefined): Promise<void> {
  try {
    classes.value = (await device.json<Build>('build')).classes;
  } catch (error) {
    notDone(error);
  }
  if (isOpen('naming')) return;
  object.value = of;
  before.value = name;
  if (input.current) input.current.value = name ?? '';
  open('naming');
}

/** Names the object; null removes its name. */
function choose(name: string | null): void {
  close('naming');
  device.post('name', { object: object.value, name }).catch(notDone);
}

export function NamingDialog() {
  const submit = (event: Event) => {
    event.preventDefault();
    const words = input.current?.value ?? '';
    if (words.trim()) choose(words);
  };
  return (
    <dialog id="naming" class="sheet" aria-labelledby="nameOf">
      <p id="nameOf">{object.value === null ? '' : text().nameOf(object.value)}</p>
      <div class="row" role="group" aria-label={text().classes}>
        {classes.value.map((name) => (
          <button key={name} value={name} aria-pressed={name === before.value} onClick={() => choose(name)}>{name}</button>
        ))}
      </div>
      <form class="row" onSubmit={submit}>
        <input ref={input} maxLength={64} autocomplete="off" aria-label={text().otherName} />
        <button name="set">{text().otherName}</button>
        <button name="none" type="button" onClick={() => choose(null)}>{text().noName}</button>
        <Close />
      </form>
      <div id="labels"><span>{text().labels}</span>
        <Choice name="labels" words={[['size', text().labelSize], ['name', text().labelName], ['none', text().labelNone]]} /></div>
    </dialog>
  );
}
