// Spotter's clock as seen from here. The browser's wall clock may be wrong or jump, so local time is
// monotonic and the distance to Spotter's clock is measured.

import { address } from './address.js';

const ROUNDS = 4;
const REFRESH_MS = 30_000;

const local = () => performance.timeOrigin + performance.now();

export class Clock {
	#offset = null;
	#busy = false;

	/** `mayAsk` tells whether Spotter can be reached; `onStatus` gets every status read on the way. */
	constructor(mayAsk, onStatus) {
		this.mayAsk = mayAsk;
		this.onStatus = onStatus;
		setInterval(() => this.sync(), REFRESH_MS);
	}

	/** Spotter's time now in ms since 1970, or null while it is not known. */
	now() {
		return this.#offset === null ? null : local() + this.#offset;
	}

	async sync() {
		if (this.#busy || !this.mayAsk()) return;
		this.#busy = true;
		let best = null;
		try {
			for (let round = 0; round < ROUNDS; round++) {
				const t0 = local();
				const answer = await fetch(address('api/status'), { cache: 'no-store' });
				const t1 = local();
				if (!answer.ok) break;
				const status = await answer.json();
				if (!best || t1 - t0 < best.trip) best = { trip: t1 - t0, offset: status.now_ms - (t0 + t1) / 2 };
				this.onStatus(status);
			}
		} catch {
			// Spotter went away; the next round will tell.
		}
		if (best) this.#offset = best.offset;
		this.#busy = false;
	}

	/** A status that has just arrived: its time cannot lie ahead of ours, nor far behind. */
	check(statusNow) {
		const seen = statusNow - local();
		if (this.#offset === null || Math.abs(seen - this.#offset) > 2000) this.sync();
		else if (seen > this.#offset) this.#offset = seen;
	}
}
