// The dialog in which curves are chosen.

import { byId, el, option } from './dom.js';
import { words } from './text.js';

const TABLE_NAMES = {
  metrics: 'Metrics, as measured',
  metrics_filtered: 'Metrics, filtered',
  landmarks: 'Landmarks, as found',
  landmarks_filtered: 'Landmarks, filtered',
};

/** Sets of curves that are a click away. */
export const PRESETS = [
  ['Knees', ['left_knee_deg', 'right_knee_deg']],
  ['Hips', ['left_hip_deg', 'right_hip_deg']],
  ['Elbows', ['left_elbow_deg', 'right_elbow_deg']],
  ['Trunk', ['trunk_segment_deg', 'pelvis_segment_deg']],
  ['Speed', ['center_speed_torso_per_sec', 'peak_landmark_speed_torso_per_sec']],
];

/** Lets the user choose among a video's columns; each choice is told at once. */
export class Picker {
  /** @param {import('./curves.js').Curves} curves */
  constructor(curves) {
    this.curves = curves;
    this.dialog = byId('picker');
    this.table = byId('picker-table');
    this.landmark = byId('picker-landmark');
    this.search = byId('picker-search');
    this.search.addEventListener('input', () => this.#list());
    this.table.addEventListener('change', () => this.#list());
    this.landmark.addEventListener('change', () => this.#list());
    byId('choose-curves').addEventListener('click', () => this.open());
    byId('picker-none').addEventListener('click', () => {
      curves.dispatchEvent(new CustomEvent('changed', { detail: [] }));
      this.#list();
    });
  }

  open() {
    const detail = this.#detail();
    if (detail === null) return;
    const tables = [...new Set(detail.columns.map(({ table }) => table))];
    const chosen = tables.includes(this.table.value) ? this.table.value : tables[0];
    this.table.replaceChildren(...tables.map((table) => option(table, TABLE_NAMES[table] ?? table, table === chosen)));
    if (this.landmark.options.length === 0) {
      this.landmark.replaceChildren(...detail.landmarks.map((name) => option(name, words(name), name === 'left_wrist')));
    }
    this.#list();
    this.dialog.showModal();
    this.search.focus();
  }

  #detail() {
    return this.curves.pair.left.detail;
  }

  #list() {
    const table = this.table.value;
    const isLandmarks = table.startsWith('landmarks');
    byId('picker-landmark-label').hidden = !isLandmarks;
    const wanted = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const columns = this.#detail().columns.filter((column) => {
      const text = `${column.column} ${column.name} ${column.description}`.toLowerCase();
      return column.table === table && wanted.every((word) => text.includes(word));
    });
    byId('picker-list').replaceChildren(...columns.map((column) => this.#choice(column, isLandmarks)));
    byId('picker-empty').hidden = columns.length > 0;
  }

  #choice(column, isLandmarks) {
    const { table, column: name, unit, description } = column;
    const key = [table, name, ...(isLandmarks ? [this.landmark.value] : [])].join('.');
    const box = el('input', { type: 'checkbox', on: { change: () => this.curves.toggle(key) } });
    box.checked = this.curves.names.includes(key);
    return el('li', {}, el('label', {}, box,
      el('span', { class: `name ${column.side ?? ''}`, text: column.name }),
      el('span', { class: 'dim', text: unit ?? '' }),
      el('span', { class: 'dim description', text: description })));
  }
}
