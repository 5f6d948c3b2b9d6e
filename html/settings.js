// The settings: one document of Spotter's, changed here at once and there a moment later; undone and redone.

import { address, change } from './address.js';

const QUIET_MS = 80;
const ONE_CHANGE_MS = 800; // what is dragged or typed without a pause is one step back
const STEPS = 100;

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** RFC 7396: what `document` becomes by the patch. Where `document` is a patch itself, null stays: both as one. */
export function merged(document, patch, toPatch = false) {
	if (!isObject(patch) || (toPatch && !isObject(document))) return patch;
	const result = isObject(document) ? { ...document } : {};
	for (const [name, value] of Object.entries(patch)) {
		if (value === null && !toPatch) delete result[name];
		else result[name] = merged(result[name], value, toPatch);
	}
	return result;
}

/** The patch that makes `to` of `from`; null where they are the same. */
export function difference(from, to) {
	const patch = {};
	for (const name of new Set([...Object.keys(from ?? {}), ...Object.keys(to ?? {})])) {
		const [before, after] = [from?.[name], to?.[name]];
		if (same(before, after)) continue;
		patch[name] = after === undefined ? null : isObject(before) && isObject(after) ? difference(before, after) : after;
	}
	return Object.keys(patch).length ? patch : null;
}

/** What is wrong with a value by its JSON Schema, as far as types, ranges and choices go; '' where nothing is. */
export function schemaError(schema, value, path = '') {
	const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
	const must = (what) => `${path || 'settings'} must be ${what}, not ${JSON.stringify(value).slice(0, 60)}`;
	if (schema.type && !schema.type.includes(kind)) return must(`of type ${[schema.type].flat().join(' or ')}`);
	if (kind === 'number' && (value < schema.minimum || value > schema.maximum))
		return must(`from ${schema.minimum} to ${schema.maximum}`);
	if (schema.enum && !schema.enum.includes(value)) return must(schema.enum.join(', '));
	for (const [key, member] of Object.entries(value !== null && typeof value === 'object' ? value : {})) {
		const of = schema.items ?? schema.properties?.[key] ?? schema.additionalProperties;
		const wrong = of && schemaError(of, member, schema.items ? `${path}[${key}]` : path ? `${path}.${key}` : key);
		if (wrong) return wrong;
	}
	return '';
}

function pause(ms) {
	return new Promise((done) => {
		setTimeout(done, ms);
	});
}

export class Settings {
	document = null;
	#etag = null; // of the document as Spotter has it
	#asking = false;
	#past = [];
	#future = [];
	#topic = '';
	#changedAt = 0;
	#wanted = null; // what is still to be sent
	#sending = false;
	#timer = 0;
	#whole = new WeakSet(); // documents that came as a whole: a patch may not name all that is in them
	#heldUntil = 0; // what was said before our own change took effect is old news

	/**
	 * `onChange(document)` whenever it changes; `onSaving({ text, failed, done })` what became of a change; `now()` is
	 * Spotter's clock; `onRefused(status)` where a change was refused.
	 */
	constructor({ onChange, onSaving, onRefused, now }) {
		Object.assign(this, { onChange, onSaving, onRefused, now });
	}

	get topic() {
		return this.#topic;
	}
	get busy() {
		return this.#wanted !== null || this.#sending;
	}
	get canUndo() {
		return this.#past.length > 0;
	}
	get canRedo() {
		return this.#future.length > 0;
	}

	/** What a status says of the settings: where they are others than here, they are fetched. */
	async refresh(summary, statusNow) {
		const etag = summary?.etag;
		if (!etag || etag === this.#etag || this.busy || this.#asking || statusNow < this.#heldUntil) return;
		this.#asking = true;
		await this.#fetch();
		this.#asking = false;
	}

	async #fetch() {
		try {
			const answer = await fetch(address('api/settings'), { cache: 'no-store' });
			const document = answer.ok ? await answer.json() : null;
			if (document && !this.busy) this.#take(document, answer);
		} catch {
			// The next status says it again.
		}
	}

	#take(document, answer) {
		this.#etag = (answer.headers.get('ETag') ?? '').replaceAll('"', '') || null;
		if (same(document, this.document)) return;
		this.document = document;
		this.onChange(document);
	}

	/**
	 * A change by the person at this page, as a merge patch. Changes of one topic without a pause are undone at once.
	 */
	change(patch, topic) {
		if (!this.document) return;
		const before = this.document;
		const after = merged(before, patch);
		if (same(before, after)) return;
		const goesOn = topic === this.#topic && performance.now() - this.#changedAt < ONE_CHANGE_MS;
		if (!goesOn) this.#past = [...this.#past, before].slice(-STEPS);
		this.#topic = topic;
		this.#changedAt = performance.now();
		this.#future = [];
		this.#become(after, patch);
	}

	undo() {
		this.#step(this.#past, this.#future);
	}
	redo() {
		this.#step(this.#future, this.#past);
	}

	#step(from, to) {
		const document = from.pop();
		if (!document) return;
		to.push(this.document);
		this.#topic = '';
		const patch = difference(this.document, document);
		const whole = this.#whole.has(document) || this.#whole.has(this.document);
		if (patch && whole) this.#put(document);
		else if (patch) this.#become(document, patch);
		else this.onChange(this.document);
	}

	/** The document in a file in place of this one, if it is one by the schema. */
	async import(file, schema) {
		this.#topic = '';
		let wrong;
		try {
			const document = JSON.parse(await file.text());
			wrong = schema ? schemaError(schema, document) : '';
			if (!wrong) {
				this.onSaving({ text: 'Saving…', failed: false });
				await this.replace(document);
			}
		} catch {
			wrong = `${file.name} is no JSON; choose a file that was exported here`;
		}
		if (wrong) this.onSaving({ text: `Not imported: ${wrong}`, failed: true });
	}

	reset() {
		return this.#all(() => this.#ask({ method: 'DELETE' }));
	}

	replace(document) {
		return this.#all(() => this.#put(document, 'Not imported'));
	}

	/** A change of everything, as one step back. */
	async #all(ask) {
		if (!this.document) return;
		this.#topic = '';
		await this.#rest();
		const before = this.document;
		this.#past = [...this.#past, before].slice(-STEPS);
		this.#future = [];
		if (!(await ask()) || same(this.document, before)) this.#past.pop();
		this.onChange(this.document);
	}

	/** Sends a whole document, where the one before still is the one that is known here. */
	async #put(document, failure) {
		await this.#rest();
		if (!this.#etag) await this.#fetch();
		const headers = { 'If-Match': `"${this.#etag}"` };
		const taken = await this.#ask({ method: 'PUT', headers, json: document }, failure);
		if (taken) this.#whole.add(this.document);
		return taken;
	}

	/** Until what has been changed before is sent. */
	async #rest() {
		while (this.busy) {
			clearTimeout(this.#timer);
			await this.#send();
			if (this.#sending) await pause(20);
		}
	}

	#become(document, patch) {
		this.document = document;
		this.onChange(document);
		this.#wanted = this.#wanted ? merged(this.#wanted, patch, true) : patch;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#send(), QUIET_MS);
		this.onSaving({ text: 'Saving…', failed: false });
	}

	async #send() {
		if (this.#sending || this.#wanted === null) return;
		const patch = this.#wanted;
		this.#wanted = null;
		await this.#ask({ method: 'PATCH', json: patch });
		if (this.#wanted !== null) this.#send();
	}

	/** Sends a change. Whether it was taken; where it was not, that is told. */
	async #ask(request, failure = 'Not saved') {
		this.#sending = true;
		let said = { text: '', failed: false, done: true };
		let taken = false;
		try {
			const answer = await change('admin/settings', request);
			taken = answer.ok;
			// What is still to be sent is not taken back meanwhile.
			if (taken && this.#wanted === null) this.#take(answer.body, answer);
			if (!taken) {
				this.#etag = null;
				said = { text: `${failure}: ${answer.why}`, failed: true };
				this.onRefused(answer.status);
			}
		} catch {
			said = { text: `${failure}: no connection to Spotter`, failed: true };
		}
		// What was refused is taken back with the next status.
		this.#heldUntil = said.failed ? 0 : (this.now() ?? 0) + 50;
		this.#sending = false;
		if (this.#wanted === null) this.onSaving(said);
		return taken;
	}
}
