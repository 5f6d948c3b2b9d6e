// Fetches an address for a page and tells the HTTP status, 0 without an answer (see access.js).

onconnect = ({ ports: [port] }) => {
  port.onmessage = async ({ data: address }) => {
    let status = 0;
    try {
      status = (await fetch(address, { cache: 'no-store', credentials: 'same-origin' })).status;
    } catch {
      // No answer is an answer here.
    }
    port.postMessage(status);
    close();
  };
};
