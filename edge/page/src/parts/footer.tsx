// The footer: age of the image, the device, signs beside its clock, intended use.

import { computed } from '@preact/signals';
import { type SignName, signs, signWords } from '../signs';
import { ageMs, deviceWords, lastStatus, now, showNotice, situation, status } from '../store';
import { language, text } from '../texts/words';
import { user } from '../users';
import { Icon } from './icon';

const clock = computed(() => (lastStatus.value && now.value
  ? new Date().toLocaleTimeString(language.value, { hour: '2-digit', minute: '2-digit', hour12: false }) : ''));

const ageWords = computed(() => {
  if (ageMs.value === null) return '';
  const age = text().age((ageMs.value / 1000).toFixed(1));
  return situation.value === 'frozen' ? `${age} · ${text().frozen}` : age;
});

/** The footer is too low for a button: a tap shows its signs in words, which the settings have, too. */
export function Footer() {
  const { degradation, reload } = lastStatus.value ?? {};
  // Small screens show the line about the device only if it has news.
  const hasNews = (degradation?.level ?? 0) > 0 || (reload?.state ?? 'idle') !== 'idle';
  return (
    // biome-ignore lint/a11y: see above.
    <footer onClick={() => showNotice(signWords.value)}>
      <span id="age">{ageWords.value}</span>
      <div data-news={hasNews ? '' : undefined}><h1>Med-SA</h1> <span id="status">{deviceWords.value}</span></div>
      <div id="signs">
        <SignOf name="broker" /><SignOf name="disk" /><SignOf name="battery" />
        <span id="who">{user.value}</span><time>{clock.value}</time>
      </div>
      <strong id="notDiagnostic" hidden={status.value?.diagnostic === true}>{text().notDiagnostic}</strong>
    </footer>
  );
}

function SignOf({ name }: { name: SignName }) {
  const sign = signs.value.find(([other]) => other === name);
  if (!sign) return <span id={name} role="img" />;
  const [, words, short, warns] = sign;
  return <span id={name} role="img" class={warns ? 'warns' : ''} aria-label={words}><Icon name={name} /><b>{short}</b></span>;
}
