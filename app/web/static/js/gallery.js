/** The pairs of a data set, a page at a time; places are filled as pairs are finished. */
import { ENDED, get } from "./api.js";
import { fill, h, say } from "./dom.js";
import { integer, percent } from "./format.js";
import { picture } from "./picture.js";
import { Viewer } from "./viewer.js";

const PAGE = 24;

export class Gallery {
  constructor(job, signal) {
    this.job = job;
    this.signal = signal;
    this.first = 0;
    this.pairs = new Map(); // of this page, by index
    this.grid = h("ol", { class: "gallery", "aria-label": "Pairs" });
    this.where = h("span", { class: "soft" });
    this.back = h("button", { class: "button", type: "button", onclick: () => this.turn(this.first - PAGE) }, "Previous");
    this.next = h("button", { class: "button", type: "button", onclick: () => this.turn(this.first + PAGE) }, "Next");
    const pages = h("div", { class: "actions" }, this.back, this.next);
    pages.hidden = this.count <= PAGE;
    this.viewer = new Viewer(this, signal);
    this.element = h("section", { class: "stack", "aria-label": "Pictures" },
      h("div", { class: "spread" }, h("h2", {}, "Pairs"), this.where, pages), this.grid);
    this.turn(0);
  }

  get count() {
    return this.job.progress.requested;
  }

  get last() {
    return Math.min(this.first + PAGE, this.count) - 1;
  }

  /** Shows the page that begins with this pair. */
  turn(first) {
    this.first = Math.max(0, Math.min(first, this.count - 1));
    this.pairs.clear();
    this.back.disabled = this.first === 0;
    this.next.disabled = this.last === this.count - 1;
    say(this.where, this.count > PAGE ? `${integer(this.first)} to ${integer(this.last)} of ${integer(this.count)}` : "");
    this.tiles = new Map();
    for (let index = this.first; index <= this.last; index += 1) {
      this.tiles.set(index, h("li", {}, h("div", { class: "tile waiting" }, h("span", { class: "hidden-text" }, `Pair ${index} is not finished`))));
    }
    fill(this.grid, [...this.tiles.values()]);
    return this.load();
  }

  /** Takes the job as it is now, and looks for new pairs if there may be some on this page. */
  take(job) {
    const moved = job.progress.generated !== this.job.progress.generated || job.status !== this.job.status;
    this.job = job;
    this.grid.classList.toggle("ended", ENDED.includes(job.status));
    if (moved && this.pairs.size < this.tiles.size) this.load();
  }

  /** Fetches what is finished of this page. One request at a time; a second one waits. */
  async load() {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    do {
      this.again = false;
      const { first } = this;
      try {
        const { data } = await get(`/datasets/${this.job.id}/pairs?first=${first}&limit=${PAGE}`, this.signal);
        if (first === this.first) data.forEach((pair) => this.add(pair));
        else this.again = true;
      } catch (error) {
        if (error.name !== "AbortError") say(this.where, error.message);
      }
    } while (this.again && !this.signal.aborted);
    this.loading = false;
  }

  add(pair) {
    if (this.pairs.has(pair.index)) return;
    this.pairs.set(pair.index, pair);
    fill(this.tiles.get(pair.index), h("button", { class: "tile", type: "button", "data-pair": String(pair.index), onclick: () => this.viewer.open(pair) },
      h("span", { class: "pictures" },
        picture(pair.links.image, `Photograph ${pair.index}`, this.signal, { loading: "lazy" }),
        picture(pair.links.label, `Vessels of ${pair.index}`, this.signal, { loading: "lazy" })),
      h("span", { class: "caption" }, h("b", {}, integer(pair.index)), h("span", { class: "soft" }, `${percent(pair.vessel_share)} vessel`))));
  }

  /** The pair before or after; turns the page if it is on another. Nothing if there is none. */
  async neighbour(index, step) {
    const wanted = index + step;
    if (wanted < 0 || wanted >= this.count) return undefined;
    if (!this.tiles.has(wanted)) await this.turn(Math.floor(wanted / PAGE) * PAGE);
    return this.pairs.get(wanted);
  }
}
