// What the page asks the server. Nothing else here knows an address.

const MAX_TRIES = 4;

/** What the server refused, and what can be done about it. */
export class ApiError extends Error {
  constructor(status, kind, message, remedy) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.remedy = remedy;
  }

  /** Cause and remedy as one text. */
  get text() {
    return this.remedy ? `${this.message}: ${this.remedy}` : this.message;
  }
}

/** What to tell of any failure. */
export function explain(error) {
  return error instanceof ApiError ? error.text : error.message;
}

/** Whether the page itself gave the request up. */
export function isAbort(error) {
  return error.name === 'AbortError';
}

async function request(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await send(path, options);
    if (answer.ok) return answer;
    if (answer.status !== 429 || attempt === MAX_TRIES) throw await errorOf(answer);
    const secs = Number(answer.headers.get('Retry-After')) || 1;
    await new Promise((done) => setTimeout(done, Math.min(secs, 5) * 1000));
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, 'gone', 'the viewer does not answer', 'start `posedata view` again');
  }
}

/** The error that an answer tells of. */
export async function errorOf(answer) {
  try {
    const { error } = await answer.json();
    return new ApiError(answer.status, error.kind, error.message, error.remedy);
  } catch {
    return new ApiError(answer.status, 'failed', `the viewer answered with status ${answer.status}`);
  }
}

const json = async (path, options) => (await request(path, options)).json();

function query(params) {
  const entries = Object.entries(params).filter(([, value]) => value !== null && value !== undefined);
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries)}`;
}

const of = (id) => `/api/videos/${encodeURIComponent(id)}`;

export const lake = () => json('/api/lake');
export const videos = () => json('/api/videos');
export const video = (id) => json(of(id));
export const check = (id) => json(`${of(id)}/check`);
export const videoUrl = (id) => `${of(id)}/video`;
export const proxyUrl = (id) => `${of(id)}/proxy.mp4`;
export const thumbnailUrl = (id) => `${of(id)}/thumbnail.jpg`;
export const frameUrl = (id, frame, kind = 'jpg', width = null) => (
  `${of(id)}/frames/${frame}.${kind}${query({ width })}`);
export const clipUrl = (id, from, to, skeleton) => `${of(id)}/clip.mp4${query({ from, to, skeleton })}`;
export const tableUrl = (id, table, person, from, to) => (
  `${of(id)}/table.csv${query({ table, person, from, to })}`);
export const proxy = (id, method = 'GET') => json(`${of(id)}/proxy`, { method });
export const marks = (id, person, rows) => json(`${of(id)}/marks${query({ person, rows })}`);
export const examples = (id, params) => json(`${of(id)}/examples${query(params)}`);
export const queries = () => json('/api/queries');

/** A decoded picture of one frame. */
export async function picture(id, frame, { width = null, kind = 'jpg', signal } = {}) {
  return (await request(frameUrl(id, frame, kind, width), { signal })).blob();
}

/** Times of all frames that have rows: `{file, real}` in seconds since the file's first one; `first` is a number. */
export async function times(id, isProxy) {
  const answer = await request(`${of(id)}/times${query({ of: isProxy ? 'proxy' : null })}`);
  const pairs = new Float64Array(await answer.arrayBuffer());
  const count = pairs.length / 2;
  return {
    first: Number(answer.headers.get('X-Frame-From')),
    file: Float64Array.from({ length: count }, (_, frame) => pairs[2 * frame]),
    real: Float64Array.from({ length: count }, (_, frame) => pairs[2 * frame + 1]),
  };
}

/** Landmarks of everybody in `from..=to`: a Float32Array of 33 x (x, y, visibility) per frame, by person. */
export async function landmarks(id, rows, from, to, signal) {
  const path = `${of(id)}/landmarks${query({ person: 'all', rows, from, to })}`;
  const answer = await request(path, { signal });
  const values = new Float32Array(await answer.arrayBuffer());
  const header = answer.headers.get('X-Persons') ?? '';
  const persons = header === '' ? [] : header.split(',').map(Number);
  const length = values.length / Math.max(persons.length, 1);
  return new Map(persons.map((person, i) => [person, values.subarray(i * length, (i + 1) * length)]));
}

/** Values of columns in `from..=to`, frame by frame; NaN for NULL. */
export async function columns(id, params, signal) {
  const answer = await request(`${of(id)}/columns${query(params)}`, { signal });
  return new Float32Array(await answer.arrayBuffer());
}

/** A stretch of curves, thinned to the width of the screen. */
export function curve(id, params, signal) {
  return json(`${of(id)}/curve${query(params)}`, { signal });
}

function post(path, body, signal) {
  const headers = { 'Content-Type': 'application/json' };
  return request(path, { method: 'POST', headers, body: JSON.stringify(body), signal });
}

/** Runs SQL; `{columns, rows, row_count, is_cut, secs}`. */
export async function runQuery(body, signal) {
  return (await post('/api/query', body, signal)).json();
}

/** Runs SQL; a CSV file. */
export async function queryCsv(body, signal) {
  return (await post('/api/query.csv', body, signal)).blob();
}
