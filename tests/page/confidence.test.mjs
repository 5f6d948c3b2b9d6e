// The slider acts on the page at once, by the filter's rule; tests/core/confidence.rs holds the filter to the same examples.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { applyThresholds } from '../../html/scene.js';

const { cases } = JSON.parse(readFileSync(new URL('../vectors/confidence.json', import.meta.url), 'utf8'));

const best = (list, score) => [...list].sort((a, b) => score(b) - score(a));

/** Scores of what is kept, scores and groups of what is dropped, best first. */
function sorted({ kept, dropped }) {
  return {
    kept: best(
      kept.map((box) => box.score),
      (score) => score,
    ),
    dropped: best(
      dropped.map((box) => [box.score, box.group]),
      ([score]) => score,
    ),
  };
}

const expected = ({ kept, dropped }) => ({ kept, dropped: best(dropped, ([score]) => score) });

for (const { name, settings, observations, dropped, slider } of cases) {
  const scene = { frame: { observations }, dropped };
  test(`the slider: ${name}`, () => {
    assert.ok(slider.length > 1);
    for (const at of slider) {
      const shown = sorted(applyThresholds(scene, { ...settings, confidence: at.confidence }));
      assert.deepEqual(shown, expected(at.page ?? at), `at ${at.confidence}`);
      // What the page does not know is said only where it makes a difference.
      if (at.page) assert.notDeepEqual(expected(at.page), expected(at), `at ${at.confidence}: ${at.page.why}`);
    }
  });
  test(`without settings the scene is shown as it was sorted: ${name}`, () => {
    const shown = applyThresholds(scene);
    assert.deepEqual(
      shown.kept.map((box) => box.score),
      observations.map((item) => item.class.score),
    );
    assert.deepEqual(
      shown.dropped.map((box) => [box.label, box.group]),
      dropped.map((item) => [item.class.type, item.reason.kind.replaceAll('_', ' ')]),
    );
  });
}
