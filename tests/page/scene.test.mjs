import assert from 'node:assert/strict';
import { test } from 'node:test';

import { applyThresholds, colour, count, ranked, withLabels } from '../../html/scene.js';
import { labelRows } from '../../html/seen.js';

const item = (type, index, score, more = {}) => ({
  bounding_box: { left: 0, top: 0, right: 1, bottom: 1 },
  class: { type, index, score },
  ...more,
});

test('a box has its label, score and place, and a dropped one the reason in words', () => {
  const reason = { kind: 'outside_zones', zones: ['door'], text: 'outside zone "door"' };
  const bare = { kind: 'too_small' };
  const scene = {
    frame: { observations: [item('dog', 2, 0.9)] },
    dropped: [
      item('cat', 1, 0.8, { reason }),
      item('cat', 1, 0.7, { reason: bare }),
      item('cat', 1, 0.3, { reason: { kind: 'below_confidence', threshold: 0.5 } }),
    ],
  };
  const { kept, dropped } = applyThresholds(scene, { confidence: 0.4 });
  assert.deepEqual(kept, [{ label: 'dog', index: 2, score: 0.9, rect: { left: 0, top: 0, right: 1, bottom: 1 } }]);
  assert.deepEqual(
    dropped.map(({ reason, group, short }) => [reason, group, short]),
    [
      ['outside zone "door"', 'outside zones', undefined],
      ['too small', 'too small', undefined],
      ['below confidence: 0.30 < 0.40', 'below confidence', '0.30 < 0.40'],
    ],
  );
  assert.equal(applyThresholds(scene).dropped[2].short, '0.30 < 0.50', 'without settings, that which Spotter tells');
});

test('a Spotter that tells neither dropped ones nor zones has a page all the same', () => {
  const scene = { frame: { observations: [item('dog', 2, 0.9), item('dog', 2, 0.4)] } };
  const { kept, dropped } = applyThresholds(scene, { confidence: 0.5, zones: [{ name: 'door', confidence: 0.1 }] });
  assert.deepEqual([kept.length, dropped.length], [1, 1]);
});

test('classes of the whole picture are split at the confidence', () => {
  const scene = {
    classification: [
      { type: 'tench', index: 1, score: 0.5 },
      { type: 'shark', index: 3, score: 0.49 },
    ],
  };
  const sure = (settings) => ranked(scene, settings).map((row) => row.sure);
  assert.deepEqual(ranked(scene, { confidence: 0.5 })[0], { label: 'tench', index: 1, score: 0.5, sure: true });
  assert.deepEqual(sure({ confidence: 0.5 }), [true, false]);
  assert.deepEqual(sure({ confidence: 0.51 }), [false, false]);
  assert.deepEqual(sure(null), [true, true], 'without settings all are sure');
  assert.deepEqual(ranked({}, null), []);
});

test('labels are counted in the order of the classes', () => {
  const boxes = [
    { label: 'dog', index: 16, score: 0.6 },
    { label: 'person', index: 0, score: 0.7 },
    { label: 'dog', index: 16, score: 0.9 },
    { label: 'dog', index: 16, score: 0.8 },
  ];
  assert.deepEqual(count(boxes), [
    { label: 'person', index: 0, count: 1, best: 0.7 },
    { label: 'dog', index: 16, count: 3, best: 0.9 },
  ]);
  assert.deepEqual(count([]), []);
});

test('neighbouring classes have colours of their own, and ink that is read on them', () => {
  const fills = Array.from({ length: 21 }, (_, index) => colour(index).fill);
  assert.equal(new Set(fills).size, 21);
  assert.equal(colour(21).fill, colour(0).fill);
  const luminance = (text) => {
    const [r, g, b] = text
      .match(/\d+/g)
      .map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (let index = 0; index < 21; index++) {
    const { fill, ink } = colour(index);
    const [light, dark] = [luminance(fill), luminance(ink === '#ffffff' ? '255 255 255' : '11 13 15')].sort(
      (a, b) => b - a,
    );
    const contrast = (light + 0.05) / (dark + 0.05);
    assert.ok(contrast >= 4.5, `${index}: ${ink} on ${fill} has ${contrast.toFixed(2)}`);
  }
});

test('labels are known by name once they were seen', () => {
  const known = new Map([['dog', 17]]);
  assert.equal(withLabels(known, [{ label: 'dog', index: 3 }]), known, 'nothing new: the same map');
  const more = withLabels(known, [{ label: 'cat', index: 16 }]);
  assert.deepEqual([...more, known.size], [['dog', 17], ['cat', 16], 1]);
});

test('the list has a row for each label, then one for each reason to drop, or says that there is nothing', () => {
  const kept = [
    { label: 'dog', index: 17, score: 0.6 },
    { label: 'cat', index: 16, score: 0.9 },
    { label: 'dog', index: 17, score: 0.7 },
  ];
  const { rows, spoken } = labelRows(kept, [{ group: 'label off' }, { group: 'label off' }]);
  assert.deepEqual(
    rows.map(({ label, detail, value, style }) => [label, detail, value, style]),
    [
      ['cat', 'best 0.90', '1', undefined],
      ['dog', 'best 0.70', '2', undefined],
      ['label off', undefined, '2', 'out'],
    ],
  );
  assert.equal(spoken, 'cat 1, dog 2');
  const nothing = labelRows([], []);
  assert.deepEqual([nothing.rows[0].label, nothing.spoken], ['Nothing at this confidence', 'nothing']);
});
