// Which chips the model suits, and why not.

import { $, element, set } from './dom.js';

const WORDS = { pass: '✓ well', warn: '! warnings', fail: '✕ no' };

/** Shows what `GET model` says of it. */
export function showSuits(suitability) {
  const { chips = [], note = null } = suitability ?? {};
  $('suits').hidden = !suitability;
  $('suits-list').replaceChildren(...chips.map(({ title, verdict, rules }) => {
    const word = element('b', verdict, WORDS[verdict]);
    if (!rules.length) return element('li', '', element('p', '', element('span', '', title), word));
    const reasons = element('ul', '', ...rules.map(({ message }) => element('li', '', message)));
    return element('li', '', element('details', '', element('summary', '', element('span', '', title), word), reasons));
  }));
  set($('suits-note'), note ?? '');
}

/** The verdict of the chip that runs it, as a sentence; '' where there is none. */
export function sentence(suitability) {
  const own = suitability?.chips.find((one) => one.chip === suitability.chip);
  if (!own) return suitability?.note ? `${suitability.note}.` : '';
  const { title } = own;
  const words = { pass: `It suits ${title}`, warn: `It runs on ${title} with warnings`, fail: `It does not suit ${title}` };
  return `${[words[own.verdict], own.rules[0]?.message].filter(Boolean).join(': ')}.`;
}
