// The page's elements: found, made, and changed only where they change.

/** A part of the page: its elements by their ids in camel case, without the part's own id in front. */
export function parts(id) {
	const root = document.getElementById(id);
	const name = (node) => node.id.replace(`${id}-`, '').replace(/-(.)/g, (_, letter) => letter.toUpperCase());
	return Object.fromEntries([root, ...root.querySelectorAll('[id]')].map((node) => [name(node), node]));
}

export const set = (node, text) => {
	if (node.textContent !== text) node.textContent = text;
};

/** What shows such a part. */
export class Part {
	constructor(elements) {
		this.parts = elements;
	}
}

/** Calls `act(event)` at each of these events, whose names have spaces between. */
export function on(target, names, act) {
	for (const name of names.split(' ')) target.addEventListener(name, act);
}

/** `kind` is the element's name, with its class behind a dot. */
export function element(kind, ...children) {
	const [name, style] = kind.split('.');
	const node = document.createElement(name);
	if (style) node.className = style;
	node.append(...children);
	return node;
}

export function input(type, properties) {
	return Object.assign(element('input'), { type, ...properties });
}

export function svg(name, attributes, ...children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
	node.append(...children);
	return node;
}

/** Whether a key is typed into a field. */
export const isTyping = ({ target }) => target.closest('input:not([type=range], [type=checkbox], [type=file])');

/** Fills in a field; whoever types in it goes on typing. */
export function put(field, value) {
	if (document.activeElement !== field || field.disabled) field.value = value;
}

/** The rows of a list, each with its `node`, one a key. They are reused: nothing flickers. */
export class Rows {
	#rows = new Map();

	constructor(list, create) {
		Object.assign(this, { list, create });
	}

	/** Shows rows for these keys in this order; `fill(row, key, place)`. */
	show(keys, fill) {
		const gone = new Map(this.#rows);
		keys.forEach((key, place) => {
			const row = gone.get(key) ?? this.create(key);
			gone.delete(key);
			this.#rows.set(key, row);
			fill(row, key, place);
			const there = this.list.children[place];
			if (there !== row.node) this.list.insertBefore(row.node, there ?? null);
		});
		for (const [key, { node }] of gone) {
			node.remove();
			this.#rows.delete(key);
		}
	}
}

/** A line through the newest of `values`, at the right of `width`; gaps stay gaps. */
export function trace(values, width, y) {
	let path = '';
	let pen = 'M';
	values.forEach((value, n) => {
		if (value == null) {
			pen = 'M';
			return;
		}
		path += `${pen}${width - values.length + n} ${y(value).toFixed(1)}`;
		pen = 'L';
	});
	return path;
}
