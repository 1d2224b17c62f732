// The videos of the lake: a list to search in, to filter, and to open from.

import * as api from './api.js';
import { byId, el, option } from './dom.js';
import { count, duration, partOf, percent } from './text.js';

const POLL_MILLIS = 5000;
const QUALITIES = ['good', 'partial', 'poor', 'no_pose'];

/** Events: `open` (detail is an entry), `loaded` (another state of the lake is here). */
export class VideoList extends EventTarget {
  constructor() {
    super();
    this.videos = [];
    this.snapshot = null;
    this.current = null;
    this.hasPictures = false;
    /** How many videos have a name. */
    this.names = new Map();
    this.items = byId('videos');
    this.search = byId('search');
    this.filters = { sport: byId('filter-sport'), subject: byId('filter-subject') };
    this.order = byId('order');
    this.search.addEventListener('input', () => this.#show());
    for (const select of [...Object.values(this.filters), this.order]) {
      select.addEventListener('change', () => this.#show());
    }
    this.items.addEventListener('keydown', (event) => this.#moved(event));
  }

  /** Fetches the list, and again whenever something was committed to the lake. */
  async start() {
    await this.load();
    setInterval(() => this.#poll(), POLL_MILLIS);
  }

  async load() {
    const { snapshot, videos } = await api.videos();
    this.snapshot = snapshot;
    this.videos = videos;
    this.names.clear();
    for (const { file_name: name } of videos) this.names.set(name, (this.names.get(name) ?? 0) + 1);
    this.#fillFilter('sport', videos.map(({ sport }) => sport));
    this.#fillFilter('subject', videos.flatMap(({ subjects }) => subjects));
    this.#show();
    this.dispatchEvent(new Event('loaded'));
  }

  /** Fetches the thumbnails, too; the video that is opened first has the server to itself before. */
  showPictures() {
    if (this.hasPictures) return;
    this.hasPictures = true;
    for (const picture of this.items.querySelectorAll('img')) picture.src = picture.dataset.src;
  }

  /** How a video is called: by its file's name, and by its folder where another has the same one. */
  nameOf({ file_name: name, path }) {
    return this.#isShared(name) ? `${name} (${folderOf(path)})` : name;
  }

  #isShared(name) {
    return this.names.get(name) > 1;
  }

  find(id) {
    return this.videos.find(({ video_id: one }) => one === id);
  }

  /** Marks the video that is open. */
  setCurrent(id) {
    this.current = id;
    for (const button of this.items.querySelectorAll('button')) {
      if (button.dataset.id === id) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
    }
  }

  async #poll() {
    if (document.hidden) return;
    try {
      const lake = await api.lake();
      byId('gone').hidden = true;
      if (lake.snapshot !== this.snapshot) await this.load();
    } catch (error) {
      byId('gone').textContent = api.explain(error);
      byId('gone').hidden = false;
    }
  }

  #fillFilter(name, values) {
    const select = this.filters[name];
    const known = [...new Set(values)].sort();
    const chosen = select.value;
    select.replaceChildren(option('', `every ${name}`), ...known.map((value) => option(value, value, value === chosen)));
    select.hidden = known.length < 2;
  }

  #shown() {
    const wanted = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const { sport, subject } = this.filters;
    const isMatch = (video) => {
      const text = [this.nameOf(video), video.sport, ...video.subjects].join(' ').toLowerCase();
      return wanted.every((word) => text.includes(word))
        && (sport.value === '' || video.sport === sport.value)
        && (subject.value === '' || video.subjects.includes(subject.value));
    };
    return this.videos.filter(isMatch).sort(ORDERS[this.order.value] ?? ORDERS.name);
  }

  #show() {
    const shown = this.#shown();
    this.items.replaceChildren(...shown.map((video) => this.#item(video)));
    this.setCurrent(this.current);
    const all = count(this.videos.length, 'video', 'videos');
    byId('video-count').textContent = shown.length === this.videos.length ? all : `${shown.length} of ${all}`;
    byId('empty-list').hidden = shown.length > 0 || this.videos.length === 0;
  }

  #item(video) {
    const thumbnail = api.thumbnailUrl(video.video_id);
    const picture = el('img', {
      dataset: { src: thumbnail }, alt: '', loading: 'lazy', decoding: 'async', width: 96, height: 64,
      on: { error: (event) => event.target.classList.add('missing') },
    });
    if (this.hasPictures) picture.src = thumbnail;
    const who = [video.sport, ...video.subjects, count(video.person_count, 'person', 'people')].filter(Boolean).join(' · ');
    const poses = `${duration(video.duration_secs)} · pose in ${percent(video.pose_share)}`;
    const button = el(
      'button',
      { class: 'video', type: 'button', dataset: { id: video.video_id }, on: { click: () => this.#open(video) } },
      picture,
      el('span', { class: 'about' },
        el('span', { class: 'name', text: video.file_name, title: video.path }),
        this.#isShared(video.file_name) ? el('span', { class: 'dim', text: `in ${folderOf(video.path)}`, title: video.path }) : null,
        el('span', { class: 'dim', text: who }),
        el('span', { class: 'dim', text: poses }),
        qualityBar(video.quality),
        video.is_part ? el('span', { class: 'tag', text: `part: ${partOf(video)}`, title: 'Only this part of the video was ingested' }) : null,
        fileNote(video.file)),
    );
    return el('li', {}, button);
  }

  #open(video) {
    this.dispatchEvent(new CustomEvent('open', { detail: video }));
  }

  #moved(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    const buttons = [...this.items.querySelectorAll('button')];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (next === undefined) return;
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}

const ORDERS = {
  name: (a, b) => a.file_name.localeCompare(b.file_name),
  newest: (a, b) => b.ingested_at.localeCompare(a.ingested_at),
  longest: (a, b) => b.duration_secs - a.duration_secs,
  pose: (a, b) => b.pose_share - a.pose_share,
};

/** The last folder of a path. */
function folderOf(path) {
  return path.split('/').at(-2) || '/';
}

/** Shares of frames by quality, as a bar with a text. */
function qualityBar(quality) {
  const total = QUALITIES.reduce((sum, name) => sum + (quality[name] ?? 0), 0);
  const parts = QUALITIES.filter((name) => quality[name] > 0);
  const text = parts.map((name) => `${name.replace('_', ' ')} ${percent(quality[name] / total)}`).join(', ');
  const bar = el('span', { class: 'quality', role: 'img', 'aria-label': `quality: ${text}`, title: text });
  for (const name of parts) {
    const part = el('span', { class: `q-${name}` });
    part.style.flexGrow = String(quality[name]);
    bar.append(part);
  }
  return bar;
}

function fileNote({ state, message }) {
  const text = { missing: 'file is gone', changed: 'file has changed', proxy: 'needs a copy to play' }[state];
  return text === undefined ? null : el('span', { class: `tag ${state}`, text, title: message });
}
