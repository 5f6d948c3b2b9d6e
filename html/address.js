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

/** What Spotter answers there, as JSON. */
export async function ask(path) {
  const answer = await fetch(address(path), { cache: 'no-store' });
  if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
  return answer.json();
}
