// The box for SQL: shipped queries and one's own, in the sealed session of the server.

import * as api from './api.js';
import { curveColor } from './body.js';
import { byId, el, option, saveBlob, say } from './dom.js';
import { isDark } from './theme.js';

const ROWS_AT_ONCE = 200;
const MAX_CURVES = 6;
const OWN = 'SELECT video_id, frame, time_secs, left_knee_deg, right_knee_deg\nFROM metrics\nWHERE quality = \'good\'\nORDER BY left_knee_deg\nLIMIT 50';

/** Events: `jump` (detail is `{video_id, frame, person}`). */
export class SqlBox extends EventTarget {
  constructor() {
    super();
    this.queries = [];
    this.result = null;
    this.view = 'table';
    this.text = byId('sql-text');
    this.text.value = OWN;
    byId('sql-shipped').addEventListener('change', (event) => this.#take(event.target.value));
    byId('sql-run').addEventListener('click', () => (this.running ? this.stop() : this.run()));
    byId('sql-csv').addEventListener('click', () => this.#csv());
    for (const view of ['table', 'curve']) {
      byId(`sql-as-${view}`).addEventListener('click', () => this.#setView(view));
    }
    this.text.addEventListener('keydown', (event) => this.#pressed(event));
    new ResizeObserver(() => this.#resized()).observe(byId('sql-result'));
  }

  async start() {
    ({ queries: this.queries } = await api.queries());
    byId('sql-shipped').replaceChildren(
      option('', 'Your own SQL'),
      ...this.queries.map(({ name, title }) => option(name, title ? `${name}: ${title}` : name)),
    );
  }

  /** Runs what is in the box; what runs already is given up. */
  async run() {
    this.stop();
    const running = new AbortController();
    this.#setRunning(running);
    byId('sql-note').textContent = 'Running …';
    try {
      this.result = await api.runQuery(this.#body(), running.signal);
      this.#tell();
      this.#show();
    } catch (error) {
      if (this.running === running || !api.isAbort(error)) this.#failed(error);
    } finally {
      if (this.running === running) this.#setRunning(null);
    }
  }

  stop() {
    this.running?.abort();
    this.#setRunning(null);
  }

  recolor() {
    if (this.view === 'curve') this.#show();
  }

  #setRunning(running) {
    this.running = running;
    byId('sql-run').textContent = running === null ? 'Run' : 'Stop';
  }

  #pressed(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.run();
    } else if (event.key === 'Escape') {
      byId('sql-run').focus();
    }
  }

  #take(name) {
    const query = this.queries.find((one) => one.name === name);
    this.text.value = query?.sql ?? OWN;
    this.text.setSelectionRange(0, 0);
    this.text.scrollTop = 0;
    const fields = (query?.params ?? []).map((param) => el(
      'label', {}, el('span', { text: param.name }),
      el('input', { type: 'text', name: param.name, value: param.default ?? '', required: param.is_needed, spellcheck: 'false' }),
    ));
    byId('sql-params').replaceChildren(...fields);
    if (query !== undefined && !query.params.some((param) => param.is_needed && !param.default)) this.run();
  }

  #body() {
    const inputs = [...byId('sql-params').querySelectorAll('input')];
    const params = Object.fromEntries(inputs.filter(({ value }) => value !== '').map(({ name, value }) => [name, value]));
    return { sql: this.text.value, params };
  }

  #failed(error) {
    this.result = null;
    byId('sql-result').replaceChildren();
    const note = byId('sql-note');
    note.textContent = api.isAbort(error) ? 'Stopped.' : api.explain(error);
    note.classList.toggle('error', !api.isAbort(error));
  }

  #tell() {
    const { row_count: rows, is_cut: isCut, secs } = this.result;
    const note = byId('sql-note');
    note.classList.remove('error');
    note.textContent = `${rows} ${rows === 1 ? 'row' : 'rows'}${isCut ? ', cut at the limit' : ''} in ${secs.toFixed(2)} s`;
  }

  #setView(view) {
    this.view = view;
    for (const one of ['table', 'curve']) byId(`sql-as-${one}`).setAttribute('aria-pressed', String(one === view));
    this.#show();
  }

  #show() {
    this.chart?.destroy();
    this.chart = null;
    const box = byId('sql-result');
    box.replaceChildren();
    if (this.result === null) return;
    if (this.view === 'curve') this.#draw(box);
    else this.#tabulate(box);
  }

  // As a table

  #tabulate(box) {
    const { columns, rows } = this.result;
    const goal = jumpOf(columns);
    const heads = columns.map(({ name, type, is_number: isNumber }) => (
      el('th', { scope: 'col', class: isNumber ? 'number' : null, text: name, title: type })));
    const body = el('tbody');
    const head = el('thead', {}, el('tr', {}, goal === null ? null : el('th', { scope: 'col', text: '' }), ...heads));
    box.append(el('table', {}, head, body));
    let done = 0;
    const more = el('button', { type: 'button', text: 'More rows', on: { click: () => append() } });
    const append = () => {
      const next = rows.slice(done, done + ROWS_AT_ONCE);
      body.append(...next.map((row) => this.#row(row, columns, goal)));
      done += next.length;
      more.hidden = done >= rows.length;
    };
    append();
    box.append(more);
  }

  #row(row, columns, goal) {
    const cells = row.map((value, i) => el('td', {
      class: columns[i].is_number ? 'number' : null,
      text: value === null ? 'NULL' : String(value),
      dataset: value === null ? { null: '' } : {},
    }));
    const target = goal?.(row) ?? null;
    if (target === null) return el('tr', {}, goal === null ? null : el('td'), ...cells);
    const jump = () => this.dispatchEvent(new CustomEvent('jump', { detail: target }));
    const button = el('button', {
      class: 'icon small', type: 'button', text: '▸', 'aria-label': `show frame ${target.frame}`, on: { click: jump },
    });
    return el('tr', { class: 'jumps', on: { dblclick: jump } }, el('td', {}, button), ...cells);
  }

  // As a curve

  #draw(box) {
    const { columns, rows } = this.result;
    const x = timeOf(columns, rows);
    const isDrawn = ({ is_number: isNumber, name }, i) => isNumber && i !== x && !['frame', 'person', 'time_secs'].includes(name);
    const curves = columns.map((column, i) => ({ ...column, i })).filter(isDrawn).slice(0, MAX_CURVES);
    if (curves.length === 0 || rows.length === 0) {
      box.append(el('p', { class: 'hint', text: 'There is no column of numbers to draw.' }));
      return;
    }
    const data = [placesOf(rows, x), ...curves.map(({ i }) => rows.map((row) => numeric(row[i])))];
    const ink = isDark() ? '#b4bcc8' : '#454d59';
    const lines = { stroke: isDark() ? '#2c333d' : '#e1e5ea', width: 1 };
    const axis = { stroke: ink, grid: lines, ticks: lines };
    const counts = { left: 0, right: 0, none: 0 };
    const series = curves.map(({ name }) => {
      const side = /left/.test(name) ? 'left' : /right/.test(name) ? 'right' : 'none';
      counts[side] += 1;
      return { label: name, stroke: curveColor(side, counts[side] - 1, isDark()), width: 1.5 };
    });
    const chartBox = el('div', { class: 'sql-chart', role: 'img', 'aria-label': `curves of ${curves.map(({ name }) => name).join(', ')}` });
    box.append(chartBox);
    this.chart = new uPlot({
      width: chartBox.clientWidth,
      height: Math.max(box.clientHeight - 60, 140),
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 34, label: x < 0 ? 'row' : columns[x].name, labelSize: 16 }, { ...axis, size: 58 }],
      series: [{ label: x < 0 ? 'row' : columns[x].name }, ...series],
      cursor: { drag: { x: true, y: false } },
    }, data, chartBox);
  }

  #resized() {
    const box = byId('sql-result');
    if (this.chart !== null && this.chart !== undefined) {
      this.chart.setSize({ width: box.clientWidth - 16, height: Math.max(box.clientHeight - 60, 140) });
    }
  }

  async #csv() {
    try {
      saveBlob(await api.queryCsv(this.#body()), 'query.csv');
    } catch (error) {
      say(api.explain(error), true);
    }
  }
}

/** The column that curves go along: time or frame where it grows from row to row; -1 for the rows' numbers. */
function timeOf(columns, rows) {
  const grows = (i) => rows.every((row, n) => typeof row[i] === 'number' && (n === 0 || row[i] > rows[n - 1][i]));
  return columns.findIndex(({ name }, i) => ['time_secs', 'frame', 'frame_start'].includes(name) && grows(i));
}

function placesOf(rows, x) {
  return rows.map((row, n) => (x < 0 ? n + 1 : row[x]));
}

function numeric(value) {
  return typeof value === 'number' ? value : null;
}

/** Where a row leads: a function of the row, or null where the columns lead nowhere. */
function jumpOf(columns) {
  const at = (name) => columns.findIndex((column) => column.name === name);
  const [video, person] = [at('video_id'), at('person')];
  const first = (names) => names.map(at).find((place) => place >= 0) ?? -1;
  // The table cycles names its frames the other way round.
  const frame = first(['frame', 'frame_start', 'start_frame']);
  if (video < 0 || frame < 0) return null;
  const end = first(['frame_end', 'end_frame']);
  return (row) => {
    if (row[video] === null || !Number.isInteger(row[frame])) return null;
    return { video_id: row[video], frame: row[frame], end: end >= 0 ? row[end] : null, person: person >= 0 ? row[person] : null };
  };
}
