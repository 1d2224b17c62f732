// The page's state in its address, so that a link leads back to what was seen.
//
// `#video=ID&frame=12&person=0&show=skeleton,angles&curves=metrics.left_knee_deg&…`; what is as it
// is by default is left out.

/** Speeds that a video can be played at. */
export const SPEEDS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
/** What can be drawn over a picture. */
const SHOWN = ['skeleton', 'names', 'angles', 'trace', 'number'];

/** The landmark whose trace is drawn where no other is chosen. */
export const DEFAULT_TRACE = 'left_wrist';

const number = (text) => (text !== null && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null);
const list = (text) => (text === null || text === '' ? [] : text.split(','));

/** Whether a word is an id of a video. */
const isId = (text) => text !== null && /^[0-9a-f]{32}$/.test(text);

/**
 * @typedef {object} State
 * @property {string|null} video
 * @property {number|null} frame null for the first one
 * @property {number|null} person
 * @property {string} rows `raw` or `filtered`
 * @property {string[]} show
 * @property {string} trace landmark
 * @property {string[]} curves
 * @property {number[]|null} zoom seconds
 * @property {number|null} markIn
 * @property {number|null} markOut
 * @property {boolean} loop
 * @property {number} speed
 * @property {string|null} other the second video
 * @property {number|null} otherPerson
 * @property {number|null} offset null where both videos begin with their first frames
 * @property {string} tab
 */

/** Reads an address's fragment. What cannot be is as if it were not there. */
export function readState(fragment) {
  const params = new URLSearchParams(fragment.replace(/^#/, ''));
  const num = (name) => number(params.get(name));
  const wholeNumber = (name) => (num(name) === null ? null : Math.max(Math.round(num(name)), 0));
  const id = (name) => (isId(params.get(name)) ? params.get(name) : null);
  const zoom = list(params.get('zoom')).map(number);
  const [markIn, markOut] = [wholeNumber('in'), wholeNumber('out')];
  const isBackward = markIn !== null && markOut !== null && markIn > markOut;
  return {
    video: id('video'),
    frame: wholeNumber('frame'),
    person: num('person'),
    rows: params.get('rows') === 'filtered' ? 'filtered' : 'raw',
    show: params.has('show') ? list(params.get('show')).filter((name) => SHOWN.includes(name)) : ['skeleton', 'number'],
    trace: params.get('trace') ?? DEFAULT_TRACE,
    curves: list(params.get('curves')),
    zoom: zoom.length === 2 && zoom.every((n) => n !== null) && zoom[0] < zoom[1] ? zoom : null,
    markIn: isBackward ? null : markIn,
    markOut: isBackward ? null : markOut,
    loop: params.has('loop'),
    speed: SPEEDS.includes(num('speed')) ? num('speed') : 1,
    other: id('other'),
    otherPerson: num('other_person'),
    offset: num('offset') === null ? null : Math.round(num('offset')),
    tab: params.get('tab') ?? 'curves',
  };
}

/** The fragment of a state. */
export function writeState(state) {
  const params = new URLSearchParams();
  const put = (name, value, usual) => {
    if (value !== null && value !== undefined && String(value) !== String(usual)) params.set(name, value);
  };
  put('video', state.video);
  put('frame', state.frame);
  put('person', state.person);
  put('rows', state.rows, 'raw');
  put('show', state.show.join(','), 'skeleton,number');
  put('trace', state.trace, DEFAULT_TRACE);
  put('curves', state.curves.join(','), '');
  put('zoom', state.zoom?.map((secs) => secs.toFixed(3)).join(','));
  put('in', state.markIn);
  put('out', state.markOut);
  put('loop', state.loop ? 1 : null);
  put('speed', state.speed, 1);
  put('other', state.other);
  if (state.other !== null) {
    put('other_person', state.otherPerson);
    put('offset', state.offset);
  }
  put('tab', state.tab, 'curves');
  return `#${params.toString().replaceAll('%2C', ',')}`;
}
