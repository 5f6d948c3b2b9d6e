// The numbers and lists beside the picture.

import { $, element, set, trace } from './dom.js';
import { colour, count } from './scene.js';

const SPOKEN_EVERY_MS = 4000;
const TRACE_POINTS = 120;
const TRACE_STEP_MS = 500;
const STAGES = ['capture', 'preprocess', 'inference', 'decode', 'publish'];

const whole = new Intl.NumberFormat('en');
const known = (value) => typeof value === 'number' && Number.isFinite(value);
const ms = (value) => (!known(value) ? '–' : value < 0.995 ? value.toFixed(2) : value < 99.5 ? value.toFixed(1) : value.toFixed(0));

const percent = (share) => (share > 0 && share < 0.01 ? '< 1 %' : `${(100 * share).toFixed(0)} %`);

/** Everything seen now, one row a label. Rows are reused: nothing flickers. */
export class Seen {
  #rows = new Map();
  #spokenAt = -SPOKEN_EVERY_MS;
  #spoken = '';
  #timer = 0;

  /** What a detector found: how many of each label. */
  show(kept, dropped, showDropped) {
    const labels = count(kept);
    const rows = labels.map((entry) => ({
      key: `+${entry.label}`, label: entry.label, index: entry.index, detail: `best ${entry.best.toFixed(2)}`, value: String(entry.count),
    }));
    if (showDropped) {
      const groups = new Map();
      for (const box of dropped) groups.set(box.group, (groups.get(box.group) ?? 0) + 1);
      for (const [group, n] of groups) rows.push({ key: `-${group}`, style: 'out', label: group, value: String(n) });
    }
    if (!rows.length) rows.push({ key: '0', style: 'none', label: 'Nothing at this confidence' });
    this.#list(rows);
    this.#speak(labels.map((entry) => `${entry.label} ${entry.count}`).join(', ') || 'nothing');
  }

  /** What a classifier makes of the whole picture: its best classes, with how sure it is of each. */
  showClasses(classes) {
    this.#list(classes.map((item, place) => ({
      key: `#${place}`, style: item.sure ? 'class' : 'class out', label: item.label, index: item.index, share: item.score, value: item.score.toFixed(2),
    })));
    const sure = classes.filter((item) => item.sure);
    this.#speak(sure.length ? `${sure[0].label} ${sure[0].score.toFixed(2)}` : 'nothing at this confidence');
  }

  /** What a segmentation model covers the picture with: the legend of the overlay. */
  showSegments(rows) {
    this.#list(rows.map((item) => ({
      key: `=${item.index}`, style: item.background ? 'class out' : 'class', label: item.label, index: item.background ? null : item.index,
      share: item.share, value: percent(item.share),
    })));
    this.#speak(rows.filter((item) => !item.background).map((item) => `${item.label} ${percent(item.share)}`).join(', ') || 'nothing');
  }

  #list(wanted) {
    const list = $('seen');
    const gone = new Set(this.#rows.keys());
    wanted.forEach((entry, place) => {
      gone.delete(entry.key);
      let row = this.#rows.get(entry.key);
      if (!row) {
        row = { node: element('li'), swatch: element('i'), name: element('span'), detail: element('small'), value: element('b') };
        if (entry.key !== '0') row.node.append(row.swatch);
        row.node.append(row.name, row.detail, row.value);
        this.#rows.set(entry.key, row);
      }
      if (row.node.className !== (entry.style ?? '')) row.node.className = entry.style ?? '';
      row.swatch.style.background = entry.index == null ? '' : colour(entry.index).fill;
      row.node.style.setProperty('--share', String(entry.share ?? 0));
      set(row.name, entry.label);
      set(row.detail, entry.detail ?? '');
      set(row.value, entry.value ?? '');
      if (list.children[place] !== row.node) list.insertBefore(row.node, list.children[place] ?? null);
    });
    for (const key of gone) {
      this.#rows.get(key).node.remove();
      this.#rows.delete(key);
    }
  }

  #speak(sentence) {
    this.#spoken = sentence;
    if (this.#timer) return;
    const wait = Math.max(0, this.#spokenAt + SPOKEN_EVERY_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#spokenAt = performance.now();
      set($('seen-spoken'), `In view: ${this.#spoken}`);
    }, wait);
  }
}

/** The delay from capture to screen: the number, and the last minute as a line. */
export class Delay {
  #recent = [];
  #worst = null;
  #points = [];

  constructor() {
    setInterval(() => this.#step(), TRACE_STEP_MS);
  }

  add(latency) {
    if (latency === null) return;
    this.#recent.push(latency);
    if (this.#recent.length > 15) this.#recent.shift();
    this.#worst = Math.max(this.#worst ?? 0, latency);
  }

  #step() {
    if (this.#worst === null) this.#recent = [];
    const sorted = [...this.#recent].sort((a, b) => a - b);
    set($('latency'), sorted.length ? sorted[sorted.length >> 1].toFixed(0) : '–');
    this.#points.push(this.#worst);
    this.#worst = null;
    if (this.#points.length > TRACE_POINTS) this.#points.shift();
    if (document.hidden) return;
    const top = Math.max(0, ...this.#points);
    const scale = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000].find((s) => s >= 1.2 * top) ?? top;
    const path = trace(this.#points, TRACE_POINTS, (value) => 39 - 37 * Math.min(1, value / scale));
    $('trace').querySelector('path').setAttribute('d', path);
    set($('trace-scale'), scale >= 1000 ? `${scale / 1000} s` : `${scale} ms`);
  }
}

const stageRows = new Map();

function showStages(stages) {
  const names = [...STAGES.filter((name) => stages[name]), ...Object.keys(stages).filter((name) => !STAGES.includes(name))];
  const longest = Math.max(0.01, ...names.map((name) => stages[name].p95_ms ?? 0));
  for (const name of names) {
    let row = stageRows.get(name);
    if (!row) {
      row = { p95: element('i', 'p95'), p50: element('i', 'p50'), value: element('b') };
      row.node = element('li', '', element('span', '', name), element('div', 'bar', row.p95, row.p50), row.value);
      stageRows.set(name, row);
      $('stages').append(row.node);
    }
    const { p50_ms: p50, p95_ms: p95, p99_ms: p99 } = stages[name];
    row.p50.style.width = `${(100 * (p50 ?? 0)) / longest}%`;
    row.p95.style.width = `${(100 * (p95 ?? 0)) / longest}%`;
    set(row.value, `${ms(p50)} / ${ms(p95)} ms`);
    row.node.title = `${name}: p50 ${ms(p50)} ms, p95 ${ms(p95)} ms, p99 ${ms(p99)} ms`;
  }
}

const factRows = new Map();

function fact(name, main, ...more) {
  let row = factRows.get(name);
  if (!row) {
    row = { main: element('span'), more: element('small') };
    row.node = element('div', '', element('dt', '', name), element('dd', '', row.main, row.more));
    factRows.set(name, row);
    $('facts').append(row.node);
  }
  row.node.hidden = !main;
  set(row.main, main || '');
  set(row.more, more.filter(Boolean).join(', '));
}

function duration(s) {
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** Sentences about what is wrong although detection goes on. */
function showNotices(notices) {
  const list = $('notices-list');
  if ([...list.children].map((item) => item.textContent).join('\n') === notices.join('\n')) return;
  list.replaceChildren(...notices.map((text) => element('li', '', text)));
  $('notices').hidden = notices.length === 0;
}

/** Everything that a status tells. `fresh` is false when the status itself is old: no rate is claimed then. */
export function showStatus(status, { fresh, transport, skipped }) {
  const { source, model, backend, frames, fps, stages, viewers } = status;
  set($('top-source'), source?.name ?? '');
  showNotices(status.notices ?? []);
  const rate = (value) => (fresh && known(value) ? value.toFixed(1) : '–');
  set($('fps-inference'), rate(fps?.inference));
  set($('fps-capture'), rate(fps?.capture));
  for (const name of ['captured', 'inferred', 'dropped']) {
    set($(`frames-${name}`), known(frames?.[name]) ? whole.format(frames[name]) : '–');
  }
  if (stages) showStages(stages);
  fact('Source', source?.name, source?.kind,
    source?.detail || (source?.width && source?.height && `${source.width}×${source.height}`),
    known(source?.fps) && source.fps > 0 && `${Number(source.fps.toFixed(2))} fps`);
  fact('Model', model?.title || model?.name, model?.title !== model?.name && model?.name, model?.head, model?.input && `input ${model.input}`, model?.fit,
    model?.labels?.replace(`inside ${model.name}`, 'inside the file') || (model?.classes && `${model.classes} classes`));
  fact('Backend', backend?.name, backend?.detail);
  const live = viewers?.live ?? 0;
  const plain = viewers?.mjpeg ?? 0;
  fact('Page', transport === 'websocket' ? 'WebSocket' : 'HTTP stream',
    viewers && `${live} live ${live === 1 ? 'viewer' : 'viewers'}`, plain > 0 && `${plain} MJPEG`,
    skipped > 0 && `${whole.format(skipped)} skipped here`);
  fact('Spotter', status.version, known(status.uptime_s) && `up ${duration(status.uptime_s)}`);
}
