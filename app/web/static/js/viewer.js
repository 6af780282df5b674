/** One pair, large: the photograph with its label laid over it as strongly as one likes. */
import { fill, h, say } from "./dom.js";
import { figure, percent, sentence } from "./format.js";
import { address, picture, saveLink } from "./picture.js";
import { facts } from "./states.js";

const EXTENSIONS = { jpeg: "jpg", tiff: "tif" };

export class Viewer {
  constructor(gallery, signal) {
    this.gallery = gallery;
    this.signal = signal;
    this.title = h("h2", { id: "viewer-title" });
    this.stage = h("div", { class: "stage" });
    this.slider = h("input", { type: "range", min: "0", max: "100", value: "60", id: "overlay", oninput: () => this.blend() });
    this.strength = h("output", { for: "overlay" });
    this.values = h("div", { class: "stack" });
    this.note = h("p", { class: "soft small", role: "status" });
    this.dialog = h("dialog", { class: "viewer", "aria-labelledby": "viewer-title" },
      h("div", { class: "spread" }, this.title,
        h("div", { class: "actions" },
          h("button", { class: "button", type: "button", onclick: () => this.step(-1) }, "← Previous"),
          h("button", { class: "button", type: "button", onclick: () => this.step(1) }, "Next →"),
          h("button", { class: "button", type: "button", onclick: () => this.dialog.close() }, "Close"))),
      h("div", { class: "view" },
        h("div", { class: "stack tight" }, this.stage,
          h("div", { class: "player" }, h("label", { for: "overlay" }, "Label over photograph"), this.slider, this.strength)),
        h("div", { class: "stack" }, this.values, this.note)));
    this.dialog.addEventListener("keydown", (event) => this.press(event));
    // A press beside the box closes it.
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => {
      this.dialog.remove();
      gallery.tiles.get(this.pair.index)?.querySelector("button")?.focus();
    });
    signal.addEventListener("abort", () => this.dialog.remove());
  }

  open(pair) {
    this.show(pair);
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.slider.focus();
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1 }[event.key];
    if (!step || (event.target === this.slider && event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    this.step(step);
  }

  async step(step) {
    const pair = await this.gallery.neighbour(this.pair.index, step);
    if (pair) this.show(pair);
    else say(this.note, step > 0 ? "The next pair is not there." : "This is the first pair.");
  }

  show(pair) {
    this.pair = pair;
    const { id, request } = this.gallery.job;
    say(this.title, `Pair ${pair.index}`);
    say(this.note, "");
    const overlay = h("div", { class: "overlay", role: "img", "aria-label": "The label" });
    fill(this.stage, picture(pair.links.image, `Photograph of pair ${pair.index}`, this.signal), overlay);
    address(pair.links.label, this.signal).then((found) => { overlay.style.maskImage = `url("${found}")`; });
    this.blend();
    const save = (which, text, extension) => saveLink(pair.links[which], `${id}-${pair.index}-${which}.${extension}`, { class: "button" }, text);
    fill(this.values,
      facts([
        ["Seed", h("code", {}, pair.seed)],
        ["Split", pair.split],
        ["Vessel share", percent(pair.vessel_share)],
        ...Object.entries(pair.quality ?? {}).filter(([name]) => name !== "vessel_share").map(([name, value]) => [sentence(name), figure(value)]),
        ...Object.entries(pair.rejected ?? {}).map(([name, number]) => [`Turned away, ${name.replaceAll("_", " ")}`, String(number)]),
        pair.map && ["Given map", pair.map],
      ], "lines"),
      h("div", { class: "stack tight" }, h("h3", {}, "Download"),
        h("div", { class: "actions" }, save("image", "Photograph", EXTENSIONS[request.image_format] ?? "png"), save("label", "Label", "png"), save("mask", "Field of view", "png"),
          pair.links.disc && save("disc", "Disc", "png"), pair.links.lesions && save("lesions", "Lesions", "png"))));
  }

  blend() {
    const text = `${this.slider.value} %`;
    say(this.strength, text);
    this.slider.setAttribute("aria-valuetext", text);
    const overlay = this.stage.querySelector(".overlay");
    if (overlay) overlay.style.opacity = this.slider.value / 100;
  }
}
