// Elements of the page. Texts are text nodes only, so that no file name can become markup.

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {object} [props] `class`, `text`, `on` (listeners by event), `dataset`; everything else is
 *     an attribute, left out where it is null or false.
 * @param {...(Node|string|null)} children
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') element.className = value;
    else if (name === 'text') element.textContent = value;
    else if (name === 'on') listen(element, value);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function listen(element, listeners) {
  for (const [event, listener] of Object.entries(listeners)) {
    element.addEventListener(event, listener);
  }
}

/** The element with this id; the page's own markup has it. */
export function byId(id) {
  return document.getElementById(id);
}

/** An `option` of a `select`. */
export function option(value, text, isSelected = false) {
  const element = el('option', { value, text });
  element.selected = isSelected;
  return element;
}

/** Whether a key that was pressed there is meant for a field, not for the page. */
export function isField(element) {
  if (element instanceof HTMLInputElement) {
    return !['button', 'checkbox', 'radio', 'range', 'submit'].includes(element.type);
  }
  return element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement;
}

/** Hands a file over to the browser's downloads. */
export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  saveUrl(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Has the browser download what is at this address. */
export function saveUrl(url, name) {
  const link = el('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Calls `callback` once, `millis` after the last call. */
export function debounce(callback, millis) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => callback(...args), millis);
  };
}

/** Says a sentence at the page's foot, and to screen readers. */
export function say(text, isError = false) {
  const status = byId('status');
  status.textContent = text;
  status.classList.toggle('error', isError);
  status.hidden = text === '';
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { status.hidden = true; }, isError ? 12_000 : 4_000);
}
