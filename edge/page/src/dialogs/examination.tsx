// The dialog that chooses what to segment: an examination, which names all objects, or a build.

import { computed, signal } from '@preact/signals';
import type { OfferedBuild, Preset, Status } from '../device/messages';
import { device, lastStatus, notDone } from '../store';
import { text } from '../texts/words';
import { Close, close, isOpen, open } from './dialog';

const presets = signal<Preset[]>([]);

const used = (status: Status | null) => status?.builds?.find((build) => build.in_use);

/** The build in use; undefined on a device with one build. */
export const usedBuild = computed(() => used(lastStatus.value));

/** News about the build since the state before; null without any. */
export function newsOfBuild(before: Status | null, now: Status): string | null {
  const [last, current] = [used(before), used(now)];
  if (current && last && last.name !== current.name) return text().nowInUse(titleOf(current));
  const { state, reason } = now.reload;
  if (state === (before?.reload.state ?? 'idle')) return null;
  if (state === 'failed') return `${text().reload.failed}: ${reason}`;
  return current && state === 'loading' ? `${text().reload.loading} …` : null;
}

/** Opens when the examinations are there, because they must not move under a finger. */
export async function openExamination(): Promise<void> {
  try {
    presets.value = (await device.json<{ presets: Preset[] }>('presets')).presets;
  } catch (error) {
    notDone(error);
  }
  if (!isOpen('examination')) open('examination');
}

function choose(kind: 'preset' | 'build', name: string): void {
  close('examination');
  device.post(kind, { name }).catch(notDone);
}

/** Name of a build; the main one has no file of its own, so it is called by its description. */
export function titleOf({ name, build }: OfferedBuild): string {
  return name === 'main' ? build ?? text().mainBuild : name;
}

/** Task and structures of a build, or the reason why it is not available. */
function about({ name, build, classes, unavailable }: OfferedBuild): string {
  if (unavailable) return `${text().unavailable}: ${unavailable}`;
  if (!build) return text().beingChecked;
  return [name === 'main' ? text().mainBuild : build, classes.join(', ') || text().anyStructure].join(' · ');
}

export function ExaminationDialog() {
  const builds = lastStatus.value?.builds ?? [];
  const busy = lastStatus.value?.reload.state === 'loading';
  return (
    <dialog id="examination" class="sheet" aria-label={text().presets}>
      <div id="presets" role="group" aria-label={text().presets}>
        {presets.value.map(({ name, build: wanted }) => {
          const build = builds.find((offered) => offered.name === wanted);
          const canUse = !wanted || (!busy && build && !build.unavailable);
          return <Entry key={name} kind="preset" name={name} title={name} disabled={!canUse}
            words={wanted && (build ? titleOf(build) : wanted)} />;
        })}
      </div>
      <div id="builds" role="group" aria-label={text().builds}>
        {builds.map((build) => (
          <Entry key={build.name} kind="build" name={build.name} title={titleOf(build)} words={about(build)}
            pressed={build.in_use} disabled={busy || Boolean(build.unavailable)} />
        ))}
      </div>
      <Close />
    </dialog>
  );
}

interface EntryProps {
  kind: 'preset' | 'build';
  name: string;
  title: string;
  words: string | null;
  pressed?: boolean;
  disabled: boolean;
}

function Entry({ kind, name, title, words, pressed = false, disabled }: EntryProps) {
  return (
    <button name={kind} value={name} disabled={disabled} aria-pressed={pressed} onClick={() => choose(kind, name)}>
      {title}{words && <small>{words}</small>}
    </button>
  );
}
