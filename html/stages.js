// How long a frame takes, stage by stage: a bar each.

import { Rows, element, set } from './dom.js';
import { milliseconds } from './numbers.js';

const ORDER = ['capture', 'preprocess', 'inference', 'decode', 'publish'];

export class Stages {
	#rows;

	constructor({ stages }) {
		this.#rows = new Rows(stages, (name) => {
			const row = { p95: element('i.p95'), p50: element('i.p50'), value: element('b') };
			row.node = element('li', element('span', name), element('div.bar', row.p95, row.p50), row.value);
			return row;
		});
	}

	render({ status: { stages = {} } }) {
		const known = ORDER.filter((name) => stages[name]);
		const names = [...new Set([...known, ...Object.keys(stages)])];
		const longest = Math.max(0.01, ...names.map((name) => stages[name].p95_ms ?? 0));
		this.#rows.show(names, (row, name) => {
			const { p50_ms: p50, p95_ms: p95, p99_ms: p99 } = stages[name];
			row.p50.style.width = `${(100 * (p50 ?? 0)) / longest}%`;
			row.p95.style.width = `${(100 * (p95 ?? 0)) / longest}%`;
			set(row.value, `${milliseconds(p50)} / ${milliseconds(p95)} ms`);
			row.node.title = `${name}: p50 ${milliseconds(p50)} ms, p95 ${milliseconds(p95)} ms, p99 ${milliseconds(p99)} ms`;
		});
	}
}
