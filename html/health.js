// The card that shows how Spotter has been doing: the last ten minutes as lines, the log, the support bundle.

import { address, ask } from './address.js';
import { Charts, StageTimes } from './charts.js';
import { Part, element, on, set } from './dom.js';
import { counted, fixed } from './numbers.js';

const EVERY_MS = 2000;

const TROUBLES = 5;

export class Health extends Part {
	#status = null;
	#timer = 0;
	#charts;
	#times;

	constructor(parts) {
		super(parts);
		const { health, charts, times, ticks, logLevel, bundle } = parts;
		this.#charts = new Charts(charts);
		this.#times = new StageTimes(times, ticks);
		on(health, 'toggle', () => this.#again());
		on(document, 'visibilitychange', () => this.#again());
		on(logLevel, 'change', () => this.#log());
		// A Spotter that stands in front of a camera's password is asked with it; the link is the page's own.
		bundle.href = address('api/v1/bundle.zip').href;
	}

	render({ status }) {
		this.#status = status;
		const parts = this.parts;
		if (!status || !parts.health.open) return;
		const { source, backend, model, fps, state, message } = status;
		const retry = source.retry_in_ms && `, trying again in ${Math.ceil(source.retry_in_ms / 1000)} s`;
		set(parts.sourceState, `${source.state}${retry || ''}`);
		set(parts.sourceMore, source.message ?? `${fixed(fps.capture)} frames a second`);
		const trouble = { 'backend-failed': 'failed', compiling: 'loading the model' }[state];
		const well = model.missing ? 'no model' : fps.inference > 0 ? 'detecting' : 'waiting for frames';
		set(parts.backendState, trouble ?? well);
		set(parts.backendMore, trouble ? message : [backend.name, backend.detail].filter(Boolean).join(', '));
	}

	/** Looks now, and then again and again while the card is open and the page seen. */
	async #again() {
		clearTimeout(this.#timer);
		if (!this.parts.health.open || document.hidden) return;
		this.render({ status: this.#status });
		await Promise.all([this.#history(), this.#troubles(), this.#log()]);
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#again(), EVERY_MS);
	}

	async #history() {
		try {
			const history = await ask('api/v1/stats?minutes=10');
			this.#charts.render(history);
			this.#times.render(history.histograms, this.#status?.stages);
			set(this.parts.said, '');
		} catch {
			set(this.parts.said, 'Spotter does not tell its history now.');
		}
	}

	/** The last errors and warnings, each once, and how many there were. */
	async #troubles() {
		try {
			const { lines, counts } = await ask('api/v1/log?level=warning');
			const rows = new Map();
			for (const line of lines) {
				const before = rows.get(line.text)?.count ?? 0;
				rows.delete(line.text); // said last, shown first
				rows.set(line.text, { ...line, count: before + line.count });
			}
			const { troubles, troublesSum } = this.parts;
			troubles.replaceChildren(...[...rows.values()].slice(-TROUBLES).reverse().map(logLine));
			const { error, warning } = counts;
			const sum = `${counted(error, 'error')}, ${counted(warning, 'warning')}`;
			set(troublesSum, error + warning ? sum : 'none since the start');
		} catch {
			// The next look may succeed; what was read stays.
		}
	}

	async #log() {
		const { health, log: list, logLevel, logNone } = this.parts;
		if (!health.open) return;
		try {
			const { lines } = await ask(`api/v1/log?level=${logLevel.value}`);
			const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
			list.replaceChildren(...lines.slice(-100).map(logLine));
			if (atEnd) list.scrollTop = list.scrollHeight;
			logNone.hidden = lines.length > 0;
		} catch {
			// As above.
		}
	}
}

function logLine({ time: said, level, text, count: times }) {
	const words = element('span', times > 1 ? `${text} (${times} times)` : text);
	const row = element('li', element('time', said.slice(11, 19)), words);
	row.dataset.level = level;
	return row;
}
