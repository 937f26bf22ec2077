// Signs of the device beside its clock: connection to the broker, space on the disk, battery.

import { computed } from '@preact/signals';
import type { Status } from './device/messages';
import { deviceWords, lastStatus } from './store';
import { number, text } from './texts/words';

const LOW_DISK_GB = 2;
const LOW_PERCENT = 20;

export type SignName = 'broker' | 'disk' | 'battery';

type Sign = [name: SignName, words: string, short: string, warns: boolean];

/** Signs as name, words, short text, and whether it warns; without those that the device lacks. */
export function signsOf({ broker, disk_free_gb: free, battery }: Pick<Status, 'broker' | 'disk_free_gb' | 'battery'>): Sign[] {
  const signs: Sign[] = [['broker', text().broker[broker], '', broker !== 'connected']];
  if (free !== null) signs.push(['disk', text().diskFree(number(free, 1)), '', free < LOW_DISK_GB]);
  if (battery) {
    const { percent, mains } = battery;
    signs.push(['battery', text().battery(percent, mains), `${percent} %`, percent < LOW_PERCENT && !mains]);
  }
  return signs;
}

/** The signs to show. */
export const signs = computed(() => (lastStatus.value ? signsOf(lastStatus.value) : []));

/** The device and its signs in words. */
export const signWords = computed(() => deviceWords.value
  && `${deviceWords.value} · ${signs.value.map(([, words]) => words).join(' · ')}`);
