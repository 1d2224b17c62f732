// Two videos or two people side by side, at the same moment or one moved against the other.
//
// The first one leads. The second shows the frame that lies at the same real time, after its
// frame `offset` was laid on the first one's first frame.

/** Further apart than this the second video is moved, not hurried. */
const MAX_DRIFT_SECS = 0.25;
/** How fast a drift is made good. */
const CATCH_UP_PER_SEC = 0.8;
const MAX_HURRY = 0.25;

/** Two players, the second of which may be closed. Events: `changed` (open, closed, moved). */
export class Pair extends EventTarget {
  constructor(left, right) {
    super();
    this.left = left;
    this.right = right;
    this.isPair = false;
    this.offset = 0;
    left.addEventListener('frame', () => this.#lead());
    left.addEventListener('playing', () => this.#playing());
    right.addEventListener('opened', () => this.#lead());
  }

  /** Opens the second video; without an offset both begin with their first frames. */
  async open(entry, person, offset = null) {
    this.isPair = true;
    this.offset = offset ?? entry.first_frame;
    this.dispatchEvent(new Event('changed'));
    await this.right.open(entry, this.offset, person);
    this.dispatchEvent(new Event('changed'));
  }

  close() {
    this.isPair = false;
    this.right.close();
    this.dispatchEvent(new Event('changed'));
  }

  /** The second video's frame that belongs to the first one's first frame; may be one that is not there. */
  setOffset(offset) {
    this.offset = Math.round(offset);
    this.#lead();
    this.dispatchEvent(new Event('changed'));
  }

  /** Seconds to add to the second video's times to have them on the first one's axis. */
  get shiftSecs() {
    const { left, right } = this;
    return left.isOpen && right.isOpen ? left.times.realSecs(left.times.first) - right.times.realSecs(this.offset) : 0;
  }

  /** The second video's frame that belongs to the shown one of the first. */
  get wanted() {
    return this.right.times.atReal(this.#secs);
  }

  get #secs() {
    return this.left.times.realSecs(this.left.frame) - this.shiftSecs;
  }

  #lead() {
    const { left, right } = this;
    if (!this.isPair || !left.isOpen || !right.isOpen || left.frame === null) return;
    if (!left.isPlaying || this.#isOutside()) {
      this.#hold();
      return;
    }
    if (!right.isPlaying) {
      this.#start();
      return;
    }
    const drift = right.times.realSecs(right.frame ?? right.times.first) - this.#secs;
    if (Math.abs(drift) > MAX_DRIFT_SECS) right.jump(this.wanted);
    else right.setPace(this.#pace * hurry(drift));
  }

  /** The file's seconds of both videos may pass at different rates where one is in slow motion. */
  get #pace() {
    return this.right.times.slowMotion / this.left.times.slowMotion;
  }

  #isOutside() {
    const { times } = this.right;
    return this.#secs < times.realSecs(times.first) || this.#secs > times.realSecs(times.last);
  }

  async #hold() {
    const { right } = this;
    if (right.isPlaying) await right.pause();
    if (right.isOpen && this.left.frame !== null && right.frame !== this.wanted) await right.show(this.wanted);
  }

  async #start() {
    const { left, right } = this;
    if (this.starting) return;
    this.starting = true;
    right.speed = left.speed;
    await right.show(this.wanted);
    if (left.isPlaying) await right.play();
    right.setPace(this.#pace);
    this.starting = false;
  }

  #playing() {
    if (this.isPair && !this.left.isPlaying && this.right.isOpen) this.#hold();
  }
}

/** Slower where it is ahead, faster where it is behind, in steps that are not worth a change. */
function hurry(driftSecs) {
  const factor = 1 - Math.min(Math.max(driftSecs * CATCH_UP_PER_SEC, -MAX_HURRY), MAX_HURRY);
  return Math.abs(factor - 1) < 0.02 ? 1 : Math.round(factor * 50) / 50;
}
