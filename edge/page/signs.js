// Signs of the device beside its clock: connection to the broker, space on the disk, battery.

import { setIcon } from './icons.js';
import { language, number, setText, text } from './words.js';

const LOW_DISK_GB = 2;
const LOW_PERCENT = 20;

/** Signs as [name, words, short text, whether it warns]; without those that this device lacks. */
export function signsOf({ broker, disk_free_gb: free, battery }) {
  const signs = [['broker', text.broker[broker], '', broker !== 'connected']];
  if (free !== null) signs.push(['disk', text.diskFree(number(free, 1)), '', free < LOW_DISK_GB]);
  if (battery) {
    const { percent, mains } = battery;
    signs.push(['battery', text.battery(percent, mains), `${percent} %`, percent < LOW_PERCENT && !mains]);
  }
  return signs;
}

/** Shows the signs and the time; returns the signs in words. */
export function showSigns(group, status) {
  const signs = signsOf(status);
  for (const [name, words, short, warns] of signs) {
    const sign = group.querySelector(`#${name}`);
    setIcon(sign, name);
    const label = sign.querySelector('b') ?? sign.appendChild(document.createElement('b'));
    setText(label, short);
    sign.setAttribute('aria-label', words);
    sign.classList.toggle('warns', warns);
  }
  const time = new Date().toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit', hour12: false });
  setText(group.querySelector('time'), time);
  return signs.map(([, words]) => words).join(' · ');
}
