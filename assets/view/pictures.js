// Where the pictures of a video come from: the browser's own player, or the server frame by frame.
//
// Each picture comes with the number of its frame, and both are taken at once: what a `video`
// element shows and what its callbacks tell may be a frame apart, what a `VideoFrame` holds and its
// time are not. Times are looked up in the frames' true times, never computed from a frame rate.

import * as api from './api.js';

/** Chromium plays no slower; what is slower is stepped. */
const MIN_PLAYBACK_RATE = 0.0625;
const MAX_PLAYBACK_RATE = 16;
/** Where in a frame's interval to seek. The middle is right but where a file tells wrong durations. */
const SEEK_SHARES = [0.5, 0.08, 0.92];
/** After this long without a callback the picture is the one that was there already. */
const CALLBACK_MILLIS = 300;
const LOAD_MILLIS = 15_000;
/** Frames before the wanted one that a step back takes along for the steps that follow. */
const RESERVE_FRAMES = 8;
const MAX_RESERVED = 16;
const RESERVE_RATE = 2;
const RESERVE_MILLIS = 1500;
/** The next frame is played to, not sought, where it is shown for a time between these: seeking decodes from the key frame on. */
const MIN_ADVANCE_SECS = 1 / 65;
const MAX_ADVANCE_SECS = 0.06;
/** After so many failures in a row nothing is tried any more. */
const MAX_ADVANCE_FAILURES = 3;
const STILL_WIDTH_PX = 1280;

/** A picture with its frame; whoever painted it closes it. */
class Picture {
  constructor(frame, image) {
    this.frame = frame;
    this.image = image;
  }

  close() {
    this.image?.close?.();
  }
}

const later = (millis) => new Promise((done) => setTimeout(done, millis, null));

/** The browser decodes: pictures out of a `video` element. */
export class VideoPictures {
  /**
   * Opens the file at `url`; fails where the browser cannot play it.
   *
   * @param {HTMLVideoElement} element
   * @param {string} url
   * @param {import('./times.js').FrameTimes} times of this very file
   */
  static async open(element, url, times) {
    const pictures = new VideoPictures(element, times);
    const callback = pictures.#nextCallback();
    await loaded(element, url);
    const first = pictures.#take(await Promise.race([callback, later(CALLBACK_MILLIS)]));
    if (first === null) throw new Error('this browser does not tell which frame it shows');
    first.close();
    pictures.offset = first.secs - times.file[0];
    return pictures;
  }

  constructor(element, times) {
    this.element = element;
    this.times = times;
    /** Where the file's clock stands at the first frame. */
    this.offset = 0;
    this.failures = 0;
    /** The frame that was asked for last, and pictures of frames before it. */
    this.shown = null;
    this.reserve = new Map();
    this.playing = null;
  }

  /** Whether the browser itself plays at this rate. */
  plays(rate) {
    return rate >= MIN_PLAYBACK_RATE && rate <= MAX_PLAYBACK_RATE;
  }

  /** The picture of a frame, or null where the browser will not come to rest on it. */
  async show(frame) {
    const isStepBack = frame === this.shown - 1;
    this.shown = frame;
    const near = this.#reserved(frame) ?? await this.#fromHere(frame);
    if (near !== null) return near;
    if (isStepBack && this.#isSteady(frame)) {
      await this.#reserve(frame);
      const reserved = this.#reserved(frame);
      if (reserved !== null) return reserved;
    }
    const start = this.times.file[frame] + this.offset;
    const length = this.times.length(frame);
    for (const share of SEEK_SHARES) {
      const picture = await this.#seek(start + share * length, frame);
      if (picture?.frame === frame) return picture;
      picture?.close();
    }
    return null;
  }

  /** Plays on, and hands over each picture that is shown. */
  async play(rate, onPicture, onEnd) {
    const run = { onEnd };
    this.playing = run;
    await this.#comeTo(this.shown);
    if (this.playing !== run) return;
    this.setRate(rate);
    this.element.onended = () => { if (this.playing === run) onEnd(); };
    const onCallback = (_, metadata) => {
      if (this.playing !== run) return;
      const picture = this.#take(metadata);
      if (picture !== null) onPicture(picture);
      if (this.playing === run) this.element.requestVideoFrameCallback(onCallback);
    };
    this.element.requestVideoFrameCallback(onCallback);
    await this.element.play();
  }

  /** Leads the player to the frame that is shown, where that came out of the reserve. */
  async #comeTo(frame) {
    const now = this.#take(null);
    now?.close();
    if (frame === null || now?.frame === frame) return;
    const picture = await this.#seek(this.times.file[frame] + this.offset + this.times.length(frame) / 2, frame);
    picture?.close();
  }

  pause() {
    this.playing = null;
    this.element.pause();
  }

  setRate(rate) {
    this.element.playbackRate = rate;
  }

  /** Goes elsewhere without coming to rest. */
  jump(frame) {
    this.element.currentTime = this.times.file[frame] + this.offset + this.times.length(frame) / 2;
  }

  close() {
    this.pause();
    for (const image of this.reserve.values()) image.close();
    this.reserve.clear();
    this.element.onended = null;
    this.element.removeAttribute('src');
    this.element.load();
  }

  /** The picture where it is shown already, or is the next one; null where it has to be sought. */
  async #fromHere(wanted) {
    const now = this.#take(null);
    if (now === null) return null;
    if (now.frame === wanted) return now;
    now.close();
    const isNext = now.frame + 1 === wanted && this.#isSteady(now.frame);
    return isNext && this.failures < MAX_ADVANCE_FAILURES ? this.#advance(wanted) : null;
  }

  /** Whether the browser can be expected to show each frame from here on. */
  #isSteady(frame) {
    const secs = this.times.length(frame);
    return secs >= MIN_ADVANCE_SECS && secs <= MAX_ADVANCE_SECS && typeof VideoFrame === 'function';
  }

  #reserved(frame) {
    const image = this.reserve.get(frame);
    if (image === undefined) return null;
    const picture = new Picture(frame, image);
    picture.close = () => {}; // It may be wanted again.
    return picture;
  }

  /**
   * Plays up to a frame, and keeps the pictures on the way: a step back makes the browser decode from
   * the key frame on, which would be long for every single frame.
   */
  async #reserve(wanted) {
    const first = Math.max(0, wanted - RESERVE_FRAMES + 1);
    const { element } = this;
    const wasMuted = element.muted;
    const copies = [];
    const keep = (picture) => {
      const copy = createImageBitmap(picture.image).then((image) => this.#keep(picture.frame, image));
      copies.push(copy.finally(() => picture.close()));
    };
    const start = await this.#seek(this.times.file[first] + this.offset + this.times.length(first) / 2, first);
    if (start === null) return;
    keep(start);
    element.muted = true;
    this.setRate(RESERVE_RATE);
    const arrived = new Promise((done) => {
      const onCallback = (_, metadata) => {
        const picture = this.#take(metadata);
        if (picture === null) return;
        keep(picture);
        if (picture.frame >= wanted) done();
        else element.requestVideoFrameCallback(onCallback);
      };
      element.requestVideoFrameCallback(onCallback);
    });
    try {
      await element.play();
      await Promise.race([arrived, later(RESERVE_MILLIS)]);
    } finally {
      element.pause();
      element.muted = wasMuted;
    }
    await Promise.all(copies);
  }

  #keep(frame, image) {
    this.reserve.get(frame)?.close();
    this.reserve.delete(frame);
    this.reserve.set(frame, image);
    for (const [oldest, old] of this.reserve) {
      if (this.reserve.size <= MAX_RESERVED) return;
      old.close();
      this.reserve.delete(oldest);
    }
  }

  /** Plays until the next picture comes; null where that is another one. */
  async #advance(wanted) {
    const { element } = this;
    const wasMuted = element.muted;
    const callback = this.#nextCallback();
    element.muted = true;
    this.setRate(1);
    try {
      await element.play();
      const metadata = await Promise.race([callback, later(CALLBACK_MILLIS)]);
      const picture = metadata === null ? null : this.#take(metadata);
      if (picture?.frame === wanted) {
        this.failures = 0;
        return picture;
      }
      picture?.close();
      this.failures += 1;
      return null;
    } finally {
      element.pause();
      element.muted = wasMuted;
    }
  }

  async #seek(secs, wanted) {
    const callback = this.#nextCallback();
    const seeked = new Promise((done) => {
      this.element.addEventListener('seeked', done, { once: true });
    });
    this.element.currentTime = secs;
    await Promise.race([seeked, later(LOAD_MILLIS)]);
    const now = this.#take(null);
    if (now?.frame === wanted) return now;
    now?.close();
    return this.#take(await Promise.race([callback, later(CALLBACK_MILLIS)]));
  }

  #nextCallback() {
    return new Promise((done) => {
      this.element.requestVideoFrameCallback?.((_, metadata) => done(metadata));
    });
  }

  /** Picture and time of what is shown, both at once. */
  #take(metadata) {
    const image = takeFrame(this.element);
    if (image === null && metadata === null) return null;
    const secs = image === null ? metadata.mediaTime : image.timestamp / 1e6;
    const picture = new Picture(this.times.nearest(secs - this.offset), image ?? this.element);
    picture.secs = secs;
    if (image === null) picture.close = () => {};
    return picture;
  }
}

function takeFrame(element) {
  if (typeof VideoFrame !== 'function') return null;
  try {
    return new VideoFrame(element);
  } catch {
    return null; // Nothing is decoded yet.
  }
}

function loaded(element, url) {
  return new Promise((done, fail) => {
    const cannot = () => fail(new Error(element.error?.message || 'the browser cannot play this file'));
    const timer = setTimeout(() => fail(new Error('the browser does not begin to play this file')), LOAD_MILLIS);
    element.onloadeddata = () => { clearTimeout(timer); done(); };
    element.onerror = () => { clearTimeout(timer); cannot(); };
    element.src = url;
    element.load();
  });
}

/** The server decodes: one exact picture for each frame. */
export class StillPictures {
  constructor(id) {
    this.id = id;
    this.stop = new AbortController();
  }

  /** Never: pictures are stepped through. */
  plays() {
    return false;
  }

  async show(frame) {
    const blob = await api.picture(this.id, frame, { width: STILL_WIDTH_PX, signal: this.stop.signal });
    return new Picture(frame, await createImageBitmap(blob));
  }

  pause() {}

  close() {
    this.stop.abort();
  }
}

/** There is no file: frames without pictures, on which the skeleton moves all the same. */
export class NoPictures {
  plays() {
    return false;
  }

  async show(frame) {
    return new Picture(frame, null);
  }

  pause() {}

  close() {}
}
