import assert from 'node:assert/strict';
import { test } from 'node:test';

import { legend } from '../../html/segmentation.js';

test('the largest class is first, the background last, whatever it is called like', () => {
  const classes = [
    { type: 'background', index: 0, share: 0.6 },
    { type: 'cat', index: 8, share: 0.1 },
    { type: 'dog', index: 12, share: 0.2 },
    { type: 'backgrounds', index: 13, share: 0.05 },
  ];
  assert.deepEqual(legend({ classes }), [
    { label: 'dog', index: 12, share: 0.2, background: false },
    { label: 'cat', index: 8, share: 0.1, background: false },
    { label: 'backgrounds', index: 13, share: 0.05, background: false },
    { label: 'background', index: 0, share: 0.6, background: true },
  ]);
  assert.deepEqual(
    legend({
      classes: ['__Background__', 'BACKGROUND', '_background'].map((type, index) => ({ type, index, share: 0.3 })),
    }).map((row) => row.background),
    [true, true, true],
  );
  assert.deepEqual(legend({ classes: [] }), []);
});
