// Numbers as they are written on the page.

const whole = new Intl.NumberFormat('en');

export const known = (value) => typeof value === 'number' && Number.isFinite(value);
export const fixed = (value, digits = 1) => (known(value) ? value.toFixed(digits) : '–');
export const count = (value) => (known(value) ? whole.format(value) : '–');
export const counted = (value, word) => `${count(value)} ${word}${value === 1 ? '' : 's'}`;

/** A time in ms, with three digits at most. */
export const milliseconds = (value) => fixed(value, value < 0.995 ? 2 : value < 99.5 ? 1 : 0);

export const percent = (share) => (share > 0 && share < 0.01 ? '< 1 %' : `${(100 * share).toFixed(0)} %`);

export function duration(s) {
	if (s < 60) return `${Math.floor(s)} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
	if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
