// The list of what is in the picture.

import { Rows, element, set } from './dom.js';
import { percent } from './numbers.js';
import { colour, count } from './scene.js';
import { legend } from './segmentation.js';
import { throttle } from './throttle.js';

const SPOKEN_EVERY_MS = 4000;
const NOTHING = '0'; // the key of a row that says so

export class Seen {
	#rows;
	#spoken = '';
	#speak;

	constructor({ seen, seenSpoken }) {
		this.#rows = new Rows(seen, createRow);
		this.#speak = throttle(() => set(seenSpoken, `In view: ${this.#spoken}`), SPOKEN_EVERY_MS);
	}

	render({ kept, dropped, classes, segmentation }, { showDropped }) {
		const { rows, spoken } = classes.length
			? classRows(classes)
			: segmentation
				? segmentRows(legend(segmentation))
				: labelRows(kept, showDropped ? dropped : []);
		this.#show(rows);
		this.#spoken = spoken;
		this.#speak();
	}

	#show(entries) {
		const keys = entries.map(({ key }) => key);
		this.#rows.show(keys, (row, _, place) => {
			const { style = '', index, share = 0, label, detail = '', value = '' } = entries[place];
			row.node.className = style;
			row.swatch.style.background = index == null ? '' : colour(index).fill;
			row.node.style.setProperty('--share', String(share));
			set(row.name, label);
			set(row.detail, detail);
			set(row.value, value);
		});
	}
}

function createRow(key) {
	const [swatch, name, detail, value] = ['i', 'span', 'small', 'b'].map((tag) => element(tag));
	const node = element('li', ...(key === NOTHING ? [] : [swatch]), name, detail, value);
	return { node, swatch, name, detail, value };
}

/** What a detector found: how many of each label, and of each reason to drop one. */
export function labelRows(kept, dropped) {
	const labels = count(kept);
	const rows = labels.map(({ label, index, count: n, best }) => ({
		key: `+${label}`,
		label,
		index,
		detail: `best ${best.toFixed(2)}`,
		value: String(n),
	}));
	const groups = new Map();
	for (const { group } of dropped) groups.set(group, (groups.get(group) ?? 0) + 1);
	for (const [group, n] of groups) rows.push({ key: `-${group}`, style: 'out', label: group, value: String(n) });
	if (!rows.length) rows.push({ key: NOTHING, style: 'none', label: 'Nothing at this confidence' });
	return { rows, spoken: labels.map(({ label, count: n }) => `${label} ${n}`).join(', ') || 'nothing' };
}

/** What a classifier makes of the whole picture: its best classes, with how sure it is of each. */
function classRows(classes) {
	const rows = classes.map(({ label, index, score, sure }, place) => ({
		key: `#${place}`,
		style: sure ? 'class' : 'class out',
		label,
		index,
		share: score,
		value: score.toFixed(2),
	}));
	const [best] = classes.filter(({ sure }) => sure);
	return { rows, spoken: best ? `${best.label} ${best.score.toFixed(2)}` : 'nothing at this confidence' };
}

/** What a segmentation model covers the picture with: the legend of the overlay. */
function segmentRows(segments) {
	const rows = segments.map(({ label, index, share, background }) => ({
		key: `=${index}`,
		style: background ? 'class out' : 'class',
		label,
		index: background ? null : index,
		share,
		value: percent(share),
	}));
	const named = segments.filter(({ background }) => !background);
	return { rows, spoken: named.map(({ label, share }) => `${label} ${percent(share)}`).join(', ') || 'nothing' };
}
