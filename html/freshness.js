// What the page may claim about the picture it shows. Pure: everything it judges by is handed in.

const LATE_MS = 1000;
const STALE_MS = 3000;

function seconds(ms) {
	const s = ms / 1000;
	if (s < 3) return `${s.toFixed(1)} s`;
	if (s < 120) return `${Math.floor(s)} s`;
	if (s < 7200) return `${Math.floor(s / 60)} min`;
	return `${Math.floor(s / 3600)} h`;
}

/** Why there is no new picture, in words. */
function why({ connected, retryMs, reason, source, sourceRetryMs, message, shown, age }) {
	const soon = (ms) => (ms > 400 ? ` in ${Math.ceil(ms / 1000)} s` : '');
	if (!connected) {
		const again = `No connection to Spotter; trying again${soon(retryMs)}`;
		return { text: retryMs === null ? 'Connecting to Spotter' : again, detail: reason ?? '' };
	}
	const detail = source?.name || '';
	const because = source?.message ? `: ${source.message}` : '';
	switch (source?.state) {
		case 'connecting':
			return { text: 'Connecting to the source', detail: source.message || detail };
		case 'reconnecting':
			return { text: `Reconnecting${soon(sourceRetryMs ?? 0)}${because}`, detail };
		case 'ended':
			return { text: 'The clip has ended', detail };
		case 'failed':
			return { text: `The source has failed${because}`, detail };
		default:
			return {
				text: shown ? `No new picture for ${seconds(age)}` : 'Waiting for the first picture',
				detail: message || '',
			};
	}
}

/** What `freshness` judges by. `here` is the browser's time, `now` Spotter's or null. */
export function facts({ started, picture, paused, connection, status, statusAt }, here, now) {
	const { source, message, state } = status ?? {};
	return {
		shown: picture !== null,
		age: picture && (now === null ? here - picture.drawnAt : Math.max(0, now - picture.capturedMs)),
		waited: here - started,
		paused,
		connected: connection.open,
		retryMs: connection.retryAt === null ? null : connection.retryAt - here,
		reason: connection.reason,
		source,
		sourceRetryMs: source?.retry_in_ms == null ? null : source.retry_in_ms - (here - statusAt),
		message,
		state,
	};
}

/** → { level, badge, words }: level green, amber, red or grey; words is null or {text, detail}. */
export function freshness(judged) {
	const { shown, age, paused, waited, source, state, message } = judged;
	if (!shown) {
		const bad = waited >= STALE_MS || ['reconnecting', 'failed', 'ended'].includes(source?.state);
		return { level: bad ? 'red' : 'grey', badge: bad ? 'No picture' : 'Waiting', words: why(judged) };
	}
	if (paused) return { level: 'grey', badge: age < LATE_MS ? 'Paused' : `Paused, ${seconds(age)} old`, words: null };
	// Pictures come, but nothing is found in them.
	if (age < LATE_MS && ['compiling', 'backend-failed'].includes(state)) {
		const text = state === 'compiling' ? 'Compiling the model' : 'No detection';
		return { level: 'amber', badge: text, words: { text, detail: message || '' } };
	}
	if (age < LATE_MS) return { level: 'green', badge: 'Live', words: null };
	if (age < STALE_MS) return { level: 'amber', badge: `${seconds(age)} late`, words: null };
	return { level: 'red', badge: `${seconds(age)} old`, words: why(judged) };
}
