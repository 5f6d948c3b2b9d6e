// The card in which everything about what counts is set: labels, sizes, zones, and how frames are fitted.

import { ask } from './address.js';
import { $, element, set } from './dom.js';
import { colour } from './scene.js';
import { flaw } from './settings.js';
import { Zones } from './zones.js';

const SEARCH_FROM = 8; // fewer labels need no search

export class Tuning {
  #labels = new Map(); // name → index, of everything known
  #rows = new Map();
  #allowed = false;
  #document = null;
  #state = { text: '', failed: false };
  #kept = true; // the settings outlive Spotter
  #sensors = []; // those of the camera
  #shownBy = ''; // what the source was when they were asked for
  #range = { step: 'any' }; // of a label's confidence
  schema = null;

  /** `onEnlarge(points or null)`: the part of the picture that is to be enlarged. */
  constructor(settings, onEnlarge) {
    this.settings = settings;
    this.zones = new Zones({
      canvas: $('view'), overlay: $('zones-overlay'), list: $('zones'), add: $('zone-add'), draw: $('zone-draw'), said: $('zones-said'),
      onChange: (zones, topic) => settings.change({ zones }, topic),
      onEnlarge,
    });
    $('undo').addEventListener('click', () => settings.undo());
    $('redo').addEventListener('click', () => settings.redo());
    $('reset').addEventListener('click', () => settings.reset());
    document.addEventListener('keydown', (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches('input[type=text], input[type=number], input[type=search]')) return;
      const key = event.key.toLowerCase();
      if (key !== 'z' && key !== 'y') return;
      event.preventDefault();
      if (key === 'y' || event.shiftKey) settings.redo();
      else settings.undo();
    });
    $('label-search').addEventListener('input', () => this.#labelRows());
    this.#number('iou', (value) => ({ iou: value ?? 0.45 }));
    this.#number('fps-limit', (value) => ({ fps_limit: value }));
    for (const end of ['min', 'max']) this.#number(`size-${end}`, (value) => ({ size: { [end]: value === null ? (end === 'min' ? 0 : 1) : value / 100 } }));
    $('export').addEventListener('click', () => {
      const link = element('a');
      link.href = URL.createObjectURL(new Blob([`${JSON.stringify(settings.document, null, 2)}\n`], { type: 'application/json' }));
      link.download = 'spotter-settings.json';
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    });
    $('import').addEventListener('click', () => $('import-file').click());
    $('import-file').addEventListener('change', () => {
      const [file] = $('import-file').files;
      if (file) this.#import(file);
    });
    $('fit').addEventListener('change', () => settings.change({ fit: $('fit').value }, 'fit'));
    $('sensor').addEventListener('change', () => settings.change({ sensor: $('sensor').value }, 'sensor'));
  }

  /** A number field whose value becomes a patch; empty is null. */
  #number(id, patch) {
    $(id).addEventListener('change', () => {
      const field = $(id);
      if (!field.reportValidity()) return;
      this.settings.change(patch(field.value === '' ? null : Number(field.value)), id);
    });
  }

  /** Whether whoever looks may change them. */
  allow(allowed) {
    this.#allowed = allowed;
    $('tuning-fields').disabled = !allowed;
    this.zones.allow(allowed);
    this.#buttons();
  }

  /** What became of a change. */
  said(state) {
    this.#state = state;
    const { text, failed, done } = state;
    set($('tuning-said'), !done ? text : this.#kept ? 'Saved' : 'In use until Spotter ends');
    $('tuning-said').classList.toggle('failed', failed);
  }

  /** Which file keeps the settings, and whether it does, as the status says it. */
  heard({ file, unsaved } = {}) {
    this.#kept = Boolean(file) && !unsaved;
    set($('tuning-kept'), file === null ? 'Changes end with Spotter; start it with --settings FILE to keep them.' : '');
    this.said(this.#state);
  }

  /** Where the picture comes from, as the status says it: of a camera with several sensors one can be chosen. */
  async look({ sensor, state } = {}) {
    const now = `${sensor} ${state}`;
    if (now === this.#shownBy) return;
    this.#shownBy = now;
    if (!sensor) {
      $('sensor-row').hidden = true;
      return;
    }
    try {
      this.#sensors = (await ask('api/sensors')).sensors;
    } catch {
      this.#shownBy = ''; // the next status asks again
    }
    this.#choice();
  }

  /** The sensors to choose from; the one that is wanted is among them, also where it is gone. */
  #choice() {
    const wanted = this.#document?.sensor;
    $('sensor-row').hidden = this.#sensors.length < 2 || !wanted;
    if ($('sensor-row').hidden) return;
    const gone = this.#sensors.every(({ id }) => id !== wanted) ? [{ id: wanted, title: `${wanted.replace('input=', 'Sensor ').replace('channel=', 'Channel ')} (not there)` }] : [];
    const all = [...this.#sensors, ...gone];
    const listed = JSON.stringify(all);
    if ($('sensor').dataset.listed !== listed) {
      $('sensor').dataset.listed = listed;
      $('sensor').replaceChildren(...all.map(({ id, title }) => Object.assign(element('option', '', title), { value: id })));
    }
    $('sensor').value = wanted;
  }

  /** What the settings may be, by their JSON Schema. */
  learn(schema) {
    this.schema = schema;
    const { confidence, iou, fps_limit: rate, fit, size, labels, zones } = schema.properties;
    const range = ({ minimum, maximum, 'x-spotter-step': step }, scale = 1) => ({ min: minimum * scale, max: maximum * scale, step: step ? step * scale : 'any' });
    Object.assign($('iou'), range(iou));
    Object.assign($('fps-limit'), range(rate));
    for (const end of ['min', 'max']) Object.assign($(`size-${end}`), range(size.properties[end], 100));
    const rule = labels.additionalProperties.properties;
    this.#range = range(rule.confidence);
    for (const row of this.#rows.values()) Object.assign(row.confidence, this.#range);
    const zone = zones.items.properties;
    this.zones.learn({ confidence: range(zone.confidence), share: range(zone.share) });
    // What does not act at once says so.
    const live = (node) => (node['x-spotter-effect'] ?? 'live') === 'live' && Object.values({ ...node.properties, ...node.additionalProperties?.properties, ...node.items?.properties }).every(live);
    for (const [id, node] of Object.entries({ confidence, iou, 'fps-limit': rate, fit, 'size-min': size.properties.min, 'size-max': size.properties.max, labels, zones })) {
      if (!live(node)) document.querySelector(`label[for=${id}], summary[data-of=${id}]`).append(element('small', 'later', ' after a restart'));
    }
    set($('tuning-effect'), live(schema) ? 'Everything here acts at once.' : 'What acts after a restart says so; all else acts at once.');
  }

  async #import(file) {
    $('import-file').value = ''; // the same file may be chosen again
    let wrong;
    try {
      const value = JSON.parse(await file.text());
      wrong = this.schema ? flaw(this.schema, value) : '';
      if (!wrong) {
        this.said({ text: 'Saving…', failed: false });
        await this.settings.replace(value);
      }
    } catch {
      wrong = `${file.name} is no JSON; choose a file that was exported here`;
    }
    if (wrong) this.said({ text: `Not imported: ${wrong}`, failed: true });
  }

  /** Labels that the running model has, or that were seen. */
  know(labels) {
    let news = false;
    for (const { label, index } of labels) {
      if (this.#labels.has(label)) continue;
      this.#labels.set(label, index);
      news = true;
    }
    if (news) this.#labelRows();
  }

  /** Another model runs: it has other labels. */
  forget() {
    this.#labels.clear();
    this.#labelRows();
  }

  /** The settings are these now. */
  show(document_) {
    this.#document = document_;
    // A Spotter without these settings has a page without them.
    $('tuning').hidden = !('zones' in document_);
    const put = (id, value) => { if (document.activeElement !== $(id) || $(id).disabled) $(id).value = value; };
    put('iou', document_.iou ?? '');
    put('fps-limit', document_.fps_limit ?? '');
    put('fit', document_.fit ?? 'auto');
    this.#choice();
    put('size-min', percent(document_.size?.min ?? 0));
    put('size-max', percent(document_.size?.max ?? 1));
    this.zones.heard(document_.zones);
    this.#labelRows();
    this.#buttons();
    const off = Object.values(document_.labels ?? {}).filter((label) => label.on === false).length;
    set($('labels-sum'), off ? `${off} off` : '');
    set($('zones-sum'), document_.zones?.length ? String(document_.zones.length) : '');
  }

  #buttons() {
    $('undo').disabled = !this.#allowed || !this.settings.canUndo;
    $('redo').disabled = !this.#allowed || !this.settings.canRedo;
    $('reset').disabled = !this.#allowed;
    $('import').disabled = !this.#allowed;
  }

  #labelRows() {
    const own = this.#document?.labels ?? {};
    for (const name of Object.keys(own)) if (!this.#labels.has(name)) this.#labels.set(name, null);
    const wanted = $('label-search').value.trim().toLowerCase();
    $('label-search').hidden = this.#labels.size < SEARCH_FROM;
    for (const [name, row] of this.#rows) {
      if (this.#labels.has(name)) continue;
      row.node.remove();
      this.#rows.delete(name);
    }
    const names = [...this.#labels.keys()].sort((a, b) => a.localeCompare(b));
    names.forEach((name, at) => {
      let row = this.#rows.get(name);
      if (!row) {
        row = this.#labelRow(name);
        this.#rows.set(name, row);
      }
      if ($('labels').children[at] !== row.node) $('labels').insertBefore(row.node, $('labels').children[at] ?? null);
      const { on = true, confidence = null } = own[name] ?? {};
      row.on.checked = on !== false;
      row.node.hidden = !name.toLowerCase().includes(wanted);
      if (document.activeElement !== row.confidence) row.confidence.value = confidence ?? '';
      row.confidence.placeholder = (this.#document?.confidence ?? 0.5).toFixed(2);
      const index = this.#labels.get(name);
      row.square.style.background = index === null ? 'transparent' : colour(index).fill;
    });
    $('labels-none').hidden = names.length > 0;
  }

  #labelRow(name) {
    const on = Object.assign(document.createElement('input'), { type: 'checkbox' });
    const confidence = Object.assign(document.createElement('input'), { type: 'number', ...this.#range });
    confidence.setAttribute('aria-label', `Confidence of ${name}`);
    const square = element('i');
    const label = element('label', '', on, square, element('span', '', name));
    on.addEventListener('change', () => this.settings.change({ labels: { [name]: { on: on.checked ? null : false } } }, `label ${name}`));
    confidence.addEventListener('change', () => {
      if (!confidence.reportValidity()) return;
      this.settings.change({ labels: { [name]: { confidence: confidence.value === '' ? null : Number(confidence.value) } } }, `label ${name}`);
    });
    return { node: element('li', '', label, confidence), on, confidence, square };
  }
}

const percent = (share) => Number((100 * share).toFixed(2));
