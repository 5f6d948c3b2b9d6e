// Addresses of Spotter, relative to the page: the same directly and behind a camera's own web server.

/**
 * The address of `path` beside the page. A password in the page's own address (user:password@camera) is left out:
 * browsers refuse to fetch such an address, and know the password anyway.
 */
export function address(path) {
	const url = new URL(path, document.baseURI);
	url.username = '';
	url.password = '';
	return url;
}

/**
 * The header that goes with every change. Another site's script cannot set it without asking Spotter first, so it
 * tells that this is Spotter's own page, whatever a proxy in front makes of Host and Origin.
 */
export const OWN = { 'X-Requested-With': 'spotter' };

/** Asks for a change: `fetch` with that header, and `json` as the body. What came back, and in words why it was refused. */
export async function change(path, { json, headers, ...request }) {
	if (json !== undefined) request.body = JSON.stringify(json);
	const kind = json !== undefined && { 'Content-Type': 'application/json' };
	const answer = await fetch(address(path), { ...request, headers: { ...kind, ...headers, ...OWN } });
	return result(answer.status, answer.headers, await answer.text());
}

export function result(status, headers, text) {
	let body = {};
	try {
		body = JSON.parse(text);
	} catch {
		// A proxy's own words.
	}
	return {
		ok: status >= 200 && status < 300,
		status,
		headers,
		body,
		why: body.detail || body.title || `HTTP status ${status}`,
	};
}

export async function ask(path) {
	const answer = await fetch(address(path), { cache: 'no-store' });
	if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
	return answer.json();
}
