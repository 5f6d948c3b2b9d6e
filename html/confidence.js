// The confidence slider: one of the settings, shown with the scores of what is in the picture.

import { on, set, svg } from './dom.js';
import { known } from './numbers.js';
import { colour } from './scene.js';

export class Confidence {
	#dragging = false;
	#marks = [];

	/** `onInput(confidence)` when a person moves it. */
	constructor({ confidence: input, confidenceValue: output, confidenceNote: note, scores }, onInput) {
		Object.assign(this, { input, output, note, scores });
		on(input, 'input', () => onInput(Number(input.value)));
		on(input, 'pointerdown', () => {
			this.#dragging = true;
		});
		on(input, 'pointerup pointercancel lostpointercapture blur', () => {
			this.#dragging = false;
		});
	}

	/** The value may lie outside the slider's range when Spotter was started with such a one. */
	render({ settings, editable, saving }) {
		const value = settings?.confidence;
		this.input.disabled = !editable || !known(value);
		set(this.note, saving.failed && saving.topic === 'confidence' ? saving.text : '');
		if (!known(value)) return;
		if (!this.#dragging) this.input.value = value;
		const { min, max } = this.input;
		set(this.output, value.toFixed(2));
		this.input.ariaValueText = value.toFixed(2);
		this.input.style.setProperty('--at', String((this.input.value - min) / (max - min)));
	}

	/** A tick for the score of everything in the shown picture, so that the choice can be seen. */
	renderScores({ kept, classes, dropped }) {
		const { min, max } = this.input;
		const boxes = [...dropped.filter((box) => box.short), ...kept, ...classes].slice(-80);
		while (this.#marks.length < boxes.length) {
			this.#marks.push(this.scores.appendChild(svg('line', { y1: '0', y2: '100%' })));
		}
		this.#marks.forEach((mark, n) => {
			const box = boxes[n];
			mark.classList.toggle('off', !box);
			if (!box) return;
			const share = Math.min(1, Math.max(0, (box.score - min) / (max - min)));
			const x = `${(100 * share).toFixed(1)}%`;
			mark.setAttribute('x1', x);
			mark.setAttribute('x2', x);
			mark.setAttribute('stroke', box.short ? 'currentColor' : colour(box.index).fill);
		});
	}
}
