/** The curves of a run: what is recorded, and the slice in hand as its events come. */
import { get } from "./api.js";
import { chart } from "./chart.js";
import { fill, h } from "./dom.js";
import { curvesOf, panelsOf } from "./panels.js";

export class Curves {
  /** `run` is the training run as it is now. */
  constructor(run, signal) {
    this.run = run;
    this.signal = signal;
    this.stages = run.progress.stages.map(({ stage }) => stage);
    this.recorded = Object.fromEntries(this.stages.map((stage) => [stage, []]));
    this.live = Object.fromEntries(this.stages.map((stage) => [stage, []]));
    this.charts = {};
    this.places = Object.fromEntries(this.stages.map((stage) => [stage, h("div", { class: "charts" }, h("p", { class: "soft" }, "No curve yet: the first values come after some seconds of training."))]));
  }

  /**
   * Fetches what was recorded since the last time; what was seen live then gives way to it. One
   * fetch at a time, or lines would come twice.
   */
  load() {
    this.loading = (this.loading ?? Promise.resolve()).catch(() => {}).then(() => this.fetch());
    return this.loading;
  }

  async fetch() {
    for (const stage of this.stages) {
      for (let more = true; more;) {
        const after = this.recorded[stage].at(-1)?.images ?? 0;
        const page = await get(`${this.run.links.metrics}?stage=${stage}&after=${after}&limit=5000`, this.signal);
        this.recorded[stage].push(...page.data);
        more = page.has_more;
      }
      this.draw(stage);
    }
  }

  /** Takes what an event says of the slice in hand. */
  take(run) {
    this.run = run;
    const { stage, stages, metrics, images_per_second: pace } = run.progress;
    if (!stage || !Object.keys(metrics).length) return;
    const { images } = stages.find((each) => each.stage === stage);
    const live = this.live[stage];
    // Values are means of some seconds, and stay until the next are there.
    const known = JSON.stringify(metrics);
    if (known === this.known) return;
    this.known = known;
    // After a lost slice the run goes on from before.
    while (live.length && live.at(-1).images >= images) live.pop();
    live.push({ images, values: pace === null ? metrics : { ...metrics, "images per second": pace } });
    this.draw(stage);
  }

  draw(stage) {
    const last = this.recorded[stage].at(-1)?.images ?? 0;
    this.live[stage] = this.live[stage].filter((line) => line.images > last);
    const lines = this.recorded[stage].concat(this.live[stage]);
    if (!lines.length) return;
    const panels = panelsOf(stage, lines, this.run.settings);
    const titles = panels.map((panel) => panel.title + Boolean(panel.target)).join();
    if (this.charts[stage]?.titles !== titles) {
      const charts = panels.map(chart);
      this.charts[stage] = { titles, charts };
      fill(this.places[stage], charts.map(({ element }) => element));
    }
    for (const [number, panel] of panels.entries()) this.charts[stage].charts[number].draw(curvesOf(panel, lines));
  }
}
