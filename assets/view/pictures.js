// Where the pictures of a video come from: the browser's own player, or the server frame by frame.
//
// Each picture comes with the number of its frame, and both are taken at once: what a `video`
// element shows and what its callbacks tell may be a frame apart, what a `VideoFrame` holds and its
// time are not. A decoder that is given the file's samples decodes what is near the shown frame; where
// it cannot, a second player does what it can. Times are looked up in the frames' true times, never computed from a frame rate.
// Some browsers give a `VideoFrame` the player's clock in place of the picture's own time; that is
// noticed at the first frame that is sought, and the server decodes then.

import * as api from './api.js';
import { FrameDecoder } from './decoder.js';
import { el } from './dom.js';
import { Reserve } from './reserve.js';

/** Chromium plays no slower; what is slower is stepped. */
const MIN_PLAYBACK_RATE = 0.0625;
const MAX_PLAYBACK_RATE = 16;
/** Where in a frame's interval to seek. The middle is right but where a file tells wrong durations. */
const SEEK_SHARES = [0.5, 0.08, 0.92];
/** After this long without a callback the picture is the one that was there already. */
const CALLBACK_MILLIS = 300;
const LOAD_MILLIS = 15_000;
/** The next frame is played to, not sought, where none is shown for longer: seeking decodes from the key frame on. */
const MAX_ADVANCE_SECS = 0.06;
/** At which the next frame is a screen's picture away. */
const ADVANCES_PER_SEC = 60;
/** After so many failures in a row nothing is tried any more. */
const MAX_ADVANCE_FAILURES = 3;
/** A browser that was never seen to tell a picture's time may show so many others than were sought. */
const MAX_MISSES = 5;
/** A time that is none: no picture but the first has it. */
const NO_TIME_SECS = 1e-3;
/** Pictures that are fetched together for steps back: while the player rests, while steps are made, and while one waits. */
const REST_BLOCK = 24;
const BLOCK = 32;
const WAITING_BLOCK = 12;
/** With so few left the next ones are fetched. */
const LOW_WATER = 24;
/** Longer is not waited for the second player; the first one goes there itself. */
const MAX_WAIT_MILLIS = 1500;
/** A player that rests this long may be stepped back. */
const REST_MILLIS = 200;
const STILL_WIDTH_PX = 1280;
/** Pictures from the server that are asked for before they are wanted. */
const STILLS_AHEAD = 2;

/** A picture with its frame; whoever painted it closes it. */
class Picture {
  /** @param {number} turn clockwise degrees by which the image is shown turned */
  constructor(frame, image, turn = 0) {
    this.frame = frame;
    this.image = image;
    this.turn = turn;
  }

  /** Paints it over a whole canvas. */
  paint(context) {
    const { width, height } = context.canvas;
    if (this.image === null) {
      context.clearRect(0, 0, width, height);
      return;
    }
    const isOnItsSide = this.turn % 180 !== 0;
    const [long, high] = isOnItsSide ? [height, width] : [width, height];
    context.save();
    context.translate(width / 2, height / 2);
    context.rotate((this.turn * Math.PI) / 180);
    context.drawImage(this.image, -long / 2, -high / 2, long, high);
    context.restore();
  }

  close() {
    this.image?.close?.();
  }
}

/** The browser plays the file, but does not tell which frame it shows. */
export class UntoldFrames extends Error {
  constructor() {
    super('this browser does not tell which frame it shows');
  }
}

const later = (millis) => new Promise((done) => setTimeout(done, millis, null));

/** A `video` element with the frames' true times. */
export class VideoClock {
  /** Whether this browser was seen not to tell which frame it shows. */
  static isUntold = false;

  /**
   * Opens the file at `url`; fails where the browser cannot play it.
   *
   * @param {HTMLVideoElement} element
   * @param {string} url
   */
  static async open(element, url) {
    const canTell = typeof VideoFrame === 'function' && 'requestVideoFrameCallback' in element;
    if (!canTell || VideoClock.isUntold) throw new UntoldFrames();
    const clock = new VideoClock(element, url);
    const callback = clock.#nextCallback();
    await loaded(element, url);
    let first = frameOf(element);
    if (first === null) {
      await Promise.race([callback, later(CALLBACK_MILLIS)]);
      first = frameOf(element);
    }
    if (first === null) throw new UntoldFrames();
    clock.offset = first.timestamp / 1e6;
    clock.colorSpace = first.colorSpace.toJSON();
    first.close();
    return clock;
  }

  constructor(element, url) {
    this.element = element;
    this.url = url;
    /** Where the player's clock stands at the file's first picture. */
    this.offset = 0;
    /** How the player reads colours; where a file does not say it, decoders may take it otherwise. */
    this.colorSpace = null;
    /** @type {import('./times.js').FrameTimes} of this very file */
    this.times = null;
    /** Whether a picture was seen to tell its own time. */
    this.isProven = false;
    this.misses = 0;
  }

  /** The picture that is shown now, or null. */
  take() {
    const image = frameOf(this.element);
    if (image === null) return null;
    const secs = image.timestamp / 1e6 - this.offset;
    const picture = new Picture(this.times.pictureAt(secs), image);
    picture.secs = secs;
    return picture;
  }

  /** Goes to a time of the file's clock; the picture that is shown then, which may be another one. */
  async seek(fileSecs, wanted) {
    const callback = this.#nextCallback();
    const seeked = new Promise((done) => {
      this.element.addEventListener('seeked', done, { once: true });
    });
    this.element.currentTime = fileSecs + this.offset;
    await Promise.race([seeked, later(LOAD_MILLIS)]);
    let now = this.take();
    if (now?.frame !== wanted) {
      now?.close();
      await Promise.race([callback, later(CALLBACK_MILLIS)]);
      now = this.take();
    }
    this.#prove(now, fileSecs, wanted);
    return now;
  }

  /**
   * Whoever looks into the middle of a frame's time must see the time at which the frame begins: not
   * the time that was sought, and not always the same one.
   */
  #prove(picture, soughtSecs, wanted) {
    if (this.isProven || picture === null) return;
    const { times } = this;
    const length = times.length(wanted);
    const isInside = soughtSecs - times.fileSecs(wanted) > length / 4;
    const isEcho = isInside && Math.abs(picture.secs - soughtSecs) < length / 8;
    if (picture.frame !== wanted) this.misses += 1;
    if (isEcho || this.misses > MAX_MISSES) {
      picture.close();
      // A file that is odd in itself says nothing of the browser.
      VideoClock.isUntold = isEcho || Math.abs(picture.secs) < NO_TIME_SECS;
      throw new UntoldFrames();
    }
    // The first picture's time is 0 whoever tells it.
    this.isProven = picture.frame === wanted && times.fileSecs(wanted) > length;
  }

  /** Resolves with the next picture's callback. */
  #nextCallback() {
    return new Promise((done) => { this.element.requestVideoFrameCallback(done); });
  }

  /** Takes the player off the page. */
  discard() {
    this.element.pause();
    this.element.removeAttribute('src');
    this.element.load();
    this.element.remove();
  }
}

/** The browser decodes: pictures out of a `video` element. */
export class VideoPictures {
  /**
   * @param {VideoClock} clock of an open file
   * @param {import('./times.js').FrameTimes} times of this very file
   */
  constructor(clock, times) {
    clock.times = times;
    this.clock = clock;
    this.times = times;
    this.failures = 0;
    /** The frame that was asked for last. */
    this.shown = null;
    this.playing = null;
    /** Decodes around the shown frame; undefined until that is known to be possible, null where it is not. */
    this.ahead = undefined;
    this.stop = new AbortController();
    /** Does what it can for steps back where nothing decodes ahead. */
    this.reserve = new Reserve(() => this.#secondPlayer());
  }

  /** What decodes ahead, or null. */
  get #decoder() {
    return this.ahead?.isAlive ? this.ahead : null;
  }

  get #element() {
    return this.clock.element;
  }

  /** Whether the browser itself plays at this rate. */
  plays(rate) {
    return rate >= MIN_PLAYBACK_RATE && rate <= MAX_PLAYBACK_RATE;
  }

  /** The picture of a frame, or null where the browser will not come to rest on it. */
  async show(frame) {
    const before = this.shown;
    this.shown = frame;
    this.isGoingBack = before !== null && frame < before;
    const picture = this.#reserved(frame)
      ?? this.#atHand(frame)
      ?? await this.#fromHere(frame)
      ?? await this.#decoded(frame)
      ?? await this.#steppedBack(before, frame)
      ?? await this.#sought(frame);
    this.#prepare(this.isGoingBack ? 0 : REST_MILLIS);
    return picture;
  }

  /** Plays on, and hands over each picture that is shown. */
  async play(rate, onPicture, onEnd) {
    const run = { onEnd };
    this.playing = run;
    clearTimeout(this.resting);
    this.ahead?.rest();
    const element = this.#element;
    await this.#comeTo(this.shown);
    if (this.playing !== run) return;
    this.setRate(rate);
    element.onended = () => { if (this.playing === run) onEnd(); };
    const onCallback = () => {
      if (this.playing !== run) return;
      const picture = this.clock.take();
      if (picture !== null) onPicture(picture);
      if (this.playing === run) element.requestVideoFrameCallback(onCallback);
    };
    element.requestVideoFrameCallback(onCallback);
    await element.play();
  }

  /** Leads the player to the frame that is shown, where that came out of the reserve. */
  async #comeTo(frame) {
    if (frame === null) return;
    await this.#proveClock(frame);
    const now = this.clock.take();
    now?.close();
    if (now?.frame === frame) return;
    const picture = await this.clock.seek(this.times.middle(frame), frame);
    picture?.close();
  }

  /** Sees that pictures tell their times, before they are played. */
  async #proveClock(frame) {
    const { clock, times } = this;
    if (clock.isProven || times.count < 3) return;
    for (const other of [Math.max(frame, times.first + 2), times.last - 1, times.first + 1]) {
      (await clock.seek(times.middle(other), other))?.close();
      if (clock.isProven) return;
    }
    throw new UntoldFrames();
  }

  pause() {
    this.playing = null;
    this.#element.pause();
  }

  setRate(rate) {
    this.#element.playbackRate = rate;
  }

  /** Goes elsewhere without coming to rest. */
  jump(frame) {
    this.#element.currentTime = this.times.middle(frame) + this.clock.offset;
  }

  /** A frame was painted; it is kept for a step back where nothing decodes them. */
  painted(frame, canvas) {
    if (this.ahead === undefined || this.#decoder !== null) return;
    this.reserve.resize(canvas.width, canvas.height);
    this.reserve.keep(frame, canvas);
  }

  /** Pictures of another size than the painted ones are wanted. */
  forget() {
    this.reserve.resize();
  }

  close() {
    this.pause();
    clearTimeout(this.resting);
    this.stop.abort();
    this.reserve.close();
    const element = this.#element;
    element.onended = null;
    element.removeAttribute('src');
    element.load();
  }

  /** The picture where it is shown already, or is the next one; null where it has to be sought. */
  async #fromHere(wanted) {
    const now = this.clock.take();
    if (now === null) return null;
    if (now.frame === wanted) return now;
    now.close();
    if (this.#decoder !== null) return null;
    const isNext = now.frame + 1 === wanted && now.frame >= this.times.first;
    const isSoon = isNext && this.times.length(now.frame) <= MAX_ADVANCE_SECS;
    return isSoon && this.failures < MAX_ADVANCE_FAILURES ? this.#advance(wanted) : null;
  }

  /** Looks into the frame's time. */
  async #sought(frame) {
    const { times, clock } = this;
    for (const share of SEEK_SHARES) {
      const picture = await clock.seek(times.fileSecs(frame) + share * times.length(frame), frame);
      if (picture?.frame === frame) return picture;
      picture?.close();
    }
    return null;
  }

  /** Plays until the next picture comes; null where that is another one. */
  async #advance(wanted) {
    const element = this.#element;
    const wasMuted = element.muted;
    const callback = new Promise((done) => { element.requestVideoFrameCallback(done); });
    element.muted = true;
    const rate = this.times.length(wanted - 1) * ADVANCES_PER_SEC;
    this.setRate(Math.min(Math.max(rate, MIN_PLAYBACK_RATE), 1));
    try {
      await element.play();
      await Promise.race([callback, later(CALLBACK_MILLIS)]);
      const picture = this.clock.take();
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

  // Decoded ahead

  #atHand(frame) {
    const image = this.#decoder?.at(frame) ?? null;
    return image === null ? null : new Picture(frame, image, this.ahead.turn);
  }

  async #decoded(frame) {
    const image = await this.#decoder?.get(frame, this.isGoingBack) ?? null;
    return image === null ? null : new Picture(frame, image, this.ahead.turn);
  }

  /** Finds out whether pictures can be decoded ahead, and begins with it. */
  async #openDecoder() {
    this.isOpening = true;
    const { url, colorSpace } = this.clock;
    const opened = FrameDecoder.open(url, this.times, colorSpace, this.stop.signal);
    this.ahead = await opened.catch(() => null);
    this.#prepare(REST_MILLIS);
  }

  // Steps back where nothing decodes ahead

  #reserved(frame) {
    const image = this.reserve.get(frame);
    if (image === null) return null;
    const picture = new Picture(frame, image);
    picture.close = () => {}; // It may be wanted again.
    return picture;
  }

  /** The picture before the shown one, with those before it. */
  async #steppedBack(before, frame) {
    const { reserve, times } = this;
    if (before === null || frame !== before - 1 || reserve.width === undefined || reserve.missed.has(frame)) return null;
    if (!reserve.has(frame)) reserve.fill(Math.max(times.first, frame - WAITING_BLOCK + 1), frame);
    await Promise.race([reserve.filling?.arrived, later(MAX_WAIT_MILLIS)]);
    return this.#reserved(frame);
  }

  /** Fetches pictures for the next steps; by a second player once the first one rests. */
  #prepare(millis) {
    clearTimeout(this.resting);
    if (this.playing !== null || this.shown === null) return;
    if (this.ahead === undefined) {
      if (!this.isOpening) this.#openDecoder();
      return;
    }
    if (this.#decoder !== null) {
      this.#decoder.look(this.shown, this.isGoingBack);
      return;
    }
    this.resting = setTimeout(() => this.#fillBehind(), millis);
  }

  async #fillBehind() {
    const { reserve, times, shown } = this;
    if (this.playing !== null || shown === null || reserve.width === undefined || reserve.filling !== null) return;
    let to = shown - 1;
    while (to >= times.first && (reserve.has(to) || reserve.missed.has(to))) to -= 1;
    const left = shown - 1 - to;
    if (to < times.first || left >= (this.isGoingBack ? LOW_WATER : 1)) return;
    const size = this.isGoingBack ? BLOCK : REST_BLOCK;
    await reserve.fill(Math.max(times.first, to - size + 1), to);
    if (reserve.has(to)) this.#prepare(0);
  }

  async #secondPlayer() {
    const { url, element: { parentElement: stage } } = this.clock;
    const element = el('video', { muted: true, playsinline: true, preload: 'auto', 'aria-hidden': 'true', tabindex: -1 });
    element.muted = true;
    stage.prepend(element);
    const player = await VideoClock.open(element, url);
    player.times = this.times;
    player.isProven = this.clock.isProven;
    return player;
  }
}

/** What a player shows, with the time of that; null where nothing is decoded yet. */
function frameOf(element) {
  try {
    return new VideoFrame(element);
  } catch {
    return null;
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

/**
 * One exact picture for each frame: the server decodes, or the browser's decoder where its player does not
 * tell which frame it shows.
 */
export class StillPictures {
  /**
   * @param {string} id
   * @param {number} last the video's last frame
   */
  constructor(id, last) {
    this.id = id;
    this.last = last;
    this.shown = null;
    this.ahead = new Map();
    this.decoder = null;
    this.stop = new AbortController();
  }

  /** Has the browser decode the file at `url`, whose frames have these times; whether it does. */
  async openDecoder(url, times, colorSpace) {
    this.decoder = await FrameDecoder.open(url, times, colorSpace, this.stop.signal).catch(() => null);
    return this.decoder !== null;
  }

  /** Never: pictures are stepped through. */
  plays() {
    return false;
  }

  async show(frame) {
    return await this.#decoded(frame) ?? this.#fromServer(frame);
  }

  async #decoded(frame) {
    const { decoder, shown } = this;
    if (!decoder?.isAlive) return null;
    const image = await decoder.get(frame, shown !== null && frame < shown);
    if (image === null) return null;
    this.shown = frame;
    return new Picture(frame, image, decoder.turn);
  }

  async #fromServer(frame) {
    const isStep = this.shown !== null && frame > this.shown && frame <= this.shown + STILLS_AHEAD;
    this.shown = frame;
    const wanted = this.ahead.get(frame) ?? this.#fetch(frame);
    this.ahead.delete(frame);
    const blob = await wanted;
    this.#lookAhead(isStep ? frame : null);
    return new Picture(frame, await createImageBitmap(blob));
  }

  #lookAhead(from) {
    const before = this.ahead;
    this.ahead = new Map();
    if (from === null) return;
    for (let frame = from + 1; frame <= Math.min(from + STILLS_AHEAD, this.last); frame += 1) {
      const coming = before.get(frame) ?? this.#fetch(frame);
      coming.catch(() => {}); // Told when it is wanted.
      this.ahead.set(frame, coming);
    }
  }

  #fetch(frame) {
    return api.picture(this.id, frame, { width: STILL_WIDTH_PX, signal: this.stop.signal });
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
