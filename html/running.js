// What is running: source, model, backend, page and program.

import { Rows, element, set } from './dom.js';
import { count, counted, duration, known } from './numbers.js';

export class Running {
	#rows;

	constructor({ facts }) {
		this.#rows = new Rows(facts, (name) => {
			const row = { main: element('span'), more: element('small') };
			row.node = element('div', element('dt', name), element('dd', row.main, row.more));
			return row;
		});
	}

	render({ status, transport, skipped }) {
		const { source, model, backend, viewers, version, uptime_s: uptime } = status;
		const { width, height, fps } = source ?? {};
		const { title, name } = model ?? {};
		const live = viewers?.live ?? 0;
		const plain = viewers?.mjpeg ?? 0;
		const facts = {
			Source: [
				source?.name,
				source?.kind,
				source?.detail || (width && height && `${width}×${height}`),
				known(fps) && fps > 0 && `${Number(fps.toFixed(2))} fps`,
			],
			Model: [
				title || name,
				title !== name && name,
				model?.head,
				model?.input && `input ${model.input}`,
				model?.fit,
				model?.labels?.replace(`the label file inside ${name}`, 'labels inside the file') ||
					(model?.classes && `${model.classes} classes`),
			],
			Backend: [backend?.name, backend?.detail],
			Page: [
				transport === 'websocket' ? 'WebSocket' : 'HTTP stream',
				viewers && counted(live, 'live viewer'),
				plain > 0 && `${plain} MJPEG`,
				skipped > 0 && `${count(skipped)} skipped here`,
			],
			Spotter: [version, known(uptime) && `up ${duration(uptime)}`],
		};
		const shown = Object.keys(facts).filter((fact) => facts[fact][0]);
		this.#rows.show(shown, (row, fact) => {
			const [main, ...more] = facts[fact];
			set(row.main, main);
			set(row.more, more.filter(Boolean).join(', '));
		});
	}
}
