import assert from 'node:assert/strict';
import { test } from 'node:test';

import { facts as factsOf, freshness } from '../../html/freshness.js';

/** A picture of 40 ms from a Spotter that is well, but for what is said. */
const facts = (more = {}) => ({
  shown: true,
  age: 40,
  waited: 60_000,
  paused: false,
  connected: true,
  retryMs: null,
  reason: null,
  source: { state: 'playing', name: 'street.mp4' },
  sourceRetryMs: null,
  message: '',
  state: 'running',
  ...more,
});
const badge = (more) => {
  const { level, badge } = freshness(facts(more));
  return [level, badge];
};
const words = (more) => freshness(facts({ age: 5000, ...more })).words;

test('a picture is live for a second, late for two more, then old', () => {
  assert.deepEqual(freshness(facts()), { level: 'green', badge: 'Live', words: null });
  assert.deepEqual(badge({ age: 999 }), ['green', 'Live']);
  assert.deepEqual(badge({ age: 1000 }), ['amber', '1.0 s late']);
  assert.deepEqual(badge({ age: 2999 }), ['amber', '3.0 s late']);
  assert.deepEqual(badge({ age: 3000 }), ['red', '3 s old']);
  assert.deepEqual(badge({ age: 119_999 }), ['red', '119 s old']);
  assert.deepEqual(badge({ age: 120_000 }), ['red', '2 min old']);
  assert.deepEqual(badge({ age: 7_200_000 }), ['red', '2 h old']);
  assert.equal(freshness(facts({ age: 2999 })).words, null, 'no words before it is red');
});

test('a pause is grey and says how old its picture is', () => {
  assert.deepEqual(badge({ paused: true }), ['grey', 'Paused']);
  assert.deepEqual(badge({ paused: true, age: 65_000 }), ['grey', 'Paused, 65 s old']);
  assert.equal(freshness(facts({ paused: true, age: 65_000, connected: false })).words, null);
});

test('before the first picture it waits, and says after three seconds that there is none', () => {
  const none = { shown: false, age: null };
  assert.deepEqual(badge({ ...none, waited: 2999 }), ['grey', 'Waiting']);
  assert.deepEqual(badge({ ...none, waited: 3000 }), ['red', 'No picture']);
  for (const state of ['reconnecting', 'failed', 'ended'])
    assert.deepEqual(badge({ ...none, waited: 0, source: { state } }), ['red', 'No picture'], state);
  assert.deepEqual(words({ ...none, message: 'loading' }), {
    text: 'Waiting for the first picture',
    detail: 'loading',
  });
});

test('pictures without detection are not called live', () => {
  assert.deepEqual(freshness(facts({ state: 'compiling', message: 'some minutes' })), {
    level: 'amber',
    badge: 'Compiling the model',
    words: { text: 'Compiling the model', detail: 'some minutes' },
  });
  assert.deepEqual(badge({ state: 'backend-failed' }), ['amber', 'No detection']);
  assert.deepEqual(badge({ state: 'backend-failed', age: 4000 }), ['red', '4 s old'], 'what is old is told first');
});

test('why no picture comes is said: the connection first, then the source', () => {
  assert.deepEqual(words({ connected: false }), { text: 'Connecting to Spotter', detail: '' });
  assert.deepEqual(
    words({ connected: false, retryMs: 1200, reason: 'too many viewers', source: { state: 'failed' } }),
    { text: 'No connection to Spotter; trying again in 2 s', detail: 'too many viewers' },
  );
  assert.equal(words({ connected: false, retryMs: 400 }).text, 'No connection to Spotter; trying again');
  const source = (state, message = '') => words({ source: { state, message, name: 'yard' }, sourceRetryMs: 2500 });
  assert.deepEqual(source('connecting'), { text: 'Connecting to the source', detail: 'yard' });
  assert.deepEqual(source('connecting', 'asks for a password'), {
    text: 'Connecting to the source',
    detail: 'asks for a password',
  });
  assert.deepEqual(source('reconnecting', 'refused'), { text: 'Reconnecting in 3 s: refused', detail: 'yard' });
  assert.deepEqual(source('ended'), { text: 'The clip has ended', detail: 'yard' });
  assert.deepEqual(source('failed'), { text: 'The source has failed', detail: 'yard' });
  assert.deepEqual(source('failed', 'no such file'), { text: 'The source has failed: no such file', detail: 'yard' });
  assert.equal(words({ source: { state: 'reconnecting' } }).text, 'Reconnecting');
  assert.deepEqual(words({ message: 'the model is slow' }), {
    text: 'No new picture for 5 s',
    detail: 'the model is slow',
  });
  assert.equal(words({ source: undefined }).text, 'No new picture for 5 s');
});

test('what it judges by is read from the state, times by the clock that they belong to', () => {
  const source = { state: 'reconnecting', retry_in_ms: 5000 };
  const state = {
    started: 1000,
    picture: { capturedMs: 90_000, drawnAt: 2000 },
    paused: false,
    connection: { open: true, retryAt: 7000, reason: 'full' },
    status: { source, message: 'lost', state: 'running' },
    statusAt: 3000,
  };
  assert.deepEqual(factsOf(state, 4000, 90_500), {
    shown: true,
    age: 500,
    waited: 3000,
    paused: false,
    connected: true,
    retryMs: 3000,
    reason: 'full',
    source,
    sourceRetryMs: 4000,
    message: 'lost',
    state: 'running',
  });
  assert.equal(factsOf(state, 4000, null).age, 2000, "without Spotter's clock: since it was drawn");
  assert.equal(factsOf(state, 4000, 89_000).age, 0, 'no picture is from the future');
  const first = { ...state, picture: null, status: null, connection: { open: false, retryAt: null, reason: null } };
  const { shown, age, retryMs, source: none, sourceRetryMs } = factsOf(first, 4000, null);
  assert.deepEqual([shown, age, retryMs, none, sourceRetryMs], [false, null, null, undefined, null]);
});
