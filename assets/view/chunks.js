// What is known of each frame, fetched in chunks of frames when it is first asked for.

const MAX_CHUNKS = 48;

/** Chunks of frames, the least recently used of which are forgotten. */
export class Chunks {
  /**
   * @param {number} frameCount
   * @param {number} size frames of a chunk
   * @param {(from: number, to: number, signal: AbortSignal) => Promise<any>} fetchChunk
   * @param {(from: number, to: number) => void} onArrival
   * @param {(error: Error) => void} onError
   */
  constructor(frameCount, size, fetchChunk, onArrival, onError) {
    Object.assign(this, { frameCount, size, fetchChunk, onArrival, onError });
    this.known = new Map();
    this.coming = new Map();
    this.failed = new Set();
    this.stop = new AbortController();
  }

  /** The frame's chunk and its place in it, or null while it is fetched. */
  at(frame) {
    const key = Math.floor(frame / this.size);
    const value = this.known.get(key);
    if (value === undefined) {
      this.#load(key);
      return null;
    }
    this.known.delete(key);
    this.known.set(key, value);
    return { value, index: frame - key * this.size };
  }

  /** Waits until the frame is known, or cannot be. */
  async ready(frame) {
    const key = Math.floor(frame / this.size);
    if (!this.known.has(key)) await this.#load(key);
  }

  /** Fetches ahead of a playing video. */
  prefetch(frame) {
    const next = Math.floor(frame / this.size) + 1;
    if (frame % this.size > this.size / 2 && next * this.size < this.frameCount) this.#load(next);
  }

  /** Gives up what is on its way. */
  close() {
    this.stop.abort();
  }

  #load(key) {
    if (this.known.has(key) || this.failed.has(key)) return Promise.resolve();
    if (!this.coming.has(key)) this.coming.set(key, this.#fetch(key));
    return this.coming.get(key);
  }

  async #fetch(key) {
    const from = key * this.size;
    const to = Math.min(from + this.size, this.frameCount) - 1;
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
