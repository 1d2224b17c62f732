// Numbers and names as people read them.

/** Seconds as `m:ss.mmm`, or `h:mm:ss.mmm`. */
export function clock(secs, digits = 3) {
  if (!Number.isFinite(secs)) return '–';
  const scale = 10 ** digits;
  const units = Math.round(Math.abs(secs) * scale);
  const whole = Math.floor(units / scale);
  const rest = String(units % scale).padStart(digits, '0');
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const head = hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}` : String(minutes);
  const sign = secs < 0 ? '-' : '';
  return `${sign}${head}:${String(seconds).padStart(2, '0')}${digits > 0 ? `.${rest}` : ''}`;
}

/** A length of time in a list: `4.2 s`, `3 min 05 s`. */
export function duration(secs) {
  if (!Number.isFinite(secs)) return '–';
  if (secs < 60) return `${secs.toFixed(1)} s`;
  const whole = Math.round(secs);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** A share as a percentage without digits; none and all are said of nothing else. */
export function percent(share) {
  if (!Number.isFinite(share)) return '–';
  const rounded = Math.round(share * 100);
  if (rounded === 0 && share > 0) return '< 1 %';
  return rounded === 100 && share < 1 ? '> 99 %' : `${rounded} %`;
}

/** A value with as many digits as it needs; `–` where there is none. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}

/** How a unit is written behind a number. */
export function unitSign(unit) {
  return unit === 'degrees' ? '°' : unit ?? '';
}

/** `left_wrist` as `left wrist`. */
export function words(name) {
  return name.replaceAll('_', ' ');
}

/** `1 person`, `2 people`. */
export function count(n, one, many) {
  return `${n} ${n === 1 ? one : many}`;
}

/** Seconds out of `12.5`, `1:02.5` or `1:00:02`; NaN where it is none of these. */
export function parseClock(text) {
  const parts = text.trim().split(':');
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d*)?$/.test(part))) return NaN;
  return parts.reduce((secs, part) => secs * 60 + Number(part), 0);
}

/** Which part of a file's frames was ingested. */
export function partOf({ first_frame: first, frame_count: frames }) {
  return `frames ${first}–${first + frames - 1}`;
}
