// The true times of a video's frames: the only way from a time to a frame.

/** When each frame is shown, on the file's own clock and in real seconds, both from the first frame. */
export class FrameTimes {
  /** @param {{file: Float64Array, real: Float64Array}} times never going down */
  constructor({ file, real }) {
    this.file = file;
    this.real = real;
    this.count = file.length;
  }

  /** The frame whose time on the file's clock is nearest. */
  nearest(fileSecs) {
    return nearest(this.file, fileSecs);
  }

  /** The frame whose real time is nearest. */
  nearestReal(realSecs) {
    return nearest(this.real, realSecs);
  }

  /** The frame that is on the screen at this time of the file's clock. */
  atFile(fileSecs) {
    return lastNotAfter(this.file, fileSecs);
  }

  /** The frame that is on the screen at this real time. */
  atReal(realSecs) {
    return lastNotAfter(this.real, realSecs);
  }

  /** How long the frame is shown, on the file's clock; the last one as long as the one before. */
  length(frame) {
    const last = this.count - 1;
    if (last < 1) return 0.04;
    return frame < last ? this.file[frame + 1] - this.file[frame] : this.file[last] - this.file[last - 1];
  }

  /** Real seconds of a frame; outside of the video continued at its mean rate. */
  realOf(frame) {
    const last = this.count - 1;
    const mean = last < 1 ? 0.04 : (this.real[last] - this.real[0]) / last;
    if (frame < 0) return this.real[0] + frame * mean;
    return frame > last ? this.real[last] + (frame - last) * mean : this.real[frame];
  }

  /** Seconds of the file that pass in one real second. */
  get slowMotion() {
    const real = this.real[this.count - 1];
    return real > 0 ? this.file[this.count - 1] / real : 1;
  }

  /** The nearest number that a frame has. */
  clamp(frame) {
    return Math.min(Math.max(Math.round(frame), 0), this.count - 1);
  }
}

function nearest(values, wanted) {
  const at = lastNotAfter(values, wanted);
  const isNextNearer = at + 1 < values.length && values[at + 1] - wanted < wanted - values[at];
  return isNextNearer ? at + 1 : at;
}

/** Index of the last value that is not above `limit`; 0 where all are. */
export function lastNotAfter(values, limit) {
  let [low, high] = [0, values.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= limit) low = middle;
    else high = middle;
  }
  return low;
}
