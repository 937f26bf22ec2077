// The dialog that gives the selected object a name, of a structure of the build or any words.

import { setText, text } from './words.js';

export class Naming {
  /** `name(object, name)` asks the device to name an object; null removes the name. */
  constructor(dialog, device, { name, failed }) {
    Object.assign(this, { dialog, device, failed, object: null });
    this.choices = dialog.querySelector('[role=group]');
    this.input = dialog.querySelector('input');
    const choose = (chosen) => {
      dialog.close();
      name(this.object, chosen);
    };
    this.choices.addEventListener('click', ({ target }) => { if (target.value) choose(target.value); });
    dialog.querySelector('[name=none]').addEventListener('click', () => choose(null));
    dialog.querySelector('form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.input.value.trim()) choose(this.input.value);
    });
  }

  /** Opens when the choices are there, because they must not move under a finger. */
  async open(object, name) {
    await this.list(name).catch(this.failed);
    if (this.dialog.open) return;
    this.object = object;
    this.input.value = name ?? '';
    setText(this.dialog.querySelector('p'), text.nameOf(object));
    this.dialog.showModal();
  }

  async list(name) {
    const { classes } = await (await this.device.get('build')).json();
    this.choices.replaceChildren(...classes.map((words) => choice(words, words === name)));
  }
}

function choice(words, chosen) {
  const button = document.createElement('button');
  button.value = words;
  button.textContent = words;
  button.setAttribute('aria-pressed', chosen);
  return button;
}
