// The form that asks for the token. Spotter answers the right one with a cookie that no script can read.

import { address, change } from './address.js';
import { $ } from './dom.js';

function say(text) {
  $('said').textContent = text;
  if (text) $('token').setAttribute('aria-invalid', 'true');
  else $('token').removeAttribute('aria-invalid');
}

function show(shown) {
  $('token').type = shown ? 'text' : 'password';
  const word = shown ? 'Hide' : 'Show';
  $('show').textContent = word;
  $('show').setAttribute('aria-label', `${word} the token`);
}

/** Resolves to what is wrong, or ''. */
async function send(token) {
  try {
    const answer = await change('api/v1/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
    });
    // 404: it asks for none.
    if (answer.ok || answer.status === 404) return '';
    if (answer.status === 401) return 'This is not the token of this Spotter.';
    if (answer.status === 429) return `Too many wrong tokens. Try again in ${answer.headers.get('Retry-After')} s.`;
    return `Not signed in: ${answer.why}`;
  } catch {
    return 'Spotter does not answer.';
  }
}

$('show').addEventListener('click', () => {
  show($('token').type === 'password');
  $('token').focus();
});

$('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const token = $('token').value.trim();
  say('');
  if (!token) {
    say('Type the token.');
    $('token').focus();
    return;
  }
  $('go').disabled = true;
  const wrong = await send(token);
  $('go').disabled = false;
  if (!wrong) {
    show(false); // so that the browser offers to keep it
    location.replace(address('./'));
    return;
  }
  say(wrong);
  $('token').select();
});
