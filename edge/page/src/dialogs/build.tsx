// The dialog about the build and its slots, and the question whether to switch to the other one.

import { signal } from '@preact/signals';
import { command } from '../actions';
import type { Build, Reload, Slot } from '../device/messages';
import { device, lastStatus, notDone } from '../store';
import { language, text } from '../texts/words';
import { Close, close, open } from './dialog';

const build = signal<Build | null>(null);

export function openBuild(): void {
  open('build');
  readBuild();
}

/** Reads the description of the build again. */
export function readBuild(): void {
  device.json<Build>('build').then((read) => { build.value = read; }).catch(notDone);
}

/** The build in the other slot of the main build, if that is in use and there is one. */
function otherOf({ slots, builds }: Build): Slot | undefined {
  if (builds.some(({ name, in_use: used }) => used && name !== 'main')) return undefined;
  return [slots?.a, slots?.b].find((slot) => slot?.role === 'staged' || slot?.role === 'previous') ?? undefined;
}

/** Description of the build as terms and values. */
function describe({ name, version, classes, base, adapter, precision, agreement, slots }: Build, reload?: Reload): [string, string][] {
  const percent = (part: number) =>
    part.toLocaleString(language.value, { style: 'percent', maximumFractionDigits: 1 });
  const agrees = agreement
    ? [text().agrees(percent(agreement.mean_iou), percent(agreement.min_iou), agreement.masks)] : [];
  const slot = (letter: string, slot: Slot | null | undefined): [string, string][] =>
    (slot ? [[`${text().slot} ${letter}`, `${slot.name} ${slot.version}: ${text().role[slot.role]}`]] : []);
  return [
    [text().name, `${name} ${version}`], [text().classes, classes.join(', ') || text().anyStructure],
    [text().adapter, adapter ?? text().none], [text().base, base],
    [text().precision, [text().bits[precision], ...agrees].join('; ')],
    ...slot('A', slots?.a), ...slot('B', slots?.b),
    ...(reload?.reason ? [[text().reload.failed, reload.reason] satisfies [string, string]] : []),
  ];
}

export function BuildDialog() {
  const shown = build.value;
  const other = shown && otherOf(shown);
  return (
    <dialog id="build" class="sheet" aria-label={text().build}>
      <dl id="card">
        {shown && describe(shown, lastStatus.value?.reload).flatMap(([term, words]) => [<dt>{term}</dt>, <dd>{words}</dd>])}
      </dl>
      <button id="other" hidden={!other} onClick={() => open('sure')}>
        {other && text().use(`${other.name} ${other.version}`)}
      </button>
      <button id="update" hidden={!shown?.update} onClick={() => command('Update')}>{text().update}</button>
      <Close />
    </dialog>
  );
}

export function SwitchDialog() {
  const shown = build.value;
  const other = shown && otherOf(shown);
  return (
    <dialog id="sure" class="sheet" aria-labelledby="question">
      <p id="question">
        {other && text().sure(`${other.name} ${other.version}`, `${shown.name} ${shown.version}`)}
      </p>
      <button id="yes" onClick={() => { close('sure'); command('SwitchBuild'); }}>{text().yes}</button>
      <Close words={text().no} />
    </dialog>
  );
}
