// The dialog that chooses what to segment: an examination, which names all objects, or a build.

import { setText, text } from './words.js';

export class Examination {
  /** `button` opens the dialog and shows the build in use. `failed(error)`: a request has failed. */
  constructor(dialog, button, device, failed) {
    Object.assign(this, { dialog, button, device, failed, status: null, presets: [] });
    this.groups = dialog.querySelectorAll('[role=group]');
    dialog.addEventListener('click', ({ target }) => {
      const chosen = target.closest('button[name]');
      if (!chosen) return;
      dialog.close();
      device.post(chosen.name, { name: chosen.value }).catch(failed);
    });
  }

  get builds() { return this.status?.builds ?? []; }

  /** The build in use; undefined on a device with one build. */
  get used() { return this.builds.find((build) => build.in_use); }

  /** Takes the state of the device; returns news about the build, or null. */
  update(status) {
    const { used: before, status: last } = this;
    this.status = status;
    if (this.dialog.open) this.list();
    const { used } = this;
    if (used && before && before.name !== used.name) return text.nowInUse(titleOf(used));
    const { state, reason } = status.reload;
    if (state === (last?.reload.state ?? 'idle')) return null;
    if (state === 'failed') return `${text.reload.failed}: ${reason}`;
    return used && state === 'loading' ? `${text.reload.loading} …` : null;
  }

  /** Shows the button if there is something to choose now. */
  show(mayChoose) {
    const { button, used, status } = this;
    button.hidden = !mayChoose || !(used || status?.presets);
    setText(button, used ? titleOf(used) : text.presets);
    button.setAttribute('aria-label', used ? `${text.presets}: ${titleOf(used)}` : text.presets);
  }

  async open() {
    try {
      this.presets = (await (await this.device.get('presets')).json()).presets;
    } catch (error) {
      this.failed(error);
    }
    if (this.dialog.open) return;
    this.list();
    this.dialog.showModal();
  }

  list() {
    const busy = this.status?.reload.state === 'loading';
    const presets = this.presets.map(({ name, build: wanted }) => {
      if (!wanted) return choice('preset', name, name, '', false, false);
      const build = this.builds.find((build) => build.name === wanted);
      return choice('preset', name, name, build ? titleOf(build) : wanted, false, busy || !build || Boolean(build.unavailable));
    });
    const builds = this.builds.map((build) =>
      choice('build', build.name, titleOf(build), about(build), build.in_use, busy || Boolean(build.unavailable)));
    this.groups[0].replaceChildren(...presets);
    this.groups[1].replaceChildren(...builds);
  }
}

/** Name of a build; the main one has no file of its own, so it is called by its description. */
function titleOf({ name, build }) { return name === 'main' ? build ?? text.mainBuild : name; }

/** Task and structures of a build, or the reason why it is not available. */
function about({ name, build, classes, unavailable }) {
  if (unavailable) return `${text.unavailable}: ${unavailable}`;
  if (!build) return text.beingChecked;
  return [name === 'main' ? text.mainBuild : build, classes.join(', ') || text.anyStructure].join(' · ');
}

function choice(kind, value, title, words, pressed, disabled) {
  const button = Object.assign(document.createElement('button'), { name: kind, value, disabled });
  button.append(title, ...(words ? [Object.assign(document.createElement('small'), { textContent: words })] : []));
  button.setAttribute('aria-pressed', pressed);
  return button;
}
