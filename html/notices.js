// Sentences about what is wrong although detection goes on.

import { Part, element } from './dom.js';

export class Notices extends Part {
	#shown = '[]';

	render({ status: { notices = [] } }) {
		const texts = JSON.stringify(notices);
		if (texts === this.#shown) return;
		this.#shown = texts;
		const { notices: card, list } = this.parts;
		list.replaceChildren(...notices.map((text) => element('li', text)));
		card.hidden = notices.length === 0;
	}
}
