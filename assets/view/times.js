// The true times of a video's frames: the only way from a time to a frame.

/** A time may be so far from the lake's by the rounding of clocks that count milliseconds. */
const ROUNDING_SECS = 0.0015;
/** How long a frame is taken to be shown that is the only one. */
const LONE_FRAME_SECS = 0.04;

/**
 * When frames are shown, on the file's own clock (from the file's first picture on) and in real seconds.
 * Frames keep the numbers that they have in the file, also where only a part of it has rows.
 */
export class FrameTimes {
  /**
   * @param {{file: Float64Array, real: Float64Array, first: number}} times never going down;
   *     `first` is the number of the first frame
   * @param {boolean} isPart whether the file may have other frames before and behind these
   */
  constructor({ file, real, first }, isPart = false) {
    this.file = file;
    this.real = real;
    this.first = first;
    this.count = file.length;
    this.isPart = isPart;
  }

  /** The number of the last frame. */
  get last() {
    return this.first + this.count - 1;
  }

  /** When a frame is shown, on the file's clock. */
  fileSecs(frame) {
    return this.file[frame - this.first];
  }

  /** When a frame is shown, in real seconds; outside of the frames continued at their mean rate. */
  realSecs(frame) {
    const { first, last, real } = this;
    const mean = this.count < 2 ? LONE_FRAME_SECS : (real[this.count - 1] - real[0]) / (this.count - 1);
    if (frame < first) return real[0] + (frame - first) * mean;
    return frame > last ? real[this.count - 1] + (frame - last) * mean : real[frame - first];
  }

  /**
   * The frame whose picture has this time on the file's clock. A picture that is none of these frames
   * has the number before the first, or behind the last one.
   */
  pictureAt(fileSecs) {
    const frame = this.first + nearest(this.file, fileSecs);
    if (!this.isPart) return frame;
    const off = fileSecs - this.fileSecs(frame);
    const tolerance = Math.min(ROUNDING_SECS, this.length(frame) / 2);
    if (frame === this.first && off < -tolerance) return this.first - 1;
    return frame === this.last && off > tolerance ? this.last + 1 : frame;
  }

  /** The frame whose real time is nearest. */
  nearestReal(realSecs) {
    return this.first + nearest(this.real, realSecs);
  }

  /** The frame that is on the screen at this time of the file's clock. */
  atFile(fileSecs) {
    return this.first + lastNotAfter(this.file, fileSecs);
  }

  /** The frame that is on the screen at this real time. */
  atReal(realSecs) {
    return this.first + lastNotAfter(this.real, realSecs);
  }

  /** How long the frame is shown, on the file's clock; the last one as long as the one before. */
  length(frame) {
    if (this.count < 2) return LONE_FRAME_SECS;
    const at = Math.min(frame, this.last - 1);
    return this.fileSecs(at + 1) - this.fileSecs(at);
  }

  /** The middle of the time in which the frame is shown, on the file's clock. */
  middle(frame) {
    return this.fileSecs(frame) + this.length(frame) / 2;
  }

  /** Seconds of the file that pass in one real second. */
  get slowMotion() {
    const at = this.count - 1;
    return this.real[at] > 0 ? this.file[at] / this.real[at] : 1;
  }

  /** The nearest number that a frame has. */
  clamp(frame) {
    return Math.min(Math.max(Math.round(frame), this.first), this.last);
  }
}

function nearest(values, wanted) {
  const at = lastNotAfter(values, wanted);
  const isNextNearer = at + 1 < values.length && values[at + 1] - wanted < wanted - values[at];
  return isNextNearer ? at + 1 : at;
}

/** Index of the last value that is not above `limit`; 0 where all are. */
function lastNotAfter(values, limit) {
  let [low, high] = [0, values.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle;
    else high = middle;
  }
  return low;
}
