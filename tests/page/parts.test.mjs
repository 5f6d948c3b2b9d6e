// Small parts of the page that need little of a browser.

import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';

import { Access } from '../../html/access.js';
import { address, ask, change, result } from '../../html/address.js';
import { axis } from '../../html/charts.js';
import { trace } from '../../html/dom.js';
import { chosen } from '../../html/models.js';
import { counted, duration, fixed, milliseconds, percent } from '../../html/numbers.js';
import { sentence } from '../../html/suitability.js';

afterEach(() => mock.reset());

const at = (url) => {
  globalThis.document = { baseURI: url };
  globalThis.location = new URL(url);
};

test('addresses are beside the page, without the password of its own address', () => {
  at('https://root:pass@camera.example/local/spotter/index.html?x#y');
  assert.equal(String(address('api/status')), 'https://camera.example/local/spotter/api/status');
  assert.equal(String(address('../../axis-cgi/usergroup.cgi')), 'https://camera.example/axis-cgi/usergroup.cgi');
});

test("a change is marked as the page's own and its refusal is put in words", async () => {
  at('http://camera.example/');
  const fetch = mock.method(
    globalThis,
    'fetch',
    async () => new Response('{"title":"Refused","detail":"no such label"}', { status: 422 }),
  );
  const { ok, status, why } = await change('admin/settings', {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
  });
  assert.deepEqual([ok, status, why], [false, 422, 'no such label']);
  const [url, request] = fetch.mock.calls[0].arguments;
  assert.equal(String(url), 'http://camera.example/admin/settings');
  assert.deepEqual(request, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'spotter' },
    body: '{}',
  });
  assert.equal(result(403, null, '{"title":"Refused"}').why, 'Refused');
  assert.equal(result(502, null, '<html>Bad gateway').why, 'HTTP status 502');
  assert.deepEqual(
    [199, 200, 299, 300].map((code) => result(code, null, '').ok),
    [false, true, true, false],
  );
});

test('what is asked for and not there is an error', async () => {
  at('http://camera.example/');
  mock.method(
    globalThis,
    'fetch',
    async (url) => new Response('{"labels":[]}', { status: String(url).endsWith('labels') ? 200 : 404 }),
  );
  assert.deepEqual(await ask('api/v1/labels'), { labels: [] });
  await assert.rejects(ask('api/v1/model'), /HTTP status 404/);
});

test('on a camera nobody is asked for a password who did not ask to sign in', async () => {
  at('http://camera.example/local/spotter/index.html');
  const asked = [];
  let groups = 'viewer\nusers viewer';
  mock.method(globalThis, 'fetch', async (url) => {
    asked.push(new URL(url).pathname);
    return new Response(groups);
  });
  const told = [];
  const access = new Access((may) => told.push(may));
  await access.check();
  await access.check();
  assert.deepEqual([asked, told], [['/axis-cgi/usergroup.cgi'], [false]]);
  assert.equal(await access.signIn(), '');
  assert.deepEqual([asked.at(-1), told.at(-1)], ['/local/spotter/admin/access', true]);
  access.reportRefusal(404);
  assert.equal(told.at(-1), true);
  access.reportRefusal(401);
  assert.equal(told.at(-1), false);
  // A group whose name only contains the word.
  groups = 'x\nadministrators';
  const other = new Access((may) => told.push(may));
  await other.check();
  assert.equal(other.editable, false);
  groups = 'root\nroot admin users';
  const third = new Access(() => {});
  await third.check();
  assert.equal(third.editable, true);
});

test('without a camera in front Spotter says who may change things, once it answers', async () => {
  at('http://127.0.0.1:8080/');
  let status = 503;
  mock.method(globalThis, 'fetch', async () => new Response('', { status }));
  const access = new Access(() => {});
  await access.check();
  assert.equal(access.editable, null);
  assert.equal(await access.signIn(), 'Spotter does not answer now (HTTP status 503).');
  status = 403;
  await access.check();
  assert.equal(access.editable, false);
  assert.equal(await access.signIn(), 'This is not an administrator of the camera.');
});

test('a trace ends at the right, and gaps stay gaps', () => {
  assert.equal(
    trace([1, 2, null, undefined, 3, 4], 10, (value) => 10 * value),
    'M4 10.0L5 20.0M8 30.0L9 40.0',
  );
  assert.equal(
    trace([], 10, (value) => value),
    '',
  );
  assert.equal(
    trace([null, 0], 2, (value) => value),
    'M1 0.0',
    '0 is a value',
  );
});

test('what runs the model is said to suit it or not, with the first reason', () => {
  const chips = [
    {
      chip: 'artpec8',
      title: 'ARTPEC-8',
      verdict: 'fail',
      rules: [{ message: 'per-channel weights' }, { message: 'slow' }],
    },
    { chip: 'cpu', title: 'CPU', verdict: 'pass', rules: [] },
  ];
  assert.equal(sentence({ chip: 'artpec8', chips }), 'It does not suit ARTPEC-8: per-channel weights.');
  assert.equal(sentence({ chip: 'cpu', chips }), 'It suits CPU.');
  assert.equal(sentence({ chip: 'cpu', chips: [], note: 'no chip is known' }), 'no chip is known.');
  assert.equal(sentence(null), '');
});

test('numbers are as exact as they are read', () => {
  assert.deepEqual([0.5, 0.994, 0.995, 99.4, 99.5, null].map(milliseconds), [
    '0.50',
    '0.99',
    '1.0',
    '99.4',
    '100',
    '–',
  ]);
  assert.deepEqual([0, 0.004, 0.01, 0.5, 1].map(percent), ['0 %', '< 1 %', '1 %', '50 %', '100 %']);
  assert.deepEqual([fixed(2), fixed(NaN), fixed(undefined, 0)], ['2.0', '–', '–']);
  assert.deepEqual([counted(1, 'error'), counted(1200, 'error')], ['1 error', '1,200 errors']);
  assert.deepEqual([59, 61, 3661, 90_000].map(duration), ['59 s', '1 min 1 s', '1 h 1 min', '1 d 1 h']);
});

test('the axis of times shows what was counted and a little around, with at most four times written', () => {
  const upper = Array.from({ length: 40 }, (_, n) => 0.01 * 2 ** (n / 2));
  assert.equal(axis(upper, [upper.map(() => 0)]), null);
  const counts = upper.map((_, n) => (n === 13 ? 5 : 0)); // up to 0.9 ms
  const { from, to, ticks } = axis(upper, [counts]);
  assert.ok(from <= 13 && to > 13 && to - from >= 14, `${from} to ${to}`);
  assert.deepEqual(
    ticks.map(({ ms }) => ms),
    [0.1, 1],
  );
  // 1 ms lies between the edges of the bucket that holds it.
  const bucket = upper.findIndex((limit) => limit >= 1);
  const { at } = ticks.find(({ ms }) => ms === 1);
  assert.ok(at + from >= bucket && at + from <= bucket + 1, `${at + from} in ${bucket}`);
  assert.ok(axis(upper, [upper.map(() => 1)]).ticks.length <= 4);
});

test('a model of theirs is one file, or one that is compiled with its description', () => {
  const [tflite, bin, json, text] = ['a.tflite', 'A.BIN', 'a.json', 'a.txt'].map((name) => ({ name }));
  assert.deepEqual(chosen([tflite], []), { model: tflite, description: undefined, waiting: [] });
  assert.deepEqual(chosen([json, bin], []), { model: bin, description: json, waiting: [] });
  // One after the other, in any order.
  const first = chosen([bin], []);
  assert.match(first.wrong, /^A.BIN is compiled .* choose its description/);
  assert.deepEqual(chosen([json], first.waiting), { model: bin, description: json, waiting: [] });
  const other = chosen([json], []);
  assert.equal(other.wrong, 'a.json is a description: choose the .bin file that it describes too.');
  assert.deepEqual(chosen([bin], other.waiting), { model: bin, description: json, waiting: [] });
  // What is refused waits for nothing.
  assert.deepEqual(chosen([text], [bin]), {
    wrong: 'a.txt is neither a model (.tflite, .bin) nor a description (.json).',
    waiting: [],
  });
  assert.equal(chosen([tflite, bin], []).wrong, 'These are several models; choose one.');
});
