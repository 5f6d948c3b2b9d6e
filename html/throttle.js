/** `act`, called at most once in `ms`: a call that comes too early is made late, or at once where asked for. */
export function throttle(act, ms) {
	let timer = 0;
	let last = -Infinity;
	return (atOnce = false) => {
		if (timer && !atOnce) return;
		clearTimeout(timer);
		const wait = atOnce ? 0 : Math.max(0, last + ms - performance.now());
		timer = setTimeout(() => {
			timer = 0;
			last = performance.now();
			act();
		}, wait);
	};
}
