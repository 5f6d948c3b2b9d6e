// What the page knows, and what follows from changes of it.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Player } from '../../html/player.js';
import { Store } from '../../html/store.js';
import { throttle } from '../../html/throttle.js';

test('a subscriber is told of changes of what it asked for, once each, and of nothing else', () => {
  const store = new Store({ paused: false, settings: null, status: null });
  const seen = [];
  store.subscribe(['paused', 'settings'], (state) => seen.push(state));
  assert.deepEqual(seen, [], 'nothing has changed yet');
  store.set({ status: { now_ms: 1 } });
  store.set({ paused: false });
  assert.deepEqual(seen, [], 'another field, and the same value');
  const settings = { confidence: 0.5 };
  store.set({ paused: true, settings });
  assert.deepEqual(seen, [{ paused: true, settings, status: { now_ms: 1 } }], 'two fields are one change');
  assert.equal(store.state.settings, settings);
  store.set({ settings: { ...settings } });
  assert.equal(seen.length, 2, 'another object is another value');
});

test('a change made by a subscriber is seen by all, and the last that each sees is the newest', () => {
  const store = new Store({ model: '', labels: 0 });
  const seen = [];
  store.subscribe(['model', 'labels'], ({ model, labels }) => seen.push(`first ${model} ${labels}`));
  store.subscribe(['model'], () => store.set({ labels: store.state.labels + 1 }));
  store.subscribe(['model', 'labels'], ({ model, labels }) => seen.push(`last ${model} ${labels}`));
  store.set({ model: 'a' });
  assert.deepEqual(seen, ['first a 0', 'first a 1', 'last a 1', 'last a 1']);
});

test('the state changes by set alone, and only what is in it can be subscribed', () => {
  const store = new Store({ paused: false });
  assert.throws(() => {
    store.state.paused = true;
  }, TypeError);
  assert.throws(() => store.subscribe(['pause'], () => {}), /there is no pause in the state/);
});

/** A player whose pictures are decoded by hand. */
class Decoder {
  shown = [];
  closed = [];
  #waiting = [];

  constructor() {
    const decode = (jpeg) =>
      new Promise((done, failed) => {
        this.#waiting.push({ jpeg, done, failed });
      });
    this.player = new Player((picture, scene) => this.shown.push([picture.jpeg, scene]), decode);
  }

  push(jpeg) {
    this.player.push({ jpeg, scene: `scene of ${jpeg}` });
  }

  get waiting() {
    return this.#waiting.map(({ jpeg }) => jpeg);
  }

  async end(failed) {
    const { jpeg, ...promise } = this.#waiting.shift();
    if (failed) promise.failed(new Error('no picture'));
    else promise.done({ jpeg, close: () => this.closed.push(jpeg) });
    await new Promise((done) => {
      setImmediate(done);
    });
  }
}

test('one picture is decoded at a time, and of those that wait only the newest', async () => {
  const decoder = new Decoder();
  for (const jpeg of ['a', 'b', 'c']) decoder.push(jpeg);
  assert.deepEqual(decoder.waiting, ['a']);
  await decoder.end();
  assert.deepEqual(decoder.waiting, ['c']);
  await decoder.end();
  assert.deepEqual(decoder.shown, [
    ['a', 'scene of a'],
    ['c', 'scene of c'],
  ]);
  assert.equal(decoder.player.skipped, 1);
});

test('what cannot be decoded is counted, and the next picture is shown', async () => {
  const decoder = new Decoder();
  decoder.push('a');
  decoder.push('b');
  await decoder.end('failed');
  await decoder.end();
  assert.deepEqual([decoder.player.undecodable, decoder.shown], [1, [['b', 'scene of b']]]);
});

test('a pause shows nothing, not even what was being decoded; a step shows the newest, and it rests again', async () => {
  const decoder = new Decoder();
  decoder.push('a');
  decoder.player.setPaused(true);
  await decoder.end();
  assert.deepEqual([decoder.shown, decoder.closed, decoder.waiting], [[], ['a'], []]);
  decoder.push('b');
  decoder.player.step();
  await decoder.end();
  decoder.push('c');
  assert.deepEqual([decoder.shown, decoder.waiting], [[['b', 'scene of b']], []]);
  decoder.player.setPaused(false);
  await decoder.end();
  decoder.player.step();
  assert.deepEqual(decoder.shown.at(-1), ['c', 'scene of c']);
});

test('a page that nobody sees decodes nothing, and then the newest', async () => {
  const decoder = new Decoder();
  decoder.player.setHidden(true);
  decoder.push('a');
  decoder.push('b');
  assert.deepEqual(decoder.waiting, []);
  decoder.player.setHidden(false);
  assert.deepEqual(decoder.waiting, ['b']);
});

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.reset());

test('what is throttled is done at once, then late, and earlier where that is asked for', () => {
  let now = 0;
  mock.method(performance, 'now', () => now);
  const acted = [];
  const act = throttle(() => acted.push(now), 250);
  const pass = (ms) => {
    now += ms;
    mock.timers.tick(ms);
  };
  act();
  pass(0);
  act();
  act();
  pass(249);
  assert.deepEqual(acted, [0]);
  pass(1);
  assert.deepEqual(acted, [0, 250]);
  act();
  act(true);
  pass(0);
  assert.deepEqual(acted, [0, 250, 250]);
  pass(1000);
  assert.deepEqual(acted, [0, 250, 250], 'the late one was that one');
});
