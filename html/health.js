// The card that shows how Spotter has been doing: the last ten minutes as lines, the log, the support bundle.

import { address, ask } from './address.js';
import { $, element, set, svg, trace } from './dom.js';

const EVERY_MS = 2000;
const WIDTH = 600; // samples, one a second
const HEIGHT = 60;

const number = (value, digits = 1) => (value == null ? '–' : value.toFixed(digits));

/** What is drawn: each line a list of the history; `most` is the least top of the scale. */
const CHARTS = [
  { title: 'Frames a second', most: 10, show: (last) => `${number(last[0])} in, ${number(last[1])} seen`,
    lines: (history) => [history.fps.capture, history.fps.inference] },
  { title: 'Inference', most: 5, show: (last) => `p50 ${number(last[1])}, p95 ${number(last[0])} ms`,
    lines: (history) => [history.stages.inference.p95_ms, history.stages.inference.p50_ms] },
  { title: 'Time in the model', most: 1, show: (last) => `${number(last[0] == null ? null : 100 * last[0], 0)} %`,
    lines: (history) => [history.inference_share] },
  { title: 'Processor', most: 1, show: (last) => `${number(last[0] == null ? null : 100 * last[0], 0)} % of a core`,
    lines: (history) => [history.cpu] },
  { title: 'Memory', most: 32e6, show: (last) => `${number(last[0] == null ? null : last[0] / 1e6)} MB`,
    lines: (history) => [history.resident_bytes] },
  { title: 'Dropped a second', most: 5, show: (last) => number(last[0], 0), lines: (history) => [history.dropped] },
  { title: 'Temperature', most: 80, show: (last) => `${number(last[0])} °C`, lines: (history) => [history.temperature_c] },
];

const LEAST_BARS = 14; // two decades of time
const TROUBLES = 5;
const many = (count, word) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
const time = (ms) => (ms >= 1000 ? `${ms / 1000} s` : ms < 0.1 ? `${Math.round(1000 * ms)} µs` : `${ms} ms`);

export class Health {
  #timer = 0;
  #rows = [];
  #times = new Map();
  #status = null;

  constructor() {
    $('health').addEventListener('toggle', () => this.#again());
    document.addEventListener('visibilitychange', () => this.#again());
    $('log-level').addEventListener('change', () => this.#log());
    // A Spotter that stands in front of a camera's password is asked with it; the link is the page's own.
    $('bundle').href = address('api/v1/bundle.zip').href;
  }

  /** A status came. */
  heard(status) {
    this.#status = status;
    if (!$('health').open) return;
    const { source, backend, model, fps, state, message } = status;
    set($('health-source'), source.retry_in_ms ? `${source.state}, trying again in ${Math.ceil(source.retry_in_ms / 1000)} s` : source.state);
    set($('health-source-more'), source.message ?? `${number(fps.capture)} frames a second`);
    const trouble = { 'backend-failed': 'failed', compiling: 'loading the model' }[state];
    set($('health-backend'), trouble ?? (model.missing ? 'no model' : fps.inference > 0 ? 'detecting' : 'waiting for frames'));
    set($('health-backend-more'), trouble ? message : [backend.name, backend.detail].filter(Boolean).join(', '));
  }

  #again() {
    clearTimeout(this.#timer);
    if (!$('health').open || document.hidden) return;
    if (this.#status) this.heard(this.#status);
    this.#look();
  }

  async #look() {
    await Promise.all([this.#history(), this.#troubles(), this.#log()]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), EVERY_MS);
  }

  async #history() {
    try {
      const history = await ask('api/v1/stats?minutes=10');
      this.#draw(history);
      this.#bars(history.histograms);
      set($('health-said'), '');
    } catch {
      set($('health-said'), 'Spotter does not tell its history now.');
    }
  }

  #draw(history) {
    CHARTS.forEach((chart, at) => {
      const row = this.#rows[at] ?? this.#row(chart);
      this.#rows[at] = row;
      const lines = chart.lines(history).map((line) => line ?? []);
      row.node.hidden = lines.every((line) => line.every((value) => value == null));
      if (row.node.hidden) return;
      const top = Math.max(chart.most, 1.1 * Math.max(...lines.flat().filter((value) => value != null)));
      set(row.value, chart.show(lines.map((line) => line.findLast((value) => value != null))));
      row.paths.forEach((path, n) => path.setAttribute('d', trace(lines[n] ?? [], WIDTH, (value) => HEIGHT - 1 - (HEIGHT - 3) * Math.min(1, value / top))));
    });
  }

  #row(chart) {
    const { picture, paths } = drawing(['line-0', 'line-1']);
    picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    const value = element('b');
    const node = element('li', '', element('p', '', element('span', '', chart.title), value), picture);
    $('charts').append(node);
    return { node, value, paths };
  }

  /** How long frames were in each stage: a bar for each bucket, over an axis of the logarithm of time that is the same for all. */
  #bars({ upper_ms: upper, counts }) {
    const stages = Object.entries(counts);
    const used = upper.map((_, at) => at).filter((at) => stages.some(([, list]) => list[at] > 0));
    if (!used.length) return;
    let [from, to] = [used[0], used.at(-1) + 1];
    while (to - from < LEAST_BARS && (from > 0 || to < upper.length)) [from, to] = [Math.max(0, from - 1), Math.min(upper.length, to + 1)];
    // The left edge of bucket n is the limit of the one before.
    const at = (ms) => 1 + Math.log2(ms / upper[0]) / Math.log2(upper[1] / upper[0]) - from;
    const wide = to - from;
    const decades = [-2, -1, 0, 1, 2, 3].filter((power) => at(10 ** power) >= 0 && at(10 ** power) < wide - 1);
    const ticks = decades.filter((power) => decades.length < 4 || power % 2 === 0).map((power) => 10 ** power);
    const grid = ticks.map((ms) => `M${at(ms).toFixed(2)} 0V${HEIGHT}`).join('');
    for (const [name, list] of stages) {
      const row = this.#times.get(name) ?? this.#time(name);
      const most = Math.max(1, ...list);
      const bars = list.slice(from, to).map((count, n) => (count ? `M${n + 0.06} ${HEIGHT}V${(HEIGHT - Math.max(2, (HEIGHT - 2) * count / most)).toFixed(1)}h.88V${HEIGHT}z` : ''));
      row.picture.setAttribute('viewBox', `0 0 ${wide} ${HEIGHT}`);
      row.paths[0].setAttribute('d', grid);
      row.paths[1].setAttribute('d', bars.join(''));
      const { p50_ms: p50, p95_ms: p95 } = this.#status?.stages?.[name] ?? {};
      set(row.count, ` ${list.reduce((sum, count) => sum + count, 0).toLocaleString('en')}`);
      set(row.value, `p50 ${number(p50, p50 < 1 ? 2 : 1)}, p95 ${number(p95, p95 < 1 ? 2 : 1)} ms`);
    }
    $('ticks').replaceChildren(...ticks.map((ms) => {
      const tick = element('span', '', time(ms));
      tick.style.left = `${100 * at(ms) / wide}%`;
      return tick;
    }));
  }

  #time(name) {
    const row = { ...drawing(['grid', 'bars']), count: element('small'), value: element('b') };
    $('times').append(element('li', '', element('p', '', element('span', '', name, row.count), row.value), row.picture));
    this.#times.set(name, row);
    return row;
  }

  /** The last errors and warnings, each once, and how many there were. */
  async #troubles() {
    try {
      const { lines, counts } = await ask('api/v1/log?level=warning');
      const rows = new Map();
      for (const line of lines) {
        const count = line.count + (rows.get(line.text)?.count ?? 0);
        rows.delete(line.text); // said last, shown first
        rows.set(line.text, { ...line, count });
      }
      $('troubles').replaceChildren(...[...rows.values()].slice(-TROUBLES).reverse().map(logLine));
      set($('troubles-sum'), counts.error + counts.warning ? `${many(counts.error, 'error')}, ${many(counts.warning, 'warning')}` : 'none since the start');
    } catch {
      // The next look may succeed; what was read stays.
    }
  }

  async #log() {
    if (!$('health').open) return;
    try {
      const { lines } = await ask(`api/v1/log?level=${$('log-level').value}`);
      const list = $('log');
      const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
      list.replaceChildren(...lines.slice(-100).map(logLine));
      if (atEnd) list.scrollTop = list.scrollHeight;
      $('log-none').hidden = lines.length > 0;
    } catch {
      // The next look may succeed; what was read stays.
    }
  }
}

function logLine({ time: said, level, text, count }) {
  const row = element('li', '', element('time', '', said.slice(11, 19)), element('span', '', count > 1 ? `${text} (${count} times)` : text));
  row.dataset.level = level;
  return row;
}

/** A picture that stretches, with a path of each class. */
function drawing(classes) {
  const paths = classes.map((name) => svg('path', { class: name }));
  const picture = svg('svg', { preserveAspectRatio: 'none', 'aria-hidden': true }, ...paths);
  return { picture, paths };
}
