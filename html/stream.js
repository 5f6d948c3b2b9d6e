// The connection to Spotter: a WebSocket, or a streaming fetch where WebSockets do not get through.
// It never gives up: it backs off, says so through onState, and tries again.

import { address } from './address.js';
import { on } from './dom.js';

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5000;
const SILENCE_MS = 5000; // Spotter speaks at least once a second
const RETURN_MS = 10000; // from the stream to a WebSocket that got through before
const LONGEST = 64 * 1024 * 1024;

const text = new TextDecoder();

/** One message: u32 JSON length, u32 JPEG length, JSON, JPEG. */
function parse(bytes) {
	const head = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const jsonLength = head.getUint32(0, true);
	const jpegLength = head.getUint32(4, true);
	if (8 + jsonLength + jpegLength !== bytes.byteLength) throw new Error('message length does not match');
	const body = JSON.parse(text.decode(bytes.subarray(8, 8 + jsonLength)));
	return { scene: body.scene ?? null, status: body.status ?? null, jpeg: bytes.subarray(8 + jsonLength) };
}

/** Cuts a byte stream into messages, whatever the pieces it arrives in. */
export class Splitter {
	#bytes = new Uint8Array(256 * 1024);
	#length = 0;

	push(piece, deliver) {
		if (this.#length + piece.length > this.#bytes.length) {
			const larger = new Uint8Array(2 * (this.#length + piece.length));
			larger.set(this.#bytes.subarray(0, this.#length));
			this.#bytes = larger;
		}
		this.#bytes.set(piece, this.#length);
		this.#length += piece.length;

		let start = 0;
		while (this.#length - start >= 8) {
			const head = new DataView(this.#bytes.buffer, start, 8);
			const size = 8 + head.getUint32(0, true) + head.getUint32(4, true);
			if (size > LONGEST) throw new Error('message too long');
			if (this.#length - start < size) break;
			deliver(parse(this.#bytes.slice(start, start + size)));
			start += size;
		}
		this.#bytes.copyWithin(0, start, this.#length);
		this.#length -= start;
	}
}

export class Stream {
	transport = 'WebSocket' in window ? 'websocket' : 'fetch';
	#attempt = null;
	#socketFailures = 0;
	#socketWorked = false;
	#retryMs = RETRY_MIN_MS;
	#lastHeard = 0;
	#timer = 0;

	/** `onState({open, retryAt, reason})`: retryAt is on the performance.now() scale. */
	constructor({ onMessage, onState }) {
		Object.assign(this, { onMessage, onState });
		setInterval(() => this.#watch(), 1000);
		const now = () => {
			if (!this.#attempt) this.#connect();
		};
		on(window, 'online', now);
		on(document, 'visibilitychange', () => {
			if (!document.hidden) now();
		});
		this.#connect();
	}

	#connect() {
		clearTimeout(this.#timer);
		this.#lastHeard = performance.now();
		this.#attempt = this.transport === 'websocket' ? this.#socket() : this.#fetch();
	}

	#socket() {
		const abort = new AbortController();
		const attempt = { opened: false, stop: () => abort.abort() };
		(async () => {
			const url = address('api/live');
			url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
			// No header of ours goes with a WebSocket: a ticket, which other sites cannot read, tells whose page this is.
			const answer = await fetch(address('api/v1/ticket'), { signal: abort.signal, cache: 'no-store' });
			if (answer.ok) url.searchParams.set('ticket', (await answer.json()).ticket);
			if (attempt !== this.#attempt) return;
			const socket = new WebSocket(url);
			attempt.stop = () => socket.close();
			socket.binaryType = 'arraybuffer';
			socket.onopen = () => {
				attempt.opened = true;
				this.#socketFailures = 0;
				this.#socketWorked = true;
				this.#opened(attempt);
			};
			socket.onmessage = (event) =>
				this.#guard(attempt, () => this.#receive(attempt, parse(new Uint8Array(event.data))));
			socket.onclose = () => this.#ended(attempt);
		})().catch(() => this.#ended(attempt));
		return attempt;
	}

	#fetch() {
		const abort = new AbortController();
		const attempt = { opened: false, stop: () => abort.abort() };
		(async () => {
			const answer = await fetch(address('api/live'), { signal: abort.signal, cache: 'no-store' });
			if (answer.status === 401 && answer.headers.get('WWW-Authenticate')?.startsWith('Bearer')) {
				// Spotter itself asks for its token, not a camera for a password.
				location.replace(address('signin.html'));
				return;
			}
			if (!answer.ok || !answer.body) {
				const problem = await answer.json().catch(() => ({}));
				throw new Error(problem.detail || problem.title || `HTTP status ${answer.status}`);
			}
			attempt.opened = true;
			this.#opened(attempt);
			const splitter = new Splitter();
			const reader = answer.body.getReader();
			for (;;) {
				const { done, value } = await reader.read();
				if (done) break;
				splitter.push(value, (message) => this.#receive(attempt, message));
			}
		})().then(
			() => this.#ended(attempt),
			(error) => {
				// A TypeError is the browser's "no network"; anything else is the server's own word.
				this.#ended(attempt, error instanceof TypeError || error.name === 'AbortError' ? null : error.message);
			},
		);
		return attempt;
	}

	#guard(attempt, action) {
		try {
			action();
		} catch (error) {
			attempt.stop();
			this.#ended(attempt, error.message);
		}
	}

	#opened(attempt) {
		if (attempt !== this.#attempt) return;
		this.onState({ open: true, retryAt: null, reason: null });
		// WebSockets that fail while Spotter restarts are not refused: the better way gets one more try.
		if (this.transport === 'fetch' && this.#socketWorked) setTimeout(() => this.#return(attempt), RETURN_MS);
	}

	#return(attempt) {
		if (attempt !== this.#attempt) return;
		this.transport = 'websocket';
		this.#socketFailures = 1;
		this.#socketWorked = false;
		this.#attempt = null;
		attempt.stop();
		this.#connect();
	}

	#receive(attempt, message) {
		if (attempt !== this.#attempt) return;
		this.#lastHeard = performance.now();
		this.#retryMs = RETRY_MIN_MS;
		this.onMessage(message);
	}

	#ended(attempt, reason = null) {
		if (attempt !== this.#attempt) return;
		this.#attempt = null;
		let wait = this.#retryMs;
		if (this.transport === 'websocket') {
			if (!attempt.opened && ++this.#socketFailures >= 2) {
				this.transport = 'fetch';
				wait = 0;
			}
		} else if (!attempt.opened && 'WebSocket' in window) {
			// Neither gets through: Spotter is probably away, so let the better way have its turn again.
			this.transport = 'websocket';
			this.#socketFailures = 1;
		}
		if (wait) this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
		wait *= 0.9 + 0.2 * Math.random(); // many pages must not knock at the same moment
		this.#timer = setTimeout(() => this.#connect(), wait);
		this.onState({ open: false, retryAt: performance.now() + wait, reason });
	}

	#watch() {
		const attempt = this.#attempt;
		if (!attempt || performance.now() - this.#lastHeard < SILENCE_MS) return;
		attempt.stop();
		this.#ended(attempt);
	}
}
