// What is known of each frame, fetched in chunks of frames when it is first asked for.

const MAX_CHUNKS = 48;

/** Chunks of frames, the least recently used of which are forgotten. */
export class Chunks {
  /**
   * @param {{first: number, count: number}} frames
   * @param {number} size frames of a chunk
   * @param {(from: number, to: number, signal: AbortSignal) => Promise<any>} fetchChunk
   * @param {(from: number, to: number) => void} onArrival
   * @param {(error: Error) => void} onError
   */
  constructor({ first, count }, size, fetchChunk, onArrival, onError) {
    Object.assign(this, { first, end: first + count, size, fetchChunk, onArrival, onError });
    this.known = new Map();
    this.coming = new Map();
    this.failed = new Set();
    this.stop = new AbortController();
  }

  /** The frame's chunk and its place in it, or null while it is fetched. */
  at(frame) {
    const key = this.#keyOf(frame);
    const value = this.known.get(key);
    if (value === undefined) {
      this.#load(key);
      return null;
    }
    this.known.delete(key);
    this.known.set(key, value);
    return { value, index: frame - this.#startOf(key) };
  }

  /** Waits until the frame is known, or cannot be. */
  async ready(frame) {
    const key = this.#keyOf(frame);
    if (!this.known.has(key)) await this.#load(key);
  }

  /** Fetches ahead of a playing video. */
  prefetch(frame) {
    const key = this.#keyOf(frame);
    const isLate = frame - this.#startOf(key) > this.size / 2;
    if (isLate && this.#startOf(key + 1) < this.end) this.#load(key + 1);
  }

  /** Gives up what is on its way. */
  close() {
    this.stop.abort();
  }

  #keyOf(frame) {
    return Math.floor((frame - this.first) / this.size);
  }

  #startOf(key) {
    return this.first + key * this.size;
  }

  #load(key) {
    if (this.known.has(key) || this.failed.has(key)) return Promise.resolve();
    if (!this.coming.has(key)) this.coming.set(key, this.#fetch(key));
    return this.coming.get(key);
  }

  async #fetch(key) {
    const from = this.#startOf(key);
    const to = Math.min(from + this.size, this.end) - 1;
    try {
      this.known.set(key, await this.fetchChunk(from, to, this.stop.signal));
      this.#forget();
      if (!this.stop.signal.aborted) this.onArrival(from, to);
    } catch (error) {
      this.failed.add(key);
      if (!this.stop.signal.aborted) this.onError(error);
    } finally {
      this.coming.delete(key);
    }
  }

  #forget() {
    for (const key of this.known.keys()) {
      if (this.known.size <= MAX_CHUNKS) return;
      this.known.delete(key);
    }
  }
}
