// The card that shows how Spotter has been doing: the last ten minutes as lines, the log, the support bundle.

import { address } from './address.js';
import { element, set } from './panel.js';

const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
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

export class Health {
  #timer = 0;
  #rows = [];

  constructor() {
    $('health').addEventListener('toggle', () => this.#again());
    document.addEventListener('visibilitychange', () => this.#again());
    $('log-level').addEventListener('change', () => this.#log());
    // A Spotter that stands in front of a camera's password is asked with it; the link is the page's own.
    $('bundle').href = address('api/v1/bundle.zip').href;
  }

  #again() {
    clearTimeout(this.#timer);
    if ($('health').open && !document.hidden) this.#look();
  }

  async #look() {
    await Promise.all([this.#history(), this.#log()]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), EVERY_MS);
  }

  async #ask(path) {
    const answer = await fetch(address(path), { cache: 'no-store' });
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    return answer.json();
  }

  async #history() {
    try {
      this.#draw(await this.#ask('api/v1/stats?minutes=10'));
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
      row.paths.forEach((path, n) => path.setAttribute('d', trace(lines[n] ?? [], top)));
    });
  }

  #row(chart) {
    const picture = document.createElementNS(SVG, 'svg');
    picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    picture.setAttribute('preserveAspectRatio', 'none');
    picture.setAttribute('aria-hidden', 'true');
    const paths = [0, 1].map((n) => {
      const path = picture.appendChild(document.createElementNS(SVG, 'path'));
      path.setAttribute('class', `line-${n}`);
      return path;
    });
    const value = element('b');
    const node = element('li', '', element('p', '', element('span', '', chart.title), value), picture);
    $('charts').append(node);
    return { node, value, paths };
  }

  async #log() {
    if (!$('health').open) return;
    try {
      const { lines } = await this.#ask(`api/v1/log?level=${$('log-level').value}`);
      const list = $('log');
      const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
      list.replaceChildren(...lines.slice(-100).map(({ time, level, text, count }) => {
        const row = element('li', '', element('time', '', time.slice(11, 19)), element('span', '', count > 1 ? `${text} (${count} times)` : text));
        row.dataset.level = level;
        return row;
      }));
      if (atEnd) list.scrollTop = list.scrollHeight;
      $('log-none').hidden = lines.length > 0;
    } catch {
      // The next look may succeed; what was read stays.
    }
  }
}

/** A line through the newest values, at the right; gaps stay gaps. */
function trace(values, top) {
  let path = '';
  let pen = 'M';
  values.forEach((value, n) => {
    if (value == null) { pen = 'M'; return; }
    const x = WIDTH - values.length + n;
    path += `${pen}${x} ${(HEIGHT - 1 - (HEIGHT - 3) * Math.min(1, value / top)).toFixed(1)}`;
    pen = 'L';
  });
  return path;
}
