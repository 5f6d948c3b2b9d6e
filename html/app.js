// Joins the parts of the page: what comes in changes the state, and what shows it is drawn anew.

import { Access } from './access.js';
import { ask } from './address.js';
import { Camera } from './camera.js';
import { Clock } from './clock.js';
import { Confidence } from './confidence.js';
import { Controls } from './controls.js';
import { on, parts, set } from './dom.js';
import { facts, freshness } from './freshness.js';
import { Health } from './health.js';
import { LiveState } from './live-state.js';
import { Models } from './models.js';
import { Notices } from './notices.js';
import { Player } from './player.js';
import { Running } from './running.js';
import { withLabels } from './scene.js';
import { Seen } from './seen.js';
import { Settings } from './settings.js';
import { SettingsCard } from './settings-card.js';
import { Speed } from './speed.js';
import { Stages } from './stages.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { Suitability } from './suitability.js';
import { throttle } from './throttle.js';
import { View } from './view.js';

const LIST_EVERY_MS = 250;
const STATUS_FRESH_MS = 3000;

const store = new Store({
	started: performance.now(),
	connection: { open: false, retryAt: null, reason: null },
	transport: null,
	status: null,
	statusAt: 0,
	fresh: false, // the status is not old
	model: undefined, // the name of the one that runs
	suitability: null, // of that model
	labels: new Map(), // that are known of it: name → index
	picture: null, // when the one that is shown was captured and drawn
	latencyMs: null, // from capture to screen
	framesShown: 0,
	skipped: 0,
	undecodable: 0,
	settings: null,
	schema: null, // of the settings
	saving: { text: '', failed: false }, // what became of the last change
	canUndo: false,
	canRedo: false,
	editable: null, // whether this person may change things; null until it is known
	paused: false,
	showDropped: false,
	inset: null, // corners of what is shown enlarged
});

const refused = (httpStatus) => access.reportRefusal(httpStatus);
const viewer = parts('viewer');
const inView = parts('in-view');

const access = new Access((editable) => store.set({ editable }));
const clock = new Clock(() => store.state.connection.open, setStatus);
const settings = new Settings({
	now: () => clock.now(),
	onChange: (document) => store.set({ settings: document, canUndo: settings.canUndo, canRedo: settings.canRedo }),
	onSaving: (saving) => store.set({ saving: { ...saving, topic: settings.topic } }),
	onRefused: refused,
});
const player = new Player(showPicture);
const stream = new Stream({
	onMessage: ({ status, scene, jpeg }) => {
		if (status) {
			clock.check(status.now_ms);
			setStatus(status);
		}
		if (!scene || !jpeg.length) return;
		player.push({ scene, jpeg });
		store.set({ skipped: player.skipped, undecodable: player.undecodable });
	},
	onState: (connection) => {
		store.set({ connection, transport: stream.transport });
		if (!connection.open) return;
		clock.sync();
		access.check();
	},
});

const view = new View(viewer, draw);
const seen = new Seen(inView);
const liveState = new LiveState({ ...viewer, ...inView });
const confidence = new Confidence(viewer, (value) => settings.change({ confidence: value }, 'confidence'));
const controls = new Controls(viewer, {
	onPaused: (paused) => store.set({ paused }),
	onStep: () => player.step(),
	onDropped: (showDropped) => store.set({ showDropped }),
	onSignIn: () => access.signIn(),
});
const speed = new Speed(parts('speed'));
const settingsCard = new SettingsCard(parts('settings'), {
	canvas: viewer.view,
	overlay: viewer.zonesOverlay,
	settings,
	onEnlarge: (inset) => store.set({ inset }),
});
const models = new Models(
	{ ...parts('models'), change: parts('models-change').modelsChange },
	{ onRefused: refused, onRuns: ({ suitability }) => store.set({ suitability }) },
);

/** Lets what is on the page be drawn anew whenever one of these fields changes. */
const shows = (part, ...names) => store.subscribe(names, (state) => part.render(state));
shows(controls, 'editable', 'paused', 'showDropped');
shows(confidence, 'settings', 'editable', 'saving');
shows(settingsCard, 'settings', 'schema', 'labels', 'editable', 'canUndo', 'canRedo');
shows(speed, 'status', 'fresh');
shows(models, 'status', 'editable');
shows(new Camera(parts('camera'), refused), 'status', 'editable');
shows(new Notices(parts('notices')), 'status');
shows(new Stages(parts('stages')), 'status');
shows(new Running(parts('facts')), 'status');
shows(new Health(parts('health')), 'status');
shows(new Suitability(parts('suitability')), 'suitability');
store.subscribe(['status', 'saving'], (state) => settingsCard.renderSaving(state));
store.subscribe(['status'], (state) => settingsCard.renderSource(state));
store.subscribe(['status'], ({ status }) => {
	const name = status.source?.name;
	set(parts('top-source').topSource, name ?? '');
	document.title = name ? `${name} – Spotter` : 'Spotter';
	settings.refresh(status.settings, status.now_ms);
	access.check();
});
store.subscribe(['settings', 'showDropped', 'inset'], () => draw(true));
store.subscribe(['paused'], ({ paused }) => player.setPaused(paused));
store.subscribe(['connection', 'paused', 'picture'], showLiveState);
store.subscribe(['settings'], ({ schema }) => {
	if (!schema) learn('api/v1/settings/schema', (answer) => ({ schema: answer }));
});
store.subscribe(['model'], () => {
	store.set({ labels: new Map() });
	// Without the labels of the model those that are seen are known.
	learn('api/v1/labels', ({ labels }) => {
		const named = labels.filter((label) => label.named && !label.background);
		return knownLabels(named.map(({ name, index }) => ({ label: name, index })));
	});
	learn('api/v1/model', (model) => ({ suitability: model.suitability }));
});

/** What is good to know, but not needed: the page does without it. */
function learn(path, fields) {
	const use = (answer) => store.set(fields(answer));
	ask(path).then(use, () => {});
}

function setStatus(status) {
	store.set({ status, statusAt: performance.now(), fresh: true, model: status.model?.name });
}

function knownLabels(boxes) {
	return { labels: withLabels(store.state.labels, boxes) };
}

/** Picture and boxes of one message, in one task. */
function showPicture(picture, scene) {
	view.setPicture(picture, scene);
	draw();
	const capturedMs = scene.frame.captured_ms;
	const now = clock.now();
	const latencyMs = now === null ? null : Math.max(0, now - capturedMs);
	speed.addDelay(latencyMs);
	const framesShown = store.state.framesShown + 1;
	store.set({ picture: { capturedMs, drawnAt: performance.now() }, latencyMs, framesShown });
}

/** The picture that is there; the lists beside it follow, at once where a person has changed something. */
function draw(atOnce = false) {
	if (view.render(store.state)) list(atOnce === true);
}

const list = throttle(() => {
	const { kept, dropped } = view.shown;
	seen.render(view.shown, store.state);
	confidence.renderScores(view.shown);
	store.set(knownLabels([...kept, ...dropped]));
}, LIST_EVERY_MS);

function showLiveState() {
	const judged = facts(store.state, performance.now(), clock.now());
	liveState.render(freshness(judged), judged.shown);
}

setInterval(showLiveState, 100);
// So that a rate does not outlive the status it came with.
setInterval(() => {
	const { status, statusAt } = store.state;
	store.set({ fresh: status !== null && performance.now() - statusAt < STATUS_FRESH_MS });
}, 1000);
on(document, 'visibilitychange', () => player.setHidden(document.hidden));
player.setHidden(document.hidden);

// For tests, and for anyone who wants to look.
window.spotter = {};
store.subscribe(Object.keys(store.state), (state) => {
	const { frame, kept, dropped, classes, segmentation } = view.shown ?? {};
	const shown = frame && { ...frame, boxes: kept, dropped: state.showDropped ? dropped : [], classes, segmentation };
	Object.assign(window.spotter, state, { shown });
});
