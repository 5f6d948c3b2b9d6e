// Says where the model and the picture do not belong together, and offers models that do.

import { OWN, address, ask, change, result } from './address.js';
import { $, element, set } from './dom.js';
import { sentence } from './suits.js';

const DEMO_MODEL = 'spotter-demo';

const size = (bytes) => (bytes ? `${(bytes / 1e6).toFixed(1)} MB` : '');

/** The notice: what the model knows, and what else could run. */
export class Models {
  #known = ''; // what the notice is about; built anew when it changes
  #busy = false;
  #fits = true;
  #status = null;
  #allowed = false;
  #asked = false; // somebody wants to see the models though the one that runs fits
  #waiting = []; // a compiled model that waits for its description, or the other way round
  #saidOf = null; // the name of the model that ran when something was said of it

  /** `onRefused(status)` is told where a change was refused, `onRuns(model)` what runs after one. */
  constructor(onRefused, onRuns) {
    Object.assign(this, { onRefused, onRuns });
    $('models-open').addEventListener('click', () => {
      this.#hush();
      this.#open($('models').hidden);
    });
    $('models-change').addEventListener('click', () => this.#ask(!this.#asked));
    $('models-back').addEventListener('click', () => this.#send('Loading the model before', 'The model before', { method: 'DELETE' }));
    $('models-file').addEventListener('change', () => {
      const files = [...$('models-file').files];
      $('models-file').value = ''; // the same file may be chosen again
      if (files.length) this.#own(files);
    });
  }

  /** Whether whoever looks may change the model. */
  allow(allowed) {
    this.#allowed = allowed;
    this.#enable();
  }

  /** What may be pressed now. */
  #enable() {
    const open = this.#allowed && !this.#busy;
    for (const row of $('models').children) {
      const accepted = [...row.querySelectorAll('input')].every((box) => box.checked);
      row.querySelector('button').disabled = !open || !accepted;
    }
    $('models-file').disabled = !open;
    $('models-back').disabled = !open;
  }

  /** A status came. */
  heard(status) {
    this.#status = status;
    const { source, model } = status;
    const drawn = source?.kind === 'demo';
    const demo = model?.scope === 'demo';
    const missing = model?.missing;
    const about = `${drawn} ${demo} ${model?.name} ${missing} ${this.#asked}`;
    if (about === this.#known) return;
    this.#known = about;
    // What was said of the model that runs stays to be read: its first status comes after the answer.
    if (model?.name !== this.#saidOf) this.#hush();
    const fits = !model || (!demo && !drawn && !missing);
    $('model-notice').hidden = fits && !this.#asked;
    $('model-notice').classList.toggle('notice', !fits);
    $('models-open').hidden = fits;
    $('models-change').hidden = !fits;
    $('models-change').setAttribute('aria-expanded', String(this.#asked));
    this.#fits = fits;
    if (fits && !this.#asked) return;
    const title = model.title || model.name;
    set($('model-notice-title'), missing ? 'No model yet' : demo ? 'Demo model' : 'Demo scene');
    if (fits) {
      set($('model-notice-title'), 'Another model');
      set($('model-notice-text'), 'It is tried first: where it fails, this one runs on.');
      this.#open(true);
      return;
    }
    if (missing) set($('model-notice-text'), `Detection is off: no model loaded. ${missing}.`);
    else if (demo && drawn) set($('model-notice-text'), 'This model knows the drawn figures of the demo scene only. It is of no use on real video.');
    else if (demo) set($('model-notice-text'), 'This model knows drawn figures only, and this is real video: what it marks means nothing. Choose a model for real video.');
    else set($('model-notice-text'), `The picture is drawn, and ${title} is made for real video: it finds some of the figures at best.`);
    set($('models-open'), demo ? 'Models for real video' : 'Choose a model');
    this.#open(Boolean(missing));
  }

  /** Shows the models, or no longer, though the one that runs fits. */
  #ask(asked) {
    this.#asked = asked;
    this.#hush();
    if (this.#status) this.heard(this.#status);
    if (asked) $('model-notice').scrollIntoView({ block: 'nearest' });
  }

  /** Takes back what was said, unless it tells of something under way. */
  #hush() {
    if (!this.#busy) set($('models-said'), '');
  }

  async #open(open) {
    // Whoever has pressed a key in the list stays where it was.
    if (!open && $('models').contains(document.activeElement)) $('models-open').focus();
    $('models').hidden = !open;
    $('models-own').hidden = !open;
    $('models-open').setAttribute('aria-expanded', String(open));
    if (!open) return;
    try {
      const [{ models, default: usual }, now] = await Promise.all(['api/models', 'api/model'].map(ask));
      const running = this.#status?.model;
      const wanted = models.filter((model) => (this.#fits
        ? model.name !== running?.name
        : model.task === 'detection' && (running?.scope === 'demo' || Boolean(running?.missing)) !== (model.scope === 'demo')));
      $('models-back').hidden = !now.chosen_at || !now.started_with;
      set($('models-back'), `Back to ${now.started_with}`);
      // The one that Spotter itself would take first, then what is here already.
      const rank = (model) => (model.name === DEMO_MODEL || model.name === usual ? 2 : Number(model.here));
      wanted.sort((a, b) => rank(b) - rank(a));
      $('models').replaceChildren(...wanted.map((model) => this.#row(model)));
      this.#enable();
    } catch {
      set($('models-said'), 'Spotter did not say which models there are; try again.');
    }
  }

  #row(model) {
    const run = element('button', '', model.here ? 'Run' : 'Get');
    run.type = 'button';
    run.setAttribute('aria-label', `${model.here ? 'Run' : 'Get and run'} ${model.title}`);
    run.dataset.testid = `run-${model.name}`;
    const facts = [size(model.size), model.licence, model.here ? 'on this machine' : 'to be downloaded'];
    const row = element('li', '', element('span', '', model.title), element('small', '', facts.filter(Boolean).join(' · ')));
    const ask = (text) => {
      const box = element('input');
      box.type = 'checkbox';
      row.append(element('label', '', box, text));
      box.addEventListener('change', () => this.#enable());
    };
    if (model.accept_license) ask(`I accept ${model.accept_license}, which also binds programs that use it over a network`);
    if (model.accept_unverified) ask('I take it unchecked: no checksum of it is published. What is got now is what later copies are held against');
    row.append(run);
    run.addEventListener('click', () => this.#run(model));
    return row;
  }

  #run(model) {
    const wish = { model: model.name };
    if (model.accept_license) wish.accept_license = model.accept_license;
    if (model.accept_unverified) wish.accept_unverified = true;
    this.#send(`${model.here ? 'Loading' : 'Downloading and loading'} ${model.title}`, model.title, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(wish),
    });
  }

  /**
   * Sends a person's own files: a model, and the description of one that is compiled. A phone's chooser may give one
   * file at a time: the first waits for the second.
   */
  #own(files) {
    const pick = (wanted) => [...files, ...this.#waiting].find(({ name }) => wanted.test(name));
    const [models, descriptions] = [/\.(tflite|bin)$/i, /\.json$/i].map((end) => files.filter(({ name }) => end.test(name)));
    const other = files.find((file) => !models.includes(file) && !descriptions.includes(file));
    let wrong = '';
    if (other) wrong = `${other.name} is neither a model (.tflite, .bin) nor a description (.json).`;
    else if (models.length > 1 || descriptions.length > 1) wrong = 'These are several models; choose one.';
    const model = models[0] ?? pick(/\.bin$/i);
    const compiled = model && /\.bin$/i.test(model.name);
    const description = model && !compiled ? descriptions[0] : pick(/\.json$/i);
    this.#waiting = [];
    if (!wrong && compiled && !description) {
      this.#waiting = [model];
      wrong = `${model.name} is compiled and does not say what it takes and gives: choose its description (a .json file) too.`;
    } else if (!wrong && !model) {
      this.#waiting = [description];
      wrong = `${description.name} is a description: choose the .bin file that it describes too.`;
    }
    if (wrong) {
      set($('models-said'), wrong);
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
    this.#saidOf = this.#status?.model?.name;
    set($('models-said'), `${doing} …`);
    let said = `${title} runs.`;
    try {
      const answer = request.form
        ? await upload(address('admin/model'), request.form, (text) => set($('models-said'), `${doing}: ${text}`))
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
    set($('models-said'), said);
  }
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
