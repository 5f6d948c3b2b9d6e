// What is to be drawn of a scene at a given confidence.

/** Whether a confidence of its label or zone holds for it, and not that for all. */
function hasOwn({ class: { type }, zones }, settings) {
	return (
		settings.labels?.[type]?.confidence != null ||
		settings.zones?.some(({ name, confidence }) => confidence != null && zones?.includes(name))
	);
}

/**
 * Sorts what the detector reported for one frame by the settings of this page, so that the slider acts on the
 * picture that is shown, without asking Spotter.
 */
export function applyThresholds(scene, settings = null) {
	const confidence = settings?.confidence ?? null;
	const kept = [];
	const dropped = [];
	const sort = (item, reason) => {
		const { type: label, index, score } = item.class;
		const box = { label, index, score, rect: item.bounding_box };
		const drop = (why, group, short) => dropped.push({ ...box, reason: why, group, short });
		// Scores are told rounded: what was dropped at this very confidence stays so.
		const sorted = confidence === null || confidence === reason?.threshold || (!reason && hasOwn(item, settings));
		if (reason && reason.kind !== 'below_confidence') {
			const kind = reason.kind.replaceAll('_', ' ');
			drop(reason.text || kind, kind);
		} else if (sorted ? reason : score < confidence) {
			const short = `${score.toFixed(2)} < ${(confidence ?? reason.threshold).toFixed(2)}`;
			drop(`below confidence: ${short}`, 'below confidence', short);
		} else if (settings?.labels?.[label]?.on === false) drop(`label off: ${label}`, 'label off');
		else kept.push(box);
	};
	for (const item of scene.frame.observations) sort(item, null);
	for (const item of scene.dropped ?? []) sort(item, item.reason);
	return { kept, dropped };
}

/** Classes of the whole picture, best first, split at the confidence chosen on this page. */
export function ranked(scene, settings) {
	const least = settings?.confidence ?? 0;
	return (scene.classification ?? []).map(({ type, index, score }) => ({
		label: type,
		index,
		score,
		sure: score >= least,
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

/** The labels that are known, with those of `boxes`: name → index. The same map where there is nothing new. */
export function withLabels(known, boxes) {
	const found = boxes.filter(({ label }) => !known.has(label));
	return found.length ? new Map([...known, ...found.map(({ label, index }) => [label, index])]) : known;
}

// Okabe and Ito's colours, which people with colour-blindness can tell apart. Further classes get
// lighter, then darker variants; the label is always written as well.
const PALETTE = [
	[230, 159, 0],
	[204, 121, 167],
	[86, 180, 233],
	[240, 228, 66],
	[0, 114, 178],
	[0, 158, 115],
	[213, 94, 0],
];
const TINTS = [
	[0, 0],
	[255, 0.45],
	[0, 0.35],
];

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
