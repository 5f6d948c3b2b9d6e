// Says whether the picture is live: the badge below it, the words over it, and what is read aloud.

import { Part, set } from './dom.js';

export class LiveState extends Part {
	/** What `freshness` says, and whether there is a picture at all. */
	render({ level, badge: text, words: said }, shown) {
		const stale = shown && level === 'red';
		const { stage, seen, seenTitle, badge, badgeText, words, wordsText, wordsDetail, stateSpoken } = this.parts;
		set(badgeText, text);
		badge.dataset.level = level;
		stage.classList.toggle('stale', stale);
		seen.classList.toggle('stale', stale);
		set(seenTitle, stale ? 'Last seen' : 'In view');
		words.hidden = !said;
		if (said) {
			set(wordsText, said.text);
			set(wordsDetail, said.detail);
		}
		// Spoken once per state: a countdown read aloud every second helps nobody.
		const countdown = / (in|for) \d+ (s|min|h)/;
		set(stateSpoken, said ? said.text.replace(countdown, '') : level === 'green' ? 'Live' : '');
	}
}
