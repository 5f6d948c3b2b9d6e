// Zones: polygons on the picture inside of which, or outside of which, things count. Drawn and listed here.

import { Rows, element, input, on, put, set, svg } from './dom.js';

const MOST_POINTS = 32;
const STEP = 0.01;
const FINE = 0.002;
const ANCHORS = { 'bottom-centre': 'bottom centre', centre: 'centre', overlap: 'overlap' };

const FIRST = { left: 0.3, top: 0.3, right: 0.7, bottom: 0.8 };

const inside = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;

export class Zones {
	#zones = [];
	#selected = null; // index
	#drawing = null; // points of a zone that is being drawn
	#drag = null;
	#editable = false;
	#rows;
	#ranges = {}; // of its numbers, by name
	#enlarged = null; // name of the zone that is shown enlarged

	/** `onChange(zones, topic)` is told of every change made here, `onEnlarge(points or null)` of what is to be enlarged. */
	constructor({ canvas, overlay, list, add, draw, said, onChange, onEnlarge }) {
		Object.assign(this, { canvas, overlay, list, said, draw, add, onChange, onEnlarge });
		this.#rows = new Rows(list, (index) => this.#row(index));
		new ResizeObserver(() => this.#draw()).observe(canvas);
		on(add, 'click', () => this.#add(corners(FIRST)));
		on(draw, 'click', () => this.#begin(this.#drawing ? null : []));
		on(overlay, 'pointerdown', (event) => this.#pressed(event));
		on(overlay, 'pointermove', (event) => this.#moved(event));
		on(overlay, 'pointerup pointercancel', () => {
			this.#drag = null;
		});
		on(overlay, 'keydown', (event) => this.#key(event));
		on(document, 'keydown', (event) => {
			if (!this.#drawing) return;
			if (event.key === 'Escape') this.#begin(null);
			else if (event.key === 'Enter' && !event.target.closest('button')) this.#finish();
		});
	}

	setRanges(ranges) {
		this.#ranges = ranges;
	}

	setEditable(editable) {
		this.#editable = editable;
		if (editable) return;
		this.#selected = null;
		this.#drawing = null;
	}

	render(zones) {
		if (this.#drag) return;
		this.#zones = zones;
		if (this.#selected !== null && this.#selected >= this.#zones.length) this.#selected = null;
		this.#show();
	}

	#change(zones, topic) {
		this.#zones = zones;
		this.onChange(zones, topic);
		this.#show();
	}

	#with(index, fields, topic) {
		this.#change(this.#zones.with(index, { ...this.#zones[index], ...fields }), topic);
	}

	#add(points) {
		const names = new Set(this.#zones.map((zone) => zone.name));
		let number = 1;
		while (names.has(`zone ${number}`)) number += 1;
		this.#selected = this.#zones.length;
		this.#change([...this.#zones, { name: `zone ${number}`, kind: 'include', points }], 'zone added');
		this.#focusPoint(0);
	}

	#begin(points) {
		this.#drawing = points;
		this.#selected = null;
		set(this.draw, points ? 'Cancel' : 'Draw');
		set(this.said, points ? 'Click the corners on the picture. Enter, or a click on the first corner, ends it.' : '');
		this.#show();
	}

	#finish() {
		const points = this.#drawing;
		if (points.length < 3) {
			set(this.said, 'A zone has three corners at least.');
			return;
		}
		this.#begin(null);
		this.#add(points);
	}

	#at(event) {
		const { left, top, width, height } = this.canvas.getBoundingClientRect();
		return { x: inside((event.clientX - left) / width), y: inside((event.clientY - top) / height) };
	}

	#pressed(event) {
		if (!this.#editable || event.button !== 0) return;
		const { point, edge, zone } = event.target.dataset;
		if (this.#drawing) {
			event.preventDefault();
			if (point === '0') this.#finish();
			else {
				this.#drawing = [...this.#drawing, this.#at(event)];
				if (this.#drawing.length === MOST_POINTS) this.#finish();
				else this.#draw();
			}
		} else if (edge !== undefined) {
			this.#insert(Number(edge), this.#at(event));
			this.#grab(event, Number(edge) + 1);
		} else if (point !== undefined) {
			this.#grab(event, Number(point));
		} else if (zone !== undefined) {
			this.#select(Number(zone));
		} else {
			this.#select(null);
		}
	}

	#grab(event, point) {
		this.#drag = { point };
		this.overlay.setPointerCapture(event.pointerId);
	}

	#moved(event) {
		if (this.#drag) this.#move(this.#drag.point, this.#at(event));
	}

	#move(point, to) {
		const { points } = this.#zones[this.#selected];
		this.#with(this.#selected, { points: points.with(point, to) }, `zone ${this.#selected} point ${point}`);
	}

	#insert(edge, at) {
		const { points } = this.#zones[this.#selected];
		if (points.length >= MOST_POINTS) return;
		this.#with(this.#selected, { points: points.toSpliced(edge + 1, 0, at) }, 'point added');
	}

	#key(event) {
		const { point, edge } = event.target.dataset;
		if (this.#selected === null || (point === undefined && edge === undefined)) return;
		const { points } = this.#zones[this.#selected];
		const by = event.shiftKey ? FINE : STEP;
		const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
		if (edge !== undefined) {
			if (event.key !== 'Enter' && event.key !== ' ') return;
			event.preventDefault();
			event.stopPropagation();
			this.#insert(Number(edge), middle(points, Number(edge)));
			this.#focusPoint(Number(edge) + 1);
		} else if (way) {
			event.preventDefault();
			const { x, y } = points[point];
			this.#move(Number(point), { x: inside(x + way[0]), y: inside(y + way[1]) });
			this.#focusPoint(Number(point));
		} else if ((event.key === 'Delete' || event.key === 'Backspace') && points.length > 3) {
			event.preventDefault();
			this.#with(this.#selected, { points: points.toSpliced(Number(point), 1) }, 'point removed');
			this.#focusPoint(Math.max(0, Number(point) - 1));
		} else if (event.key === 'Escape') {
			this.#select(null);
		}
	}

	#focusPoint(point) {
		this.overlay.querySelector(`[data-point="${point}"]`)?.focus();
	}

	#select(index) {
		this.#selected = index;
		this.#show();
	}

	#show() {
		const enlarged = this.#zones.find((zone) => zone.name === this.#enlarged);
		if (!enlarged) this.#enlarged = null;
		this.onEnlarge(enlarged?.points ?? null);
		this.add.disabled = !this.#editable;
		this.draw.disabled = !this.#editable;
		this.#list();
		this.#draw();
	}

	#list() {
		this.#rows.show([...this.#zones.keys()], (row, index) =>
			this.#fill(row, this.#zones[index], index === this.#selected),
		);
	}

	#fill(row, zone, selected) {
		const { name, kind } = zone;
		const anchor = zone.anchor ?? 'bottom-centre';
		const confidence = zone.confidence ?? '';
		const labels = zone.labels?.join(', ') ?? '';
		const values = { name, kind, anchor, share: zone.share ?? 0.5, confidence, labels };
		for (const field of Object.keys(values)) put(row[field], values[field]);
		Object.assign(row.confidence, this.#ranges.confidence);
		Object.assign(row.share, this.#ranges.share);
		row.on.checked = zone.on !== false;
		row.shareLabel.hidden = anchor !== 'overlap';
		row.more.hidden = !selected;
		row.node.classList.toggle('selected', selected);
		row.edit.ariaPressed = selected;
		row.edit.ariaLabel = `Edit the corners of ${name}`;
		row.remove.ariaLabel = `Delete ${name}`;
		row.zoom.ariaPressed = name === this.#enlarged;
		row.zoom.ariaLabel = `Enlarge ${name}`;
		for (const control of row.node.querySelectorAll('input, select, button')) {
			control.disabled = !this.#editable && control !== row.zoom;
		}
	}

	#row(index) {
		const row = {
			on: input('checkbox', { ariaLabel: 'Enabled' }),
			name: input('text', { ariaLabel: 'Name of the zone', maxLength: 60, required: true }),
			kind: choice('Kind of the zone', { include: 'only inside', exclude: 'not inside' }),
			edit: button('Edit'),
			remove: button('✕'),
			zoom: button('Enlarge'),
			anchor: choice('Anchor', ANCHORS),
			confidence: input('number', { ariaLabel: 'Confidence in the zone', placeholder: 'as elsewhere' }),
			share: input('number', { ariaLabel: 'Share of the box inside the zone' }),
			labels: input('text', { ariaLabel: 'Labels, with commas between', placeholder: 'all' }),
		};
		row.shareLabel = element('label', 'Share inside ', row.share);
		row.more = element(
			'div.zone-more',
			element('label', 'Anchor point ', row.anchor),
			row.shareLabel,
			element('label', 'Confidence ', row.confidence),
			element('label', 'Labels ', row.labels),
		);
		row.node = element('li', row.on, row.name, row.kind, row.edit, row.zoom, row.remove, row.more);
		this.#listen(row, index);
		return row;
	}

	#listen(row, index) {
		const field = (name, read) =>
			on(row[name], 'change', () => this.#with(index, { [name]: read(row[name]) }, `zone ${index}`));
		field('on', ({ checked }) => checked);
		field('kind', ({ value }) => value);
		field('anchor', ({ value }) => value);
		field('share', ({ value }) => Math.min(1, Math.max(0.01, Number(value) || 0.5)));
		field('confidence', ({ value }) => (value === '' ? null : Math.min(1, Math.max(0, Number(value)))));
		field('labels', ({ value }) =>
			value
				.trim()
				.split(/\s*,\s*/)
				.filter(Boolean),
		);
		on(row.name, 'change', () => this.#rename(row.name, index));
		on(row.edit, 'click', () => {
			this.#select(this.#selected === index ? null : index);
			if (this.#selected !== null) this.#focusPoint(0);
		});
		on(row.zoom, 'click', () => {
			const { name } = this.#zones[index];
			this.#enlarged = this.#enlarged === name ? null : name;
			this.#show();
		});
		on(row.remove, 'click', () => {
			this.#selected = null;
			this.#change(this.#zones.toSpliced(index, 1), 'zone removed');
			const next = this.list.children[Math.min(index, this.#zones.length - 1)];
			(next?.querySelector(':scope > button:last-of-type') ?? this.add).focus();
		});
	}

	#rename(field, index) {
		const name = field.value.trim();
		const taken = this.#zones.some((zone, n) => n !== index && zone.name === name);
		set(this.said, !name ? 'A zone has a name.' : taken ? `There is a zone "${name}" already.` : '');
		if (name && !taken) this.#with(index, { name }, `zone ${index}`);
		else field.value = this.#zones[index].name;
	}

	/** The overlay, which lies on the canvas, in its CSS pixels. */
	#draw() {
		const { offsetLeft, offsetTop, clientWidth: width, clientHeight: height } = this.canvas;
		const place = { left: offsetLeft, top: offsetTop, width, height };
		for (const [side, value] of Object.entries(place)) this.overlay.style[side] = `${value}px`;
		this.overlay.setAttribute('viewBox', `0 0 ${width || 1} ${height || 1}`);
		this.overlay.classList.toggle('drawing', this.#drawing !== null);
		const focused = this.overlay.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
		const at = ({ x, y }) => [x * width, y * height];
		const nodes = this.#zones.flatMap((zone, index) => (this.#isShown(index) ? this.#outline(zone, index, at) : []));
		const zone = this.#zones[this.#selected];
		if (zone && this.#editable) nodes.push(...handles(zone, at));
		if (this.#drawing) {
			const points = shape(this.#drawing, at);
			nodes.push(
				svg('polyline', { class: 'rim zone include', points }),
				svg('polyline', { class: 'zone include', points }),
			);
			nodes.push(...this.#drawing.map((point, number) => circle('point', at(point), 9, { 'data-point': number })));
		}
		this.overlay.replaceChildren(...nodes);
		if (focused.point !== undefined) this.#focusPoint(focused.point);
		else if (focused.edge !== undefined) this.overlay.querySelector(`[data-edge="${focused.edge}"]`)?.focus();
	}

	#isShown(index) {
		return this.#zones[index].on !== false || index === this.#selected;
	}

	#outline({ name, kind, points: ends }, index, at) {
		const style = `zone ${kind}${index === this.#selected ? ' chosen' : ''}`;
		const points = shape(ends, at);
		const width = this.canvas.clientWidth;
		const [x, y] = at(ends.reduce((top, point) => (point.y < top.y ? point : top)));
		return [
			svg('polygon', { class: `rim ${style}`, points }),
			svg('polygon', { class: style, points, 'data-zone': index }),
			svg('text', { class: 'zone-name', x: Math.min(x, width - 8 * name.length), y: Math.max(y - 10, 16) }, name),
		];
	}
}

/** What a zone is moved by: its corners, and the middles of its edges, which become corners. */
function handles({ name, points }, at) {
	const edges = points.map((_, edge) =>
		circle('edge', at(middle(points, edge)), 6, {
			tabindex: 0,
			role: 'button',
			'data-edge': edge,
			'aria-label': `Add a corner after corner ${edge + 1} of ${name}`,
		}),
	);
	const ends = points.map((point, number) => {
		const where = `${Math.round(100 * point.x)} % from the left, ${Math.round(100 * point.y)} % from the top`;
		return circle('point', at(point), 9, {
			tabindex: 0,
			role: 'button',
			'data-point': number,
			'aria-label': `Corner ${number + 1} of ${name}, ${where}. Arrow keys move it, Delete removes it.`,
		});
	});
	return [...edges, ...ends];
}

const circle = (style, [cx, cy], r, more) => svg('circle', { class: style, cx, cy, r, ...more });
const shape = (points, at) =>
	points
		.map((point) =>
			at(point)
				.map((value) => value.toFixed(1))
				.join(','),
		)
		.join(' ');
const button = (text) => element('button.plain', text);

function choice(ariaLabel, options) {
	const select = element('select', ...Object.entries(options).map(([value, text]) => new Option(text, value)));
	return Object.assign(select, { ariaLabel });
}

function corners({ left, top, right, bottom }) {
	return [left, right, right, left].map((x, n) => ({ x, y: n < 2 ? top : bottom }));
}

function middle(points, edge) {
	const [a, b] = [points[edge], points[(edge + 1) % points.length]];
	return { x: inside((a.x + b.x) / 2), y: inside((a.y + b.y) / 2) };
}
