import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Splitter } from '../../html/stream.js';

function message(body, jpeg) {
  const json = new TextEncoder().encode(JSON.stringify(body));
  const bytes = new Uint8Array(8 + json.length + jpeg.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  new DataView(bytes.buffer).setUint32(4, jpeg.length, true);
  bytes.set(json, 8);
  bytes.set(jpeg, 8 + json.length);
  return bytes;
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

test('messages come out whole and in order, whatever the pieces they arrive in', () => {
  const jpegs = [new Uint8Array([255, 216, 1]), new Uint8Array(), new Uint8Array(300_000).fill(7)];
  const bodies = [
    { scene: { frame: { seq: 1 } } },
    { status: { state: 'läuft' } },
    { scene: { frame: { seq: 2 } }, status: {} },
  ];
  const bytes = joined(bodies.map((body, n) => message(body, jpegs[n])));
  for (const size of [1, 7, 1000, 65_536, bytes.length]) {
    const splitter = new Splitter();
    const got = [];
    const step = size === 1 ? 1 : size;
    const upTo = size === 1 ? 200 : bytes.length;
    for (let at = 0; at < upTo; at += step)
      splitter.push(bytes.slice(at, Math.min(at + step, upTo)), (one) => got.push(one));
    if (upTo < bytes.length) splitter.push(bytes.slice(upTo), (one) => got.push(one));
    assert.deepEqual(
      got.map(({ scene, status }) => ({ scene, status })),
      [
        { scene: { frame: { seq: 1 } }, status: null },
        { scene: null, status: { state: 'läuft' } },
        { scene: { frame: { seq: 2 } }, status: {} },
      ],
      `pieces of ${size}`,
    );
    for (const [n, { jpeg }] of got.entries())
      assert.deepEqual(Buffer.from(jpeg), Buffer.from(jpegs[n]), `pieces of ${size}`);
  }
});

test('a message stays as it is while the next ones arrive', () => {
  const splitter = new Splitter();
  let first;
  splitter.push(message({ scene: 1 }, new Uint8Array([1, 2, 3])), (one) => {
    first = one;
  });
  splitter.push(message({ scene: 2 }, new Uint8Array([9, 9, 9])), () => {});
  assert.deepEqual([...first.jpeg], [1, 2, 3]);
});

test('a length that no message has is an error, not a wait for gigabytes', () => {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(4, 0x7fffffff, true);
  assert.throws(() => new Splitter().push(head, () => assert.fail('no message')), /message too long/);
});
