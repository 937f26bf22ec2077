// The image, and what is over it: buttons, results of measurements, notices, cine bar.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { capture, examine, forget, nameObject, toggleErasing, toggleMeasuring } from '../actions';
import { titleOf, usedBuild } from '../dialogs/examination';
import { KINDS } from '../image/calipers';
import {
  calipers, canErase, connected, isCurrent, lastStatus, names, notice, prompting, prompts, situation, status, view,
} from '../store';
import { reasonFor } from '../texts/facts';
import { text } from '../texts/words';
import { locked } from '../users';
import { CineBar } from './cine';

export function Stage() {
  return (
    <section id="stage" data-state={situation.value}>
      <canvas id="image" tabIndex={0} role="application" aria-label={text().image} inert={locked.value} />
      <Results />
      <Over />
      <Remove />
      <div id="below">
        <Notice />
        <Returned />
        <CineBar save={() => capture({ clip: true })} />
      </div>
    </section>
  );
}

/** Results of measurements by hand. */
function Results() {
  const results = isCurrent() ? calipers.results() : [];
  return (
    <p id="results" role="status" hidden={!results.length}>
      {results.map((result, index) => `${index + 1}  ${result}`).join('\n')}
    </p>
  );
}

/** The buttons over the image that are of use now. */
function Over() {
  const frozen = situation.value === 'frozen';
  const measuring = calipers.on.value;
  return (
    <div id="over" role="group" aria-label={text().tools}>
      <Examine />
      <button id="fit" hidden={view.zoom === 1 || measuring} onClick={() => view.fit()}>{text().fit}</button>
      <button id="nameIt" hidden={!canErase.value} onClick={nameObject}>
        {names.value.get(prompting.selected.value) ?? text().nameIt}
      </button>
      <button id="erase" hidden={!canErase.value} aria-pressed={prompting.erasing.value} onClick={toggleErasing}>
        {text().erase}
      </button>
      <button id="measure" hidden={!frozen} aria-pressed={measuring} onClick={toggleMeasuring}>{text().measure}</button>
      {KINDS.map((kind) => (
        <button key={kind} id={kind} hidden={!measuring} disabled={calipers.isFull()} onClick={() => calipers.add(kind)}>
          {text()[kind]}
        </button>
      ))}
    </div>
  );
}

/** Button for the examination or build. A frozen image keeps its build. */
function Examine() {
  const used = usedBuild.value;
  const mayChoose = connected.value && situation.value !== 'frozen' && (used || lastStatus.value?.presets);
  return (
    <button id="examine" hidden={!mayChoose} onClick={examine}
      aria-label={used ? `${text().presets}: ${titleOf(used)}` : text().presets}>
      {used ? titleOf(used) : text().presets}
    </button>
  );
}

/** Button that removes what was held, above the finger. */
function Remove() {
  const button = useRef<HTMLButtonElement>(null);
  const removal = prompting.removal.value;
  useLayoutEffect(() => {
    const { current } = button;
    if (!current || !removal) return;
    const place = (at: number, size: number, room: number) => `${Math.min(Math.max(at - size / 2, 0), room - size)}px`;
    const { offsetWidth, offsetHeight } = current;
    current.style.left = place(removal.at[0], offsetWidth, view.canvas.clientWidth);
    current.style.top = place(removal.at[1] - offsetHeight, offsetHeight, view.canvas.clientHeight);
    if (removal.byKey) current.focus();
  }, [removal]);
  return <button id="remove" ref={button} hidden={!removal} onClick={() => prompting.remove()}>{removal?.words}</button>;
}

/** News, or the reason why there is no current image. */
function Notice() {
  const words = notice.value ?? reasonFor(situation.value, connected.value, status.value);
  return <p id="notice" role="alert" hidden={!words}>{words}</p>;
}

/** Question whether prompts from before a long absence of the image are applied. */
function Returned() {
  return (
    <div id="returned" role="alert" hidden={!prompts.old.value.size || !isCurrent()}>
      <p>{text().returned}</p>
      <button id="keep" onClick={() => prompts.keep()}>{text().keep}</button>
      <button id="forget" onClick={forget}>{text().clear}</button>
    </div>
  );
}
