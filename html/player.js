// Decodes pictures one after the other: the newest wins, and while paused only those asked for are shown.

const decodeJpeg = (bytes) => createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));

export class Player {
	skipped = 0; // replaced by a newer one before they could be shown
	undecodable = 0;
	#next = null;
	#decoding = false;
	#paused = false;
	#hidden = false;
	#stepping = false; // one picture although paused

	/** `onPicture(picture, scene)`: both belong together. */
	constructor(onPicture, decode = decodeJpeg) {
		Object.assign(this, { onPicture, decode });
	}

	push(message) {
		if (this.#next) this.skipped += 1;
		this.#next = message;
		this.#run();
	}

	setPaused(paused) {
		this.#paused = paused;
		this.#stepping = false;
		this.#run();
	}

	setHidden(hidden) {
		this.#hidden = hidden;
		this.#run();
	}

	/** The newest picture, and then it rests again. */
	step() {
		this.#stepping = this.#paused;
		this.#run();
	}

	get #resting() {
		return this.#paused && !this.#stepping;
	}

	async #run() {
		if (this.#decoding || this.#resting || this.#hidden || !this.#next) return;
		this.#decoding = true;
		const message = this.#next;
		this.#next = null;
		try {
			const picture = await this.decode(message.jpeg);
			if (this.#resting) {
				picture.close();
				this.#next ??= message;
			} else {
				this.#stepping = false;
				this.onPicture(picture, message.scene);
			}
		} catch {
			this.undecodable += 1;
		}
		this.#decoding = false;
		this.#run();
	}
}
