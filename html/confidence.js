// The confidence slider: acts on this page at once, on Spotter a moment later.

import { change } from './address.js';
import { colour } from './scene.js';

const QUIET_MS = 80;
const SVG = 'http://www.w3.org/2000/svg';

export class Confidence {
  #dragging = false;
  #timer = 0;
  #wanted = null; // what is still to be sent
  #sending = false;
  #heldUntil = 0; // settings from before our own change has taken effect are old news
  #marks = [];
  #allowed = false;

  constructor({ input, output, note, scores, now, onChange, onInput, onRefused }) {
    Object.assign(this, { input, output, note, scores, now, onChange, onInput, onRefused });
    input.addEventListener('input', () => {
      this.value = Number(input.value);
      this.#show();
      onChange(this.value);
      onInput(this.value);
      this.#wanted = this.value;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#send(), QUIET_MS);
    });
    input.addEventListener('pointerdown', () => { this.#dragging = true; });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture', 'blur']) {
      input.addEventListener(end, () => { this.#dragging = false; });
    }
  }

  value = null; // may lie outside the slider's range when Spotter was started with such a one

  /** What Spotter says its confidence is. */
  heard(confidence, statusNow) {
    if (typeof confidence !== 'number') return;
    if (this.#dragging || this.#wanted !== null || this.#sending || statusNow < this.#heldUntil) return;
    if (confidence === this.value) return;
    this.value = confidence;
    this.#enable();
    this.input.value = confidence;
    this.#show();
    this.onChange(this.value);
  }

  /** Whether whoever looks may change it. */
  allow(allowed) {
    this.#allowed = allowed;
    this.#enable();
  }

  #enable() {
    this.input.disabled = !this.#allowed || this.value === null;
  }

  async #send() {
    if (this.#sending || this.#wanted === null) return;
    const confidence = this.#wanted;
    this.#wanted = null;
    this.#sending = true;
    let note = '';
    try {
      const answer = await change('admin/settings', {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ confidence }),
      });
      if (!answer.ok) {
        const problem = await answer.json().catch(() => ({}));
        note = `Not saved: ${problem.detail || problem.title || `HTTP status ${answer.status}`}`;
        this.onRefused(answer.status);
      }
    } catch {
      note = 'Not saved: no connection to Spotter';
    }
    this.note.textContent = note;
    this.#heldUntil = note ? 0 : (this.now() ?? 0) + 50;
    this.#sending = false;
    if (this.#wanted !== null) this.#send();
  }

  #show() {
    const { min, max } = this.input;
    this.output.textContent = this.value.toFixed(2);
    this.input.setAttribute('aria-valuetext', this.value.toFixed(2));
    this.input.style.setProperty('--at', String((this.input.value - min) / (max - min)));
  }

  /** A tick for the score of everything in the shown picture, so that the choice can be seen. */
  mark(kept, dropped) {
    const { min, max } = this.input;
    const boxes = [...dropped.filter((box) => box.short), ...kept].slice(-80);
    while (this.#marks.length < boxes.length) {
      const mark = document.createElementNS(SVG, 'line');
      mark.setAttribute('y1', '0');
      mark.setAttribute('y2', '100%');
      this.#marks.push(this.scores.appendChild(mark));
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
