// What the page knows, in one place. Pure: what shows it subscribes.

export class Store {
	#subscribers = [];

	constructor(state) {
		this.state = Object.freeze({ ...state });
	}

	/** Calls `render(state)` after each change of one of the `names`. */
	subscribe(names, render) {
		for (const name of names) if (!(name in this.state)) throw new Error(`there is no ${name} in the state`);
		this.#subscribers.push({ names, render });
	}

	/** Takes over these fields. Those that stay the same value are no change. */
	set(fields) {
		const changed = Object.keys(fields).filter((name) => !Object.is(fields[name], this.state[name]));
		if (!changed.length) return;
		this.state = Object.freeze({ ...this.state, ...fields });
		for (const { names, render } of this.#subscribers) {
			if (names.some((name) => changed.includes(name))) render(this.state);
		}
	}
}
