// What is to be drawn of a scene at a given confidence.

/** Whether a confidence of its label or zone holds for it, and not that for all. */
function hasOwn(item, settings) {
  const zones = (settings?.zones ?? []).filter((zone) => item.zones?.includes(zone.name));
  return settings?.labels?.[item.class.type]?.confidence != null || zones.some((zone) => zone.confidence != null);
}

/**
 * Sorts everything the detector reported for one frame by the settings of this page, so that the slider acts on the
 * picture that is shown, without asking Spotter.
 */
export function sift(scene, settings = null) {
  const confidence = settings?.confidence ?? null;
  const kept = [];
  const dropped = [];
  const sort = (item, reason) => {
    const box = { label: item.class.type, index: item.class.index, score: item.class.score, rect: item.bounding_box };
    if (reason && reason.kind !== 'below_confidence') {
      dropped.push({ ...box, reason: reason.text || reason.kind.replaceAll('_', ' '), group: reason.kind.replaceAll('_', ' ') });
    } else if (confidence === null || (!reason && hasOwn(item, settings)) ? Boolean(reason) : box.score < confidence) {
      const limit = confidence ?? reason.threshold;
      const short = `${box.score.toFixed(2)} < ${limit.toFixed(2)}`;
      dropped.push({ ...box, short, reason: `below confidence: ${short}`, group: 'below confidence' });
    } else {
      kept.push(box);
    }
  };
  for (const item of scene.frame.observations) sort(item, null);
  for (const item of scene.dropped ?? []) sort(item, item.reason);
  return { kept, dropped };
}

/** Classes of the whole picture, best first, split at the confidence chosen on this page. */
export function ranked(scene, settings) {
  const confidence = settings?.confidence ?? null;
  return (scene.classification ?? []).map(({ type, index, score }) => ({
    label: type, index, score, sure: confidence === null || score >= confidence,
  }));
}

/** How many of each label, in the order of the classes so that the list does not jump. */
export function count(boxes) {
  const labels = new Map();
  for (const box of boxes) {
    const entry = labels.get(box.label) ?? { label: box.label, index: box.index, count: 0, best: 0 };
    entry.count += 1;
    entry.best = Math.max(entry.best, box.score);
    labels.set(box.label, entry);
  }
  return [...labels.values()].sort((a, b) => a.index - b.index);
}

// Okabe and Ito's colours, which people with colour-blindness can tell apart. Further classes get
// lighter, then darker variants; the label is always written as well.
const PALETTE = [
  [230, 159, 0], [204, 121, 167], [86, 180, 233], [240, 228, 66], [0, 114, 178], [0, 158, 115], [213, 94, 0],
];
const TINTS = [[0, 0], [255, 0.45], [0, 0.35]];

const colours = new Map();

/** The colour of a class, and the ink that is readable on it. */
export function colour(index) {
  let found = colours.get(index);
  if (!found) {
    const [towards, share] = TINTS[Math.floor(index / PALETTE.length) % TINTS.length];
    const rgb = PALETTE[index % PALETTE.length].map((c) => Math.round(c + (towards - c) * share));
    const [r, g, b] = rgb.map((c) => (c / 255) ** 2.2);
    const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    found = { fill: `rgb(${rgb.join(' ')})`, ink: luminance > 0.18 ? '#0b0d0f' : '#ffffff' };
    colours.set(index, found);
  }
  return found;
}
