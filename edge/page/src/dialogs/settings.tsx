// The dialog with the settings of this screen, and ways to the other dialogs about the device.

import { drawSoon } from '../drawing';
import { signWords } from '../signs';
import { text } from '../texts/words';
import { known, lock } from '../users';
import { openBuild } from './build';
import { Choice } from './choice';
import { lockForCleaning } from './cleaning';
import { Close, close, open } from './dialog';

export function openSettings(): void { open('settings'); }

export function SettingsDialog() {
  const words = text();
  return (
    <dialog id="settings" class="sheet" aria-label={words.settings}>
      <div id="choices">
        <div><span>{words.theme}</span>
          <Choice name="theme" words={[['dark', words.dark], ['light', words.light], ['dim', words.dim]]} /></div>
        <div><span>{words.look}</span>
          <Choice name="look" words={[['line', words.outline], ['fill', words.fill]]} /></div>
        <div><span>{words.opacity}</span>
          <input id="opacity" type="range" min="10" max="100" step="10" defaultValue="50" aria-label={words.opacity}
            onInput={drawSoon} /></div>
        <div><span>{words.language}</span>
          <Choice name="language" isLanguage
            words={[['de', 'Deutsch'], ['en', 'English'], ['es', 'Español'], ['fr', 'Français']]} /></div>
        <div><span>{words.hand}</span>
          <Choice name="hand" words={[['left', words.left], ['right', words.right]]} /></div>
        <div><span>{words.size}</span>
          <Choice name="size" words={[['normal', words.normal], ['large', words.large]]} /></div>
        <div><span>{words.device}</span>
          <button id="showBuild" onClick={() => { close('settings'); openBuild(); }}>{words.build}</button>{' '}
          <button id="clean" onClick={() => { close('settings'); lockForCleaning(); }}>{words.clean}</button>{' '}
          <button id="lockScreen" hidden={!known.value} onClick={() => lock(false)}>{words.lockScreen}</button></div>
        <p id="signWords">{signWords.value}</p>
      </div>
      <Close />
    </dialog>
  );
}
