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
    const detail = reason ?? '';
    return retryMs === null
      ? { text: 'Connecting to Spotter', detail }
      : { text: `No connection to Spotter; trying again${soon(retryMs)}`, detail };
  }
  switch (source?.state) {
    case 'connecting':
      return { text: 'Connecting to the source', detail: source.message || source.name || '' };
    case 'reconnecting':
      return { text: `Reconnecting${soon(sourceRetryMs ?? 0)}${source.message ? `: ${source.message}` : ''}`, detail: source.name || '' };
    case 'ended':
      return { text: 'The clip has ended', detail: source.name || '' };
    case 'failed':
      return { text: source.message ? `The source has failed: ${source.message}` : 'The source has failed', detail: source.name || '' };
    default:
      if (!shown) return { text: 'Waiting for the first picture', detail: message || '' };
      return { text: `No new picture for ${seconds(age)}`, detail: message || '' };
  }
}

/** → { level, badge, words }: level green, amber, red or grey; words is null or {text, detail}. */
export function judge(facts) {
  const { shown, age, paused, waited, source, state } = facts;
  if (!shown) {
    const bad = waited >= STALE_MS || ['reconnecting', 'failed', 'ended'].includes(source?.state);
    return { level: bad ? 'red' : 'grey', badge: bad ? 'No picture' : 'Waiting', words: why(facts) };
  }
  if (paused) return { level: 'grey', badge: age < LATE_MS ? 'Paused' : `Paused, ${seconds(age)} old`, words: null };
  // Pictures come, but nothing is found in them.
  if (age < LATE_MS && ['compiling', 'backend-failed'].includes(state)) {
    const text = state === 'compiling' ? 'Compiling the model' : 'No detection';
    return { level: 'amber', badge: text, words: { text, detail: facts.message || '' } };
  }
  if (age < LATE_MS) return { level: 'green', badge: 'Live', words: null };
  if (age < STALE_MS) return { level: 'amber', badge: `${seconds(age)} late`, words: null };
  return { level: 'red', badge: `${seconds(age)} old`, words: why(facts) };
}
