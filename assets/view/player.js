// One video on its stage: pictures, the overlay over them, steps and play.
//
// A picture and what is drawn over it are painted in the same task, from one and the same frame
// number, so that no screen ever shows one without the other.

import * as api from './api.js';
import { BLOCK, isSeen, landmarkAt, sideOf } from './body.js';
import { Chunks } from './chunks.js';
import { debounce, el } from './dom.js';
import { drawScene, personAt } from './overlay.js';
import { NoPictures, StillPictures, UntoldFrames, VideoClock, VideoPictures } from './pictures.js';
import { percent } from './text.js';
import { FrameTimes } from './times.js';

const CHUNK_FRAMES = 256;
const MAX_PICTURE_PX = 1920;
/** A picture is painted anew when the stage has kept its size for so long. */
const RESIZE_MILLIS = 150;
const PROXY_POLL_MILLIS = 1000;
/** How far back the trace of a landmark goes. */
const TRACE_SECS = 1.5;
const MAX_TRACE_FRAMES = 400;

/**
 * Events: `frame` (another frame is shown), `playing` (begun or ended), `person` (clicked),
 * `opened`, `problem` (detail is a text).
 */
export class Player extends EventTarget {
  /** @param {string} title what screen readers call the stage */
  constructor(title) {
    super();
    this.title = title;
    this.#build();
    this.#forget();
    this.limits = { stretch_frames: 20_000 };
    /** What is drawn; shared by all players. */
    this.look = { show: new Set(['skeleton', 'number']), rows: 'raw', trace: 'left_wrist' };
    this.speed = 1;
    /** First and last frame of the stretch that is played again and again, or null. */
    this.loop = null;
    const repaint = debounce(() => this.#repaint(), RESIZE_MILLIS);
    /** The stage's size as it was told last: asking for it at each frame would lay the page out. */
    this.size = [0, 0];
    new ResizeObserver(([{ contentRect }]) => {
      this.size = [contentRect.width, contentRect.height];
      this.redraw();
      repaint();
    }).observe(this.stage);
  }

  /**
   * Opens a video; the entry of the list is enough. Returns when the picture of the frame, or of the
   * first one, is there.
   */
  async open(entry, frame = null, person = null) {
    this.close();
    const opening = Symbol(entry.video_id);
    Object.assign(this, { opening, entry, person: person ?? entry.main_person ?? 0 });
    this.#message('Opening …');
    // All at once: what is drawn, when, and over what.
    const { video_id: id, first_frame: first, frame_count: count } = entry;
    const loading = entry.file.state === 'source' ? this.#load(api.videoUrl(id)) : null;
    const isRaw = this.look.rows === 'raw';
    if (isRaw) this.#openPoses();
    if (isRaw && count > 0) this.poses.ready(Math.min(Math.max(frame ?? first, first), first + count - 1));
    const [detail, times] = await Promise.all([api.video(id), api.times(id, false)]);
    if (this.opening !== opening) return;
    this.detail = detail;
    if (!this.#has(this.person)) this.person = entry.main_person ?? 0;
    this.times = new FrameTimes(times, entry.is_part);
    if (!isRaw) this.#openPoses();
    this.#openAngles();
    if (this.times.count === 0) {
      this.#message('This video has no frames.');
      return;
    }
    await this.#openPictures(opening, loading);
    if (this.opening !== opening) return;
    await this.show(this.target ?? frame ?? this.times.first);
    if (this.opening !== opening) return;
    this.stage.ariaLabel = `${this.title}: ${entry.file_name}`;
    this.dispatchEvent(new Event('opened'));
    if (this.source === 'file' || this.source === 'decoded') this.#verify(opening);
  }

  /** Forgets the video. */
  close() {
    this.pause();
    this.opening = null;
    this.pictures?.close();
    this.stills?.close();
    this.poses?.close();
    this.angles?.close();
    this.#forget();
    this.#clear();
  }

  get isOpen() {
    return this.times !== null && this.times.count > 0;
  }

  /** Numbers of the first and the last frame. */
  get ends() {
    return this.isOpen ? [this.times.first, this.times.last] : [0, 0];
  }

  get isPlaying() {
    return this.run !== null;
  }

  /**
   * Shows a frame; of several wishes that come while one is fulfilled the last one counts. A video that
   * is being opened is opened there.
   */
  show(frame) {
    this.target = this.isOpen ? this.times.clamp(frame) : frame;
    if (this.pictures === null) return Promise.resolve();
    this.settling ??= this.#settle().finally(() => { this.settling = null; });
    return this.settling;
  }

  /** Steps from where it is going. */
  async step(frames) {
    if (!this.isOpen || this.pictures === null) return;
    if (this.isPlaying) await this.pause();
    return this.show((this.target ?? this.frame) + frames);
  }

  async toggle() {
    return this.isPlaying ? this.pause() : this.play();
  }

  /** Plays from the shown frame, or from the beginning where that is the last one. */
  async play() {
    if (!this.isOpen || this.isPlaying || this.pictures === null) return;
    const run = { rate: 1 };
    this.run = run;
    const [first, last] = this.#stretch;
    if (this.frame >= last || (this.loop !== null && this.frame < first)) await this.show(first);
    await this.poses.ready(this.frame);
    if (this.run !== run) return;
    this.dispatchEvent(new Event('playing'));
    await this.#roll(run);
  }

  /** Stops, and comes to rest on the frame that is shown. */
  async pause() {
    if (!this.isPlaying) return;
    this.run = null;
    this.pictures?.pause();
    this.dispatchEvent(new Event('playing'));
    if (this.isOpen) await this.show(this.frame);
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.isPlaying) this.#changePace();
  }

  /** Plays faster or slower by this factor, to stay beside another player. */
  setPace(factor) {
    if (this.run === null || this.run.rate === factor) return;
    this.run.rate = factor;
    this.#changePace();
  }

  /** Goes elsewhere; a playing video plays on from there. */
  jump(frame) {
    if (this.isPlaying && this.pictures.jump) this.pictures.jump(this.times.clamp(frame));
    else this.show(frame);
  }

  /** Puts a person of this video forward; another number changes nothing. */
  setPerson(person) {
    if (this.detail !== null && !this.#has(person)) return;
    this.person = person;
    if (this.isOpen) this.#openAngles();
    this.redraw();
  }

  #has(person) {
    return this.detail.persons.some((one) => one.person === person);
  }

  /** Filtered or raw rows. */
  rowsChanged() {
    this.poses?.close();
    if (this.isOpen) {
      this.#openPoses();
      this.#openAngles();
    }
    this.redraw();
  }

  /** The rows that are drawn: filtered ones where they are wanted and there. */
  get rows() {
    return this.look.rows === 'filtered' && this.detail?.has_filtered ? 'filtered' : 'raw';
  }

  /** Draws the overlay anew, over the picture that is there. */
  redraw() {
    const { canvas } = this.overlay;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = this.size;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    this.overlay.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.overlay.clearRect(0, 0, width, height);
    if (this.frame === null || this.detail === null) return;
    const box = this.#box();
    drawScene(this.overlay, box, unitOf(box), this.scene());
  }

  /** Picture and overlay of a frame, in the picture's own size. */
  async snapshot(frame = this.frame) {
    const { width_px: width, height_px: height, video_id: id } = this.entry;
    const { opening } = this;
    const canvas = el('canvas', { width, height });
    const context = canvas.getContext('2d');
    context.fillRect(0, 0, width, height);
    const [image] = await Promise.all([this.#exactImage(id, frame), this.#ready(frame)]);
    if (this.opening !== opening) throw new Error('another video was opened before the picture was there');
    context.drawImage(image, 0, 0, width, height);
    const box = { x: 0, y: 0, width, height };
    // Another frame may be shown by now.
    drawScene(context, box, unitOf(box), this.scene(frame));
    return new Promise((done) => { canvas.toBlob(done, 'image/png'); });
  }

  /** Waits until all is known that is drawn over a frame. */
  async #ready(frame) {
    await Promise.all([this.poses.ready(frame), this.look.show.has('angles') ? this.angles.ready(frame) : null]);
  }

  /** What there is to draw at a frame, by default the shown one. */
  scene(frame = this.frame) {
    const chunk = this.poses.at(frame);
    const { landmarks, connections } = this.detail;
    const hasTrace = this.look.show.has('trace');
    return {
      frame,
      secs: this.times.realSecs(frame),
      people: chunk?.value ?? null,
      index: chunk?.index ?? 0,
      selected: this.person,
      show: this.look.show,
      angles: this.look.show.has('angles') ? this.#anglesAt(frame) : [],
      trace: hasTrace ? this.#trace(frame) : [],
      traceSide: sideOf(this.look.trace),
      landmarks,
      connections,
    };
  }

  #build() {
    this.video = el('video', { muted: true, playsinline: true, preload: 'auto', 'aria-hidden': 'true', tabindex: -1 });
    this.video.muted = true;
    this.picture = el('canvas', { class: 'picture' }).getContext('2d', { alpha: false });
    this.overlay = el('canvas', { class: 'overlay', on: { click: (event) => this.#clicked(event) } }).getContext('2d');
    this.note = el('p', { class: 'note', role: 'status' });
    this.stage = el(
      'div',
      { class: 'stage', role: 'group', 'aria-label': this.title },
      this.video, this.picture.canvas, this.overlay.canvas, this.note,
    );
  }

  #forget() {
    Object.assign(this, {
      entry: null, detail: null, times: null, pictures: null, stills: null, poses: null, angles: null,
      frame: null, target: null, settling: null, run: null, person: 0, source: null,
    });
  }

  #clear() {
    this.stage.ariaLabel = this.title;
    this.#message('');
    this.picture.clearRect(0, 0, this.picture.canvas.width, this.picture.canvas.height);
    this.redraw();
  }

  #message(text) {
    this.note.textContent = text;
    this.note.hidden = text === '';
  }

  /** Width and height of the picture: as it is seen; more would only be work. */
  #pictureSize() {
    const { width_px: width, height_px: height } = this.entry;
    const seen = Math.ceil(this.#box().width * (window.devicePixelRatio || 1));
    const scale = Math.min(1, MAX_PICTURE_PX / Math.max(width, height), seen > 0 ? seen / width : 1);
    return [width, height].map((side) => Math.max(Math.round(side * scale), 1));
  }

  /** Makes the picture as large as it is to be. That clears it: it is painted in the same task. */
  #sizePicture() {
    const { canvas } = this.picture;
    const [width, height] = this.#pictureSize();
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  }

  /** Paints the shown frame again, where the stage has another size now. */
  #repaint() {
    if (!this.isOpen || this.frame === null || this.isPlaying || this.pictures === null) return;
    const [width, height] = this.#pictureSize();
    const { canvas } = this.picture;
    if (canvas.width === width && canvas.height === height) return;
    this.pictures.forget?.();
    this.show(this.target ?? this.frame);
  }

  // Rows

  #openPoses() {
    const { first_frame: first, frame_count: count, person_count: people, video_id: id } = this.entry;
    const most = Math.floor(this.limits.stretch_frames / Math.max(people, 1));
    const size = Math.max(1, Math.min(CHUNK_FRAMES, most));
    const { rows } = this;
    const fetchChunk = (from, to, signal) => api.landmarks(id, rows, from, to, signal);
    this.poses = new Chunks({ first, count }, size, fetchChunk, () => this.redraw(), (error) => this.#problem(error));
  }

  #openAngles() {
    this.angles?.close();
    const { video_id: id } = this.entry;
    const table = this.rows === 'filtered' ? 'metrics_filtered' : 'metrics';
    const { landmarks } = this.detail;
    this.joints = this.detail.columns
      .filter((column) => column.table === table && column.angle)
      .map(({ column, angle }) => ({ column, angle: angle.map((name) => landmarks.indexOf(name)) }));
    const columns = this.joints.map(({ column }) => column).join(',');
    const { person } = this;
    const fetchChunk = (from, to, signal) => api.columns(id, { table, columns, person, from, to }, signal);
    this.angles = new Chunks(this.times, CHUNK_FRAMES, fetchChunk, () => this.redraw(), (error) => this.#problem(error));
  }

  #anglesAt(frame) {
    const chunk = this.joints.length > 0 ? this.angles.at(frame) : null;
    if (chunk === null) return [];
    const at = chunk.index * this.joints.length;
    return this.joints.map(({ angle }, i) => ({ angle, degrees: chunk.value[at + i] }));
  }

  #trace(end) {
    const landmark = this.detail.landmarks.indexOf(this.look.trace);
    if (landmark < 0) return [];
    const since = this.times.realSecs(end) - TRACE_SECS;
    const runs = [[]];
    for (let frame = end; frame >= this.times.first && end - frame < MAX_TRACE_FRAMES; frame -= 1) {
      if (this.times.realSecs(frame) < since) break;
      const chunk = this.poses.at(frame);
      const block = chunk?.value.get(this.person);
      const at = (chunk?.index ?? 0) * BLOCK;
      const place = isSeen(block, at) ? landmarkAt(block, at, landmark) : undefined;
      if (place && !Number.isNaN(place.x)) runs[0].unshift(place);
      else if (runs[0].length > 0) runs.unshift([]);
    }
    return runs;
  }

  // Pictures

  async #openPictures(opening, loading) {
    const { file } = this.entry;
    if (file.state === 'missing' || file.state === 'changed') {
      this.#noPictures(file);
      return;
    }
    const fault = loading === null ? null : await this.#useVideo(loading, opening, 'file');
    if (this.opening !== opening || (loading !== null && fault === null)) return;
    this.#setPictures(this.#stillPictures(), 'stills');
    if (fault instanceof UntoldFrames) await this.#decodeStills(api.videoUrl(this.entry.video_id), this.times);
    else this.#makeProxy(opening, fault === null ? file.message : 'this browser cannot play the file');
  }

  /** Has the server compare the file's content with the video's id; a drawing over another film is wrong. */
  async #verify(opening) {
    try {
      const file = await api.check(this.entry.video_id);
      if (this.opening !== opening || file.state !== 'changed') return;
      await this.pause();
      this.pictures.close();
      this.#noPictures(file);
      this.dispatchEvent(new Event('opened'));
      await this.show(this.frame);
    } catch (error) {
      if (this.opening === opening) this.#problem(error);
    }
  }

  /** Begins to load a file; resolves with the open player or with why there is none. */
  #load(url) {
    return VideoClock.open(this.video, url).catch((error) => error);
  }

  /** Takes pictures from a file that is being loaded; resolves with why that cannot be, or null. */
  async #useVideo(loading, opening, source, times = this.times) {
    const clock = await loading;
    if (this.opening !== opening || !(clock instanceof VideoClock)) return clock;
    this.#setPictures(new VideoPictures(clock, times), source);
    this.#message('');
    return null;
  }

  /** Where the player does not tell which frame it shows, frames are decoded one by one. */
  async #giveUpVideo() {
    const { clock, times } = this.pictures;
    this.run = null;
    this.pictures.close();
    this.#setPictures(this.#stillPictures(), 'stills');
    await this.#decodeStills(clock.url, times, clock.colorSpace);
    this.dispatchEvent(new Event('playing'));
    this.dispatchEvent(new Event('opened'));
  }

  /** Has the browser's decoder make the pictures that are shown one by one; else the server does. */
  async #decodeStills(url, times, colorSpace) {
    const { stills, opening } = this;
    const isDecoded = await stills.openDecoder(url, times, colorSpace);
    if (this.opening !== opening || this.pictures !== stills) return;
    this.source = isDecoded ? 'decoded' : 'stills';
    this.#message(isDecoded ? '' : 'Pictures come one by one: this browser does not tell which frame it shows.');
  }

  #setPictures(pictures, source) {
    this.pictures = pictures;
    this.source = source;
  }

  #noPictures(file) {
    this.#setPictures(new NoPictures(), 'none');
    this.#message([file.message, file.remedy].filter(Boolean).join(': '));
  }

  #stillPictures() {
    this.stills ??= new StillPictures(this.entry.video_id, this.times.last);
    return this.stills;
  }

  /** Asks for a file that browsers play; until it is there the server's pictures are shown. */
  async #makeProxy(opening, why) {
    const id = this.entry.video_id;
    try {
      let state = await api.proxy(id, 'POST');
      while (this.opening === opening && (state.state === 'waiting' || state.state === 'making')) {
        const share = state.frame_count > 0 ? state.done_frames / state.frame_count : 0;
        this.#message(`A copy that browsers play is being made (${percent(share)}): ${why}.`);
        await new Promise((done) => setTimeout(done, PROXY_POLL_MILLIS));
        state = await api.proxy(id);
      }
      if (this.opening !== opening) return;
      if (state.state !== 'ready') throw new api.ApiError(409, 'failed', state.message ?? 'no copy was made', state.remedy);
      await this.#openProxy(opening);
    } catch (error) {
      if (this.opening === opening) this.#message(`Pictures come one by one: ${api.explain(error)}.`);
    }
  }

  async #openProxy(opening) {
    const id = this.entry.video_id;
    await this.pause();
    const times = new FrameTimes(await api.times(id, true));
    if (this.opening !== opening) return;
    const fault = await this.#useVideo(this.#load(api.proxyUrl(id)), opening, 'proxy', times);
    if (this.opening !== opening) return;
    if (fault instanceof UntoldFrames) await this.#decodeStills(api.proxyUrl(id), times);
    else if (fault !== null) this.#message('Pictures come one by one: this browser cannot play H.264.');
    this.dispatchEvent(new Event('opened'));
    await this.show(this.target ?? this.frame ?? this.times.first);
  }

  async #settle() {
    const { opening } = this;
    while (this.target !== null && this.opening === opening) {
      const frame = this.target;
      const picture = await this.#pictureOf(frame);
      if (this.opening !== opening) {
        picture.close();
        return;
      }
      if (this.target === frame) this.target = null;
      this.#paint(picture);
    }
  }

  async #pictureOf(frame) {
    try {
      const picture = await this.pictures.show(frame);
      if (picture !== null) return picture;
      return await this.#stillPictures().show(frame);
    } catch (error) {
      if (error instanceof UntoldFrames) {
        await this.#giveUpVideo();
        return this.#pictureOf(frame);
      }
      if (!api.isAbort(error)) this.#problem(error);
      return new NoPictures().show(frame);
    }
  }

  async #exactImage(id, frame) {
    if (this.source === 'none') return this.picture.canvas;
    return createImageBitmap(await api.picture(id, frame, { kind: 'png' }));
  }

  /** Picture and overlay at once. */
  #paint(picture) {
    const { canvas } = this.picture;
    this.#sizePicture();
    picture.paint(this.picture);
    const isPicture = picture.image !== null;
    picture.close();
    this.frame = picture.frame;
    this.redraw();
    if (isPicture) this.pictures.painted?.(picture.frame, canvas);
    this.poses.prefetch(this.frame);
    this.dispatchEvent(new Event('frame'));
  }

  // Play

  /** First and last frame to play. */
  get #stretch() {
    return this.loop ?? this.ends;
  }

  get #rate() {
    return this.speed * (this.run?.rate ?? 1);
  }

  async #roll(run) {
    if (!this.pictures.plays(this.#rate)) {
      await this.#rollStepped(run);
      return;
    }
    const onPicture = (picture) => {
      if (this.run === run) this.#rolled(picture);
      else picture.close();
    };
    try {
      await this.pictures.play(this.#rate, onPicture, () => this.#ended());
    } catch (error) {
      // A pause that comes before the first picture is no problem.
      // Nor is the end of a video that has hardly begun.
      if (this.run !== run || api.isAbort(error)) return;
      if (error instanceof UntoldFrames) {
        await this.#giveUpVideo();
        await this.play();
        return;
      }
      await this.pause();
      this.#problem(error);
    }
  }

  #rolled(picture) {
    const [first, last] = this.#stretch;
    if (picture.frame < this.times.first) {
      picture.close(); // Before the part that has rows.
      return;
    }
    if (picture.frame > last) {
      picture.close();
      if (this.loop !== null) this.pictures.jump(first);
      else this.#ended();
      return;
    }
    this.#paint(picture);
    if (this.loop !== null && picture.frame === last && last < this.times.last) this.pictures.jump(first);
  }

  /** The stretch was played: comes to rest on its last frame, or begins again. */
  async #ended() {
    const [first, last] = this.#stretch;
    await this.pause();
    if (this.loop === null) {
      await this.show(last);
    } else {
      await this.show(first);
      await this.play();
    }
  }

  /** Plays by showing frame after frame when it is due: very slowly, or without a player. */
  async #rollStepped(run) {
    let began = performance.now();
    let since = this.times.fileSecs(this.frame);
    while (this.run === run) {
      await new Promise((done) => { requestAnimationFrame(done); });
      const [first, last] = this.#stretch;
      const secs = since + ((performance.now() - began) / 1000) * this.#rate;
      if (secs >= this.times.fileSecs(last) + this.times.length(last)) {
        if (this.loop === null) {
          if (this.run === run) await this.#ended();
          return;
        }
        began = performance.now();
        since = this.times.fileSecs(first);
        await this.show(first);
        continue;
      }
      const frame = Math.min(this.times.atFile(secs), last);
      if (frame !== this.frame && this.run === run) await this.show(frame);
    }
  }

  #changePace() {
    const { run } = this;
    if (this.pictures.plays(this.#rate) && this.pictures.playing) {
      this.pictures.setRate(this.#rate);
      return;
    }
    this.pause().then(() => {
      this.play().then(() => { if (this.run !== null) this.run.rate = run.rate; });
    });
  }

  // The stage

  #box() {
    const [width, height] = this.size;
    const { width_px: w, height_px: h } = this.entry;
    const scale = Math.min(width / w, height / h);
    return { x: (width - w * scale) / 2, y: (height - h * scale) / 2, width: w * scale, height: h * scale };
  }

  #clicked(event) {
    if (this.frame === null) return;
    const point = { x: event.offsetX, y: event.offsetY };
    const person = personAt(this.scene(), this.#box(), point);
    if (person === null || person === this.person) return;
    this.setPerson(person);
    this.dispatchEvent(new Event('person'));
  }

  #problem(error) {
    this.dispatchEvent(new CustomEvent('problem', { detail: api.explain(error) }));
  }
}

/** Lines and texts grow with the picture, within limits. */
function unitOf({ width, height }) {
  return Math.min(Math.max(Math.min(width, height) / 420, 0.8), 4);
}
