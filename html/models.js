// Says where the model and the picture do not belong together, and offers models that do.

import { OWN, address, ask, change, result } from './address.js';
import { Part, element, input, on, set } from './dom.js';
import { sentence } from './suitability.js';

const DEMO_MODEL = 'spotter-demo';

const size = (bytes) => (bytes ? `${(bytes / 1e6).toFixed(1)} MB` : '');

export class Models extends Part {
	#about = ''; // what the notice is about; built anew when it changes
	#busy = false;
	#fits = true;
	#state = {};
	#asked = false; // somebody wants to see the models though the one that runs fits
	#waiting = []; // a compiled model that waits for its description, or the other way round
	#saidOf = null; // the name of the model that ran when something was said of it

	/** `onRefused(status)` is told where a change was refused, `onRuns(model)` what runs after one. */
	constructor(parts, { onRefused, onRuns }) {
		super(parts);
		Object.assign(this, { onRefused, onRuns });
		const { list, open, change: another, back, file } = parts;
		on(open, 'click', () => {
			this.#hush();
			this.#open(list.hidden);
		});
		on(another, 'click', () => this.#ask(!this.#asked));
		on(back, 'click', () => this.#send('Loading the model before', 'The model before', { method: 'DELETE' }));
		on(file, 'change', () => {
			const files = [...file.files];
			file.value = ''; // the same file may be chosen again
			if (files.length) this.#own(files);
		});
	}

	render(state) {
		this.#state = state;
		this.#enable();
		if (state.status) this.#notice(state.status);
	}

	#enable() {
		const { list, file, back } = this.parts;
		const open = this.#state.editable && !this.#busy;
		for (const row of list.children) {
			const accepted = [...row.querySelectorAll('input')].every((box) => box.checked);
			row.querySelector('button').disabled = !open || !accepted;
		}
		file.disabled = !open;
		back.disabled = !open;
	}

	#notice({ source, model }) {
		const drawn = source?.kind === 'demo';
		const demo = model?.scope === 'demo';
		const missing = model?.missing;
		const about = `${drawn} ${demo} ${model?.name} ${missing} ${this.#asked}`;
		if (about === this.#about) return;
		this.#about = about;
		// What was said of the model that runs stays to be read: its first status comes after the answer.
		if (model?.name !== this.#saidOf) this.#hush();
		const fits = !model || (!demo && !drawn && !missing);
		const { models: notice, title, text, open, change: another } = this.parts;
		notice.hidden = fits && !this.#asked;
		notice.classList.toggle('notice', !fits);
		open.hidden = fits;
		another.hidden = !fits;
		another.ariaExpanded = this.#asked;
		this.#fits = fits;
		if (notice.hidden) return;
		set(title, fits ? 'Another model' : missing ? 'No model yet' : demo ? 'Demo model' : 'Demo scene');
		set(text, noticeText({ fits, missing, demo, drawn, name: model?.title || model?.name }));
		set(open, demo ? 'Models for real video' : 'Choose a model');
		this.#open(fits || Boolean(missing));
	}

	get #running() {
		return this.#state.status?.model;
	}

	/** Shows the models, or no longer, though the one that runs fits. */
	#ask(asked) {
		this.#asked = asked;
		this.#hush();
		this.render(this.#state);
		if (asked) this.parts.models.scrollIntoView({ block: 'nearest' });
	}

	/** Takes back what was said, unless it tells of something under way. */
	#hush() {
		if (!this.#busy) this.#say('');
	}

	#say(text) {
		set(this.parts.said, text);
	}

	async #open(shown) {
		const { list, own, open, back } = this.parts;
		// Whoever has pressed a key in the list stays where it was.
		if (!shown && list.contains(document.activeElement)) open.focus();
		list.hidden = !shown;
		own.hidden = !shown;
		open.ariaExpanded = shown;
		if (!shown) return;
		try {
			const [{ models, default: usual }, now] = await Promise.all(['api/models', 'api/model'].map(ask));
			const running = this.#running;
			const forReal = running?.scope === 'demo' || Boolean(running?.missing);
			const mends = ({ task, scope }) => task === 'detection' && forReal !== (scope === 'demo');
			const wanted = models.filter((model) => (this.#fits ? model.name !== running?.name : mends(model)));
			back.hidden = !now.chosen_at || !now.started_with;
			set(back, `Back to ${now.started_with}`);
			// The one that Spotter itself would take first, then what is here already.
			const rank = (model) => (model.name === DEMO_MODEL || model.name === usual ? 2 : Number(model.here));
			wanted.sort((a, b) => rank(b) - rank(a));
			list.replaceChildren(...wanted.map((model) => this.#row(model)));
			this.#enable();
		} catch {
			this.#say('Spotter did not say which models there are; try again.');
		}
	}

	#row(model) {
		const run = element('button', model.here ? 'Run' : 'Get');
		run.ariaLabel = `${model.here ? 'Run' : 'Get and run'} ${model.title}`;
		run.dataset.testid = `run-${model.name}`;
		const facts = [size(model.size), model.licence, model.here ? 'on this machine' : 'to be downloaded'];
		const row = element('li', element('span', model.title), element('small', facts.filter(Boolean).join(' · ')));
		const accept = (text) => {
			const box = input('checkbox');
			row.append(element('label', box, text));
			on(box, 'change', () => this.#enable());
		};
		if (model.accept_license) {
			accept(`I accept ${model.accept_license}, which also binds programs that use it over a network`);
		}
		if (model.accept_unverified) {
			const held = 'What is got now is what later copies are held against';
			accept(`I take it unchecked: no checksum of it is published. ${held}`);
		}
		row.append(run);
		on(run, 'click', () => this.#run(model));
		return row;
	}

	#run(model) {
		const json = { model: model.name };
		if (model.accept_license) json.accept_license = model.accept_license;
		if (model.accept_unverified) json.accept_unverified = true;
		this.#send(`${model.here ? 'Loading' : 'Downloading and loading'} ${model.title}`, model.title, { json });
	}

	#own(files) {
		const { model, description, waiting, wrong } = chosen(files, this.#waiting);
		this.#waiting = waiting;
		if (wrong) {
			this.#say(wrong);
			return;
		}
		const form = new FormData();
		form.append('model', model);
		if (description) form.append('description', description);
		this.#send(`Sending ${model.name}`, model.name, { form });
	}

	/** Asks for another model. The picture goes on meanwhile, with the model before. */
	async #send(doing, title, request) {
		if (this.#busy) return;
		this.#busy = true;
		this.#enable();
		this.#saidOf = this.#running?.name;
		this.#say(`${doing} …`);
		let said = `${title} runs.`;
		try {
			const answer = request.form
				? await upload(address('admin/model'), request.form, (text) => this.#say(`${doing}: ${text}`))
				: await change('admin/model', { method: 'POST', ...request });
			if (answer.ok) {
				this.#saidOf = answer.body.name;
				said = `${said} ${sentence(answer.body.suitability)}`.trim();
				this.onRuns(answer.body);
			} else {
				said = `Not changed: ${answer.why}`;
				this.onRefused(answer.status);
			}
		} catch {
			said = 'Not changed: Spotter did not answer.';
		}
		this.#busy = false;
		this.#enable();
		if (this.#fits && this.#asked) await this.#open(true);
		this.#say(said);
	}
}

/**
 * Of files that were chosen: the model, and the description of one that is compiled; or what is wrong. A phone's chooser
 * may give one file at a time: the first is `waiting` for the second.
 */
export function chosen(files, waiting) {
	const pick = (wanted) => [...files, ...waiting].find(({ name }) => wanted.test(name));
	const models = files.filter(({ name }) => /\.(tflite|bin)$/i.test(name));
	const descriptions = files.filter(({ name }) => /\.json$/i.test(name));
	const other = files.find((file) => !models.includes(file) && !descriptions.includes(file));
	const refused = (wrong, then = []) => ({ wrong, waiting: then });
	if (other) return refused(`${other.name} is neither a model (.tflite, .bin) nor a description (.json).`);
	if (models.length > 1 || descriptions.length > 1) return refused('These are several models; choose one.');
	const model = models[0] ?? pick(/\.bin$/i);
	const compiled = model && /\.bin$/i.test(model.name);
	const description = model && !compiled ? descriptions[0] : pick(/\.json$/i);
	if (compiled && !description) {
		const wanted = 'choose its description (a .json file) too';
		return refused(`${model.name} is compiled and does not say what it takes and gives: ${wanted}.`, [model]);
	}
	if (!model) {
		return refused(`${description.name} is a description: choose the .bin file that it describes too.`, [description]);
	}
	return { model, description, waiting: [] };
}

/** What the model knows and the picture shows, where they do not belong together. */
function noticeText({ fits, missing, demo, drawn, name }) {
	if (fits) return 'It is tried first: where it fails, this one runs on.';
	if (missing) return `Detection is off: no model loaded. ${missing}.`;
	if (!demo) return `The picture is drawn, and ${name} is made for real video: it finds some of the figures at best.`;
	if (drawn) return 'This model knows the drawn figures of the demo scene only. It is of no use on real video.';
	return 'This model knows drawn figures only, and this is real video: what it marks means nothing. Choose a model for real video.';
}

/** Sends a form, and tells how far that is. Unlike fetch, XMLHttpRequest knows it. */
function upload(url, form, tell) {
	return new Promise((resolve, reject) => {
		const request = new XMLHttpRequest();
		request.open('POST', url);
		for (const [name, value] of Object.entries(OWN)) request.setRequestHeader(name, value);
		request.responseType = 'text';
		request.upload.onprogress = ({ loaded, total }) => tell(`${Math.floor((100 * loaded) / Math.max(1, total))} %`);
		request.upload.onload = () => tell('sent, it is tried …');
		request.onload = () => resolve(result(request.status, null, request.responseText));
		request.onerror = () => reject(new Error('no answer'));
		request.send(form);
	});
}
