// Puts the page together: the list, the players, the panes below them, keys, and the address.

import * as api from './api.js';
import { Curves } from './curves.js';
import { byId, debounce, el, option, say } from './dom.js';
import { Examples } from './examples.js';
import { startKeys } from './keys.js';
import { VideoList } from './list.js';
import { Pair } from './pair.js';
import { PRESETS, Picker } from './picker.js';
import { Player } from './player.js';
import { SqlBox } from './sql.js';
import { DEFAULT_TRACE, SPEEDS, readState, writeState } from './state.js';
import { TakeAway } from './takeaway.js';
import { clock, count, parseClock, partOf, words } from './text.js';
import { startTheme } from './theme.js';

const TABS = ['curves', 'sql', 'examples', 'take'];
const BIG_STEP = 10;
const ADDRESS_MILLIS = 250;
/** While a video plays, numbers beside it change no faster than they are read. */
const TELL_MILLIS = 60;

class Page {
  constructor() {
    // The address that the state was read from or written to last.
    this.address = location.hash;
    this.state = readState(this.address);
    this.isReady = false;
    this.left = new Player('Video');
    this.right = new Player('Second video');
    this.right.look = this.left.look;
    this.pair = new Pair(this.left, this.right);
    this.list = new VideoList();
    this.curves = new Curves(this.pair);
    this.picker = new Picker(this.curves);
    this.sql = new SqlBox();
    this.examples = new Examples();
    this.takeAway = new TakeAway(this.left, () => this.#stretch());
    this.remember = debounce(() => this.#writeAddress(), ADDRESS_MILLIS);
    byId('stages').append(this.left.stage, this.right.stage);
    this.right.stage.hidden = true;
  }

  async start() {
    window.addEventListener('hashchange', () => this.#addressChanged());
    this.#bindParts();
    this.#bindControls();
    this.#bindKeys();
    this.#toggleList(!isNarrow());
    startTheme(byId('theme'), () => this.#recolor());
    this.#applyLook();
    this.#showTab(this.state.tab);
    await this.list.start();
    this.isReady = this.list.videos.length > 0;
    // The picture comes first; what can wait does.
    const opened = this.isReady ? this.#openState() : Promise.resolve();
    await opened.finally(() => {
      this.list.showPictures();
      this.sql.start().catch((error) => say(api.explain(error), true));
      this.#tellLake();
    });
  }

  // Parts and their events

  #bindParts() {
    this.list.addEventListener('open', ({ detail }) => this.#choose(detail));
    this.list.addEventListener('loaded', () => this.#listLoaded());
    this.left.addEventListener('frame', () => this.#frameShown());
    this.left.addEventListener('playing', () => this.#playingChanged());
    this.left.addEventListener('opened', () => this.#tellSource());
    for (const player of [this.left, this.right]) {
      player.addEventListener('problem', ({ detail }) => say(detail, true));
      player.addEventListener('person', () => this.#personChanged());
    }
    this.pair.addEventListener('changed', () => this.#pairChanged());
    this.curves.addEventListener('seek', ({ detail }) => this.left.jump(detail));
    this.curves.addEventListener('changed', ({ detail }) => this.#setCurves(detail));
    this.curves.addEventListener('zoomed', () => {
      const { window } = this.curves;
      this.state.zoom = window === null ? null : [window.min, window.max];
      this.remember();
    });
    this.sql.addEventListener('jump', ({ detail }) => this.#jump(detail));
    this.examples.addEventListener('jump', ({ detail }) => this.#jump(detail));
  }

  #listLoaded() {
    if (this.list.videos.length > 0 && byId('welcome').hidden === false) location.reload();
    this.#fillOthers();
    this.#followIngest();
  }

  /** A video that was ingested anew while it is shown has other rows, maybe of another part. */
  async #followIngest() {
    if (!this.isReady) return;
    const [now, other] = [this.left, this.right].map(({ entry }) => this.#ingestedAnew(entry));
    if (now !== undefined) {
      if (this.pair.isPair) this.pair.close();
      await this.#open(now, this.state);
    } else if (other !== undefined) {
      await this.#openPair(other, this.right.person, this.pair.offset);
    } else {
      return;
    }
    say('This video was ingested anew; these are its new rows.');
  }

  /** What the list has in place of an entry; undefined where that is still the same. */
  #ingestedAnew(entry) {
    const now = entry === null ? undefined : this.list.find(entry.video_id);
    return now?.ingested_at === entry?.ingested_at ? undefined : now;
  }

  #bindControls() {
    const click = (id, deed) => byId(id).addEventListener('click', deed);
    click('play', () => this.left.toggle());
    click('step-back', () => this.left.step(-1));
    click('step-on', () => this.left.step(1));
    click('mark-in', () => this.#mark('markIn'));
    click('mark-out', () => this.#mark('markOut'));
    click('loop', () => this.#toggleLoop());
    click('full', () => this.#fullScreen());
    click('help-open', () => byId('help').showModal());
    click('menu', () => this.#toggleList());
    click('compare', () => this.#toggleCompare());
    click('sound', () => this.#toggleSound());
    byId('timeline').addEventListener('input', (event) => this.left.jump(Number(event.target.value)));
    byId('speed').replaceChildren(...SPEEDS.map((speed) => option(speed, `${speed}×`, speed === this.state.speed)));
    byId('speed').addEventListener('change', (event) => this.#setSpeed(Number(event.target.value)));
    byId('goto').addEventListener('change', (event) => this.#goTo(event.target.value));
    byId('goto').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' || event.key === 'Escape') event.target.blur();
    });
    for (const box of document.querySelectorAll('[data-show]')) {
      box.addEventListener('change', () => this.#toggleShow(box.dataset.show, box.checked));
    }
    byId('rows').addEventListener('change', (event) => this.#setRows(event.target.value));
    byId('person').addEventListener('change', (event) => this.#setPerson(Number(event.target.value)));
    byId('trace').addEventListener('change', (event) => this.#setTrace(event.target.value));
    byId('other').addEventListener('change', (event) => this.#openOther(event.target.value));
    byId('other-person').addEventListener('change', (event) => this.#setOtherPerson(Number(event.target.value)));
    byId('offset').addEventListener('change', (event) => this.pair.setOffset(Number(event.target.value) || 0));
    for (const name of TABS) click(`tab-${name}`, () => this.#showTab(name));
    byId('tabs').addEventListener('keydown', (event) => this.#tabKey(event));
    byId('presets').replaceChildren(...PRESETS.map(([name, columns]) => el(
      'button', { type: 'button', class: 'small', text: name, on: { click: () => this.#preset(columns) } })));
    for (const dialog of document.querySelectorAll('dialog')) {
      dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
      for (const close of dialog.querySelectorAll('[data-close]')) close.addEventListener('click', () => dialog.close());
    }
  }

  #bindKeys() {
    const show = (name) => () => this.#toggleShow(name, !this.left.look.show.has(name));
    startKeys([
      ['Play', [
        [[' '], 'play, pause', () => this.left.toggle()],
        [['ArrowLeft', ','], 'one frame back', () => this.left.step(-1)],
        [['ArrowRight', '.'], 'one frame on', () => this.left.step(1)],
        [['Shift+ArrowLeft', '<'], 'ten frames back', () => this.left.step(-BIG_STEP)],
        [['Shift+ArrowRight', '>'], 'ten frames on', () => this.left.step(BIG_STEP)],
        [['Home'], 'first frame', () => this.left.show(this.left.ends[0])],
        [['End'], 'last frame', () => this.left.show(this.left.ends[1])],
        [['['], 'slower', () => this.#changeSpeed(-1)],
        [[']'], 'faster', () => this.#changeSpeed(1)],
        [['g'], 'go to a frame or time', () => byId('goto').select()],
        [['m'], 'sound on, off', () => this.#toggleSound()],
        [['f'], 'full screen', () => this.#fullScreen()],
      ]],
      ['Marks', [
        [['i'], 'mark the beginning', () => this.#mark('markIn')],
        [['o'], 'mark the end', () => this.#mark('markOut')],
        [['u'], 'take the marks away', () => this.#unmark()],
        [['l'], 'loop between the marks', () => this.#toggleLoop()],
      ]],
      ['Show', [
        [['s'], 'skeleton', show('skeleton')],
        [['n'], 'names of landmarks', show('names')],
        [['a'], 'joint angles', show('angles')],
        [['t'], 'trace of a landmark', show('trace')],
        [['x'], 'number of the frame', show('number')],
        [['r'], 'raw or filtered rows', () => this.#setRows(this.left.look.rows === 'raw' ? 'filtered' : 'raw')],
        [['p'], 'next person', () => this.#nextPerson()],
      ]],
      ['Curves', [
        [['+', '='], 'zoom in', () => this.curves.zoom(1.5)],
        [['-'], 'zoom out', () => this.curves.zoom(1 / 1.5)],
        [['0'], 'show all', () => this.curves.zoomTo(null)],
        [['c'], 'choose curves', () => this.picker.open()],
      ]],
      ['Compare', [
        [['b'], 'second video beside the first', () => this.#toggleCompare()],
        [['j'], 'second video one frame earlier', () => this.#moveOffset(-1)],
        [['k'], 'second video one frame later', () => this.#moveOffset(1)],
      ]],
      ['Page', [
        [['/'], 'search a video', () => { this.#toggleList(true); byId('search').select(); }],
        [['v'], 'list of videos', () => this.#toggleList()],
        [['1'], 'curves', () => this.#showTab('curves')],
        [['2', 'q'], 'SQL', () => { this.#showTab('sql'); byId('sql-text').focus(); }],
        [['3'], 'examples', () => this.#showTab('examples')],
        [['4'], 'take away', () => this.#showTab('take')],
        [['w'], 'save this frame as PNG', () => this.takeAway.frame()],
        [['?'], 'these keys', () => byId('help').showModal()],
      ]],
    ]);
  }

  // Videos

  async #openState() {
    const { state } = this;
    const entry = this.list.find(state.video) ?? this.list.videos[0];
    if (state.video !== null && entry.video_id !== state.video) say('The video of this address is not in the lake.', true);
    await this.#open(entry, state);
    const other = this.list.find(state.other);
    if (other !== undefined) await this.#openPair(other, state.otherPerson, state.offset);
    else if (state.other !== null) say('The second video of this address is not in the lake.', true);
  }

  /** A video was chosen in the list. */
  async #choose(entry) {
    if (isNarrow()) this.#toggleList(false);
    const { curves } = this.state;
    Object.assign(this.state, { markIn: null, markOut: null, zoom: null });
    await this.#open(entry, { ...this.state, frame: null, person: null, curves });
  }

  async #open(entry, { frame, person, curves, zoom }) {
    const opening = Symbol(entry.video_id);
    this.opening = opening;
    this.list.setCurrent(entry.video_id);
    document.title = `${entry.file_name} – posedata`;
    byId('title').textContent = entry.file_name;
    byId('title').title = entry.path;
    byId('welcome').hidden = true;
    byId('work').hidden = false;
    this.examples.close();
    this.curves.clear();
    this.left.speed = this.state.speed;
    this.left.loop = this.#loopOf();
    this.curves.window = zoom === null ? null : { min: zoom[0], max: zoom[1] };
    try {
      await this.left.open(entry, frame, person);
    } catch (error) {
      say(api.explain(error), true);
      return;
    }
    if (this.opening !== opening || !this.left.isOpen) return; // Another one was chosen meanwhile.
    this.state.video = entry.video_id;
    if (this.state.person !== null) this.state.person = this.left.person; // An address may name anybody.
    [byId('timeline').min, byId('timeline').max] = this.left.ends.map(String);
    this.#fillPersons();
    this.#fillTrace();
    this.#marksChanged();
    await this.curves.set(this.state.curves = curves);
    this.#showTab(this.state.tab);
    this.#frameShown();
  }

  /** Opens what a row of a query, or an example, speaks of. */
  async #jump({ video_id: id, frame, end, person }) {
    if (id !== this.left.entry?.video_id) {
      const entry = this.list.find(id);
      if (entry === undefined) {
        say('The video of this row is not in the list.', true);
        return;
      }
      await this.#open(entry, { ...this.state, frame, person, zoom: null });
    } else if (person !== null && person !== this.left.person) {
      this.#setPerson(person);
    }
    if (Number.isInteger(end) && end >= frame) {
      Object.assign(this.state, { markIn: frame, markOut: end });
      this.#marksChanged();
    }
    await this.left.pause();
    await this.left.show(frame);
    const [first, last] = this.left.ends;
    if (frame < first || frame > last) say(`There is no frame ${frame}: this video has frames ${first} to ${last}.`, true);
  }

  // The shown frame

  #frameShown() {
    const { left } = this;
    if (!left.isOpen || left.frame === null) return;
    this.state.frame = left.frame;
    this.curves.follow();
    this.remember();
    const now = performance.now();
    if (left.isPlaying && now - (this.told ?? 0) < TELL_MILLIS) return;
    this.told = now;
    const secs = left.times.realSecs(left.frame);
    const timeline = byId('timeline');
    timeline.value = String(left.frame);
    timeline.setAttribute('aria-valuetext', `frame ${left.frame}, ${clock(secs)}`);
    byId('now').textContent = `${clock(secs)} / ${clock(left.times.realSecs(left.times.last))}`;
    if (document.activeElement !== byId('goto')) byId('goto').value = String(left.frame);
  }

  #playingChanged() {
    const { isPlaying } = this.left;
    byId('play').classList.toggle('on', isPlaying);
    byId('play').setAttribute('aria-label', isPlaying ? 'pause' : 'play');
  }

  #tellSource() {
    const { left } = this;
    const texts = {
      file: '', decoded: '', none: 'no picture', stills: 'pictures from the server, one by one',
      proxy: 'a copy that browsers play, every frame at its own time',
    };
    const part = left.entry?.is_part ? `${partOf(left.entry)} of the file` : '';
    byId('source').textContent = [part, texts[left.source] ?? ''].filter(Boolean).join(' · ');
  }

  async #goTo(text) {
    const { left } = this;
    if (!left.isOpen) return;
    const isFrame = /^\s*#?\d+\s*$/.test(text);
    const secs = parseClock(text.replace(/s\s*$/, ''));
    if (!isFrame && Number.isNaN(secs)) {
      say('Give a frame (120) or a time (4.5s, 1:02.25).', true);
      byId('goto').value = String(left.frame);
      return;
    }
    await left.pause();
    await left.show(isFrame ? Number(text.replace('#', '')) : left.times.nearestReal(secs));
  }

  // Speed, marks, loop

  #setSpeed(speed) {
    this.state.speed = speed;
    byId('speed').value = String(speed);
    this.left.setSpeed(speed);
    this.right.setSpeed(speed);
    this.remember();
  }

  #changeSpeed(way) {
    const at = SPEEDS.indexOf(this.state.speed) + way;
    if (SPEEDS[at] !== undefined) this.#setSpeed(SPEEDS[at]);
    say(`speed ${this.state.speed}×`);
  }

  #mark(which) {
    if (!this.left.isOpen) return;
    const { state } = this;
    state[which] = this.left.frame;
    if (state.markIn !== null && state.markOut !== null && state.markIn > state.markOut) {
      state[which === 'markIn' ? 'markOut' : 'markIn'] = null;
    }
    this.#marksChanged();
  }

  #unmark() {
    Object.assign(this.state, { markIn: null, markOut: null });
    this.#marksChanged();
  }

  #stretch() {
    const { markIn, markOut } = this.state;
    const [first, last] = this.left.ends;
    const inside = (frame) => Math.min(Math.max(frame, first), last);
    return [inside(markIn ?? first), inside(markOut ?? last)];
  }

  #loopOf() {
    return this.state.loop ? this.#stretch() : null;
  }

  #marksChanged() {
    const { markIn, markOut } = this.state;
    const [first, last] = this.#stretch();
    const [start, end] = this.left.ends;
    const share = (frame) => (end > start ? (100 * (frame - start)) / (end - start) : 0);
    const band = byId('marked');
    band.hidden = markIn === null && markOut === null;
    band.style.left = `${share(first)}%`;
    band.style.width = `${share(last) - share(first)}%`;
    byId('mark-in').setAttribute('aria-pressed', String(markIn !== null));
    byId('mark-out').setAttribute('aria-pressed', String(markOut !== null));
    byId('mark-in').title = markIn === null ? 'Mark the beginning (I)' : `Begins at frame ${markIn} (I)`;
    byId('mark-out').title = markOut === null ? 'Mark the end (O)' : `Ends at frame ${markOut} (O)`;
    byId('loop').setAttribute('aria-pressed', String(this.state.loop));
    this.left.loop = this.left.isOpen ? this.#loopOf() : null;
    this.takeAway.describe();
    this.remember();
  }

  #toggleLoop() {
    this.state.loop = !this.state.loop;
    this.#marksChanged();
  }

  #fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId('screen').requestFullscreen?.().catch((error) => say(error.message, true));
  }

  #toggleSound() {
    const { video } = this.left;
    video.muted = !video.muted;
    byId('sound').setAttribute('aria-pressed', String(!video.muted));
  }

  // What is drawn

  #applyLook() {
    const { look } = this.left;
    const { state } = this;
    look.show = new Set(state.show);
    look.rows = state.rows;
    look.trace = state.trace;
    for (const box of document.querySelectorAll('[data-show]')) box.checked = look.show.has(box.dataset.show);
    byId('rows').value = look.rows;
  }

  #toggleShow(name, isOn) {
    const { show } = this.left.look;
    if (isOn) show.add(name);
    else show.delete(name);
    this.state.show = [...show];
    this.#applyLook();
    this.#redraw();
  }

  #setRows(rows) {
    if (rows === 'filtered' && this.left.detail?.has_filtered === false) {
      say('This video has no filtered rows: `posedata metrics recompute` makes them.');
    }
    this.state.rows = rows;
    this.#applyLook();
    this.left.rowsChanged();
    this.right.rowsChanged();
    this.curves.refetch();
    this.takeAway.describe();
    this.remember();
  }

  #setTrace(landmark) {
    this.state.trace = landmark;
    this.state.show = [...new Set([...this.state.show, 'trace'])];
    this.#applyLook();
    this.#redraw();
  }

  #redraw() {
    this.left.redraw();
    if (this.pair.isPair) this.right.redraw();
    this.remember();
  }

  #fillTrace() {
    const { landmarks } = this.left.detail;
    if (!landmarks.includes(this.state.trace)) {
      this.state.trace = DEFAULT_TRACE;
      this.#applyLook();
    }
    byId('trace').replaceChildren(...landmarks.map((name) => option(name, words(name), name === this.state.trace)));
  }

  // Persons

  #fillPersons() {
    if (!this.left.isOpen) return;
    const choices = ({ detail, person }) => detail.persons.map((one) => {
      const who = one.subject ? `${one.person} · ${one.subject}` : String(one.person);
      return option(one.person, `${who}${one.is_main ? ' (main)' : ''}`, one.person === person);
    });
    byId('person').replaceChildren(...choices(this.left));
    byId('person').disabled = this.left.detail.persons.length < 2;
    if (this.pair.isPair && this.right.detail !== null) {
      byId('other-person').replaceChildren(...choices(this.right));
      byId('other-person').disabled = this.right.detail.persons.length < 2;
    }
  }

  #setPerson(person) {
    this.left.setPerson(person);
    this.#personChanged();
  }

  #setOtherPerson(person) {
    this.right.setPerson(person);
    this.#personChanged();
  }

  #nextPerson() {
    const persons = (this.left.detail?.persons ?? []).map(({ person }) => person);
    if (persons.length < 2) return;
    this.#setPerson(persons[(persons.indexOf(this.left.person) + 1) % persons.length]);
    say(`person ${this.left.person}`);
  }

  #personChanged() {
    this.state.person = this.left.person;
    this.state.otherPerson = this.pair.isPair ? this.right.person : null;
    this.#fillPersons();
    this.curves.set(this.state.curves);
    this.remember();
  }

  // Compare

  #fillOthers() {
    const chosen = this.right.entry?.video_id;
    byId('other').replaceChildren(...this.list.videos.map((video) => option(video.video_id, this.list.nameOf(video), video.video_id === chosen)));
  }

  async #toggleCompare() {
    if (!this.left.isOpen) return;
    if (this.pair.isPair) {
      this.pair.close();
      return;
    }
    const { videos } = this.list;
    const { entry, detail } = this.left;
    const next = detail.persons.length > 1 ? entry : videos[(videos.indexOf(this.list.find(entry.video_id)) + 1) % videos.length];
    const other = next === entry ? detail.persons.find(({ person }) => person !== this.left.person).person : null;
    await this.#openPair(next, other, null);
  }

  #openOther(id) {
    const entry = this.list.find(id);
    if (entry !== undefined) this.#openPair(entry, null, null);
  }

  async #openPair(entry, person, offset) {
    try {
      await this.pair.open(entry, person, offset);
      this.#fillOthers();
      this.#personChanged();
    } catch (error) {
      this.pair.close();
      say(api.explain(error), true);
    }
  }

  #moveOffset(frames) {
    if (!this.pair.isPair) return;
    this.pair.setOffset(this.pair.offset + frames);
    say(`offset ${this.pair.offset}`);
  }

  #pairChanged() {
    const { isPair, offset } = this.pair;
    this.right.stage.hidden = !isPair;
    byId('stages').classList.toggle('pair', isPair);
    byId('compare-options').hidden = !isPair;
    byId('compare').setAttribute('aria-pressed', String(isPair));
    byId('offset').value = String(offset);
    this.state.other = isPair ? this.right.entry?.video_id ?? null : null;
    this.state.offset = isPair && offset === this.right.entry?.first_frame ? null : offset;
    this.curves.set(this.state.curves);
    this.remember();
  }

  // Panes

  #setCurves(names) {
    this.state.curves = names;
    this.curves.set(names);
    this.remember();
  }

  /** The preset's columns, filtered where filtered rows are drawn. */
  #preset(columns) {
    const table = this.left.rows === 'filtered' ? 'metrics_filtered' : 'metrics';
    this.#setCurves(columns.map((column) => `${table}.${column}`));
  }

  #showTab(name) {
    const tab = TABS.includes(name) ? name : TABS[0];
    this.state.tab = tab;
    for (const one of TABS) {
      const button = byId(`tab-${one}`);
      button.setAttribute('aria-selected', String(one === tab));
      button.tabIndex = one === tab ? 0 : -1;
      byId(`pane-${one}`).hidden = one !== tab;
    }
    if (tab === 'examples' && this.left.isOpen) this.examples.open(this.left.entry.video_id);
    this.takeAway.describe();
    this.remember();
  }

  #tabKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(this.state.tab) + step + TABS.length) % TABS.length];
    this.#showTab(next);
    byId(`tab-${next}`).focus();
  }

  #toggleList(isOpen = byId('app').classList.contains('no-list')) {
    byId('app').classList.toggle('no-list', !isOpen);
    byId('menu').setAttribute('aria-expanded', String(isOpen));
  }

  #recolor() {
    this.curves.recolor();
    this.sql.recolor();
  }

  async #tellLake() {
    const { lake, counts, limits, posedata_version: version } = await api.lake();
    this.left.limits = limits;
    this.right.limits = limits;
    if (!this.isReady) this.#tellEmpty(lake);
    // The mark keeps a path's first slash in its place where the beginning is cut off.
    byId('lake').textContent = `\u200e${lake}`;
    byId('lake').title = `${lake}: ${count(counts.videos, 'video', 'videos')}, ${counts.frames} frames`;
    byId('version').textContent = `posedata ${version}`;
  }

  #tellEmpty(lake) {
    byId('welcome').hidden = false;
    byId('work').hidden = true;
    byId('welcome-command').textContent = `posedata ingest VIDEO… --lake ${lake}`;
  }

  // The address

  #writeAddress() {
    // Another address is there already, and its event on the way: the state is the old one's.
    if (location.hash !== this.address) return;
    const fragment = writeState(this.state);
    if (fragment === this.address || this.state.video === null) return;
    history.replaceState(null, '', fragment);
    this.address = location.hash;
  }

  async #addressChanged() {
    if (location.hash === this.address) return;
    const before = this.state.video;
    this.address = location.hash;
    this.state = readState(this.address);
    this.#applyLook();
    this.#showTab(this.state.tab);
    if (!this.isReady) return;
    if (this.state.video === before && this.state.other === (this.pair.isPair ? this.right.entry?.video_id : null)) {
      this.left.setPerson(this.state.person ?? this.left.person);
      this.#setSpeed(this.state.speed);
      this.#marksChanged();
      await this.curves.set(this.state.curves);
      await this.left.show(this.state.frame ?? this.left.ends[0]);
      return;
    }
    if (this.pair.isPair) this.pair.close();
    await this.#openState();
  }
}

/** Whether the list lies over the page (style.css has the same width). */
function isNarrow() {
  return window.matchMedia('(max-width: 1000px)').matches;
}

const page = new Page();
page.start().catch((error) => say(api.explain(error), true));
