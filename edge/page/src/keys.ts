// Keys of a keyboard or foot pedal. A pedal that sends Page Up and Page Down freezes and captures.

/** Actions of keys. */
export type KeyAction = 'freeze' | 'capture' | 'measure' | 'next' | 'erase' | 'undo' | 'redo'
  | 'stepBack' | 'stepForward' | 'play' | 'zoomIn' | 'zoomOut' | 'fit';

const ACTIONS: Record<string, KeyAction> = {
  f: 'freeze', F: 'freeze', PageUp: 'freeze', F9: 'freeze',
  c: 'capture', C: 'capture', PageDown: 'capture', F10: 'capture',
  m: 'measure', M: 'measure', n: 'next', N: 'next', End: 'next', F8: 'next',
  e: 'erase', E: 'erase', u: 'undo', U: 'undo', r: 'redo', R: 'redo',
  ',': 'stepBack', '.': 'stepForward', p: 'play', P: 'play',
  '+': 'zoomIn', '-': 'zoomOut', 0: 'fit',
};

/** Name of the action of a key; null if it has none now. */
export function actionOf({ target, key, ctrlKey, metaKey, altKey, shiftKey, repeat }: KeyboardEvent): KeyAction | null {
  if (document.querySelector('dialog[open], :root[data-locked]')) return null;
  if (target instanceof Element && target.closest('input')) return null;
  if ((ctrlKey || metaKey) && key.toLowerCase() === 'z') return shiftKey ? 'redo' : 'undo';
  // A pedal that is held down sends its key again and again.
  if (ctrlKey || metaKey || altKey || repeat) return null;
  return ACTIONS[key] ?? null;
}
