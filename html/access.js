// Who looks at the page: one who may change things, or one who may only look.
//
// Below admin/ a camera asks for an administrator's password: a viewer's browser would show a dialog and forget the
// viewer's own password. So the camera is asked who this is, which every user may ask.

import { address } from './address.js';

/** VAPIX's usergroup.cgi beside the page's /local/spotter/: the user's name, and in the next line their groups. */
const WHO = '../../axis-cgi/usergroup.cgi';

const mayChange = () => fetch(address('admin/access'), { cache: 'no-store' });

export class Access {
	/** null until it is known. */
	editable = null;
	#asking = false;

	constructor(onChange) {
		this.onChange = onChange;
	}

	/** Finds it out, once Spotter can be reached. */
	async check() {
		if (this.editable !== null || this.#asking) return;
		this.#asking = true;
		try {
			if (location.pathname.startsWith('/local/')) {
				const answer = await fetch(address(WHO), { cache: 'no-store' });
				const groups = answer.ok ? ((await answer.text()).split('\n')[1] ?? '') : '';
				// Where the camera does not say it, whoever may change things says so with signIn().
				this.#set(groups.trim().split(/\s+/).includes('admin'));
			} else {
				// No camera is in front that could ask for a password.
				const { ok, status } = await mayChange();
				if (status < 500) this.#set(ok);
			}
		} catch {
			// Spotter went away; it is asked again when it is back.
		}
		this.#asking = false;
	}

	/** Here the browser may ask for the password. Resolves to what is wrong, or ''. */
	async signIn() {
		try {
			const { ok, status } = await mayChange();
			if (ok) this.#set(true);
			if (ok) return '';
			if (status === 401 || status === 403) return 'This is not an administrator of the camera.';
			return `Spotter does not answer now (HTTP status ${status}).`;
		} catch {
			return 'No connection to the camera.';
		}
	}

	/** A change was refused with this HTTP status. */
	reportRefusal(status) {
		if (status === 401 || status === 403) this.#set(false);
	}

	#set(editable) {
		if (editable === this.editable) return;
		this.editable = editable;
		this.onChange(editable);
	}
}
