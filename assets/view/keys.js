// Every key of the page, what it does, and the help that shows them.

import { byId, el, isField } from './dom.js';

/**
 * Listens to the keys of the whole page.
 *
 * @param {[string, [string[], string, (event: KeyboardEvent) => void][]][]} groups titles with keys,
 *     words and deeds; a key is an event's `key`, behind `Shift+` where that matters.
 */
export function startKeys(groups) {
  const deeds = new Map(groups.flatMap(([, keys]) => keys.flatMap(([names, , deed]) => names.map((name) => [name, deed]))));
  byId('help-keys').replaceChildren(...groups.map(group));
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || isChord(event)) return;
    if (isField(event.target) || document.querySelector('dialog[open]') !== null) return;
    if (event.key === ' ' && isPressable(event.target)) return;
    const deed = deeds.get(nameOf(event)) ?? deeds.get(event.key);
    if (deed === undefined) return;
    event.preventDefault();
    deed(event);
  });
  // A button that was clicked with the mouse gives the space bar back to the player.
  document.addEventListener('click', (event) => {
    const button = event.target.closest?.('button');
    if (event.detail > 0 && button && button.closest('dialog') === null) button.blur();
  });
}

function nameOf({ key, code, shiftKey }) {
  // Keyboards with other alphabets have Latin letters on the same keys.
  const isForeign = key.length === 1 && key > '\u007f' && /^Key[A-Z]$/.test(code);
  const typed = isForeign ? code.at(-1) : key;
  const name = typed.length === 1 ? typed.toLowerCase() : typed;
  return shiftKey ? `Shift+${name}` : name;
}

/** Whether it is a key of the browser's. Signs such as `[` need Alt on many keyboards, on some with Ctrl. */
function isChord({ key, ctrlKey, metaKey, altKey }) {
  const isSign = altKey && !metaKey && key.length === 1 && !/[\p{L}\p{N}\s]/u.test(key);
  return (ctrlKey || metaKey || altKey) && !isSign;
}

/** Whether the space bar presses what has the focus. */
function isPressable(element) {
  return element instanceof HTMLButtonElement || element.tagName === 'SUMMARY'
    || (element instanceof HTMLInputElement && element.type === 'checkbox');
}

function group([title, keys]) {
  const rows = keys.filter(([, words]) => words !== '').map(([names, words]) => el('div', {},
    el('dt', {}, ...names.filter((name) => name !== '=').map((name) => el('kbd', { text: signOf(name) }))),
    el('dd', { text: words })));
  return el('section', {}, el('h3', { text: title }), el('dl', {}, ...rows));
}

function signOf(name) {
  const signs = { ' ': 'Space', ArrowLeft: '←', ArrowRight: '→', '<': 'Shift ,', '>': 'Shift .' };
  if (signs[name]) return signs[name];
  return name.split('+').filter(Boolean).map((part) => signs[part] ?? part).join(' ') || '+';
}
