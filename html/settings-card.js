// The card of the settings: labels, sizes, zones, and how frames are fitted.

import { ask } from './address.js';
import { Part, Rows, element, input, isTyping, on, put, set } from './dom.js';
import { colour } from './scene.js';
import { Zones } from './zones.js';

const SEARCH_FROM = 8; // fewer labels need no search

export class SettingsCard extends Part {
	#state = { settings: {}, labels: new Map() };
	#schema = null; // whose ranges the fields have
	#controls; // of one setting each: its place, and what a share is multiplied with to be shown
	#rows; // of labels
	#range = { step: 'any' }; // of a label's confidence
	#sensors = []; // those of the camera
	#source = ''; // what the source was when they were asked for

	/** `settings` takes the changes; `onEnlarge(points or null)`: the part of the picture that is to be enlarged. */
	constructor(parts, { canvas, overlay, settings, onEnlarge }) {
		super(parts);
		this.settings = settings;
		this.#rows = new Rows(parts.labels, (name) => this.#labelRow(name));
		this.#controls = [...parts.settings.querySelectorAll('[data-setting]')].map((field) => {
			const { setting, scale = 1 } = field.dataset;
			return { field, path: setting.split('.'), scale: Number(scale) };
		});
		this.zones = new Zones({
			canvas,
			overlay,
			list: parts.zones,
			add: parts.zoneAdd,
			draw: parts.zoneDraw,
			said: parts.zonesSaid,
			onChange: (zones, topic) => settings.change({ zones }, topic),
			onEnlarge,
		});
		this.#listen();
	}

	#listen() {
		const { settings } = this;
		const { undo, redo, reset, labelSearch, sensor } = this.parts;
		on(undo, 'click', () => settings.undo());
		on(redo, 'click', () => settings.redo());
		on(reset, 'click', () => settings.reset());
		on(document, 'keydown', (event) => {
			if (!(event.ctrlKey || event.metaKey) || event.altKey || isTyping(event)) return;
			const key = event.key.toLowerCase();
			if (key !== 'z' && key !== 'y') return;
			event.preventDefault();
			if (key === 'y' || event.shiftKey) settings.redo();
			else settings.undo();
		});
		on(labelSearch, 'input', () => this.#renderLabels());
		for (const control of this.#controls) on(control.field, 'change', () => this.#change(control));
		on(sensor, 'change', () => settings.change({ sensor: sensor.value }, 'sensor'));
		this.#listenToFiles();
	}

	#listenToFiles() {
		const { export: save, import: load, importFile } = this.parts;
		on(save, 'click', () => {
			const text = `${JSON.stringify(this.settings.document, null, 2)}\n`;
			const link = element('a');
			link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
			link.download = 'spotter-settings.json';
			link.click();
			setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
		});
		on(load, 'click', () => importFile.click());
		on(importFile, 'change', () => {
			const [file] = importFile.files;
			importFile.value = ''; // the same file may be chosen again
			if (file) this.settings.import(file, this.#state.schema);
		});
	}

	/** An empty field means the default. */
	#change({ field, path, scale }) {
		if (!field.reportValidity()) return;
		let value = field.type === 'number' ? Number(field.value) / scale : field.value;
		if (field.value === '') value = this.#schemaOf(path).default ?? null;
		this.settings.change(
			path.reduceRight((patch, name) => ({ [name]: patch }), value),
			field.id,
		);
	}

	#schemaOf(path) {
		return path.reduce((node, name) => node?.properties?.[name], this.#schema) ?? {};
	}

	/** Settings, schema, labels, and whether they may be changed. */
	render(state) {
		const { settings, schema, editable, canUndo, canRedo } = state;
		if (!settings) return;
		this.#state = state;
		const parts = this.parts;
		// A Spotter without these settings has a page without them.
		parts.settings.hidden = !('zones' in settings);
		parts.fields.disabled = !editable;
		parts.undo.disabled = !editable || !canUndo;
		parts.redo.disabled = !editable || !canRedo;
		parts.reset.disabled = !editable;
		parts.import.disabled = !editable;
		if (schema !== this.#schema) this.#setSchema(schema);
		for (const { field, path, scale } of this.#controls) {
			const value = path.reduce((node, name) => node?.[name], settings) ?? this.#schemaOf(path).default ?? '';
			put(field, scale === 1 || value === '' ? value : Number((value * scale).toFixed(2)));
		}
		this.#renderSensors();
		this.zones.setEditable(editable);
		this.zones.render(settings.zones ?? []);
		this.#renderLabels();
		const off = Object.values(settings.labels ?? {}).filter((label) => label.on === false).length;
		set(parts.labelsSum, off ? `${off} off` : '');
		set(parts.zonesSum, settings.zones?.length ? String(settings.zones.length) : '');
	}

	/** What became of a change, and whether a file keeps the settings. */
	renderSaving({ saving, status }) {
		const { file, unsaved } = status?.settings ?? {};
		const { said, kept } = this.parts;
		const done = file && !unsaved ? 'Saved' : 'In use until Spotter ends';
		set(said, saving.done ? done : saving.text);
		said.classList.toggle('failed', saving.failed);
		set(kept, file === null ? 'Changes end with Spotter; start it with --settings FILE to keep them.' : '');
	}

	/** A camera's sensors are asked for when the source changes. */
	async renderSource({ status }) {
		const { sensor, state } = status.source ?? {};
		const source = `${sensor} ${state}`;
		if (source === this.#source) return;
		this.#source = source;
		if (!sensor) this.#sensors = [];
		else {
			try {
				this.#sensors = (await ask('api/sensors')).sensors;
			} catch {
				this.#source = ''; // the next status asks again
			}
		}
		this.#renderSensors();
	}

	/** The wanted sensor is among the choices even where it is gone. */
	#renderSensors() {
		const { sensor: choice, sensorRow } = this.parts;
		const wanted = this.#state.settings.sensor;
		sensorRow.hidden = this.#sensors.length < 2 || !wanted;
		if (sensorRow.hidden) return;
		const all = [...this.#sensors];
		if (!all.some(({ id }) => id === wanted)) {
			const name = wanted.replace('input=', 'Sensor ').replace('channel=', 'Channel ');
			all.push({ id: wanted, title: `${name} (not there)` });
		}
		const listed = JSON.stringify(all);
		if (choice.dataset.listed !== listed) {
			choice.dataset.listed = listed;
			choice.replaceChildren(...all.map(({ id, title }) => new Option(title, id)));
		}
		choice.value = wanted;
	}

	#setSchema(schema) {
		this.#schema = schema;
		const { confidence, labels, zones } = schema.properties;
		const nodes = Object.entries({ confidence, labels, zones });
		for (const { field, path, scale } of this.#controls) {
			const node = this.#schemaOf(path);
			nodes.push([field.id, node]);
			if (field.type === 'number') Object.assign(field, range(node, scale));
		}
		this.#range = range(labels.additionalProperties.properties.confidence);
		const zone = zones.items.properties;
		this.zones.setRanges({ confidence: range(zone.confidence), share: range(zone.share) });
		// What does not act at once says so.
		for (const [id, node] of nodes) {
			if (isLive(node)) continue;
			const name = document.querySelector(`label[for=${id}], summary[data-of=${id}]`);
			name.append(element('small.later', ' after a restart'));
		}
		const mixed = 'What acts after a restart says so; all else acts at once.';
		set(this.parts.effect, isLive(schema) ? 'Everything here acts at once.' : mixed);
	}

	/** A row for each label of the model, of what was seen, and of the settings. */
	#renderLabels() {
		const { settings, labels } = this.#state;
		const { labelSearch, labelsNone } = this.parts;
		const own = settings.labels ?? {};
		const names = [...new Set([...labels.keys(), ...Object.keys(own)])].sort((a, b) => a.localeCompare(b));
		const wanted = labelSearch.value.trim().toLowerCase();
		labelSearch.hidden = names.length < SEARCH_FROM;
		labelsNone.hidden = names.length > 0;
		this.#rows.show(names, (row, name) => {
			const { on: counts, confidence } = own[name] ?? {};
			row.box.checked = counts !== false;
			row.node.hidden = !name.toLowerCase().includes(wanted);
			Object.assign(row.confidence, this.#range);
			put(row.confidence, confidence ?? '');
			row.confidence.placeholder = (settings.confidence ?? 0.5).toFixed(2);
			const index = labels.get(name);
			row.square.style.background = index == null ? 'transparent' : colour(index).fill;
		});
	}

	#labelRow(name) {
		const box = input('checkbox');
		const confidence = input('number', { ariaLabel: `Confidence of ${name}` });
		const square = element('i');
		const label = element('label', box, square, element('span', name));
		const change = (rule) => this.settings.change({ labels: { [name]: rule } }, `label ${name}`);
		on(box, 'change', () => change({ on: box.checked ? null : false }));
		on(confidence, 'change', () => {
			if (!confidence.reportValidity()) return;
			change({ confidence: confidence.value === '' ? null : Number(confidence.value) });
		});
		return { node: element('li', label, confidence), box, confidence, square };
	}
}

function range({ minimum, maximum, 'x-spotter-step': step }, scale = 1) {
	return { min: minimum * scale, max: maximum * scale, step: step ? step * scale : 'any' };
}

function isLive({ 'x-spotter-effect': effect = 'live', properties, additionalProperties, items }) {
	const members = { ...properties, ...additionalProperties?.properties, ...items?.properties };
	return effect === 'live' && Object.values(members).every(isLive);
}
