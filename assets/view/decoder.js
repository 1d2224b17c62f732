// Pictures around the shown frame, decoded ahead of steps in both directions.
//
// The browser's decoder is given the file's samples, from a key frame on, so that no picture is left
// out and none is decoded twice as long as it is near. Which frame a sample is was settled before:
// each frame's true time must be a sample's time.

import { fetchBytes, readIndex } from './mp4.js';

/** What all kept pictures may take. */
const MAX_BYTES = 192 * 2 ** 20;
/** So many frames on each side of the shown one are kept at hand, where the bytes suffice. */
const MAX_REACH = 30;
/** Samples that the decoder has not begun with. */
const MAX_QUEUE = 4;
/** Samples are read in pieces of at least this size, where the file has as much. */
const PIECE_BYTES = 2 ** 20;
/** A sample is this frame's where their times differ by no more, and by no more than a quarter of the frame's. */
const SAME_SECS = 0.0015;
/** Between numbers of samples, as a decoder counts time. */
const MICROS = 1000;
/** Of a picture of which the browser does not tell it. */
const OPAQUE_BYTES_PER_PIXEL = 4;
/** A decoder that gives nothing for so long gives nothing any more. */
const STALL_MILLIS = 5000;

/** Decodes one file, and keeps the pictures near the shown one. */
export class FrameDecoder {
  /**
   * Opens the file at `url`, whose frames have these times; null where this browser does not decode it
   * so, or samples and frames are not the same.
   *
   * @param {string} url
   * @param {import('./times.js').FrameTimes} times of this very file
   * @param {VideoColorSpaceInit} colorSpace of the pictures
   * @param {AbortSignal} signal which closes it
   */
  static async open(url, times, colorSpace, signal) {
    if (typeof VideoDecoder !== 'function' || typeof EncodedVideoChunk !== 'function') return null;
    const index = await readIndex(url, signal);
    const match = index === null ? null : matched(index, times);
    if (match === null) return null;
    // A decoder in hardware has few pictures, and stops while they are held.
    const { codec, description } = index;
    const config = { codec, colorSpace, hardwareAcceleration: 'prefer-software', ...(description && { description }) };
    const { supported } = await VideoDecoder.isConfigSupported(config);
    return supported ? new FrameDecoder(url, times, index, match, config, signal) : null;
  }

  constructor(url, times, index, match, config, signal) {
    Object.assign(this, { url, times, index, config, signal, turn: index.turn });
    /** Frames by the order in which samples are shown, -1 for none; and the reverse of both orders. */
    Object.assign(this, match);
    this.pictures = new Map();
    this.missed = new Set();
    this.reach = MAX_REACH;
    this.capacity = 2 * MAX_REACH + 1;
    /** The frame that is looked at; null while nothing is to be decoded. */
    this.centre = null;
    this.isGoingBack = false;
    /** Who waits for the centre's picture. */
    this.waiter = null;
    this.isWorking = false;
    /** Whether the file or the browser was seen not to do. */
    this.isBroken = false;
    /** Where the decoder is: the next sample, and the last one that came, by the order of display. */
    this.position = null;
    this.piece = { from: 0, to: 0, bytes: null };
    this.decoder = null;
    signal.addEventListener('abort', () => this.#end());
  }

  /** Whether it decodes still. */
  get isAlive() {
    return !this.signal.aborted && !this.isBroken;
  }

  /** A frame's picture if it is at hand, which whoever takes it closes; else null. */
  at(frame) {
    return this.pictures.get(frame)?.clone() ?? null;
  }

  /** Decodes what is near a frame, and what comes first in the way that is gone. */
  look(frame, isGoingBack) {
    this.centre = frame;
    this.isGoingBack = isGoingBack;
    this.#work();
  }

  /** The picture of a frame, which whoever takes it closes, or null where it cannot be. */
  async get(frame, isGoingBack) {
    this.look(frame, isGoingBack);
    while (this.centre === frame && this.isAlive && !this.pictures.has(frame) && !this.missed.has(frame)) {
      await new Promise((done) => { this.waiter = done; });
    }
    return this.at(frame);
  }

  /** Decodes no more until it is asked again. */
  rest() {
    this.centre = null;
    this.#wake();
  }

  #end() {
    this.rest();
    for (const picture of this.pictures.values()) picture.close();
    this.pictures.clear();
    if (this.decoder !== null && this.decoder.state !== 'closed') this.decoder.close();
    this.piece.bytes = null;
  }

  #wake() {
    this.waiter?.();
    this.waiter = null;
  }

  async #work() {
    if (this.isWorking || !this.isAlive) return;
    this.isWorking = true;
    try {
      for (let goal = this.#goal(); goal !== null; goal = this.#goal()) await this.#approach(goal);
    } catch (error) {
      if (this.isAlive) this.#giveUp(error);
    } finally {
      this.isWorking = false;
      this.#wake();
    }
  }

  #giveUp(error) {
    console.warn('pictures are not decoded ahead:', error);
    this.isBroken = true;
    this.#end();
  }

  /** The frame to decode now, or null. */
  #goal() {
    const { centre } = this;
    if (centre === null || !this.isAlive) return null;
    if (this.#isMissing(centre)) return centre;
    const ways = this.isGoingBack ? [-1, 1] : [1, -1];
    for (const way of ways) {
      const goal = this.#lacking(way);
      if (goal !== null) return goal;
    }
    return null;
  }

  /** The nearest frame that lacks on one side, once so few are left that it is worth it. */
  #lacking(way) {
    const { centre, reach, times } = this;
    for (let off = 1; off <= reach; off += 1) {
      const frame = centre + way * off;
      if (frame < times.first || frame > times.last) return null;
      if (this.#isMissing(frame)) return off <= reach / 2 || this.#leadsTo(frame) ? frame : null;
    }
    return null;
  }

  #isMissing(frame) {
    return !this.pictures.has(frame) && !this.missed.has(frame);
  }

  /** Whether the decoder comes to a frame when it goes on. */
  #leadsTo(frame) {
    const { position } = this;
    return position !== null && this.#startOf(frame) <= position.next && this.#orderOf(frame) > position.last;
  }

  /** A frame's place in the order of display. */
  #orderOf(frame) {
    return this.orders[frame - this.times.first];
  }

  /** The sample with which the decoder has to begin to come to a frame. */
  #startOf(frame) {
    const order = this.#orderOf(frame);
    let sample = this.samples[order];
    while (sample > 0 && (this.index.keys[sample] === 0 || this.ranks[sample] > order)) sample -= 1;
    return sample;
  }

  /** Decodes until something comes that was not there. */
  async #approach(goal) {
    if (!this.#leadsTo(goal)) this.#begin(goal);
    const { position, index } = this;
    this.goal = goal;
    if (position.next >= index.count) {
      await this.decoder.flush();
      // What did not come by now does not come.
      if (this.#isMissing(goal)) this.missed.add(goal);
      this.position = null;
      return;
    }
    while (this.decoder.decodeQueueSize < MAX_QUEUE && position.next < index.count) {
      const data = await this.#sample(position.next);
      if (this.position !== position || !this.isAlive) return;
      const { keys } = index;
      const isStart = position.next === position.start;
      this.decoder.decode(new EncodedVideoChunk({
        type: isStart || keys[position.next] === 1 ? 'key' : 'delta',
        timestamp: this.ranks[position.next] * MICROS,
        data,
      }));
      position.next += 1;
    }
    await this.#progress();
  }

  #begin(goal) {
    this.decoder ??= new VideoDecoder({
      output: (picture) => this.#came(picture),
      error: (error) => { if (this.isAlive) this.#giveUp(error); },
    });
    this.decoder.reset();
    this.decoder.configure(this.config);
    const start = this.#startOf(goal);
    // Pictures that are shown before the first one need others that are not decoded.
    this.position = { start, next: start, last: this.ranks[start] - 1 };
  }

  /** Waits until the decoder takes more. */
  async #progress() {
    if (this.decoder.decodeQueueSize < MAX_QUEUE) {
      await new Promise((done) => setTimeout(done));
      return;
    }
    let timer;
    const stalled = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error('the decoder does not go on')), STALL_MILLIS);
    });
    const dequeued = new Promise((done) => { this.decoder.addEventListener('dequeue', done, { once: true }); });
    await Promise.race([dequeued, stalled]).finally(() => clearTimeout(timer));
  }

  #came(picture) {
    const { position } = this;
    const order = Math.round(picture.timestamp / MICROS);
    if (position === null || order <= position.last) {
      picture.close();
      return;
    }
    position.last = order;
    const frame = this.frames[order];
    const { goal } = this;
    if (order > this.#orderOf(goal) && this.#isMissing(goal)) this.missed.add(goal);
    if (frame < 0 || this.pictures.has(frame)) picture.close();
    else this.#put(frame, picture);
    if (this.centre !== null && !this.#isMissing(this.centre)) this.#wake();
  }

  /** Keeps a picture; those furthest from the shown one go. */
  #put(frame, picture) {
    const { pictures } = this;
    pictures.set(frame, picture);
    this.capacity = Math.max(Math.floor(MAX_BYTES / bytesOf(picture)), 2);
    this.reach = Math.min(MAX_REACH, (this.capacity - 1) >> 1);
    while (pictures.size > this.capacity) {
      const centre = this.centre ?? frame;
      const furthest = [...pictures.keys()].reduce((far, one) => (Math.abs(one - centre) > Math.abs(far - centre) ? one : far));
      pictures.get(furthest).close();
      pictures.delete(furthest);
    }
  }

  /** The bytes of a sample; the ones behind it are read along. */
  async #sample(sample) {
    const { offsets, sizes, count } = this.index;
    const from = offsets[sample];
    const to = from + sizes[sample];
    if (from < this.piece.from || to > this.piece.to) {
      let end = to;
      for (let next = sample + 1; next < count && offsets[next] >= from; next += 1) {
        const nextEnd = offsets[next] + sizes[next];
        if (nextEnd - from > Math.max(PIECE_BYTES, to - from)) break;
        end = Math.max(end, nextEnd);
      }
      const bytes = await fetchBytes(this.url, from, end, this.signal);
      if (bytes.byteLength !== end - from) throw new Error('the file is shorter than it says');
      this.piece = { from, to: end, bytes };
    }
    return new Uint8Array(this.piece.bytes, from - this.piece.from, sizes[sample]);
  }
}

function bytesOf(picture) {
  const isOpaque = picture.format === null;
  return isOpaque ? picture.codedWidth * picture.codedHeight * OPAQUE_BYTES_PER_PIXEL : picture.allocationSize();
}

/**
 * Which sample is which frame; null unless each frame's time is the time of a sample of its own.
 *
 * `ranks` has each sample's place in the order of display, `samples` the sample at each place, `frames`
 * the frame at each place or -1, `orders` the place of each frame.
 */
function matched({ secs, count }, times) {
  const samples = Uint32Array.from({ length: count }, (_, sample) => sample);
  samples.sort((one, other) => secs[one] - secs[other] || one - other);
  const ranks = new Uint32Array(count);
  samples.forEach((sample, order) => { ranks[sample] = order; });
  const frames = new Int32Array(count).fill(-1);
  const orders = new Uint32Array(times.count);
  let order = 0;
  for (let frame = times.first; frame <= times.last; frame += 1, order += 1) {
    const wanted = times.fileSecs(frame);
    const off = Math.min(SAME_SECS, times.length(frame) / 4);
    while (order < count && secs[samples[order]] < wanted - off) order += 1;
    if (order >= count || secs[samples[order]] > wanted + off) return null;
    frames[order] = frame;
    orders[frame - times.first] = order;
  }
  return { samples, ranks, frames, orders };
}
