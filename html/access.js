// Who looks at the page: one who may change things, or one who may only look.
//
// A camera asks for an administrator's password below admin/. The page must know without making the browser ask
// a viewer for it. So the question is put by a shared worker: it belongs to no window, and a browser has nowhere
// to show the dialog.

import { address } from './address.js';

const ANSWER_MS = 10_000;

/** What `admin/access` answers to a worker: its HTTP status, or 0 without an answer. */
function ask() {
  return new Promise((resolve) => {
    const worker = new SharedWorker(address('access_worker.js'));
    const timer = setTimeout(() => resolve(0), ANSWER_MS);
    const done = (status) => {
      clearTimeout(timer);
      resolve(status);
    };
    worker.onerror = () => done(0);
    worker.port.onmessage = ({ data }) => done(data);
    worker.port.postMessage(address('admin/access').href);
  });
}

export class Access {
  /** null until it is known. */
  mayChange = null;
  #asking = false;

  /** `onChange(mayChange)` is told what has been found out. */
  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Spotter can be reached. */
  async reached() {
    if (this.mayChange !== null || this.#asking) return;
    this.#asking = true;
    try {
      if (!location.pathname.startsWith('/local/')) {
        // No camera is in front that could ask for a password.
        const answer = await fetch(address('admin/access'), { cache: 'no-store' });
        if (answer.status < 500) this.#set(answer.ok);
      } else if ('SharedWorker' in window) {
        const status = await ask();
        if (status >= 200 && status < 500) this.#set(status < 300);
      } else {
        this.#set(false); // whoever may change things can say so with signIn()
      }
    } catch {
      // Spotter went away; it is asked again when it is back.
    }
    this.#asking = false;
  }

  /** A person wants to change things: here the browser may ask for the password. Resolves to what is wrong, or ''. */
  async signIn() {
    try {
      const answer = await fetch(address('admin/access'), { cache: 'no-store' });
      if (answer.ok) {
        this.#set(true);
        return '';
      }
      return answer.status === 401 || answer.status === 403
        ? 'This is not an administrator of the camera.'
        : `Spotter does not answer now (HTTP status ${answer.status}).`;
    } catch {
      return 'No connection to the camera.';
    }
  }

  /** A change was answered with this HTTP status. */
  heard(status) {
    if (status === 401 || status === 403) this.#set(false);
  }

  #set(mayChange) {
    if (mayChange === this.mayChange) return;
    this.mayChange = mayChange;
    this.onChange(mayChange);
  }
}
