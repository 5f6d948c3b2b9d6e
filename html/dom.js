// The page's elements: found, made, and changed only where they change.

export const $ = (id) => document.getElementById(id);
export const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };

export function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function svg(name, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** A line through the newest of `values`, at the right of `width`; gaps stay gaps. */
export function trace(values, width, y) {
  let path = '';
  let pen = 'M';
  values.forEach((value, n) => {
    if (value == null) { pen = 'M'; return; }
    path += `${pen}${width - values.length + n} ${y(value).toFixed(1)}`;
    pen = 'L';
  });
  return path;
}
