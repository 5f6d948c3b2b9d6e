// What is known of the camera, and which of its devices runs the model, and why the others do not.

import { change } from './address.js';
import { Part, element, on, set } from './dom.js';

export class Camera extends Part {
	#shown = ''; // built anew when it changes
	#editable = false;
	#busy = false;

	constructor(parts, onRefused) {
		super(parts);
		this.onRefused = onRefused;
		on(parts.retry, 'click', () => this.#retry());
	}

	render({ status, editable }) {
		this.#editable = editable;
		this.#enable();
		const { camera: known } = status ?? {};
		const { camera, os, soc, devices, none, again } = this.parts;
		camera.hidden = !known;
		const shown = JSON.stringify(known);
		if (!known || shown === this.#shown) return;
		this.#shown = shown;
		set(os, known.axis_os ?? 'unknown');
		set(soc, known.soc ?? 'unknown');
		devices.replaceChildren(
			...known.devices.map(({ name, state, says, why }) =>
				element(`li.${state}`, element('b', name), ` ${says}`, ...(why ? [element('small', why)] : [])),
			),
		);
		none.hidden = known.devices.length > 0;
		again.hidden = !known.can_try_again;
	}

	#enable() {
		this.parts.retry.disabled = !this.#editable || this.#busy;
	}

	async #retry() {
		if (this.#busy) return;
		const { said } = this.parts;
		this.#busy = true;
		this.#enable();
		set(said, 'Asking …');
		try {
			const answer = await change('admin/model/retry', { method: 'POST' });
			set(said, answer.ok ? 'They are tried again with the next picture.' : `Not tried: ${answer.why}`);
			if (!answer.ok) this.onRefused(answer.status);
		} catch {
			set(said, 'Not tried: Spotter did not answer.');
		}
		this.#busy = false;
		this.#enable();
	}
}
