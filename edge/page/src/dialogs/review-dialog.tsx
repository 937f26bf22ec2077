// The dialog that shows stored captures.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { text } from '../texts/words';
import { Close } from './dialog';
import { openDiscarding } from './discarding';
import { review } from './review';
import type { Shot } from './shot';

export function ReviewDialog() {
  const two = review.isComparing();
  const playing = review.playing.value;
  const { first, second } = review;
  return (
    <dialog id="review" aria-label={text().review} onKeyDown={({ key }) => {
      if (key === 'ArrowLeft') review.step(1);
      else if (key === 'ArrowRight') review.step(-1);
    }}>
      <div id="shots" class={two ? 'two' : ''}>
        <Figure shot={first} />
        <Figure shot={second} hidden={!two} />
      </div>
      <div class="row">
        <button id="older" disabled={!review.beside(1)} onClick={() => review.step(1)}>{text().older}</button>
        <button id="newer" disabled={!review.beside(-1)} onClick={() => review.step(-1)}>{text().newer}</button>
        <button id="outlines" aria-pressed={review.outlined.value} disabled={playing}
          onClick={() => review.toggleOutlines()}>{text().outlines}</button>
        <button id="playClip" aria-pressed={playing} hidden={!first.record.value?.clip || two}
          onClick={() => review.play(!playing)}>{text().clip}</button>
        <button id="compare" aria-pressed={two} onClick={() => review.compare()}>{text().compare}</button>
        <button id="discard" disabled={two || !review.isThere(review.shown.value[0])} onClick={openDiscarding}>
          {text().discard}
        </button>
        <Close />
      </div>
    </dialog>
  );
}

function Figure({ shot, hidden = false }: { shot: Shot; hidden?: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => { if (canvas.current) shot.attach(canvas.current); }, [shot]);
  const clip = shot.clip.value;
  return (
    <figure hidden={hidden}>
      <div>
        <canvas ref={canvas} role="img" aria-label={text().shot} />
        <img aria-label={text().clip} alt="" hidden={!clip} src={clip ?? undefined} />
      </div>
      {/* biome-ignore lint/a11y/useAriaPropsSupportedByRole: it is focused to be scrolled, and needs a name. */}
      <figcaption class="about" tabIndex={0} aria-label={text().facts}>
        {shot.lines().map(([kind, words], index) => <p key={index} class={kind}>{words}</p>)}
      </figcaption>
    </figure>
  );
}
