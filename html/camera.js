// What is known of the camera, and which of its devices runs the model, and why the others do not.

import { change } from './address.js';
import { $, element, set } from './dom.js';

export class Camera {
  #known = ''; // what is shown; built anew when it changes
  #allowed = false;
  #busy = false;

  /** `onRefused(status)` is told where a change was refused. */
  constructor(onRefused) {
    this.onRefused = onRefused;
    $('camera-retry').addEventListener('click', () => this.#retry());
  }

  /** Whether whoever looks may change things. */
  allow(allowed) {
    this.#allowed = allowed;
    this.#enable();
  }

  #enable() {
    $('camera-retry').disabled = !this.#allowed || this.#busy;
  }

  /** A status came. */
  heard({ camera }) {
    $('camera').hidden = !camera;
    const known = JSON.stringify(camera);
    if (!camera || known === this.#known) return;
    this.#known = known;
    set($('camera-os'), camera.axis_os ?? 'unknown');
    set($('camera-soc'), camera.soc ?? 'unknown');
    $('camera-devices').replaceChildren(...camera.devices.map(({ name, state, says, why }) => element(
      'li', state, element('b', '', name), ` ${says}`, ...(why ? [element('small', '', why)] : []),
    )));
    $('camera-none').hidden = camera.devices.length > 0;
    $('camera-again').hidden = !camera.can_try_again;
  }

  async #retry() {
    if (this.#busy) return;
    this.#busy = true;
    this.#enable();
    set($('camera-said'), 'Asking …');
    try {
      const answer = await change('admin/model/retry', { method: 'POST' });
      set($('camera-said'), answer.ok ? 'They are tried again with the next picture.' : `Not tried: ${answer.why}`);
      if (!answer.ok) this.onRefused(answer.status);
    } catch {
      set($('camera-said'), 'Not tried: Spotter did not answer.');
    }
    this.#busy = false;
    this.#enable();
  }
}
