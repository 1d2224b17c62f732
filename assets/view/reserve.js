// Pictures at hand for a step back, for which the browser would have to decode from a key frame on.
//
// Kept are pictures as they were painted, and those just before the shown one, which a second player
// fetches while the first one rests. Each has its frame's number from where it was decoded.

/** What all kept pictures may take. */
const MAX_BYTES = 192 * 2 ** 20;
const BYTES_PER_PIXEL = 4;
/** The second player shows so many pictures in a second at most; fewer where not all of them are seen. */
const MAX_PICTURES_PER_SEC = 45;
const MIN_PICTURES_PER_SEC = 10;
const SLOWER = 0.6;
const FASTER = 1.2;
const MIN_RATE = 0.0625;
const MAX_RATE = 4;
const MAX_FILL_MILLIS = 4000;

const later = (millis) => new Promise((done) => setTimeout(done, millis, null));

/** Pictures by their frames; the ones that were kept first go first. */
export class Reserve {
  /** @param {() => Promise<import('./pictures.js').VideoClock>} openPlayer opens the second player */
  constructor(openPlayer) {
    this.openPlayer = openPlayer;
    this.pictures = new Map();
    /** Frames that did not come when they were fetched; the first player has to go to them. */
    this.missed = new Set();
    this.picturesPerSec = MAX_PICTURES_PER_SEC;
    /** The stretch that is being fetched: `{from, to, arrived}`. */
    this.filling = null;
    this.player = null;
    this.isClosed = false;
  }

  get(frame) {
    return this.pictures.get(frame) ?? null;
  }

  /** Whether the picture is here, or on its way. */
  has(frame) {
    const { filling } = this;
    return this.pictures.has(frame) || (filling !== null && frame >= filling.from && frame <= filling.to);
  }

  /** Keeps what is on a canvas as the picture of a frame. */
  async keep(frame, canvas) {
    if (this.pictures.has(frame)) return;
    const { width, height } = canvas;
    const image = await createImageBitmap(canvas);
    if (this.isClosed || this.width !== width || this.height !== height) image.close();
    else this.#put(frame, image);
  }

  /** Pictures have this size from now on; others go. */
  resize(width, height) {
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    this.filling = null;
    this.clear();
  }

  clear() {
    for (const image of this.pictures.values()) image.close();
    this.pictures.clear();
  }

  close() {
    this.isClosed = true;
    this.filling = null;
    this.clear();
    this.player?.then((player) => player.discard(), () => {});
  }

  /** Fetches the pictures of a stretch; of several wishes the last one counts. */
  fill(from, to) {
    if (this.isClosed) return Promise.resolve();
    const filling = { from, to };
    this.filling = filling;
    filling.arrived = this.#fill(filling).catch(() => {}).finally(() => {
      if (this.filling === filling) this.filling = null;
    });
    return filling.arrived;
  }

  async #fill(filling) {
    const { from, to } = filling;
    this.player ??= this.openPlayer();
    const player = await this.player;
    const isWanted = () => this.filling === filling;
    await this.busy; // One stretch at a time.
    if (!isWanted()) return;
    this.busy = this.#play(player, from, to, isWanted).catch(() => {});
    await this.busy;
    if (!isWanted()) return;
    const before = this.missed.size;
    for (let frame = from; frame <= to; frame += 1) if (!this.pictures.has(frame)) this.missed.add(frame);
    const pace = this.picturesPerSec * (this.missed.size > before ? SLOWER : FASTER);
    this.picturesPerSec = Math.min(Math.max(pace, MIN_PICTURES_PER_SEC), MAX_PICTURES_PER_SEC);
  }

  /** Plays through a stretch and keeps what is shown. */
  async #play(player, from, to, isWanted) {
    const canvas = new OffscreenCanvas(this.width, this.height);
    const context = canvas.getContext('2d', { alpha: false });
    const { element, times } = player;
    const keep = (picture) => {
      const isHere = picture.frame >= from && picture.frame <= to;
      if (isHere && isWanted() && !this.pictures.has(picture.frame)) {
        context.drawImage(picture.image, 0, 0, canvas.width, canvas.height);
        this.#put(picture.frame, canvas.transferToImageBitmap());
      }
      picture.close();
    };
    const start = await player.seek(times.middle(from), from);
    if (start === null || !isWanted()) {
      start?.close();
      return;
    }
    keep(start);
    if (from >= to) return;
    const secs = (times.fileSecs(to) - times.fileSecs(from)) / (to - from);
    element.playbackRate = Math.min(Math.max(secs * this.picturesPerSec, MIN_RATE), MAX_RATE);
    const arrived = new Promise((done) => {
      const onCallback = () => {
        const picture = player.take();
        const isOver = picture === null || picture.frame >= to || !isWanted();
        if (picture !== null) keep(picture);
        if (isOver) done();
        else element.requestVideoFrameCallback(onCallback);
      };
      element.requestVideoFrameCallback(onCallback);
    });
    try {
      await element.play();
      await Promise.race([arrived, later(MAX_FILL_MILLIS)]);
    } finally {
      element.pause();
    }
  }

  #put(frame, image) {
    this.pictures.get(frame)?.close();
    this.pictures.delete(frame);
    this.pictures.set(frame, image);
    const size = image.width * image.height * BYTES_PER_PIXEL;
    for (const [oldest, old] of this.pictures) {
      if (this.pictures.size * size <= MAX_BYTES) return;
      old.close();
      this.pictures.delete(oldest);
    }
  }
}
