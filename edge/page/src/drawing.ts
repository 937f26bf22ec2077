// Drawing of the image of the page whenever something that is on it has changed.

import { computed, effect } from '@preact/signals';
import { COLOURS, type Scene } from './image/view';
import { settings } from './settings';
import { calipers, frame, isCurrent, names, prompting, prompts, shownMasks, view } from './store';
import { caption } from './texts/facts';

/** Number of the frame and revisions of the masks on the screen. */
export let onScreen: { frame_id: number; masks: number[] } | null = null;

let due = false;

const scene = computed((): Omit<Scene, 'opacity'> => ({
  masks: shownMasks.value,
  labels: new Map(shownMasks.value.map((mask) =>
    [mask.object, caption(mask, names.value.get(mask.object), settings.value.labels)])),
  prompts: isCurrent()
    ? COLOURS.map((_, object) => ({ ...prompts.of(object), object, selected: object === prompting.selected.value })) : [],
  calipers: isCurrent() ? calipers.drawn() : [],
  measuring: calipers.on.value,
  drag: prompting.drag.value,
  cursor: prompting.cursor.value,
  filled: settings.value.look === 'fill',
}));

/** Draws the image before the screen is refreshed next. */
export function drawSoon(): void {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const opacity = document.querySelector<HTMLInputElement>('#opacity');
    view.draw({ ...scene.value, opacity: Number(opacity?.value ?? 50) / 100 });
    const stage = document.querySelector<HTMLElement>('#stage');
    if (stage) stage.dataset.frame = String(frame.value?.id ?? '');
    onScreen = frame.value && { frame_id: frame.value.id, masks: shownMasks.value.map((mask) => mask.revision) };
  });
}

/** Begins to draw on the canvas of the page. */
export function startDrawing(canvas: HTMLCanvasElement): void {
  view.canvas = canvas;
  new ResizeObserver(drawSoon).observe(canvas);
  effect(() => {
    // Their changes are drawn.
    void [scene.value, frame.value, view.part.value];
    drawSoon();
  });
}
