// The body as it is drawn: sides, colours, and where things are in a block of landmarks.

/** Values of a landmark: x, y, visibility. */
export const VALUES = 3;
/** Values of a person in a frame. */
export const BLOCK = 33 * VALUES;
/** Below this visibility a landmark is a guess; annotated videos have the same limit. */
export const MIN_VISIBILITY = 0.5;

/** Colours of the skeleton on a picture, those of annotated videos (Okabe and Ito). */
export const SKELETON = { left: '#e69f00', right: '#56b4e9', middle: '#ffffff', outline: '#181818' };

/** Hues of curves by side; the first of each is the skeleton's, darker on a light page. */
const CURVES = {
  dark: {
    left: ['#e69f00', '#ff7f6b', '#d8c25a'],
    right: ['#56b4e9', '#7f9cff', '#3fd0c0'],
    none: ['#5fd08a', '#d79be8', '#c8ccd4', '#f0a0c0'],
  },
  light: {
    left: ['#b06a00', '#c2410c', '#7d6608'],
    right: ['#0072b2', '#4048c8', '#00796b'],
    none: ['#1b7f45', '#8e3fa8', '#4a5361', '#b03070'],
  },
};

/** Colour of the `n`th curve of a side on a dark or light page. */
export function curveColor(side, n, isDark) {
  const hues = CURVES[isDark ? 'dark' : 'light'][side ?? 'none'];
  return hues[n % hues.length];
}

/** `left`, `right` or `middle`, by a landmark's name. */
export function sideOf(name) {
  if (name.startsWith('left_') || name.endsWith('_left')) return 'left';
  return name.startsWith('right_') || name.endsWith('_right') ? 'right' : 'middle';
}

/** Whether the block of a person in a frame has a pose: any landmark, as not all models give all. */
export function isSeen(block, at) {
  if (block === undefined) return false;
  for (let place = at; place < at + BLOCK; place += VALUES) {
    if (!Number.isNaN(block[place])) return true;
  }
  return false;
}

/** One landmark out of a block; a place without a visibility was filtered and is sure, no place is hidden. */
export function landmarkAt(block, at, index) {
  const place = at + index * VALUES;
  const [x, y, visibility] = block.subarray(place, place + VALUES);
  if (!Number.isNaN(visibility)) return { x, y, visibility };
  return { x, y, visibility: Number.isNaN(x) ? 0 : 1 };
}
