/** Sheets of samples by time: the same noise drawn again as a stage learns. */
import { get } from "./api.js";
import { fill, h, say } from "./dom.js";
import { integer } from "./format.js";
import { picture } from "./picture.js";

const STAGES = { vessel: "Vessel maps", photo: "Photographs" };
const PLAY = 600; // milliseconds a sheet

export class Sheets {
  constructor(run, signal) {
    this.path = run.links.samples;
    this.signal = signal;
    this.players = Object.fromEntries(run.progress.stages.map(({ stage }) => [stage, new Player(stage, signal)]));
  }

  async load() {
    const { data } = await get(this.path, this.signal);
    for (const [stage, player] of Object.entries(this.players)) player.show(data.filter((sheet) => sheet.stage === stage));
  }

  place(stage) {
    return this.players[stage].element;
  }
}

class Player {
  constructor(stage, signal) {
    this.stage = stage;
    this.signal = signal;
    this.sheets = [];
    this.frame = h("div", { class: "sheet" }, h("p", { class: "soft" }, "No sheet yet: one is drawn now and then, and shown when the slice it belongs to is done."));
    this.slider = h("input", { type: "range", min: "0", max: "0", step: "1", value: "0", "aria-label": `${STAGES[stage]} by time`, oninput: () => this.draw() });
    this.when = h("output", {});
    this.play = h("button", { class: "button", type: "button", onclick: () => this.toggle() }, "Play");
    this.controls = h("div", { class: "player", hidden: true }, this.play, this.slider, this.when);
    this.element = h("div", { class: "card stack tight" }, this.frame, this.controls);
    signal.addEventListener("abort", () => clearInterval(this.timer));
  }

  /** Shows these sheets; stays at the newest if it stood there. */
  show(sheets) {
    if (!sheets.length || sheets.length === this.sheets.length) return;
    const newest = Number(this.slider.value) === this.sheets.length - 1 || !this.sheets.length;
    this.sheets = sheets;
    this.slider.max = sheets.length - 1;
    if (newest) this.slider.value = sheets.length - 1;
    this.controls.hidden = sheets.length < 2;
    this.draw();
  }

  draw() {
    const sheet = this.sheets[this.slider.value];
    const text = `${STAGES[this.stage]} after ${integer(sheet.images)} images`;
    say(this.when, text);
    this.slider.setAttribute("aria-valuetext", text);
    if (this.shown === sheet.number) return;
    this.shown = sheet.number;
    sheet.picture ??= picture(sheet.link, text, this.signal);
    fill(this.frame, sheet.picture);
  }

  toggle() {
    const playing = this.timer !== undefined;
    clearInterval(this.timer);
    this.timer = undefined;
    say(this.play, playing ? "Play" : "Pause");
    if (playing) return;
    if (Number(this.slider.value) === this.sheets.length - 1) this.slider.value = 0;
    this.timer = setInterval(() => {
      if (Number(this.slider.value) >= this.sheets.length - 1) return this.toggle();
      this.slider.value = Number(this.slider.value) + 1;
      this.draw();
    }, PLAY);
    this.draw();
  }
}
