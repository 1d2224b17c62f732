// Draws over a picture: skeletons, names, angles, the trace of a landmark, the frame's number.
//
// Pure drawing: all that it needs is handed in. Positions are fractions of the picture.

import { BLOCK, MIN_VISIBILITY, SKELETON, isSeen, landmarkAt, sideOf } from './body.js';
import { clock } from './text.js';

/** Landmarks of the face but the nose; their names would cover the face. */
const LAST_FACE_INDEX = 10;
const FULL_TURN = 2 * Math.PI;
const BODY_SIDES = ['left', 'right', 'middle'];
/** Widths of texts that are remembered: numbers come again and again. */
const MAX_WIDTHS = 2000;
/** Where an angle's degrees may stand, seen from the middle of its arc; the first free place is taken. */
const LABEL_TURNS = [0, Math.PI, Math.PI / 2, -Math.PI / 2];
const LABEL_REACHES = [15, 33];
/** A click this many pixels from a figure still means it. */
const CLICK_REACH_PX = 24;

/**
 * @typedef {object} Scene
 * @property {number} frame
 * @property {number} secs real time of the frame
 * @property {Map<number, Float32Array>|null} people blocks of a chunk by person; null while fetched
 * @property {number} index the frame's place in the chunk
 * @property {number} selected person who is drawn in full
 * @property {Set<string>} show of `skeleton`, `names`, `angles`, `trace`, `number`
 * @property {{angle: number[], degrees: number}[]} angles joints with three landmarks each
 * @property {{x: number, y: number}[][]} trace runs of positions, the newest last
 * @property {string} traceSide
 * @property {string[]} landmarks names by index
 * @property {number[][]} connections pairs of indexes
 */

/**
 * Draws a scene.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number, width: number, height: number}} box where the picture is
 * @param {number} unit pixels of a thin line
 * @param {Scene} scene
 */
export function drawScene(context, box, unit, scene) {
  const pen = { context, box, unit, scene, taken: [] };
  if (scene.show.has('number')) drawNumber(pen);
  if (scene.show.has('trace')) drawTrace(pen);
  const people = [...(scene.people ?? [])];
  const isLast = ([person]) => person === scene.selected;
  for (const [person, block] of people.sort((a, b) => isLast(a) - isLast(b))) drawPerson(pen, person, block);
}

/** The person nearest to a point of the picture, or null. */
export function personAt(scene, box, point) {
  let [best, reach] = [null, CLICK_REACH_PX];
  for (const [person, block] of scene.people ?? []) {
    const at = scene.index * BLOCK;
    if (!isSeen(block, at)) continue;
    for (const [from, to] of scene.connections) {
      const ends = [from, to].map((i) => placeOf(box, landmarkAt(block, at, i)));
      const far = distanceToLine(point, ...ends);
      if (far < reach) [best, reach] = [person, far];
    }
  }
  return best;
}

function placeOf(box, { x, y }) {
  return { x: box.x + x * box.width, y: box.y + y * box.height };
}

function distanceToLine(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const square = dx * dx + dy * dy;
  const share = square === 0 ? 0 : ((point.x - a.x) * dx + (point.y - a.y) * dy) / square;
  const t = Math.min(Math.max(share, 0), 1);
  return Math.hypot(point.x - a.x - t * dx, point.y - a.y - t * dy);
}

function drawPerson(pen, person, block) {
  const { context, scene, box, unit } = pen;
  const at = scene.index * BLOCK;
  if (!isSeen(block, at)) return;
  const isSelected = person === scene.selected;
  const sides = sidesOf(scene.landmarks);
  const points = scene.landmarks.map((name, index) => {
    const { x, y, visibility } = landmarkAt(block, at, index);
    return {
      x: box.x + x * box.width,
      y: box.y + y * box.height,
      name,
      side: sides[index],
      isVisible: visibility >= MIN_VISIBILITY,
      isInside: x >= 0 && x <= 1 && y >= 0 && y <= 1,
    };
  });
  context.save();
  context.globalAlpha = isSelected ? 1 : 0.4;
  if (scene.show.has('skeleton')) drawSkeleton(pen, points);
  if (isSelected && scene.show.has('angles')) drawAngles(pen, points);
  if (isSelected && scene.show.has('names')) drawNames(pen, points);
  if (scene.show.has('skeleton') && scene.people.size > 1) {
    // Not every model gives every landmark.
    const top = points.filter(({ y }) => Number.isFinite(y)).reduce((a, b) => (b.y < a.y ? b : a));
    context.globalAlpha = 1;
    label(pen, `person ${person}`, top.x, top.y - 14 * unit, isSelected ? '#ffffff' : '#d0d0d0', 'center');
  }
  context.restore();
}

const knownSides = new WeakMap();

/** The sides of landmarks by index; names are looked at once for all frames. */
function sidesOf(landmarks) {
  if (!knownSides.has(landmarks)) knownSides.set(landmarks, landmarks.map(sideOf));
  return knownSides.get(landmarks);
}

/** What looks the same is drawn at one go: each stroke costs, however short it is. */
function drawSkeleton({ context, scene, unit }, points) {
  const bones = scene.connections
    .map(([from, to]) => [points[from], points[to]])
    .filter(([a, b]) => (a.isVisible && b.isVisible ? a.isInside || b.isInside : a.isInside && b.isInside));
  const isSure = ([a, b]) => a.isVisible && b.isVisible;
  const sure = bones.filter(isSure);
  context.lineCap = 'round';
  lines(context, sure, SKELETON.outline, 4.5 * unit);
  for (const side of BODY_SIDES) {
    const isOfSide = ([a, b]) => (a.side === b.side ? a.side : 'middle') === side;
    lines(context, sure.filter(isOfSide), SKELETON[side], 2.5 * unit);
    lines(context, bones.filter((bone) => isOfSide(bone) && !isSure(bone)), SKELETON[side], 0.8 * unit);
  }
  context.lineWidth = unit;
  for (const side of BODY_SIDES) {
    const ofSide = points.filter((point) => point.isInside && point.side === side);
    context.fillStyle = SKELETON[side];
    discs(context, ofSide.filter(({ isVisible }) => isVisible), 3.2 * unit);
    context.fill();
    context.strokeStyle = SKELETON.outline;
    context.stroke();
    discs(context, ofSide.filter(({ isVisible }) => !isVisible), 2 * unit);
    context.strokeStyle = SKELETON[side];
    context.stroke();
  }
}

function lines(context, bones, color, width) {
  if (bones.length === 0) return;
  context.beginPath();
  for (const [a, b] of bones) {
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
  }
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function discs(context, points, radius) {
  context.beginPath();
  for (const { x, y } of points) {
    context.moveTo(x + radius, y);
    context.arc(x, y, radius, 0, FULL_TURN);
  }
}

function line(context, a, b, color, width) {
  lines(context, [[a, b]], color, width);
}

function drawNames(pen, points) {
  points.forEach((point, index) => {
    const isFace = index > 0 && index <= LAST_FACE_INDEX;
    if (isFace || !point.isInside || !point.isVisible) return;
    const { side } = point;
    const text = point.name.replace(/^(left|right)_/, '').replaceAll('_', ' ');
    const align = side === 'left' ? 'left' : 'right';
    const place = placeLabel(pen, text, point.x + (side === 'left' ? 7 : -7) * pen.unit, point.y, align, 10);
    if (isFree(pen, place)) drawLabel(pen, text, place, SKELETON[side]);
  });
}

function drawAngles(pen, points) {
  const { context, scene, unit } = pen;
  for (const { angle, degrees } of scene.angles) {
    if (!Number.isFinite(degrees)) continue;
    const [from, joint, to] = angle.map((index) => points[index]);
    if (!joint.isInside) continue;
    const color = SKELETON[joint.side];
    const start = Math.atan2(from.y - joint.y, from.x - joint.x);
    const turn = shortTurn(Math.atan2(to.y - joint.y, to.x - joint.x) - start);
    const radius = arcRadius(joint, from, to, unit);
    context.beginPath();
    context.moveTo(joint.x, joint.y);
    context.arc(joint.x, joint.y, radius, start, start + turn, turn < 0);
    context.closePath();
    context.fillStyle = `${color}55`;
    context.fill();
    context.strokeStyle = color;
    context.lineWidth = 1.5 * unit;
    context.stroke();
    const middle = start + turn / 2;
    const places = LABEL_TURNS.flatMap((more) => LABEL_REACHES.map((reach) => ({
      x: joint.x + (radius + reach * unit) * Math.cos(middle + more),
      y: joint.y + (radius + reach * unit) * Math.sin(middle + more),
    })));
    labelFree(pen, `${Math.round(degrees)}°`, places, color, 12);
  }
}

/** The turn between half a turn back and half a turn on. */
function shortTurn(radians) {
  const turn = radians % FULL_TURN;
  if (turn > Math.PI) return turn - FULL_TURN;
  return turn < -Math.PI ? turn + FULL_TURN : turn;
}

function arcRadius(joint, from, to, unit) {
  const arms = [from, to].map((end) => Math.hypot(end.x - joint.x, end.y - joint.y));
  return Math.min(Math.max(0.4 * Math.min(...arms), 8 * unit), 26 * unit);
}

function drawTrace({ context, box, unit, scene }) {
  const color = SKELETON[scene.traceSide];
  const count = scene.trace.reduce((sum, run) => sum + run.length, 0);
  let done = 0;
  context.save();
  context.lineCap = 'round';
  for (const run of scene.trace) {
    for (let i = 1; i < run.length; i += 1) {
      context.globalAlpha = 0.15 + (0.85 * (done + i)) / count;
      line(context, placeOf(box, run[i - 1]), placeOf(box, run[i]), color, 2.2 * unit);
    }
    done += run.length;
  }
  context.restore();
}

function drawNumber(pen) {
  const { box, unit, scene } = pen;
  const text = `frame ${scene.frame} · ${clock(scene.secs)}`;
  label(pen, text, box.x + 12 * unit, box.y + box.height - 15 * unit, '#ffffff', 'left', 12);
}

/** Text on a dark ground, so that it can be read on any picture. */
function label(pen, text, x, y, color, align, size = 11) {
  drawLabel(pen, text, placeLabel(pen, text, x, y, align, size), color);
}

/** The text at the first of these places that no other text has; at the very first where all are taken. */
function labelFree(pen, text, places, color, size) {
  const found = places.map(({ x, y }) => placeLabel(pen, text, x, y, 'center', size));
  drawLabel(pen, text, found.find((place) => isFree(pen, place)) ?? found[0], color);
}

/** Where a text comes to lie inside the picture. */
function placeLabel({ context, unit, box }, text, x, y, align, size) {
  const font = `600 ${size * unit}px system-ui, "DejaVu Sans", sans-serif`;
  const pad = 3.5 * unit;
  const width = textWidth(context, font, text) + 2 * pad;
  const height = (size + 5) * unit;
  const shift = { left: pad, center: width / 2, right: width - pad }[align];
  const left = Math.min(Math.max(x - shift, box.x), Math.max(box.x + box.width - width, box.x));
  const top = Math.min(Math.max(y - height / 2, box.y), box.y + box.height - height);
  return { left, top, width, height, pad, font };
}

const widths = new Map();

function textWidth(context, font, text) {
  const key = `${font} ${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size >= MAX_WIDTHS) widths.clear();
    context.font = font;
    ({ width } = context.measureText(text));
    widths.set(key, width);
  }
  return width;
}

function isFree({ taken }, a) {
  return !taken.some((b) => a.left < b.left + b.width && b.left < a.left + a.width
    && a.top < b.top + b.height && b.top < a.top + a.height);
}

function drawLabel({ context, unit, taken }, text, place, color) {
  const { left, top, width, height, pad, font } = place;
  taken.push(place);
  context.font = font;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  context.fillStyle = 'rgba(16, 18, 22, 0.86)';
  context.beginPath();
  context.roundRect(left, top, width, height, 3 * unit);
  context.fill();
  context.fillStyle = color;
  context.fillText(text, left + pad, top + height / 2 + 0.5 * unit);
}
