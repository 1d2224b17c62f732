// Where the pictures of an MP4 or QuickTime file lie, and when each is shown (ISO/IEC 14496-12).
//
// Only what a decoder needs to begin anywhere: H.264, VP9 and AV1 in a file with one video track and one
// table of samples. Of anything else there is no index; the browser's player goes on by itself then.

/** More is not read of the table of contents. */
const MAX_MOOV_BYTES = 96 * 2 ** 20;
/** Boxes before the table of contents. */
const MAX_BOXES = 64;
/** Enough for a box's header. */
const HEADER_BYTES = 16;
/** What precedes the boxes inside a video's sample entry. */
const SAMPLE_ENTRY_BYTES = 86;
/** Cosine and sine of the turns that a picture may be shown with, by its clockwise degrees. */
const TURNS = new Map([['1,0', 0], ['0,1', 90], ['-1,0', 180], ['0,-1', 270]]);

const two = (number) => String(number).padStart(2, '0');
const hex = (number) => number.toString(16).padStart(2, '0');

/** Sample entries, their boxes for the decoder, and what a decoder is to be told of them. */
const CODECS = [
  ...['avc1', 'avc3'].map((name) => [name, 'avcC', (box) => (
    { codec: `avc1.${[...box.subarray(1, 4)].map(hex).join('')}`, description: box })]),
  ['vp09', 'vpcC', (box) => ({ codec: `vp09.${two(box[4])}.${two(box[5])}.${two(box[6] >> 4)}` })],
  ['av01', 'av1C', ([, profileAndLevel, depth]) => {
    const tier = depth & 0x80 ? 'H' : 'M';
    const bits = depth & 0x40 ? 8 + 2 * (1 + ((depth >> 5) & 1)) : 8;
    return { codec: `av01.${profileAndLevel >> 5}.${two(profileAndLevel & 31)}${tier}.${two(bits)}` };
  }],
];

/** Bytes of a file, by `fetch`. */
export async function fetchBytes(url, from, to, signal) {
  const answer = await fetch(url, { headers: { Range: `bytes=${from}-${to - 1}` }, signal });
  if (answer.status !== 206) throw new Error(`status ${answer.status} in place of a part of the file`);
  return answer.arrayBuffer();
}

/**
 * The samples of a file in the order in which they are stored, or null where it is no such file.
 *
 * @typedef {object} VideoIndex
 * @property {string} codec as decoders name it
 * @property {Uint8Array} [description] its parameter sets
 * @property {number} turn clockwise degrees by which pictures are shown turned
 * @property {number} count
 * @property {Float64Array} offsets of the samples in the file
 * @property {Uint32Array} sizes bytes of the samples
 * @property {Float64Array} secs when they are shown, since the first one that is shown
 * @property {Uint8Array} keys 1 where a decoder can begin
 *
 * @returns {Promise<VideoIndex|null>}
 */
export async function readIndex(url, signal) {
  const moov = await findMoov(url, signal);
  return moov === null ? null : indexOf(moov);
}

async function findMoov(url, signal) {
  let at = 0;
  for (let n = 0; n < MAX_BOXES; n += 1) {
    const view = new DataView(await fetchBytes(url, at, at + HEADER_BYTES, signal));
    if (view.byteLength < 8) return null;
    const [size, type, header] = boxHeader(view, 0);
    if (size < header || !/^[\w ]{4}$/.test(type)) return null;
    if (type === 'moov') return size > MAX_MOOV_BYTES ? null : new DataView(await fetchBytes(url, at + header, at + size, signal));
    at += size;
  }
  return null;
}

/** Size with the header, type, and the header's size. */
function boxHeader(view, at) {
  const type = String.fromCharCode(...[4, 5, 6, 7].map((i) => view.getUint8(at + i)));
  const size = view.getUint32(at);
  return size === 1 ? [Number(view.getBigUint64(at + 8)), type, 16] : [size, type, 8];
}

/** Contents of the boxes with this path, in their order. */
function boxes(view, path) {
  const [wanted, ...rest] = path.split('/');
  const found = [];
  for (let at = 0; at + 8 <= view.byteLength;) {
    const [size, type, header] = boxHeader(view, at);
    if (size < header || at + size > view.byteLength) break;
    if (type === wanted) found.push(new DataView(view.buffer, view.byteOffset + at + header, size - header));
    at += size;
  }
  return rest.length === 0 ? found : found.flatMap((box) => boxes(box, rest.join('/')));
}

function indexOf(moov) {
  if (boxes(moov, 'mvex').length > 0) return null; // In fragments.
  const tracks = boxes(moov, 'trak').filter((track) => handlerOf(track) === 'vide');
  if (tracks.length !== 1) return null;
  const [track] = tracks;
  const decoder = decoderOf(track);
  const turn = turnOf(track);
  const [table] = boxes(track, 'mdia/minf/stbl');
  if (decoder === null || turn === undefined || table === undefined) return null;
  const sizes = sizesOf(table);
  const offsets = offsetsOf(table, sizes);
  const ticks = ticksOf(table, sizes.length);
  if (offsets === null || ticks === null) return null;
  const start = startOf(track, ticks);
  if (start === null) return null;
  const timescale = fullBox(boxes(track, 'mdia/mdhd')[0], [12, 20]).field.getUint32(0);
  return {
    ...decoder, turn, count: sizes.length, offsets, sizes,
    secs: ticks.map((tick) => (tick - start) / timescale),
    keys: keysOf(table, sizes.length),
  };
}

/** A box that begins with a version: that, and the bytes from a place on that depends on it. */
function fullBox(box, places = [4, 4]) {
  const version = box.getUint8(0);
  return { version, field: after(box, places[version]) };
}

function handlerOf(track) {
  const [handler] = boxes(track, 'mdia/hdlr');
  return handler === undefined ? '' : String.fromCharCode(...[8, 9, 10, 11].map((at) => handler.getUint8(at)));
}

function decoderOf(track) {
  const [descriptions] = boxes(track, 'mdia/minf/stbl/stsd');
  if (descriptions === undefined || descriptions.getUint32(4) !== 1) return null;
  const entries = after(descriptions, 8);
  for (const [name, box, read] of CODECS) {
    const [entry] = boxes(entries, name);
    const [found] = entry === undefined ? [] : boxes(after(entry, SAMPLE_ENTRY_BYTES - 8), box);
    if (found !== undefined) return read(new Uint8Array(found.buffer, found.byteOffset, found.byteLength).slice());
  }
  return null;
}

function after(view, at) {
  return new DataView(view.buffer, view.byteOffset + at, Math.max(view.byteLength - at, 0));
}

/** Degrees of the track's matrix; undefined for mirrored and slanting ones. */
function turnOf(track) {
  const [header] = boxes(track, 'tkhd');
  if (header === undefined) return undefined;
  const { field } = fullBox(header, [40, 52]);
  const [a, b, , c, d] = [0, 4, 8, 12, 16].map((at) => field.getInt32(at) / 2 ** 16);
  return a === d && b === -c ? TURNS.get(`${a},${b}`) : undefined;
}

function sizesOf(table) {
  const [box] = boxes(table, 'stsz');
  if (box === undefined) return new Uint32Array();
  const [same, count] = [box.getUint32(4), box.getUint32(8)];
  return Uint32Array.from({ length: count }, (_, i) => (same === 0 ? box.getUint32(12 + 4 * i) : same));
}

function offsetsOf(table, sizes) {
  const [short] = boxes(table, 'stco');
  const [long] = boxes(table, 'co64');
  const [chunks] = boxes(table, 'stsc');
  if (chunks === undefined || (short ?? long) === undefined) return null;
  const runs = Array.from({ length: chunks.getUint32(4) }, (_, i) => [0, 4, 8].map((at) => chunks.getUint32(8 + 12 * i + at)));
  if (runs.some(([, , description]) => description !== 1)) return null;
  const offsets = new Float64Array(sizes.length);
  const chunkCount = (short ?? long).getUint32(4);
  let [run, sample] = [0, 0];
  for (let chunk = 0; chunk < chunkCount; chunk += 1) {
    while (run + 1 < runs.length && runs[run + 1][0] <= chunk + 1) run += 1;
    let at = short ? short.getUint32(8 + 4 * chunk) : Number(long.getBigUint64(8 + 8 * chunk));
    for (let n = 0; n < (runs[run]?.[1] ?? 0) && sample < sizes.length; n += 1, sample += 1) {
      offsets[sample] = at;
      at += sizes[sample];
    }
  }
  return sample === sizes.length ? offsets : null;
}

/** When the samples are shown, in the track's units. */
function ticksOf(table, count) {
  const [durations] = boxes(table, 'stts');
  if (durations === undefined || count === 0) return null;
  const ticks = new Float64Array(count);
  const decoded = runLengths(durations, count, (at) => durations.getUint32(at));
  let now = 0;
  for (let sample = 0; sample < count; sample += 1) {
    ticks[sample] = now;
    now += decoded[sample];
  }
  const [delays] = boxes(table, 'ctts');
  if (delays === undefined) return ticks;
  // Version 0 has no negative ones, but files that are written so are read so.
  const delay = runLengths(delays, count, (at) => delays.getInt32(at));
  return ticks.map((tick, sample) => tick + delay[sample]);
}

/** A table of counts and values, one value for each sample. */
function runLengths(box, count, valueAt) {
  const values = new Float64Array(count);
  const runs = box.getUint32(4);
  let sample = 0;
  for (let run = 0; run < runs; run += 1) {
    const at = 8 + 8 * run;
    const end = Math.min(sample + box.getUint32(at), count);
    values.fill(valueAt(at + 4), sample, end);
    sample = end;
  }
  return values;
}

/** When the first picture is shown, in the track's units; null where the track is cut in several pieces. */
function startOf(track, ticks) {
  const [list] = boxes(track, 'edts/elst');
  let begin = -Infinity;
  if (list !== undefined) {
    const { version, field } = fullBox(list);
    const size = version === 1 ? 20 : 12;
    const medias = Array.from({ length: field.getUint32(0) }, (_, i) => (
      version === 1 ? Number(field.getBigInt64(4 + size * i + 8)) : field.getInt32(4 + size * i + 4)));
    const pieces = medias.filter((media) => media >= 0); // Others are pauses before the picture.
    if (pieces.length > 1) return null;
    begin = pieces[0] ?? begin;
  }
  return ticks.reduce((least, tick) => (tick >= begin && tick < least ? tick : least), Infinity);
}

function keysOf(table, count) {
  const [box] = boxes(table, 'stss');
  if (box === undefined) return new Uint8Array(count).fill(1);
  const keys = new Uint8Array(count);
  for (let i = 0; i < box.getUint32(4); i += 1) keys[box.getUint32(8 + 4 * i) - 1] = 1;
  return keys;
}
