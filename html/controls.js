// The buttons below the picture, and the keys that do the same.

import { Part, isTyping, on, set } from './dom.js';

function rename(button, text, key) {
	button.ariaLabel = text;
	button.title = `${text} (${key})`;
}

export class Controls extends Part {
	#state = { paused: false, showDropped: false };

	/** `onSignIn()` resolves to what is wrong, or ''. */
	constructor(parts, { onPaused, onStep, onDropped, onSignIn }) {
		super(parts);
		const { viewer, pause, step, dropped, fullscreen, signIn, accessSaid } = parts;
		const togglePause = () => onPaused(!this.#state.paused);
		const stepOnce = () => {
			if (this.#state.paused) onStep();
		};
		const toggleFullscreen = () => {
			if (!document.fullscreenEnabled) return;
			const change = document.fullscreenElement ? document.exitFullscreen() : viewer.requestFullscreen();
			change.catch(() => {}); // refused by the browser: nothing to do
		};
		on(pause, 'click', togglePause);
		on(step, 'click', stepOnce);
		on(dropped, 'change', () => onDropped(dropped.checked));
		fullscreen.hidden = !document.fullscreenEnabled;
		on(fullscreen, 'click', toggleFullscreen);
		on(document, 'fullscreenchange', () =>
			rename(fullscreen, document.fullscreenElement ? 'Leave full screen' : 'Full screen', 'f'),
		);
		on(signIn, 'click', async () => {
			set(accessSaid, '');
			set(accessSaid, await onSignIn());
		});
		const keys = {
			'.': stepOnce,
			f: toggleFullscreen,
			d: () => onDropped(!this.#state.showDropped),
		};
		on(document, 'keydown', (event) => {
			if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
			if (isTyping(event) || event.target.matches('select')) return;
			if (event.key !== ' ') keys[event.key.toLowerCase()]?.();
			else if (!event.target.closest('button, input[type=checkbox], a, summary')) {
				event.preventDefault(); // no scrolling
				togglePause();
			}
		});
	}

	render(state) {
		this.#state = state;
		const { pause, step, dropped, access } = this.parts;
		const { paused, showDropped, editable } = state;
		rename(pause, paused ? 'Resume' : 'Pause', 'space');
		pause.classList.toggle('paused', paused);
		step.hidden = !paused;
		dropped.checked = showDropped;
		access.hidden = editable !== false;
	}
}
