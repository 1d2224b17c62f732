// The examples of the datasets that speak of the video.

import * as api from './api.js';
import { byId, el, option, say } from './dom.js';

const PAGE = 20;

/** Events: `jump` (detail is `{video_id, frame, end, person}`). */
export class Examples extends EventTarget {
  constructor() {
    super();
    this.box = byId('examples');
    this.dataset = byId('examples-dataset');
    this.dataset.addEventListener('change', () => this.#restart());
    byId('examples-more').addEventListener('click', () => this.#more());
  }

  /** Shows the examples of this video. */
  async open(id) {
    if (this.id === id) return;
    this.id = id;
    this.dataset.replaceChildren();
    await this.#restart();
  }

  close() {
    this.id = null;
    this.list = null;
    this.box.replaceChildren();
    byId('examples-more').hidden = true;
  }

  async #restart() {
    this.offset = 0;
    this.list = Symbol(this.id);
    this.box.replaceChildren();
    await this.#more();
  }

  async #more() {
    const { id, list } = this;
    if (this.coming === list) return; // A second click while they come.
    this.coming = list;
    const params = { dataset: this.dataset.value || null, offset: this.offset, limit: PAGE };
    try {
      const { datasets, total, examples } = await api.examples(id, params);
      if (this.list !== list) return;
      this.#fillDatasets(datasets);
      this.box.append(...examples.map((example) => this.#item(example)));
      this.offset += examples.length;
      byId('examples-more').hidden = this.offset >= total;
      byId('examples-note').textContent = total === 0
        ? 'No dataset has examples of this video. `posedata dataset build` makes them.'
        : `${this.offset} of ${total} examples`;
    } catch (error) {
      say(api.explain(error), true);
    } finally {
      if (this.coming === list) this.coming = null;
    }
  }

  #fillDatasets(datasets) {
    if (this.dataset.options.length > 0) return;
    this.dataset.replaceChildren(
      option('', 'every dataset'),
      ...datasets.map(({ dataset, examples }) => option(dataset, `${dataset} (${examples})`)),
    );
    this.dataset.hidden = datasets.length < 2;
  }

  #item(example) {
    const { frame_start: frame, frame_end: end, person } = example;
    const jump = () => this.dispatchEvent(new CustomEvent('jump', { detail: { video_id: this.id, frame, end, person } }));
    const copy = async () => {
      await navigator.clipboard.writeText(example.trace);
      say('The command is in the clipboard.');
    };
    const words = (name, text) => el('div', { class: 'said' }, el('strong', { text: name }), el('p', { text }));
    return el('li', {}, el('details', {},
      el('summary', {},
        el('span', { class: 'name', text: example.question }),
        el('span', { class: 'dim', text: `${example.dataset} · ${example.task} · ${example.split} · frames ${frame}–${end}` })),
      el('div', { class: 'example' },
        el('button', { type: 'button', text: `Show frames ${frame}–${end}`, on: { click: jump } }),
        words('Question', example.question),
        el('pre', { tabindex: 0, 'aria-label': 'table of the example', text: example.data }),
        words('Answer', example.answer),
        el('p', { class: 'dim', text: `Written by ${example.origin}; ${example.prompt_tokens} + ${example.answer_tokens} tokens. Where each number comes from:` }),
        el('p', { class: 'command' }, el('code', { text: example.trace }),
          el('button', { type: 'button', class: 'small', text: 'Copy', on: { click: copy } })))));
  }
}
