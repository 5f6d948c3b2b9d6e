// Zones: polygons on the picture inside of which, or outside of which, things count. Drawn and listed here.

import { element, set, svg } from './dom.js';

const MOST_POINTS = 32;
const STEP = 0.01;
const FINE = 0.002;
const ANCHORS = { 'bottom-centre': 'bottom centre', centre: 'centre', overlap: 'overlap' };

const inside = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;

export class Zones {
  #zones = [];
  #selected = null; // index
  #drawing = null; // points of a zone that is being drawn
  #drag = null;
  #allowed = false;
  #rows = [];
  #ranges = {}; // of its numbers, by name
  #enlarged = null; // name of the zone that is shown enlarged

  /** `onChange(zones, topic)` is told of every change made here, `onEnlarge(points or null)` of what is to be enlarged. */
  constructor({ canvas, overlay, list, add, draw, said, onChange, onEnlarge }) {
    Object.assign(this, { canvas, overlay, list, said, draw, add, onChange, onEnlarge });
    new ResizeObserver(() => this.#draw()).observe(canvas);
    add.addEventListener('click', () => this.#add([[0.3, 0.3], [0.7, 0.3], [0.7, 0.8], [0.3, 0.8]].map(([x, y]) => ({ x, y }))));
    draw.addEventListener('click', () => this.#begin(this.#drawing ? null : []));
    overlay.addEventListener('pointerdown', (event) => this.#pressed(event));
    overlay.addEventListener('pointermove', (event) => this.#moved(event));
    for (const end of ['pointerup', 'pointercancel']) overlay.addEventListener(end, () => { this.#drag = null; });
    overlay.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('keydown', (event) => {
      if (!this.#drawing) return;
      if (event.key === 'Escape') this.#begin(null);
      else if (event.key === 'Enter' && !event.target.closest('button')) this.#finish();
    });
  }

  /** What the numbers of a zone may be. */
  learn(ranges) {
    this.#ranges = ranges;
    for (const row of this.#rows) for (const name of Object.keys(ranges)) Object.assign(row[name], ranges[name]);
  }

  /** Whether whoever looks may change them. */
  allow(allowed) {
    this.#allowed = allowed;
    if (!allowed) {
      this.#selected = null;
      this.#drawing = null;
    }
    this.#show();
  }

  /** The zones that hold now. */
  heard(zones) {
    if (this.#drag) return;
    this.#zones = zones ?? [];
    if (this.#selected !== null && this.#selected >= this.#zones.length) this.#selected = null;
    this.#show();
  }

  #change(zones, topic) {
    this.#zones = zones;
    this.onChange(zones, topic);
    this.#show();
  }

  /** Zone `index` with these fields. */
  #with(index, fields, topic) {
    this.#change(this.#zones.map((zone, n) => (n === index ? { ...zone, ...fields } : zone)), topic);
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

  /** Where the pointer is, on the picture. */
  #at(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: inside((event.clientX - left) / width), y: inside((event.clientY - top) / height) };
  }

  #pressed(event) {
    if (!this.#allowed || event.button !== 0) return;
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
    this.#with(this.#selected, { points: points.map((old, n) => (n === point ? to : old)) }, `zone ${this.#selected} point ${point}`);
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
    this.add.disabled = !this.#allowed;
    this.draw.disabled = !this.#allowed;
    this.#list();
    this.#draw();
  }

  #list() {
    while (this.#rows.length > this.#zones.length) this.#rows.pop().node.remove();
    while (this.#rows.length < this.#zones.length) {
      const row = this.#row(this.#rows.length);
      this.#rows.push(row);
      this.list.append(row.node);
    }
    this.#zones.forEach((zone, index) => {
      const row = this.#rows[index];
      const put = (input, value) => { if (document.activeElement !== input) input.value = value; };
      put(row.name, zone.name);
      put(row.kind, zone.kind);
      put(row.anchor, zone.anchor ?? 'bottom-centre');
      put(row.share, zone.share ?? 0.5);
      row.shareLabel.hidden = zone.anchor !== 'overlap';
      put(row.confidence, zone.confidence ?? '');
      put(row.labels, (zone.labels ?? []).join(', '));
      row.on.checked = zone.on !== false;
      row.node.classList.toggle('selected', index === this.#selected);
      row.node.dataset.kind = zone.kind;
      row.edit.setAttribute('aria-pressed', String(index === this.#selected));
      row.edit.setAttribute('aria-label', `Edit the corners of ${zone.name}`);
      row.remove.setAttribute('aria-label', `Delete ${zone.name}`);
      row.zoom.setAttribute('aria-pressed', String(zone.name === this.#enlarged));
      row.zoom.setAttribute('aria-label', `Enlarge ${zone.name}`);
      row.more.hidden = index !== this.#selected;
      for (const input of row.node.querySelectorAll('input, select, button')) input.disabled = !this.#allowed && input !== row.zoom;
    });
  }

  #row(index) {
    const input = (label, attributes) => {
      const node = Object.assign(document.createElement('input'), attributes);
      node.setAttribute('aria-label', label);
      return node;
    };
    const choice = (label, options) => {
      const node = document.createElement('select');
      for (const [value, text] of Object.entries(options)) node.append(new Option(text, value));
      node.setAttribute('aria-label', label);
      return node;
    };
    const button = (text) => Object.assign(element('button', 'plain', text), { type: 'button' });
    const row = {
      on: input('Enabled', { type: 'checkbox' }),
      name: input('Name of the zone', { type: 'text', maxLength: 60, required: true }),
      kind: choice('Kind of the zone', { include: 'only inside', exclude: 'not inside' }),
      edit: button('Edit'),
      remove: button('✕'),
      zoom: button('Enlarge'),
      anchor: choice('Anchor', ANCHORS),
      confidence: input('Confidence in the zone', { type: 'number', ...this.#ranges.confidence, placeholder: 'as elsewhere' }),
      share: input('Share of the box inside the zone', { type: 'number', ...this.#ranges.share }),
      labels: input('Labels, with commas between', { type: 'text', placeholder: 'all' }),
    };
    row.shareLabel = element('label', '', 'Share inside ', row.share);
    row.more = element('div', 'zone-more',
      element('label', '', 'Anchor point ', row.anchor), row.shareLabel, element('label', '', 'Confidence ', row.confidence), element('label', '', 'Labels ', row.labels));
    row.node = element('li', '', row.on, row.name, row.kind, row.edit, row.zoom, row.remove, row.more);
    const on = (node, fields) => node.addEventListener('change', () => this.#with(index, fields(node), `zone ${index}`));
    on(row.on, (node) => ({ on: node.checked }));
    on(row.kind, (node) => ({ kind: node.value }));
    on(row.anchor, (node) => ({ anchor: node.value }));
    on(row.share, (node) => ({ share: Math.min(1, Math.max(0.01, Number(node.value) || 0.5)) }));
    on(row.confidence, (node) => ({ confidence: node.value === '' ? null : Math.min(1, Math.max(0, Number(node.value))) }));
    on(row.labels, (node) => ({ labels: node.value.split(',').map((text) => text.trim()).filter(Boolean) }));
    row.name.addEventListener('change', () => {
      const name = row.name.value.trim();
      const taken = this.#zones.some((zone, n) => n !== index && zone.name === name);
      set(this.said, !name ? 'A zone has a name.' : taken ? `There is a zone "${name}" already.` : '');
      if (name && !taken) this.#with(index, { name }, `zone ${index}`);
      else row.name.value = this.#zones[index].name;
    });
    row.edit.addEventListener('click', () => {
      this.#select(this.#selected === index ? null : index);
      if (this.#selected !== null) this.#focusPoint(0);
    });
    row.zoom.addEventListener('click', () => {
      const { name } = this.#zones[index];
      this.#enlarged = this.#enlarged === name ? null : name;
      this.#show();
    });
    row.remove.addEventListener('click', () => {
      this.#selected = null;
      this.#change(this.#zones.toSpliced(index, 1), 'zone removed');
      (this.#rows[Math.min(index, this.#rows.length - 1)]?.remove ?? this.add).focus();
    });
    return row;
  }

  /** The overlay, which lies on the canvas, in its CSS pixels. */
  #draw() {
    const { offsetLeft, offsetTop, clientWidth: width, clientHeight: height } = this.canvas;
    Object.assign(this.overlay.style, { left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${width}px`, height: `${height}px` });
    this.overlay.setAttribute('viewBox', `0 0 ${width || 1} ${height || 1}`);
    this.overlay.classList.toggle('drawing', this.#drawing !== null);
    const focused = this.overlay.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
    const at = ({ x, y }) => [x * width, y * height];
    const shape = (points) => points.map((point) => at(point).map((value) => value.toFixed(1)).join(',')).join(' ');
    const nodes = [];
    this.#zones.forEach((zone, index) => {
      if (zone.on === false && index !== this.#selected) return;
      const chosen = index === this.#selected ? ' chosen' : '';
      for (const rim of ['rim ', '']) {
        nodes.push(svg('polygon', { class: `${rim}zone ${zone.kind}${chosen}`, points: shape(zone.points), ...(rim ? {} : { 'data-zone': index }) }));
      }
      const [x, y] = at(zone.points.reduce((top, point) => (point.y < top.y ? point : top)));
      nodes.push(svg('text', { class: 'zone-name', x: Math.min(x, width - 8 * zone.name.length), y: Math.max(y - 10, 16) }, zone.name));
    });
    const zone = this.#zones[this.#selected];
    if (zone && this.#allowed) {
      zone.points.forEach((_, edge) => {
        const [cx, cy] = at(middle(zone.points, edge));
        nodes.push(svg('circle', { class: 'edge', cx, cy, r: 6, tabindex: 0, role: 'button', 'data-edge': edge, 'aria-label': `Add a corner after corner ${edge + 1} of ${zone.name}` }));
      });
      zone.points.forEach((point, number) => {
        const [cx, cy] = at(point);
        const where = `${Math.round(100 * point.x)} % from the left, ${Math.round(100 * point.y)} % from the top`;
        nodes.push(svg('circle', { class: 'point', cx, cy, r: 9, tabindex: 0, role: 'button', 'data-point': number, 'aria-label': `Corner ${number + 1} of ${zone.name}, ${where}. Arrow keys move it, Delete removes it.` }));
      });
    }
    if (this.#drawing) {
      nodes.push(svg('polyline', { class: 'rim zone include', points: shape(this.#drawing) }), svg('polyline', { class: 'zone include', points: shape(this.#drawing) }));
      this.#drawing.forEach((point, number) => {
        const [cx, cy] = at(point);
        nodes.push(svg('circle', { class: 'point', cx, cy, r: 9, 'data-point': number }));
      });
    }
    this.overlay.replaceChildren(...nodes);
    if (focused?.point !== undefined) this.#focusPoint(focused.point);
    else if (focused?.edge !== undefined) this.overlay.querySelector(`[data-edge="${focused.edge}"]`)?.focus();
  }
}

function middle(points, edge) {
  const [a, b] = [points[edge], points[(edge + 1) % points.length]];
  return { x: inside((a.x + b.x) / 2), y: inside((a.y + b.y) / 2) };
}
