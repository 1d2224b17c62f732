// Curves of the lake's columns over time, with a cursor that goes with the video.
//
// The server thins what it sends to the width of the screen; zooming asks anew. uPlot draws.

import * as api from './api.js';
import { curveColor } from './body.js';
import { Chunks } from './chunks.js';
import { byId, debounce, el, say } from './dom.js';
import { number, unitSign, words } from './text.js';
import { isDark } from './theme.js';

const CHUNK_FRAMES = 512;
const ZOOM_STEP = 1.5;
const REFETCH_MILLIS = 120;
const LEGEND_MILLIS = 100;
const FONT = '12px system-ui, "DejaVu Sans", sans-serif';
/** uPlot's numbers of a chart's sides. */
const LEFT_AXIS = 3;
const RIGHT_AXIS = 1;
const MARKS = [
  { column: 'left_right_swap', text: 'sides swapped', about: 'Left and right look exchanged (left_right_swap)', color: '#d55e00' },
  { column: 'bone_length_jump', text: 'bone jumps', about: 'A bone is much longer or shorter than it was (bone_length_jump)', color: '#cc79a7' },
];
const MARK_HEIGHT_PX = 5;

/** A curve by its name in the page's address: `table.column` or `table.column.landmark`. */
export function parseCurve(name) {
  const [table, column, landmark = null] = name.split('.');
  return { name, table, column, landmark };
}

/** The curves' part of the page. Events: `seek` (detail is a frame of the first video), `changed`. */
export class Curves extends EventTarget {
  /** @param {import('./pair.js').Pair} pair whose videos the curves are of */
  constructor(pair) {
    super();
    this.pair = pair;
    this.names = [];
    /** Seconds that are shown; null for all. */
    this.window = null;
    this.chart = null;
    this.parts = [];
    this.values = new Map();
    this.chartBox = byId('chart');
    this.legend = byId('legend');
    this.cursor = el('div', { class: 'cursor-line' });
    this.fetching = new AbortController();
    this.refetch = debounce(() => this.#fetch(), REFETCH_MILLIS);
    new ResizeObserver(() => this.#resized()).observe(this.chartBox);
    this.#listen();
  }

  /** Shows these curves of the videos that are open. */
  async set(names) {
    this.names = names;
    for (const values of this.values.values()) values.close();
    this.values.clear();
    this.#legend();
    if (this.parts.length === 0) this.#hint();
    await this.#fetch();
  }

  /** Takes all curves off the page, while another video is opened. */
  clear() {
    this.fetching.abort();
    for (const values of this.values.values()) values.close();
    this.values.clear();
    this.parts = [];
    this.#build();
    this.legend.replaceChildren();
    this.entries = [];
  }

  /** Adds a curve, or takes it away. */
  toggle(name) {
    const names = this.names.includes(name) ? this.names.filter((n) => n !== name) : [...this.names, name];
    this.dispatchEvent(new CustomEvent('changed', { detail: names }));
  }

  /** Shows these seconds; null for all. */
  zoomTo(window) {
    this.window = window;
    if (this.chart !== null) this.chart.setScale('x', this.#range());
    this.#follow();
    this.refetch();
    this.dispatchEvent(new Event('zoomed'));
  }

  /** Zooms in (`factor` above 1) or out, around a time. */
  zoom(factor, around = this.#now()) {
    const { min, max } = this.#range();
    const whole = this.#whole();
    const share = max > min ? (around - min) / (max - min) : 0.5;
    const width = Math.min((max - min) / factor, whole.max - whole.min);
    if (width <= 0) return;
    this.#pan(around - share * width, width);
  }

  /** The frame changed: cursor and values go along. */
  follow() {
    this.#keepInside();
    if (this.chart !== null && this.pair.left.isOpen) this.#placeCursor(this.chart);
    const now = performance.now();
    if (this.pair.left.isPlaying && now - (this.told ?? 0) < LEGEND_MILLIS) return;
    this.told = now;
    this.#follow();
    this.#tellValues();
  }

  /** Light became dark, or the other way round. */
  recolor() {
    const colors = new Map(this.#series().map(({ key, color }) => [key, color]));
    this.parts = this.parts.map((part) => ({ ...part, color: colors.get(part.key) ?? part.color }));
    this.#legend();
    this.#build();
  }

  // What is shown

  /** The videos with what their times are moved by. */
  #sides() {
    const { left, right, isPair } = this.pair;
    const sides = [{ player: left, shift: 0 }];
    if (isPair) sides.push({ player: right, shift: this.pair.shiftSecs });
    return sides.filter(({ player }) => player.isOpen);
  }

  /** Every curve of every video: description, colour, values. */
  #series() {
    const counts = { left: 0, right: 0, none: 0 };
    return this.names.flatMap((name) => {
      const curve = parseCurve(name);
      const known = this.#sides().map((side, i) => ({ side, i, column: describe(side.player, curve) }));
      const seen = known.filter(({ column }) => column !== undefined);
      if (seen.length === 0) return [];
      const where = seen[0].column.side ?? sideOfLandmark(curve.landmark) ?? 'none';
      const color = curveColor(where, counts[where], isDark());
      counts[where] += 1;
      return seen.map(({ side, i, column }) => (
        { ...curve, side, i, column, color, key: `${i} ${name}`, whose: i === 0 ? '' : this.#whose(side.player) }));
    });
  }

  /** Tells the second video from the first, or the second person of one video. */
  #whose({ entry, person }) {
    const { left } = this.pair;
    return left.entry.video_id === entry.video_id ? `person ${person}` : entry.file_name;
  }

  #whole() {
    const sides = this.#sides();
    const ends = sides.map(({ player, shift }) => [player.times.first, player.times.last].map((frame) => player.times.realSecs(frame) + shift));
    const [min, max] = [Math.min(...ends.map(([a]) => a)), Math.max(...ends.map(([, b]) => b))];
    return max > min ? { min, max } : { min, max: min + 1 };
  }

  #range() {
    return this.window ?? this.#whole();
  }

  #now() {
    const { left } = this.pair;
    return left.isOpen && left.frame !== null ? left.times.realSecs(left.frame) : 0;
  }

  // Fetching

  async #fetch() {
    this.fetching.abort();
    this.fetching = new AbortController();
    const { signal } = this.fetching;
    const series = this.#series();
    if (series.length === 0) {
      this.parts = [];
      this.#build();
      return;
    }
    try {
      const groups = [...Map.groupBy(series, (s) => `${s.i} ${s.table} ${s.landmark}`).values()];
      const [parts, marks] = await Promise.all([
        Promise.all(groups.map((group) => this.#fetchGroup(group, signal))),
        this.#fetchMarks(),
      ]);
      if (signal.aborted) return;
      const isSame = this.#isSame(series);
      this.parts = parts.flat();
      this.marks = marks;
      if (isSame) this.chart.setData(this.#table(), false);
      else this.#build();
      this.#follow();
      this.#tellValues();
    } catch (error) {
      if (api.isAbort(error)) return;
      byId('chart-hint').textContent = '';
      say(api.explain(error), true);
    }
  }

  async #fetchGroup(group, signal) {
    const { side: { player, shift }, table, landmark } = group[0];
    const { min, max } = this.#range();
    const margin = (max - min) * 0.02;
    const from = player.times.atReal(min - shift - margin);
    const to = Math.min(player.times.atReal(max - shift + margin) + 1, player.times.last);
    const points = Math.min(Math.max(Math.round(this.chartBox.clientWidth), 200), 4000);
    const columns = group.map(({ column }) => column.column).join(',');
    const params = { table, columns, person: player.person, from, to, points, landmark };
    const answer = await api.curve(player.entry.video_id, params, signal);
    return group.map((one, i) => {
      const { frames, values } = answer.series[i];
      return { ...one, frames, values };
    });
  }

  async #fetchMarks() {
    const { left } = this.pair;
    const { video_id: id, ingested_at: since } = left.entry;
    const key = `${id} ${since} ${left.person} ${left.rows}`;
    if (this.marksOf?.key === key) return this.marksOf.marks;
    const marks = await api.marks(id, left.person, left.rows);
    // Kept with what they are of: what was given up on the way must not be taken for it.
    this.marksOf = { key, marks };
    return marks;
  }

  /** Whether the chart draws these very series already. */
  #isSame(series) {
    const keys = (list) => list.map(({ key, color }) => `${key} ${color}`).join();
    return this.chart !== null && keys(series) === keys(this.parts);
  }

  #table() {
    const tables = this.parts.map(({ frames, values, side }) => (
      [frames.map((frame) => side.player.times.realSecs(frame) + side.shift), values]));
    return tables.length > 0 ? uPlot.join(tables, tables.map(() => [2, 2])) : [[0], []];
  }

  // Drawing

  #build() {
    this.chart?.destroy();
    this.chart = null;
    this.#hint();
    if (this.parts.length === 0) return;
    const units = [...new Set(this.parts.map(({ column }) => column.unit ?? ''))];
    const axis = axisLook();
    const options = {
      width: this.chartBox.clientWidth,
      height: this.chartBox.clientHeight,
      legend: { show: false },
      cursor: { drag: { x: false, y: false, setScale: false }, points: { show: false }, y: false },
      scales: { x: { time: false, range: () => { const { min, max } = this.#range(); return [min, max]; } } },
      axes: [
        { ...axis, size: 34, values: (_, ticks) => ticks.map((secs) => `${+secs.toFixed(3)} s`) },
        ...units.map((unit, i) => ({
          ...axis,
          scale: unit,
          side: i % 2 === 0 ? LEFT_AXIS : RIGHT_AXIS,
          grid: i === 0 ? axis.grid : { show: false },
          size: 58,
          space: 26,
          label: unit === '' ? undefined : unit,
          labelSize: 18,
          labelFont: axis.font,
          labelGap: 0,
        })),
      ],
      series: [{}, ...this.parts.map((part) => this.#seriesOptions(part))],
      hooks: { draw: [(chart) => { this.#drawMarks(chart); this.#placeCursor(chart); }] },
    };
    this.chart = new uPlot(options, this.#table(), this.chartBox);
    this.chart.over.append(this.cursor);
    this.#listenChart(this.chart.over);
    this.#follow();
  }

  #seriesOptions({ column, color, i }) {
    return {
      scale: column.unit ?? '',
      stroke: color,
      width: i === 0 ? 1.75 : 1.5,
      dash: i === 0 ? undefined : [6, 4],
      points: { show: false },
      spanGaps: false,
    };
  }

  #hint() {
    const { left } = this.pair;
    const none = 'No curves yet: choose one with “Curves …”, or take “Knees”.';
    const wanted = this.entries?.length > 0 ? 'Reading …' : 'This video has no such columns: choose others with “Curves …”.';
    const text = this.names.length > 0 ? wanted : none;
    byId('chart-hint').textContent = left.isOpen && this.parts.length === 0 ? text : '';
  }

  /** Bands at the top where a flag is true. */
  #drawMarks(chart) {
    const { left } = this.pair;
    if (!this.marks || !left.isOpen) return;
    const { ctx, bbox } = chart;
    const height = MARK_HEIGHT_PX * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    MARKS.forEach(({ column, color }, row) => {
      ctx.fillStyle = color;
      for (const [from, to] of this.marks[column] ?? []) {
        const [start, end] = [from, Math.min(to + 1, left.times.last)].map((frame) => chart.valToPos(left.times.realSecs(frame), 'x', true));
        ctx.fillRect(start, bbox.top + row * height, Math.max(end - start, 2 * devicePixelRatio), height - 1);
      }
    });
    ctx.restore();
  }

  #resized() {
    if (this.chart === null) return;
    this.chart.setSize({ width: this.chartBox.clientWidth, height: this.chartBox.clientHeight });
    this.#follow();
  }

  #follow() {
    const { left } = this.pair;
    if (this.chart === null || !left.isOpen) return;
    this.#placeCursor(this.chart);
    this.chartBox.setAttribute('aria-valuemin', String(left.times.first));
    this.chartBox.setAttribute('aria-valuemax', String(left.times.last));
    this.chartBox.setAttribute('aria-valuenow', String(left.frame));
    this.chartBox.setAttribute('aria-valuetext', `frame ${left.frame}`);
  }

  /** The line at the shown frame; a chart has its scales only when it was drawn once. */
  #placeCursor(chart) {
    const x = chart.valToPos(this.#now(), 'x');
    const isInside = x >= 0 && x <= chart.bbox.width / devicePixelRatio;
    if (this.cursor.hidden === isInside) this.cursor.hidden = !isInside;
    if (isInside) this.cursor.style.transform = `translateX(${x}px)`;
  }

  /** The window goes along where the cursor would leave it. */
  #keepInside() {
    if (this.window === null) return;
    const { min, max } = this.window;
    const now = this.#now();
    if (now >= min && now <= max) return;
    const width = max - min;
    this.#pan(now < min && !this.pair.left.isPlaying ? now - 0.5 * width : now - 0.05 * width, width);
  }

  #pan(start, width) {
    const whole = this.#whole();
    const min = Math.min(Math.max(start, whole.min), whole.max - width);
    const isWhole = width >= whole.max - whole.min;
    this.zoomTo(isWhole ? null : { min, max: min + width });
  }

  // The legend

  #legend() {
    const entries = this.#series().map((one) => {
      const value = el('output', { class: 'value', text: '–' });
      const swatch = el('span', { class: one.i === 0 ? 'swatch' : 'swatch dashed' });
      swatch.style.color = one.color;
      const remove = el('button', {
        class: 'icon small', type: 'button', text: '×', 'aria-label': `remove ${titleOf(one)}`,
        on: { click: () => this.toggle(one.name) },
      });
      return { ...one, value, item: el('li', { title: one.column.description }, swatch, el('span', { text: titleOf(one) }), value, one.i === 0 ? remove : null) };
    });
    this.entries = entries;
    const marks = MARKS.map(({ text, about, color }) => {
      const swatch = el('span', { class: 'swatch block' });
      swatch.style.color = color;
      return el('li', { class: 'mark', title: about }, swatch, el('span', { text }));
    });
    this.legend.replaceChildren(...entries.map(({ item }) => item), ...(entries.length > 0 ? marks : []));
  }

  /** Exact values at the frames that are shown. */
  #tellValues() {
    for (const entry of this.entries ?? []) {
      const { player } = entry.side;
      if (!player.isOpen || player.frame === null) continue;
      const chunk = this.#valuesOf(entry).at(player.frame);
      const value = chunk === null ? null : chunk.value[chunk.index];
      const unit = unitSign(entry.column.unit);
      const text = number(value);
      entry.value.textContent = text === '–' ? text : `${text}${unit === '°' ? '' : ' '}${unit}`;
    }
  }

  #valuesOf({ side: { player }, table, column, landmark, key }) {
    const whole = `${key} ${player.entry.video_id} ${player.person}`;
    if (!this.values.has(whole)) {
      const { video_id: id } = player.entry;
      const { person } = player;
      const fetchChunk = (from, to, signal) => (
        api.columns(id, { table, columns: column.column, landmark, person, from, to }, signal));
      const onArrival = () => this.#tellValues();
      this.values.set(whole, new Chunks(player.times, CHUNK_FRAMES, fetchChunk, onArrival, () => {}));
    }
    return this.values.get(whole);
  }

  // Mouse, finger and keys

  #listen() {
    byId('zoom-in').addEventListener('click', () => this.zoom(ZOOM_STEP));
    byId('zoom-out').addEventListener('click', () => this.zoom(1 / ZOOM_STEP));
    byId('zoom-all').addEventListener('click', () => this.zoomTo(null));
  }

  #listenChart(over) {
    over.addEventListener('pointerdown', (event) => this.#pressed(over, event));
    over.addEventListener('wheel', (event) => this.#wheeled(over, event), { passive: false });
    over.addEventListener('dblclick', () => this.zoomTo(null));
  }

  #secsAt(over, event) {
    return this.chart.posToVal(event.clientX - over.getBoundingClientRect().left, 'x');
  }

  #pressed(over, event) {
    if (event.button !== 0) return;
    over.setPointerCapture(event.pointerId);
    const start = this.#secsAt(over, event);
    const seek = (move) => this.#seek(this.#secsAt(over, move));
    const select = (move) => this.#select(start, this.#secsAt(over, move));
    const drag = event.shiftKey ? select : seek;
    drag(event);
    over.addEventListener('pointermove', drag);
    over.addEventListener('pointerup', (end) => {
      if (event.shiftKey) this.#zoomToSelection(start, this.#secsAt(over, end));
    }, { once: true });
    // Also where the browser takes the gesture for its own.
    over.addEventListener('lostpointercapture', () => over.removeEventListener('pointermove', drag), { once: true });
  }

  #seek(secs) {
    const frame = this.pair.left.times.nearestReal(secs);
    this.dispatchEvent(new CustomEvent('seek', { detail: frame }));
  }

  #select(a, b) {
    const [left, right] = [a, b].map((secs) => this.chart.valToPos(secs, 'x')).sort((x, y) => x - y);
    this.chart.setSelect({ left, width: right - left, top: 0, height: this.chart.over.clientHeight }, false);
  }

  #zoomToSelection(a, b) {
    this.chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    const [min, max] = [Math.min(a, b), Math.max(a, b)];
    if (max - min > 0) this.#pan(min, max - min);
  }

  #wheeled(over, event) {
    event.preventDefault();
    const { min, max } = this.#range();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const way = event.shiftKey ? event.deltaY : event.deltaX;
      if (this.window !== null) this.#pan(min + (way / over.clientWidth) * (max - min), max - min);
      return;
    }
    this.zoom(1.002 ** -event.deltaY, this.#secsAt(over, event));
  }
}

/** How axes look on the page as it is now. */
function axisLook() {
  const lines = { stroke: isDark() ? '#2c333d' : '#e1e5ea', width: 1 };
  return { stroke: isDark() ? '#b4bcc8' : '#454d59', font: FONT, grid: lines, ticks: lines };
}

function describe(player, { table, column }) {
  return player.detail?.columns.find((one) => one.table === table && one.column === column);
}

function sideOfLandmark(landmark) {
  if (landmark?.startsWith('left_')) return 'left';
  return landmark?.startsWith('right_') ? 'right' : null;
}

function titleOf({ column, landmark, table, whose }) {
  const filtered = table.endsWith('_filtered') ? ' (filtered)' : '';
  const name = landmark === null ? column.name : `${words(landmark)} ${column.name}`;
  return `${name}${filtered}${whose === '' ? '' : ` · ${whose}`}`;
}
