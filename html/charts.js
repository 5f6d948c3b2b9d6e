// Charts of how Spotter has been doing: lines over the last ten minutes, and how long frames took in each stage.

import { Rows, element, set, svg, trace } from './dom.js';
import { count, fixed } from './numbers.js';

const WIDTH = 600; // samples, one a second
const HEIGHT = 60;
const LEAST_BARS = 14; // two decades of time

const megabytes = (bytes) => fixed(bytes == null ? null : bytes / 1e6);
const percent = (share) => fixed(share == null ? null : 100 * share, 0);
const time = (ms) => (ms >= 1000 ? `${ms / 1000} s` : ms < 0.1 ? `${Math.round(1000 * ms)} µs` : `${ms} ms`);

/** By title: the least top of the scale, the lines of the history, and how their newest values are written. */
const CHARTS = {
	'Frames a second': [
		10,
		({ fps }) => [fps.capture, fps.inference],
		([capture, inference]) => `${fixed(capture)} in, ${fixed(inference)} seen`,
	],
	Inference: [
		5,
		({ stages: { inference } }) => [inference.p95_ms, inference.p50_ms],
		([p95, p50]) => `p50 ${fixed(p50)}, p95 ${fixed(p95)} ms`,
	],
	'Time in the model': [1, (history) => [history.inference_share], ([share]) => `${percent(share)} %`],
	Processor: [1, ({ cpu }) => [cpu], ([share]) => `${percent(share)} % of a core`],
	Memory: [32e6, (history) => [history.resident_bytes], ([bytes]) => `${megabytes(bytes)} MB`],
	'Dropped a second': [5, ({ dropped }) => [dropped], ([dropped]) => fixed(dropped, 0)],
	Temperature: [80, (history) => [history.temperature_c], ([celsius]) => `${fixed(celsius)} °C`],
};

export class Charts {
	#rows;

	constructor(list) {
		this.#rows = new Rows(list, (title) => chartRow(title, ['line-0', 'line-1']));
	}

	render(history) {
		this.#rows.show(Object.keys(CHARTS), (row, title) => {
			const [most, linesOf, write] = CHARTS[title];
			const lines = linesOf(history).map((line) => line ?? []);
			const there = (value) => value != null;
			row.node.hidden = !lines.flat().some(there);
			if (row.node.hidden) return;
			const top = Math.max(most, 1.1 * Math.max(...lines.flat().filter(there)));
			const y = (value) => HEIGHT - 1 - (HEIGHT - 3) * Math.min(1, value / top);
			set(row.value, write(lines.map((line) => line.findLast(there))));
			row.picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
			row.paths.forEach((path, n) => path.setAttribute('d', trace(lines[n] ?? [], WIDTH, y)));
		});
	}
}

/** A bar for each bucket of time, over one axis for all stages. */
export class StageTimes {
	#rows;
	#ticks;

	constructor(list, ticks) {
		this.#rows = new Rows(list, (stage) => chartRow(stage, ['grid', 'bars']));
		this.#ticks = ticks;
	}

	/** Of these histograms of Spotter; `stages` are those of the status. */
	render({ upper_ms: upper, counts }, stages) {
		const shown = axis(upper, Object.values(counts));
		if (!shown) return;
		const { from, to, ticks } = shown;
		const wide = to - from;
		const grid = ticks.map(({ at }) => `M${at.toFixed(2)} 0V${HEIGHT}`).join('');
		this.#rows.show(Object.keys(counts), (row, stage) => {
			const frames = counts[stage];
			const most = Math.max(1, ...frames);
			const y = (n) => (HEIGHT - Math.max(2, ((HEIGHT - 2) * n) / most)).toFixed(1);
			const bar = (n, at) => (n ? `M${at + 0.06} ${HEIGHT}V${y(n)}h.88V${HEIGHT}z` : '');
			row.picture.setAttribute('viewBox', `0 0 ${wide} ${HEIGHT}`);
			row.paths[0].setAttribute('d', grid);
			row.paths[1].setAttribute('d', frames.slice(from, to).map(bar).join(''));
			const { p50_ms: p50, p95_ms: p95 } = stages?.[stage] ?? {};
			set(row.count, ` ${count(frames.reduce((sum, n) => sum + n, 0))}`);
			set(row.value, `p50 ${fixed(p50, p50 < 1 ? 2 : 1)}, p95 ${fixed(p95, p95 < 1 ? 2 : 1)} ms`);
		});
		this.#ticks.replaceChildren(
			...ticks.map(({ ms, at }) => {
				const tick = element('span', time(ms));
				tick.style.left = `${(100 * at) / wide}%`;
				return tick;
			}),
		);
	}
}

/** Which buckets are shown, and the times below them, by the logarithm of time. Null where nothing was counted. */
export function axis(upper, counts) {
	const used = upper.map((_, at) => at).filter((at) => counts.some((frames) => frames[at] > 0));
	if (!used.length) return null;
	let [from, to] = [used[0], used.at(-1) + 1];
	while (to - from < LEAST_BARS && (from > 0 || to < upper.length)) {
		[from, to] = [Math.max(0, from - 1), Math.min(upper.length, to + 1)];
	}
	// The left edge of bucket n is the limit of the one before.
	const at = (ms) => 1 + Math.log2(ms / upper[0]) / Math.log2(upper[1] / upper[0]) - from;
	const decades = [-2, -1, 0, 1, 2, 3].filter((power) => at(10 ** power) >= 0 && at(10 ** power) < to - from - 1);
	const few = decades.filter((power) => decades.length < 4 || power % 2 === 0).map((power) => 10 ** power);
	return { from, to, ticks: few.map((ms) => ({ ms, at: at(ms) })) };
}

/** A title, a value, and a picture that stretches, with a path of each class. */
function chartRow(title, classes) {
	const paths = classes.map((name) => svg('path', { class: name }));
	const picture = svg('svg', { preserveAspectRatio: 'none', 'aria-hidden': true }, ...paths);
	const [sum, value] = ['small', 'b'].map((name) => element(name));
	const node = element('li', element('p', element('span', title, sum), value), picture);
	return { node, picture, paths, count: sum, value };
}
