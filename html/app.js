// Joins the parts of the page: messages come in, pictures and numbers go out.

import { Access } from './access.js';
import { ask } from './address.js';
import { Camera } from './camera.js';
import { Clock } from './clock.js';
import { Confidence } from './confidence.js';
import { $, set } from './dom.js';
import { judge } from './freshness.js';
import { Health } from './health.js';
import { legend } from './mask.js';
import { Models } from './models.js';
import { Delay, Seen, showStatus } from './panel.js';
import { Settings } from './settings.js';
import { Stream } from './stream.js';
import { showSuits } from './suits.js';
import { Tuning } from './tuning.js';
import { View } from './view.js';

const LIST_EVERY_MS = 250;

const started = performance.now();
let connection = { open: false, retryAt: null, reason: null };
let status = null;
let statusAt = 0;
let model; // of which the labels are known
let next = null; // the newest message with a picture that is not drawn yet
let decoding = false;
let paused = false;
let stepping = false; // one picture although paused
let capturedMs = null; // of the shown picture
let drawnAt = 0;
let skipped = 0;

// For tests, and for anyone who wants to look.
const spotter = {
  shown: null, framesShown: 0, transport: null, latencyMs: null, skipped: 0, undecodable: 0, paused: false, status: null, mayChange: null,
};
window.spotter = spotter;

const view = new View($('view'), $('stage'));
const seen = new Seen();
const delay = new Delay();
const health = new Health();
const camera = new Camera((status) => access.heard(status));
const models = new Models((status) => access.heard(status), ({ suitability }) => showSuits(suitability));
const clock = new Clock(() => connection.open, takeStatus);
const confidence = new Confidence({
  input: $('confidence'), output: $('confidence-value'), scores: $('scores'),
  onInput: (confidence) => settings.change({ confidence }, 'confidence'),
});
const settings = new Settings({
  now: () => clock.now(),
  onChange: (document) => {
    spotter.settings = document;
    view.settings = document;
    tuning.show(document);
    if (!tuning.schema) learn('api/v1/settings/schema', (schema) => tuning.learn(schema));
    confidence.show(document.confidence);
    redraw(true);
  },
  onState: (state) => {
    tuning.said(state);
    set($('confidence-note'), state.failed && settings.topic === 'confidence' ? state.text : '');
  },
  onRefused: (status) => access.heard(status),
});
const tuning = new Tuning(settings, (points) => {
  view.inset = points;
  redraw();
});
const access = new Access((mayChange) => {
  spotter.mayChange = mayChange;
  confidence.allow(mayChange);
  tuning.allow(mayChange);
  models.allow(mayChange);
  camera.allow(mayChange);
  $('access').hidden = mayChange;
});
view.onResize = () => redraw();

const stream = new Stream({
  onMessage: (message) => {
    if (message.status) {
      clock.check(message.status.now_ms);
      takeStatus(message.status);
    }
    if (message.scene && message.jpeg.length) {
      if (next) skipped += 1;
      next = message;
      pump();
    }
  },
  onState: (state) => {
    connection = state;
    if (state.open) {
      clock.sync();
      access.reached();
    }
    tick();
  },
});

function takeStatus(fresh) {
  status = fresh;
  statusAt = performance.now();
  spotter.status = status;
  settings.heard(status.settings, status.now_ms);
  tuning.heard(status.settings);
  tuning.look(status.source);
  health.heard(status);
  camera.heard(status);
  document.title = status.source?.name ? `${status.source.name} – Spotter` : 'Spotter';
  if (model !== status.model?.name) {
    model = status.model?.name;
    learnLabels();
    learn('api/v1/model', ({ suitability }) => showSuits(suitability));
  }
  models.heard(status);
  access.reached();
  tell();
}

/** The labels that the running model has; without them those that are seen are known. */
function learnLabels() {
  tuning.forget();
  learn('api/v1/labels', ({ labels }) => tuning.know(labels.filter(({ named, background }) => named && !background).map(({ name, index }) => ({ label: name, index }))));
}

/** What is good to know, but not needed: the page does without it. */
const learn = (path, use) => ask(path).then(use).catch(() => {});

function tell() {
  if (status) showStatus(status, { fresh: performance.now() - statusAt < 3000, transport: stream.transport, skipped });
}

/** Decodes the newest picture; what arrives meanwhile waits, and only the newest of it. */
async function pump() {
  if (decoding || (paused && !stepping) || document.hidden || !next) return;
  decoding = true;
  const message = next;
  next = null;
  try {
    const picture = await createImageBitmap(new Blob([message.jpeg], { type: 'image/jpeg' }));
    if (paused && !stepping) {
      picture.close();
      next ??= message;
    } else {
      stepping = false;
      show(picture, message.scene);
    }
  } catch {
    spotter.undecodable += 1;
  }
  decoding = false;
  pump();
}

/** Picture and boxes of one message, in one task. */
function show(picture, scene) {
  view.take(picture, scene);
  view.draw();
  drawnAt = performance.now();
  capturedMs = scene.frame.captured_ms;
  const now = clock.now();
  spotter.framesShown += 1;
  spotter.latencyMs = now === null ? null : Math.max(0, now - capturedMs);
  delay.add(spotter.latencyMs);
  report();
  list();
  tick();
}

/** The same picture again, after a change of what is to be drawn on it. */
function redraw(atOnce = false) {
  if (!view.draw()) return;
  report();
  list(atOnce);
}

function report() {
  const { frame } = view.scene;
  spotter.shown = { seq: frame.seq, boxes: view.kept, dropped: view.showDropped ? view.dropped : [], width: frame.width, height: frame.height, classes: view.classes, segmentation: view.segmentation };
  spotter.transport = stream.transport;
  spotter.skipped = skipped;
}

let listTimer = 0;
let listedAt = 0;

function list(atOnce = false) {
  if (listTimer && !atOnce) return;
  clearTimeout(listTimer);
  listTimer = setTimeout(() => {
    listTimer = 0;
    listedAt = performance.now();
    if (view.classes.length) seen.showClasses(view.classes);
    else if (view.segmentation) seen.showSegments(legend(view.segmentation));
    else seen.show(view.kept, view.dropped, view.showDropped);
    tuning.know([...view.kept, ...view.dropped]);
    confidence.mark([...view.kept, ...view.classes], view.dropped);
  }, atOnce ? 0 : Math.max(0, listedAt + LIST_EVERY_MS - performance.now()));
}

function tick() {
  const here = performance.now();
  const shown = view.scene !== null;
  const now = clock.now();
  const source = status?.source;
  const verdict = judge({
    shown,
    age: !shown ? null : now === null ? here - drawnAt : Math.max(0, now - capturedMs),
    waited: here - started,
    paused,
    connected: connection.open,
    retryMs: connection.retryAt === null ? null : connection.retryAt - here,
    reason: connection.reason,
    source,
    sourceRetryMs: source && source.retry_in_ms != null ? source.retry_in_ms - (here - statusAt) : null,
    message: status?.message,
    state: status?.state,
  });
  set($('badge-text'), verdict.badge);
  if ($('badge').dataset.level !== verdict.level) $('badge').dataset.level = verdict.level;
  const stale = shown && verdict.level === 'red';
  $('stage').classList.toggle('stale', stale);
  $('seen').classList.toggle('stale', stale);
  set($('seen-title'), stale ? 'Last seen' : 'In view');
  $('words').hidden = !verdict.words;
  if (verdict.words) {
    set($('words-text'), verdict.words.text);
    set($('words-detail'), verdict.words.detail);
  }
  // Spoken once per state: a countdown read aloud every second helps nobody.
  set($('state-spoken'), verdict.words ? verdict.words.text.replace(/ (in|for) \d+ (s|min|h)/, '') : verdict.level === 'green' ? 'Live' : '');
}

setInterval(tick, 100);
setInterval(tell, 1000); // so that a rate does not outlive the status it came with

function setPaused(value) {
  paused = value;
  spotter.paused = paused;
  const words = paused ? 'Resume' : 'Pause';
  $('pause').setAttribute('aria-label', words);
  $('pause').title = `${words} (space)`;
  $('pause').classList.toggle('paused', paused);
  $('step').hidden = !paused;
  stepping = false;
  tick();
  pump();
}

/** The newest picture, and then it rests again. */
function step() {
  if (!paused) return;
  stepping = true;
  pump();
}

function setDropped(value) {
  $('dropped').checked = value;
  view.showDropped = value;
  redraw(true);
}

function toggleFullscreen() {
  if (!document.fullscreenEnabled) return;
  const change = document.fullscreenElement ? document.exitFullscreen() : $('viewer').requestFullscreen();
  change.catch(() => {}); // refused by the browser: nothing to do
}

$('sign-in').addEventListener('click', async () => {
  set($('access-said'), '');
  set($('access-said'), await access.signIn());
});
$('pause').addEventListener('click', () => setPaused(!paused));
$('step').addEventListener('click', step);
$('dropped').addEventListener('change', (event) => setDropped(event.target.checked));
$('fullscreen').hidden = !document.fullscreenEnabled;
$('fullscreen').addEventListener('click', toggleFullscreen);
document.addEventListener('fullscreenchange', () => {
  const words = document.fullscreenElement ? 'Leave full screen' : 'Full screen';
  $('fullscreen').setAttribute('aria-label', words);
  $('fullscreen').title = `${words} (f)`;
});
document.addEventListener('visibilitychange', pump);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const onControl = event.target.closest('button, input[type=checkbox], a');
  if (event.key === ' ' && !onControl) {
    event.preventDefault(); // no scrolling
    setPaused(!paused);
  } else if (event.key === '.') {
    step();
  } else if (event.key === 'f' || event.key === 'F') {
    toggleFullscreen();
  } else if (event.key === 'd' || event.key === 'D') {
    setDropped(!view.showDropped);
  }
});
