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
    this.playing = null;
  }

  /** Whether the browser itself plays at this rate. */
  plays(rate) {
    return rate >= MIN_PLAYBACK_RATE && rate <= MAX_PLAYBACK_RATE;
  }

  /** The picture of a frame, or null where the browser will not come to rest on it. */
  async show(frame) {
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
    this.element.onended = null;
    this.element.removeAttribute('src');
    this.element.load();
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
