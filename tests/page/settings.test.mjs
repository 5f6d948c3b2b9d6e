import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Settings, difference, schemaError, merged } from '../../html/settings.js';

test('a merge patch does what RFC 7396 says', () => {
  // Its appendix A.
  for (const [document, patch, result] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]) {
    const before = structuredClone(document);
    assert.deepEqual(merged(document, patch), result);
    assert.deepEqual(document, before, 'what it was made of stays as it was');
  }
});

test('a difference is the patch from one document to the other, as small as can be', () => {
  const from = {
    confidence: 0.5,
    labels: { dog: { on: false, confidence: 0.3 }, cat: { on: false } },
    zones: [{ name: 'a' }],
    size: { min: 0, max: 1 },
  };
  const to = {
    confidence: 0.6,
    labels: { dog: { on: false }, fox: { on: false } },
    zones: [],
    size: { min: 0, max: 1 },
  };
  const patch = difference(from, to);
  assert.deepEqual(patch, {
    confidence: 0.6,
    labels: { dog: { confidence: null }, cat: null, fox: { on: false } },
    zones: [],
  });
  assert.deepEqual(merged(from, patch), to);
  assert.deepEqual(merged(to, difference(to, from)), from);
  assert.equal(difference(from, structuredClone(from)), null);
  assert.deepEqual(difference(undefined, { a: 1 }), { a: 1 });
});

const SCHEMA = {
  type: 'object',
  properties: {
    confidence: { type: 'number', minimum: 0, maximum: 1 },
    fps_limit: { type: ['number', 'null'], minimum: 0.1, maximum: 240 },
    fit: { enum: ['auto', 'letterbox', 'stretch', 'crop'] },
    labels: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: { on: { type: 'boolean' }, confidence: { type: ['number', 'null'], minimum: 0, maximum: 1 } },
      },
    },
    zones: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          name: { type: 'string' },
          points: {
            type: 'array',
            items: { type: 'object', properties: { x: { type: 'number', minimum: 0, maximum: 1 } } },
          },
        },
      },
    },
  },
};

test('what Spotter exports is not refused: null is no number out of range', () => {
  assert.equal(
    schemaError(SCHEMA, {
      confidence: 0.5,
      fps_limit: null,
      fit: 'auto',
      labels: { dog: { on: true, confidence: null } },
      zones: [{ name: 'a', points: [{ x: 1 }] }],
    }),
    '',
  );
});

test('a document that Spotter would refuse is told, with the place, the value and what it may be', () => {
  const wrong = (document) => schemaError(SCHEMA, document);
  assert.equal(wrong([]), 'settings must be of type object, not []');
  assert.equal(wrong(null), 'settings must be of type object, not null');
  assert.equal(wrong({ confidence: null }), 'confidence must be of type number, not null');
  assert.equal(wrong({ confidence: '0.5' }), 'confidence must be of type number, not "0.5"');
  assert.equal(wrong({ confidence: 1.01 }), 'confidence must be from 0 to 1, not 1.01');
  assert.equal(wrong({ confidence: -0.01 }), 'confidence must be from 0 to 1, not -0.01');
  assert.equal(wrong({ fps_limit: 0.05 }), 'fps_limit must be from 0.1 to 240, not 0.05');
  assert.equal(wrong({ fps_limit: 'fast' }), 'fps_limit must be of type number or null, not "fast"');
  assert.equal(wrong({ fit: 'zoom' }), 'fit must be auto, letterbox, stretch, crop, not "zoom"');
  assert.equal(wrong({ labels: { dog: { confidence: 2 } } }), 'labels.dog.confidence must be from 0 to 1, not 2');
  assert.equal(
    wrong({ zones: [{}, { points: [{ x: 0 }, { x: 7 }] }] }),
    'zones[1].points[1].x must be from 0 to 1, not 7',
  );
  assert.equal(wrong({ labels: 'x'.repeat(500) }).length, 'labels must be of type object, not '.length + 60);
  // At both ends, and what the schema does not know.
  assert.equal(wrong({ confidence: 0, fps_limit: 240, newer: { than: 'this page' } }), '');
});

test('what the shared examples say is refused is refused here, or by Spotter; what Spotter takes is never refused here', async () => {
  const read = async (path) => JSON.parse(await readFile(new URL(`../../${path}`, import.meta.url)));
  const schema = await read('app/core/settings/schema.json');
  for (const { name, document, error, page: verdict } of (await read('tests/vectors/settings.json')).documents) {
    assert.equal(schemaError(schema, document) === '', error === null || verdict === 'sent', name);
  }
});

/** Settings at a page of which Spotter is made up; timers go on by hand. */
class Page {
  stored = { confidence: 0.5, iou: 0.45, zones: [] };
  etag = 1;
  requests = [];
  states = [];
  refusal = null;
  now = 0;

  constructor() {
    globalThis.document = { baseURI: 'http://camera.example/' };
    mock.method(performance, 'now', () => this.now);
    mock.method(globalThis, 'fetch', async (url, request) => this.#answer(String(url), request));
    this.settings = new Settings({
      onChange: (document) => {
        this.shown = document;
      },
      onSaving: (state) => this.states.push(state),
      onRefused: (status) => {
        this.refused = status;
      },
      now: () => 1000,
    });
  }

  #answer(url, { method = 'GET', headers = {}, body }) {
    if (method !== 'GET') this.requests.push({ method, url, headers, body: body && JSON.parse(body) });
    if (method !== 'GET' && this.refusal)
      return new Response(JSON.stringify({ detail: this.refusal }), { status: 403 });
    const before = JSON.stringify(this.stored);
    if (method === 'PATCH') this.stored = merged(this.stored, JSON.parse(body));
    if (method === 'PUT') this.stored = JSON.parse(body);
    if (method === 'DELETE') this.stored = { confidence: 0.5, iou: 0.45, zones: [] };
    if (JSON.stringify(this.stored) !== before) this.etag += 1;
    return new Response(JSON.stringify(this.stored), { headers: { ETag: `"${this.etag}"` } });
  }

  async begin() {
    await this.settings.refresh({ etag: 'first' }, 2000);
    return this.settings;
  }

  /** So long, and until what was asked meanwhile is answered. */
  async pass(ms) {
    mock.timers.tick(ms);
    for (let turn = 0; turn < 50; turn++)
      await new Promise((done) => {
        setImmediate(done);
      });
  }
}

let page;
beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout'] });
  page = new Page();
});
afterEach(() => mock.reset());

test('changes without a pause are sent as one, to the address of who may change things', async () => {
  const settings = await page.begin();
  settings.change({ confidence: 0.6 }, 'confidence');
  settings.change({ confidence: 0.7 }, 'confidence');
  settings.change({ labels: { dog: { on: null } } }, 'label dog');
  assert.equal(page.shown.confidence, 0.7, 'the page does not wait');
  await page.pass(79);
  assert.deepEqual(page.requests, []);
  await page.pass(1);
  const [{ method, url, headers, body }, ...more] = page.requests;
  assert.deepEqual([method, url, more.length], ['PATCH', 'http://camera.example/admin/settings', 0]);
  assert.equal(headers['X-Requested-With'], 'spotter');
  assert.deepEqual(body, { confidence: 0.7, labels: { dog: { on: null } } }, 'null is sent, it takes away');
  assert.deepEqual(page.states.at(-1), { text: '', failed: false, done: true });
  assert.equal(settings.busy, false);
});

test('one drag is one step back; another topic, or the same after a pause, is another', async () => {
  const settings = await page.begin();
  for (const confidence of [0.6, 0.7, 0.8]) {
    settings.change({ confidence }, 'confidence');
    page.now += 799;
  }
  settings.change({ iou: 0.6 }, 'iou');
  page.now += 800;
  settings.change({ iou: 0.7 }, 'iou');
  const seen = [];
  while (settings.canUndo) {
    settings.undo();
    seen.push([page.shown.confidence, page.shown.iou]);
  }
  assert.deepEqual(seen, [
    [0.8, 0.6],
    [0.8, 0.45],
    [0.5, 0.45],
  ]);
  while (settings.canRedo) settings.redo();
  assert.deepEqual([page.shown.confidence, page.shown.iou], [0.8, 0.7]);
  await page.pass(80);
  assert.deepEqual([page.stored.confidence, page.stored.iou], [0.8, 0.7]);
  // What is changed after a step back has no way forth.
  settings.undo();
  settings.change({ confidence: 0.1 }, 'confidence');
  assert.equal(settings.canRedo, false);
});

test('a change of nothing is neither sent nor a step', async () => {
  const settings = await page.begin();
  settings.change({ confidence: 0.5, absent: null }, 'confidence');
  await page.pass(1000);
  assert.deepEqual([page.requests.length, settings.canUndo], [0, false]);
});

test('what is refused is told and taken back with the next status', async () => {
  const settings = await page.begin();
  page.refusal = 'only administrators may';
  settings.change({ confidence: 0.9 }, 'confidence');
  await page.pass(80);
  assert.deepEqual(page.states.at(-1), { text: 'Not saved: only administrators may', failed: true });
  assert.equal(page.refused, 403);
  await settings.refresh({ etag: String(page.etag) }, 1);
  assert.equal(page.shown.confidence, 0.5);
});

test('what another has changed is fetched, but no old news while a change is on its way', async () => {
  const settings = await page.begin();
  page.stored = { ...page.stored, confidence: 0.3 };
  page.etag += 1;
  await settings.refresh({ etag: String(page.etag) }, 2000);
  assert.equal(page.shown.confidence, 0.3);
  settings.change({ confidence: 0.9 }, 'confidence');
  await settings.refresh({ etag: 'old news' }, 2000);
  assert.equal(page.shown.confidence, 0.9);
  await page.pass(80);
  // From before the change took effect, by Spotter's clock.
  page.stored = { ...page.stored, confidence: 0.3 };
  await settings.refresh({ etag: 'old news' }, 1049);
  assert.equal(page.shown.confidence, 0.9);
  await settings.refresh({ etag: 'news' }, 1050);
  assert.equal(page.shown.confidence, 0.3);
});

test('an import is a whole document, only over the one that is known, and one step back', async () => {
  const settings = await page.begin();
  const known = page.etag;
  assert.equal(await settings.replace({ confidence: 0.2, iou: 0.3, zones: [], newer: true }), undefined);
  const [{ method, headers, body }] = page.requests;
  assert.deepEqual([method, headers['If-Match'], body.newer], ['PUT', `"${known}"`, true]);
  assert.equal(page.shown.confidence, 0.2);
  settings.undo();
  await page.pass(0);
  assert.deepEqual(
    [page.requests[1].method, page.requests[1].body],
    ['PUT', { confidence: 0.5, iou: 0.45, zones: [] }],
  );
  await settings.reset();
  assert.equal(page.requests.at(-1).method, 'DELETE');
});

test('a file that is no settings is told and not sent', async () => {
  const settings = await page.begin();
  settings.change({ confidence: 0.6 }, 'confidence');
  await page.pass(80);
  const said = () => page.states.at(-1);
  await settings.import({ name: 'a.txt', text: async () => 'confidence: 1' }, SCHEMA);
  assert.deepEqual(said(), {
    text: 'Not imported: a.txt is no JSON; choose a file that was exported here',
    failed: true,
  });
  assert.equal(settings.topic, '', 'it is not said beside the slider');
  await settings.import({ name: 'a.json', text: async () => '{"confidence":2}' }, SCHEMA);
  assert.deepEqual(said(), { text: 'Not imported: confidence must be from 0 to 1, not 2', failed: true });
  assert.equal(page.requests.length, 1);
  await settings.import({ name: 'a.json', text: async () => '{"confidence":1}' }, SCHEMA);
  assert.deepEqual([page.stored, said().done], [{ confidence: 1 }, true]);
});
