// Which chips the model suits, and why not.

import { Part, element, set } from './dom.js';

const WORDS = { pass: '✓ well', warn: '! warnings', fail: '✕ no' };

export class Suitability extends Part {
	render({ suitability: known }) {
		const { chips = [], note: noted } = known ?? {};
		const { suitability, list, note } = this.parts;
		suitability.hidden = !known;
		list.replaceChildren(...chips.map(chipRow));
		set(note, noted ?? '');
	}
}

function chipRow({ title, verdict, rules }) {
	const line = [element('span', title), element(`b.${verdict}`, WORDS[verdict])];
	if (!rules.length) return element('li', element('p', ...line));
	const reasons = element('ul', ...rules.map(({ message }) => element('li', message)));
	return element('li', element('details', element('summary', ...line), reasons));
}

/** The verdict of the chip that runs it, as a sentence; '' where there is none. */
export function sentence(suitability) {
	const own = suitability?.chips.find((one) => one.chip === suitability.chip);
	if (!own) return suitability?.note ? `${suitability.note}.` : '';
	const { title } = own;
	const words = {
		pass: `It suits ${title}`,
		warn: `It runs on ${title} with warnings`,
		fail: `It does not suit ${title}`,
	};
	return `${[words[own.verdict], own.rules[0]?.message].filter(Boolean).join(': ')}.`;
}
