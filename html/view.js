// Draws one picture and the boxes that were found in that very picture.

import { applyThresholds, colour, ranked } from './scene.js';
import { SegmentationOverlay } from './segmentation.js';

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const GREY = { fill: 'rgb(58 64 69)', ink: '#ffffff' };

export class View {
	shown = null; // the frame that is drawn, and what is found in it
	#context;
	#picture = null;
	#scene = null;
	#widths = new Map();
	#font = '';
	#overlay = new SegmentationOverlay();

	constructor({ view: canvas, stage }, onResize) {
		Object.assign(this, { canvas, stage });
		this.#context = canvas.getContext('2d', { alpha: false });
		new ResizeObserver(onResize).observe(stage);
		// A move to a screen of another density changes no CSS size.
		const watchDensity = () => {
			const changed = () => {
				onResize();
				watchDensity();
			};
			matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener('change', changed, { once: true });
		};
		watchDensity();
	}

	/** A decoded picture and its scene; both are drawn together or not at all. */
	setPicture(picture, scene) {
		this.#picture?.close();
		this.#picture = picture;
		this.#scene = scene;
		const { frame } = scene;
		const aspect = (frame.display_width || frame.width) / (frame.display_height || frame.height);
		if (aspect !== this.aspect && aspect > 0) {
			this.aspect = aspect;
			this.stage.style.setProperty('--aspect', String(aspect));
		}
	}

	/** What is drawn is in `shown` then; false while there is nothing to draw. `inset` are corners of what is enlarged. */
	render({ settings, showDropped, inset }) {
		if (!this.#picture) return false;
		this.#fit();
		const { width, height } = this.canvas;
		const { kept, dropped } = applyThresholds(this.#scene, settings);
		const classes = ranked(this.#scene, settings);
		const segmentation = this.#scene.segmentation ?? null;
		this.shown = { frame: this.#scene.frame, kept, dropped, classes, segmentation };

		const context = this.#context;
		context.drawImage(this.#picture, 0, 0, width, height);
		const unit = devicePixelRatio || 1;
		const size = Math.round(Math.min(15, Math.max(11, width / unit / 62)) * unit);
		this.#useFont(`600 ${size}px ${FONT}`);
		const pen = { unit, size, line: Math.max(2, Math.min(3, width / unit / 380)) * unit, width, height, chips: [] };

		if (segmentation) this.#overlay.draw(context, segmentation, width, height);
		if (showDropped) for (const box of dropped) this.#outline(box, pen, true);
		for (const box of kept) this.#outline(box, pen, false);
		// Chips last, the surest first: a chip is never under a line and gets the best free place.
		const surest = (a, b) => b.score - a.score;
		for (const box of [...kept].sort(surest)) {
			this.#chip(box, box.label, box.score.toFixed(2), colour(box.index), pen, true);
		}
		// The class of the whole picture stands in its corner, like the label of a box that is all of it.
		const whole = { left: 0, top: 0, right: 1, bottom: 1 };
		const best = classes.find(({ sure }) => sure);
		if (best) this.#chip({ rect: whole }, best.label, best.score.toFixed(2), colour(best.index), pen, true);
		if (showDropped) {
			pen.size = Math.round(Math.max(10 * unit, 0.85 * size));
			this.#useFont(`500 ${pen.size}px ${FONT}`);
			for (const box of [...dropped].sort(surest))
				this.#chip(box, box.label, box.short ?? `– ${box.reason}`, GREY, pen, false);
		}
		if (inset) this.#enlarge(inset, pen);
		return true;
	}

	/** A part of the picture with its boxes, enlarged, in the corner that covers the least of it. */
	#enlarge(points, { unit, width, height }) {
		const [xs, ys] = [points.map(({ x }) => x * width), points.map(({ y }) => y * height)];
		const [left, top] = [Math.min(...xs), Math.min(...ys)];
		const [w, h] = [Math.max(Math.max(...xs) - left, 8), Math.max(Math.max(...ys) - top, 8)];
		const scale = Math.min((0.4 * width) / w, (0.5 * height) / h);
		const edge = 10 * unit;
		const x = left + w / 2 < width / 2 ? width - w * scale - edge : edge;
		const y = top + h / 2 < height / 2 ? height - h * scale - edge : edge;
		const context = this.#context;
		context.drawImage(this.canvas, left, top, w, h, x, y, w * scale, h * scale);
		context.lineWidth = 2 * unit;
		context.strokeStyle = '#ffd23f';
		context.strokeRect(x, y, w * scale, h * scale);
	}

	/** The canvas in whole device pixels, as large as the stage allows at the picture's aspect. */
	#fit() {
		const unit = devicePixelRatio || 1;
		const { clientWidth, clientHeight } = this.stage;
		const cssWidth = Math.min(clientWidth, clientHeight * this.aspect);
		const width = Math.max(1, Math.round(cssWidth * unit));
		const height = Math.max(1, Math.round((cssWidth / this.aspect) * unit));
		if (this.canvas.width !== width || this.canvas.height !== height) {
			this.canvas.width = width;
			this.canvas.height = height;
			this.canvas.style.width = `${width / unit}px`;
			this.canvas.style.height = `${height / unit}px`;
			this.#context.imageSmoothingQuality = 'medium';
			this.#font = '';
		}
	}

	#useFont(font) {
		if (font === this.#font) return;
		this.#font = font;
		this.#context.font = font;
		this.#context.textBaseline = 'middle';
	}

	#measure(text) {
		const key = `${this.#font}|${text}`;
		let width = this.#widths.get(key);
		if (width === undefined) {
			if (this.#widths.size > 2000) this.#widths.clear();
			width = this.#context.measureText(text).width;
			this.#widths.set(key, width);
		}
		return width;
	}

	#place(box, pen) {
		const inset = pen.line / 2 + pen.unit;
		const clamp = (value, most) => Math.min(most - inset, Math.max(inset, value * most));
		const x = clamp(box.rect.left, pen.width);
		const y = clamp(box.rect.top, pen.height);
		return { x, y, w: clamp(box.rect.right, pen.width) - x, h: clamp(box.rect.bottom, pen.height) - y };
	}

	#outline(box, pen, dropped) {
		const context = this.#context;
		const { x, y, w, h } = this.#place(box, pen);
		const path = () => {
			context.beginPath();
			context.roundRect(x, y, Math.max(w, 0), Math.max(h, 0), Math.min(3 * pen.unit, w / 4, h / 4));
			context.stroke();
		};
		if (dropped) {
			const dash = 5 * pen.unit;
			context.lineWidth = 1.5 * pen.unit;
			context.setLineDash([dash, dash]);
			context.strokeStyle = 'rgb(20 24 28 / 0.85)';
			path();
			context.lineDashOffset = dash;
			context.strokeStyle = 'rgb(225 230 234 / 0.95)';
			path();
			context.setLineDash([]);
			context.lineDashOffset = 0;
			return;
		}
		// A dark rim and a light halo: one of them stands out from any background.
		context.lineWidth = pen.line + 3.5 * pen.unit;
		context.strokeStyle = 'rgb(0 0 0 / 0.3)';
		path();
		context.lineWidth = pen.line + 2 * pen.unit;
		context.strokeStyle = 'rgb(255 255 255 / 0.9)';
		path();
		context.lineWidth = pen.line;
		context.strokeStyle = colour(box.index).fill;
		path();
	}

	/** A label that stays inside the picture. Where all places are taken, only a `needed` one is drawn. */
	#chip(box, label, rest, { fill, ink }, pen, needed) {
		const context = this.#context;
		const pad = Math.round(pen.size * 0.4);
		const height = Math.round(pen.size * 1.5);
		const most = Math.max(0.5 * pen.width, Math.min(pen.width, 260 * pen.unit)) - 2 * pad - 2 * pen.unit;
		const shown = this.#shorten(label, rest, most);
		const width = Math.ceil(this.#measure(shown)) + 2 * pad;
		const { x, y, w, h } = this.#place(box, pen);
		const edge = pen.line / 2 + pen.unit;

		// Above the box, else inside it, below it, at its right; the first place that is free.
		const places = [
			[x - edge, y - height - edge],
			[x + edge, y + edge],
			[x - edge, y + h + edge],
			[x + w - width + edge, y - height - edge],
			[x + w - width - edge, y + edge],
			[x + edge, y + h - height - edge],
		]
			.map(([left, top]) => ({
				left: Math.round(Math.min(pen.width - width - pen.unit, Math.max(pen.unit, left))),
				top: Math.round(top),
				width,
				height,
			}))
			.filter((p) => p.top >= 0 && p.top + height <= pen.height);
		const apart = (a, b) =>
			a.left >= b.left + b.width ||
			b.left >= a.left + a.width ||
			a.top >= b.top + b.height ||
			b.top >= a.top + a.height;
		let place = places.find((p) => pen.chips.every((other) => apart(p, other)));
		if (!place && !needed) return;
		place ??= places[0] ?? { left: pen.unit, top: pen.unit, width, height };
		pen.chips.push(place);

		context.fillStyle = fill;
		context.beginPath();
		context.roundRect(place.left, place.top, width, height, 3 * pen.unit);
		context.fill();
		context.fillStyle = ink;
		context.fillText(shown, place.left + pad, place.top + height / 2 + pen.unit * 0.5);
	}

	/** Cuts the label, not the number behind it. */
	#shorten(label, rest, most) {
		const whole = `${label} ${rest}`;
		if (this.#measure(whole) <= most) return whole;
		let low = 0;
		let high = label.length;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.#measure(`${label.slice(0, middle).trimEnd()}… ${rest}`) <= most) low = middle;
			else high = middle - 1;
		}
		return `${label.slice(0, low).trimEnd()}… ${rest}`;
	}
}
