// The bar below a frozen image: scrolls through the last seconds and plays them.

import { cine } from '../cine';
import { status } from '../store';
import { text } from '../texts/words';
import { Icon } from './icon';

/** `save`: stores all frames as a clip. */
export function CineBar({ save }: { save: () => void }) {
  const buffer = cine.buffer.value;
  const playing = cine.playing.value;
  const beforeS = buffer ? (cine.frameMs(buffer) * (buffer.frames - 1 - buffer.shown)) / 1000 : 0;
  return (
    <div id="cine" role="group" aria-label={text().cine} hidden={!buffer}>
      <button name="back" aria-label={text().stepBack} onClick={() => cine.step(-1)}><Icon name="back" /></button>
      <button name="play" aria-label={playing ? text().pause : text().play} onClick={() => cine.play(!playing)}>
        <Icon name={playing ? 'freeze' : 'goOn'} />
      </button>
      <button name="forward" aria-label={text().stepForward} onClick={() => cine.step(1)}><Icon name="forward" /></button>
      <input name="frame" type="range" min="0" max={buffer ? buffer.frames - 1 : undefined} value={cine.position.value}
        aria-label={text().frameNumber} onInput={({ currentTarget }) => cine.slide(Number(currentTarget.value))} />
      <output name="time">{beforeS === 0 ? text().newest : text().before(beforeS.toFixed(1))}</output>
      <button name="save" aria-label={text().saveClip} disabled={!status.value?.records}
        onClick={() => { cine.play(false); save(); }}><Icon name="clip" /></button>
    </div>
  );
}
