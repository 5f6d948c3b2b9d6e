// How fast it is: the delay from capture to screen with its last minute as a line, rates, and counts of frames.

import { Part, set, trace } from './dom.js';
import { count, fixed } from './numbers.js';

const TRACE_POINTS = 120;
const TRACE_STEP_MS = 500;
const RECENT = 15; // delays, of which the median is shown
const SCALES = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000];

export class Speed extends Part {
	#recent = [];
	#worst = null;
	#points = [];

	constructor(parts) {
		super(parts);
		setInterval(() => this.#step(), TRACE_STEP_MS);
	}

	/** Rates are those of the status, unless it is old: no rate is claimed then. */
	render({ status: { fps, frames }, fresh }) {
		const parts = this.parts;
		set(parts.fpsInference, fixed(fresh ? fps?.inference : null));
		set(parts.fpsCapture, fixed(fresh ? fps?.capture : null));
		set(parts.framesCaptured, count(frames?.captured));
		set(parts.framesInferred, count(frames?.inferred));
		set(parts.framesDropped, count(frames?.dropped));
	}

	/** The delay of a picture that is shown now, in ms; null where it is not known. */
	addDelay(delay) {
		if (delay === null) return;
		this.#recent.push(delay);
		if (this.#recent.length > RECENT) this.#recent.shift();
		this.#worst = Math.max(this.#worst ?? 0, delay);
	}

	#step() {
		const { latency, traceLine, traceScale } = this.parts;
		if (this.#worst === null) this.#recent = [];
		const sorted = [...this.#recent].sort((a, b) => a - b);
		set(latency, fixed(sorted[sorted.length >> 1], 0));
		this.#points.push(this.#worst);
		this.#worst = null;
		if (this.#points.length > TRACE_POINTS) this.#points.shift();
		if (document.hidden) return;
		const top = Math.max(0, ...this.#points);
		const scale = SCALES.find((s) => s >= 1.2 * top) ?? top;
		const y = (value) => 39 - 37 * Math.min(1, value / scale);
		traceLine.setAttribute('d', trace(this.#points, TRACE_POINTS, y));
		set(traceScale, scale >= 1000 ? `${scale / 1000} s` : `${scale} ms`);
	}
}
