import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Clock } from '../../html/clock.js';

const AHEAD = 90_000; // Spotter's clock before the page's

let now;
let ways; // ms there and back of each question, in turn
let asked;

beforeEach(() => {
  globalThis.document = { baseURI: 'http://camera.example/' };
  [now, ways, asked] = [0, [], 0];
  mock.timers.enable({ apis: ['setInterval'] });
  mock.method(performance, 'now', () => now);
  mock.method(globalThis, 'fetch', async () => {
    asked += 1;
    const [there, back] = ways.shift() ?? [5, 5];
    now += there;
    const body = JSON.stringify({ now_ms: performance.timeOrigin + now + AHEAD });
    now += back;
    return new Response(body);
  });
});
afterEach(() => mock.reset());

const error = (clock) => clock.now() - (performance.timeOrigin + now + AHEAD);

test('the quickest of four questions tells the time, its way halved', async () => {
  const statuses = [];
  const clock = new Clock(
    () => true,
    (status) => statuses.push(status),
  );
  assert.equal(clock.now(), null);
  ways = [
    [100, 0],
    [5, 7],
    [0, 100],
    [50, 50],
  ];
  await clock.sync();
  assert.equal(asked, 4);
  assert.equal(statuses.length, 4);
  assert.ok(Math.abs(error(clock) + 1) < 0.01, `${error(clock)} ms`);
  now += 10_000;
  assert.ok(Math.abs(error(clock) + 1) < 0.01, 'it goes on by itself');
});

test('where Spotter does not answer the time stays as it was known', async () => {
  let reached = false;
  const clock = new Clock(
    () => reached,
    () => {},
  );
  await clock.sync();
  assert.deepEqual([asked, clock.now()], [0, null]);
  reached = true;
  await clock.sync();
  globalThis.fetch.mock.mockImplementation(async () => {
    throw new TypeError('no network');
  });
  await clock.sync();
  globalThis.fetch.mock.mockImplementation(async () => new Response('', { status: 502 }));
  await clock.sync();
  assert.ok(Math.abs(error(clock)) < 0.01, `${error(clock)} ms`);
});

test('it is asked anew every half minute', async () => {
  const clock = new Clock(
    () => true,
    () => {},
  );
  mock.timers.tick(29_999);
  assert.equal(asked, 0);
  mock.timers.tick(1);
  assert.equal(asked, 1);
  assert.equal(clock.now(), null);
});

test('a status that comes by itself moves the clock on, never back, and a jump is asked about', async () => {
  const clock = new Clock(
    () => true,
    () => {},
  );
  await clock.sync();
  const spotter = () => performance.timeOrigin + now + AHEAD;
  clock.check(spotter() - 500);
  assert.ok(Math.abs(error(clock)) < 0.01, 'a status that was long on its way tells nothing');
  clock.check(spotter() + 300);
  assert.ok(Math.abs(error(clock) - 300) < 0.01, 'its time cannot lie ahead');
  const before = asked;
  clock.check(spotter() + 60_000);
  assert.equal(asked, before + 1);
});
