// The overlay of a segmentation model: a class for every pixel, as a picture to lay over the frame.

import { colour } from './scene.js';

const STRENGTH = 0.5;

/** Rows that stand for "nothing in particular" are not painted. */
const isBackground = (label) => /^_*background_*$/i.test(label);

function rgb(index) {
	return colour(index).fill.match(/\d+/g).map(Number);
}

/** Classes of a mask for people: the largest share first, the background last. */
export function legend(segmentation) {
	const rows = segmentation.classes.map((item) => ({
		label: item.type,
		index: item.index,
		share: item.share,
		background: isBackground(item.type),
	}));
	return rows.sort((a, b) => a.background - b.background || b.share - a.share);
}

export class SegmentationOverlay {
	#canvas = document.createElement('canvas');
	#of = null;

	/** Paints the mask once for each scene, in the mask's own size. */
	#paint(segmentation) {
		if (this.#of === segmentation) return;
		const { width, height, runs, classes } = segmentation;
		this.#canvas.width = width;
		this.#canvas.height = height;
		const pixels = new ImageData(width, height);
		const paint = new Uint32Array(pixels.data.buffer);
		const colours = new Map(
			classes
				.filter((item) => !isBackground(item.type))
				.map((item) => {
					const [r, g, b] = rgb(item.index);
					// Bytes R, G, B, A whatever the machine's byte order.
					return [item.index, new Uint32Array(new Uint8Array([r, g, b, Math.round(255 * STRENGTH)]).buffer)[0]];
				}),
		);
		let at = 0;
		for (let n = 0; n + 1 < runs.length; n += 2) {
			const end = at + runs[n + 1];
			const fill = colours.get(runs[n]);
			if (fill !== undefined) paint.fill(fill, at, end);
			at = end;
		}
		this.#canvas.getContext('2d').putImageData(pixels, 0, 0);
		this.#of = segmentation;
	}

	/** Lays the mask over a picture of this size. Cells keep their edges: no class is invented between two. */
	draw(context, segmentation, width, height) {
		if (!segmentation.width || !segmentation.height) return;
		this.#paint(segmentation);
		const { left, top, right, bottom } = segmentation.region;
		const smooth = context.imageSmoothingEnabled;
		context.imageSmoothingEnabled = false;
		context.drawImage(this.#canvas, left * width, top * height, (right - left) * width, (bottom - top) * height);
		context.imageSmoothingEnabled = smooth;
	}
}
