// The panel beside the image: facts about the selected object, objects, and tools.

import type { ComponentChildren } from 'preact';
import { capture, clear, freeze, isRunning, redo, undo } from '../actions';
import { openCaptures } from '../dialogs/captures';
import { openPatient } from '../dialogs/patient';
import { openSettings } from '../dialogs/settings';
import { openSignIn } from '../dialogs/sign-in';
import { COLOURS } from '../image/view';
import { isCurrent, knownMask, lastStatus, names, prompting, prompts, status } from '../store';
import { study } from '../study';
import { grade, lines } from '../texts/facts';
import { dateOf, nameOf, patientOf } from '../texts/patient';
import { text } from '../texts/words';
import { Icon, type IconName } from './icon';

export function Panel() {
  return (
    <aside>
      <Patient />
      <Facts />
      <button id="unlock" onClick={openSignIn}>{text().unlock}</button>
      <div id="pad">
        <div id="objects" role="group" aria-label={text().objects}>
          {COLOURS.map((colour, object) => <ObjectButton key={colour} object={object} colour={colour} />)}
        </div>
        <Tools />
      </div>
    </aside>
  );
}

/** The patient of the captures; devices that store none have none. */
function Patient() {
  const current = study.value;
  const name = current && nameOf(current.patient_name);
  return (
    <button id="choosePatient" hidden={!lastStatus.value?.records} onClick={openPatient}
      aria-label={[text().patient, current ? patientOf(current) : text().noPatient].join(': ')}>
      <span>{current ? name || current.patient_id : text().noPatient}</span>
      {name && <small>{[current.patient_id, dateOf(current.birth_date)].filter(Boolean).join(' · ')}</small>}
    </button>
  );
}

function Facts() {
  const object = prompting.selected.value;
  return (
    <div id="facts" role="status">
      {lines(prompts.of(object), knownMask(object), names.value.get(object), isCurrent())
        .map(([kind, words], index) => <p key={index} class={kind}>{words}</p>)}
    </div>
  );
}

function ObjectButton({ object, colour }: { object: number; colour: string }) {
  const [, symbol, word] = prompts.has(object) ? grade(knownMask(object), isCurrent()) : ['', '', ''];
  const parts = [text().object, String(object), names.value.get(object), word];
  return (
    <button style={{ '--colour': colour }} aria-label={parts.filter(Boolean).join(' ')}
      aria-pressed={object === prompting.selected.value} onClick={() => { prompting.selected.value = object; }}>
      {`${object} ${symbol}`.trim()}
    </button>
  );
}

function Tools() {
  const positive = prompting.positive.value;
  const running = isRunning();
  return (
    <div id="tools" role="group" aria-label={text().tools}>
      <Tool id="sign" icon={positive ? 'inside' : 'outside'} pressed={!positive}
        onPress={() => { prompting.positive.value = !positive; }}>{positive ? text().positive : text().negative}</Tool>
      <Tool id="undo" icon="undo" onPress={undo}>{text().undo}</Tool>
      <Tool id="redo" icon="redo" onPress={redo}>{text().redo}</Tool>
      <Tool id="clear" icon="clear" onPress={clear}>{text().clear}</Tool>
      <Tool id="freeze" icon={running ? 'freeze' : 'goOn'} pressed={!running} onPress={freeze}>
        {running ? text().freeze : text().goOn}
      </Tool>
      <Tool id="capture" icon="capture" disabled={!status.value?.records} onPress={() => capture()}>{text().capture}</Tool>
      <Tool id="showCaptures" icon="captures" onPress={openCaptures}>{text().captures}</Tool>
      <Tool id="showSettings" icon="settings" onPress={openSettings}>{text().settings}</Tool>
    </div>
  );
}

interface ToolProps {
  id: string;
  icon: IconName;
  pressed?: boolean;
  disabled?: boolean;
  onPress: () => void;
  children: ComponentChildren;
}

function Tool({ id, icon, pressed, disabled, onPress, children }: ToolProps) {
  return (
    <button id={id} aria-pressed={pressed} disabled={disabled} onClick={onPress}>
      <Icon name={icon} /><span>{children}</span>
    </button>
  );
}
