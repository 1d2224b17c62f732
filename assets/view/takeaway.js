// What the user takes home: this frame, the marked stretch, the table.

import * as api from './api.js';
import { byId, saveBlob, saveUrl, say } from './dom.js';

/** The buttons that hand out files of the first video. */
export class TakeAway {
  /**
   * @param {import('./player.js').Player} player
   * @param {() => [number, number]} stretch first and last marked frame
   */
  constructor(player, stretch) {
    this.player = player;
    this.stretch = stretch;
    byId('take-frame').addEventListener('click', () => this.frame());
    byId('take-plain').addEventListener('click', () => this.#plain());
    byId('take-clip').addEventListener('click', () => this.#clip('yes'));
    byId('take-clip-plain').addEventListener('click', () => this.#clip('no'));
    byId('take-csv').addEventListener('click', () => this.#csv());
    byId('take-link').addEventListener('click', () => this.#link());
  }

  /** The shown frame with what is drawn over it, in the video's own size. */
  async frame() {
    if (!this.player.isOpen) return;
    try {
      const name = `${this.#stem()}_frame${this.player.frame}.png`;
      saveBlob(await this.player.snapshot(), name);
      say(`${name} is in your downloads.`);
    } catch (error) {
      say(api.explain(error), true);
    }
  }

  /** Tells which stretch the buttons mean. */
  describe() {
    if (!this.player.isOpen) return;
    const [from, to] = this.stretch();
    const skeleton = this.player.rows === 'filtered' ? '; the clip has the skeleton as found, not filtered' : '';
    byId('take-stretch').textContent = `frames ${from} to ${to} (marks I and O)${skeleton}`;
  }

  #plain() {
    if (!this.player.isOpen) return;
    const { frame } = this.player;
    saveUrl(api.frameUrl(this.#id(), frame, 'png'), `${this.#stem()}_frame${frame}_plain.png`);
  }

  async #clip(skeleton) {
    if (!this.player.isOpen) return;
    const [from, to] = this.stretch();
    const button = byId(skeleton === 'yes' ? 'take-clip' : 'take-clip-plain');
    button.disabled = true;
    say('The clip is being made …');
    try {
      const answer = await fetch(api.clipUrl(this.#id(), from, to, skeleton));
      if (!answer.ok) throw await api.errorOf(answer);
      saveBlob(await answer.blob(), `${this.#stem()}_${from}-${to}.mp4`);
      say('The clip is in your downloads.');
    } catch (error) {
      say(api.explain(error), true);
    } finally {
      button.disabled = false;
    }
  }

  #csv() {
    if (!this.player.isOpen) return;
    const table = byId('take-table').value;
    const [from, to] = this.stretch();
    saveUrl(api.tableUrl(this.#id(), table, this.player.person, from, to), `${this.#stem()}_${table}.csv`);
  }

  async #link() {
    try {
      await navigator.clipboard.writeText(location.href);
      say('The address is in the clipboard; it leads back here while this viewer runs.');
    } catch {
      say('Copy the address from the browser: it leads back here.');
    }
  }

  #id() {
    return this.player.entry.video_id;
  }

  #stem() {
    return this.player.entry.file_name.replace(/\.[^.]+$/, '');
  }
}
