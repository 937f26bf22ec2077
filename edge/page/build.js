// Description of the build and its slots.

import { language, text } from './words.js';

/** The build in the other slot of the main build, if that is in use and there is one. */
export function otherOf({ slots, builds }) {
  if (builds.some(({ name, in_use: used }) => used && name !== 'main')) return null;
  const roles = ['staged', 'previous'];
  return [slots?.a, slots?.b].find((build) => build && roles.includes(build.role));
}

/** Description of the build as terms and values. */
export function describe({ name, version, classes, base, adapter, precision, agreement, slots }, reload) {
  const percent = (part) => part.toLocaleString(language, { style: 'percent', maximumFractionDigits: 1 });
  const agrees = agreement && text.agrees(percent(agreement.mean_iou), percent(agreement.min_iou), agreement.masks);
  const terms = [
    [text.name, `${name} ${version}`], [text.classes, classes.join(', ') || text.anyStructure],
    [text.adapter, adapter ?? text.none], [text.base, base],
    [text.precision, [text.bits[precision], ...(agrees ? [agrees] : [])].join('; ')],
    ...['a', 'b'].filter((slot) => slots?.[slot]).map((slot) => {
      const { name: build, version: of, role } = slots[slot];
      return [`${text.slot} ${slot.toUpperCase()}`, `${build} ${of}: ${text.role[role]}`];
    }),
    ...(reload?.reason ? [[text.reload.failed, reload.reason]] : []),
  ];
  return terms.flat().map((words, index) => {
    const line = document.createElement(index % 2 ? 'dd' : 'dt');
    line.textContent = words;
    return line;
  });
}
