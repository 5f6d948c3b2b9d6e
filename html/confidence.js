// The confidence slider: one of the settings, shown with the scores of what is in the picture.

import { svg } from './dom.js';
import { colour } from './scene.js';

export class Confidence {
  #dragging = false;
  #marks = [];
  #allowed = false;
  #value = null; // may lie outside the slider's range when Spotter was started with such a one

  /** `onInput(confidence)` when a person moves it. */
  constructor({ input, output, scores, onInput }) {
    Object.assign(this, { input, output, scores });
    input.addEventListener('input', () => onInput(Number(input.value)));
    input.addEventListener('pointerdown', () => { this.#dragging = true; });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture', 'blur']) {
      input.addEventListener(end, () => { this.#dragging = false; });
    }
  }

  /** What the settings say. */
  show(confidence) {
    if (typeof confidence !== 'number' || confidence === this.#value) return;
    this.#value = confidence;
    this.#enable();
    if (!this.#dragging) this.input.value = confidence;
    const { min, max } = this.input;
    this.output.textContent = confidence.toFixed(2);
    this.input.setAttribute('aria-valuetext', confidence.toFixed(2));
    this.input.style.setProperty('--at', String((this.input.value - min) / (max - min)));
  }

  /** Whether whoever looks may change it. */
  allow(allowed) {
    this.#allowed = allowed;
    this.#enable();
  }

  #enable() {
    this.input.disabled = !this.#allowed || this.#value === null;
  }

  /** A tick for the score of everything in the shown picture, so that the choice can be seen. */
  mark(kept, dropped) {
    const { min, max } = this.input;
    const boxes = [...dropped.filter((box) => box.short), ...kept].slice(-80);
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
