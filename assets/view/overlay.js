// Draws over a picture: skeletons, names, angles, the trace of a landmark, the frame's number.
//
// Pure drawing: all that it needs is handed in. Positions are fractions of the picture.

import { BLOCK, MIN_VISIBILITY, SKELETON, isSeen, landmarkAt, sideOf } from './body.js';
import { clock } from './text.js';

/** Landmarks of the face but the nose; their names would cover the face. */
const LAST_FACE_INDEX = 10;
const FULL_TURN = 2 * Math.PI;
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
  const pen = { context, box, unit, scene };
  if (scene.show.has('trace')) drawTrace(pen);
  for (const [person, block] of scene.people ?? []) drawPerson(pen, person, block);
  if (scene.show.has('number')) drawNumber(pen);
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
  const points = scene.landmarks.map((name, index) => {
    const landmark = landmarkAt(block, at, index);
    return { ...placeOf(box, landmark), name, ...visible(landmark) };
  });
  context.save();
  context.globalAlpha = isSelected ? 1 : 0.4;
  if (scene.show.has('skeleton')) drawSkeleton(pen, points);
  if (isSelected && scene.show.has('angles')) drawAngles(pen, points);
  if (isSelected && scene.show.has('names')) drawNames(pen, points);
  if (scene.show.has('skeleton') && scene.people.size > 1) {
    const top = points.reduce((a, b) => (b.y < a.y ? b : a));
    context.globalAlpha = 1;
    label(pen, `person ${person}`, top.x, top.y - 14 * unit, isSelected ? '#ffffff' : '#d0d0d0', 'center');
  }
  context.restore();
}

function visible({ x, y, visibility }) {
  return { isVisible: visibility >= MIN_VISIBILITY, isInside: x >= 0 && x <= 1 && y >= 0 && y <= 1 };
}

function drawSkeleton({ context, scene, unit }, points) {
  const bones = scene.connections
    .map(([from, to]) => [points[from], points[to]])
    .filter(([a, b]) => (a.isVisible && b.isVisible ? a.isInside || b.isInside : a.isInside && b.isInside));
  const isSure = ([a, b]) => a.isVisible && b.isVisible;
  context.lineCap = 'round';
  for (const [a, b] of bones.filter(isSure)) line(context, a, b, SKELETON.outline, 4.5 * unit);
  for (const bone of bones) {
    const [a, b] = bone;
    line(context, a, b, boneColor(a, b), isSure(bone) ? 2.5 * unit : 0.8 * unit);
  }
  for (const point of points.filter(({ isInside }) => isInside)) {
    const color = SKELETON[sideOf(point.name)];
    context.beginPath();
    context.arc(point.x, point.y, (point.isVisible ? 3.2 : 2) * unit, 0, FULL_TURN);
    context.lineWidth = unit;
    context.strokeStyle = point.isVisible ? SKELETON.outline : color;
    context.fillStyle = color;
    if (point.isVisible) context.fill();
    context.stroke();
  }
}

function boneColor(a, b) {
  const [first, second] = [sideOf(a.name), sideOf(b.name)];
  return first === second ? SKELETON[first] : SKELETON.middle;
}

function line(context, a, b, color, width) {
  context.beginPath();
  context.moveTo(a.x, a.y);
  context.lineTo(b.x, b.y);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function drawNames(pen, points) {
  points.forEach((point, index) => {
    const isFace = index > 0 && index <= LAST_FACE_INDEX;
    if (isFace || !point.isInside || !point.isVisible) return;
    const side = sideOf(point.name);
    const text = point.name.replace(/^(left|right)_/, '').replaceAll('_', ' ');
    const align = side === 'left' ? 'left' : 'right';
    label(pen, text, point.x + (side === 'left' ? 7 : -7) * pen.unit, point.y, SKELETON[side], align, 10);
  });
}

function drawAngles(pen, points) {
  const { context, scene, unit } = pen;
  for (const { angle, degrees } of scene.angles) {
    if (!Number.isFinite(degrees)) continue;
    const [from, joint, to] = angle.map((index) => points[index]);
    if (!joint.isInside) continue;
    const color = SKELETON[sideOf(joint.name)];
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
    const reach = radius + 15 * unit;
    const [x, y] = [joint.x + reach * Math.cos(middle), joint.y + reach * Math.sin(middle)];
    label(pen, `${Math.round(degrees)}°`, x, y, color, 'center', 12);
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
  label(pen, text, box.x + 10 * unit, box.y + box.height - 15 * unit, '#ffffff', 'left', 12);
}

/** Text on a dark ground, so that it can be read on any picture. */
function label({ context, unit, box }, text, x, y, color, align, size = 11) {
  context.font = `600 ${size * unit}px system-ui, "DejaVu Sans", sans-serif`;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  const width = context.measureText(text).width;
  const shift = { left: 0, center: width / 2, right: width }[align];
  const pad = 3.5 * unit;
  const right = box.x + box.width - width - pad;
  const left = Math.min(Math.max(x - shift, box.x + pad), Math.max(right, box.x + pad));
  const height = (size + 5) * unit;
  const middle = Math.min(Math.max(y, box.y + height / 2), box.y + box.height - height / 2);
  context.fillStyle = 'rgba(16, 18, 22, 0.72)';
  context.beginPath();
  context.roundRect(left - pad, middle - height / 2, width + 2 * pad, height, 3 * unit);
  context.fill();
  context.fillStyle = color;
  context.fillText(text, left, middle + 0.5 * unit);
}
