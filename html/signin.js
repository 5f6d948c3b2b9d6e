// The form that asks for the token. Spotter answers the right one with a cookie that no script can read.

import { address, change } from './address.js';
import { on, parts } from './dom.js';

const { form, token: field, said, show: toggle, go } = parts('form');

function say(text) {
	said.textContent = text;
	field.ariaInvalid = text ? 'true' : null;
}

function show(shown) {
	field.type = shown ? 'text' : 'password';
	const word = shown ? 'Hide' : 'Show';
	toggle.textContent = word;
	toggle.ariaLabel = `${word} the token`;
}

/** Resolves to what is wrong, or ''. */
async function send(token) {
	try {
		const answer = await change('api/v1/login', { method: 'POST', json: { token } });
		// 404: it asks for none.
		if (answer.ok || answer.status === 404) return '';
		if (answer.status === 401) return 'This is not the token of this Spotter.';
		if (answer.status === 429) return `Too many wrong tokens. Try again in ${answer.headers.get('Retry-After')} s.`;
		return `Not signed in: ${answer.why}`;
	} catch {
		return 'Spotter does not answer.';
	}
}

on(toggle, 'click', () => {
	show(field.type === 'password');
	field.focus();
});

on(form, 'submit', async (event) => {
	event.preventDefault();
	const token = field.value.trim();
	say('');
	if (!token) {
		say('Type the token.');
		field.focus();
		return;
	}
	go.disabled = true;
	const wrong = await send(token);
	go.disabled = false;
	if (!wrong) {
		show(false); // so that the browser offers to keep it
		location.replace(address('./'));
		return;
	}
	say(wrong);
	field.select();
});
