// Actions of buttons and keys.

import { cine } from './cine';
import { openExamination } from './dialogs/examination';
import { openNaming } from './dialogs/naming';
import { onScreen } from './drawing';
import { COLOURS } from './image/view';
import type { KeyAction } from './keys';
import {
  calipers, connected, device, dropMask, isCurrent, look, names, notDone, prompting, prompts, showNotice, situation,
  status, view,
} from './store';
import { study } from './study';
import { reasonFor } from './texts/facts';
import { text, worded } from './texts/words';

const CLIP_MS = 600000;

/** Sends a command to the device. */
export function command(name: 'Freeze' | 'Unfreeze' | 'SwitchBuild' | 'Update'): void {
  device.post('command', name).catch(notDone);
}

/** True unless the image is frozen or paused. */
export function isRunning(): boolean { return !status.value || status.value.activity === 'running'; }

export function freeze(): void { command(isRunning() ? 'Freeze' : 'Unfreeze'); }

/** Captures what is on the screen now, not what may be there when the device answers. */
export function capture(more: { clip?: true } = {}): void {
  const refused = (words: string | null) => showNotice(`${text().notCaptured} ${words}`);
  look();
  if (!isCurrent()) {
    refused(reasonFor(situation.value, connected.value, status.value));
  } else if (!status.value?.records) {
    refused(text().refusal['no-records']);
  } else {
    // Compressing a clip takes seconds to minutes; the next result replaces the words.
    if (more.clip) showNotice(text().savingClip, CLIP_MS);
    device.postNow('capture', { ...onScreen, study: study.value?.uid ?? '', ...more }).catch((error) => refused(worded(error)));
  }
}

export function undo(): void {
  if (calipers.on.value) calipers.undo();
  else prompting.selected.value = prompts.undo(prompting.selected.value);
}

export function redo(): void {
  if (calipers.on.value) calipers.redo();
  else prompting.selected.value = prompts.redo(prompting.selected.value);
}

export function clear(): void {
  if (calipers.on.value) {
    calipers.clear();
    return;
  }
  prompts.clear(prompting.selected.value);
  dropMask(prompting.selected.value);
}

/** Removes the prompts from before a long absence of the image. */
export function forget(): void {
  prompts.old.value.forEach(dropMask);
  prompts.forget();
}

export function toggleErasing(): void { prompting.erasing.value = !prompting.erasing.value; }

export function toggleMeasuring(): void { calipers.on.value = !calipers.on.value; }

/** Opens the dialog that names the selected object. */
export function nameObject(): void {
  openNaming(prompting.selected.value, names.value.get(prompting.selected.value));
}

/** Opens the dialog that chooses what to segment. */
export function examine(): void { openExamination(); }

/** Magnifies about the middle of the image. */
function zoom(factor: number): void {
  view.zoomBy(factor, [view.canvas.clientWidth / 2, view.canvas.clientHeight / 2]);
}

/** Actions of keys. */
export const keyed: Record<KeyAction, () => void> = {
  freeze, undo, redo,
  capture: () => capture(),
  measure: toggleMeasuring,
  erase: toggleErasing,
  fit: () => view.fit(),
  next: () => { prompting.selected.value = (prompting.selected.value + 1) % COLOURS.length; },
  stepBack: () => cine.step(-1),
  stepForward: () => cine.step(1),
  play: () => cine.play(!cine.playing.value),
  zoomIn: () => zoom(1.25),
  zoomOut: () => zoom(0.8),
};
