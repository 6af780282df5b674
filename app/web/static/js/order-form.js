/** The fields of an order. Only `count` is required; the rarer ones are behind "more". */
import { h, newId } from "./dom.js";
import { choices, field, given, group, numberInput, numberOf, select, textOf } from "./field.js";
import { count } from "./format.js";

const LAYOUTS = [["", "imagefolder, for Hugging Face datasets"], ["drive", "DRIVE's folders and names"], ["webdataset", "tar files for webdataset"]];
const FORMATS = [["", "PNG"], ["jpeg", "JPEG, quality 95"], ["tiff", "TIFF"]];

export class OrderForm {
  constructor(models, uploads) {
    this.models = models;
    this.controls = {
      model: select(models.map(({ id }) => [id, id])),
      count: numberInput({ name: "count", min: "1", step: "1", value: "100", required: true, inputmode: "numeric" }),
      seed: numberInput({ min: "0", step: "1", placeholder: "drawn", inputmode: "numeric" }),
      train: share("0.8"), val: share("0.1"), test: share("0.1"),
      split: h("input", { type: "checkbox" }),
      layout: select(LAYOUTS),
      image_format: select(FORMATS),
      volume_pairs: numberInput({ min: "1", step: "1", placeholder: "as many as fit" }),
      style_seed: numberInput({ min: "0", step: "1", placeholder: "each pair its own" }),
      least: numberInput({ min: "0", max: "1", placeholder: "any" }),
      most: numberInput({ min: "0", max: "1", placeholder: "any" }),
      contrast: numberInput({ min: "0", max: "255", placeholder: "any" }),
      connected: numberInput({ min: "0", max: "1", placeholder: "any" }),
      maps: select([["", "drawn by the model"], ...uploads.map((upload) => [upload.id, `${count(upload.count, upload.request.kind === "maps" ? "map" : "pair")} of ${upload.id}`])]),
      deadline: h("input", { type: "datetime-local" }),
      webhook: h("input", { type: "url", placeholder: "https://example.org/hooks/fundusmith" }),
    };
    this.resolution = h("div", {});
    this.lesions = group("Lesions", choices("lesions", [["none", "none"], ["mixed", "as in training"], ["all", "in all"]], "mixed"),
      { pointer: "#/lesions", help: "How many of the photographs show lesions." });
    this.disc = h("input", { type: "checkbox" });
    this.lesionMask = h("input", { type: "checkbox" });
    this.masks = group("Masks in the zip", h("div", { class: "stack tight" },
      h("label", { class: "check" }, this.disc, "Optic disc"), h("label", { class: "check" }, this.lesionMask, "Lesions")),
    { pointer: "#/masks", help: "The field of view is always there." });
    this.eye = group("Eye", choices("eye", [["", "both"], ["left", "left"], ["right", "right"]], ""), { pointer: "#/eye" });
    this.element = this.layOut();
    this.controls.model.addEventListener("change", () => this.offer());
    this.choose(models.find((model) => model.default)?.id ?? models[0].id);
  }

  get model() {
    return this.models.find(({ id }) => id === this.controls.model.value) ?? this.models[0];
  }

  choose(id) {
    this.controls.model.value = id;
    if (!this.controls.model.value) this.controls.model.value = this.models[0].id;
    this.offer();
  }

  /** Offers what the chosen model can do. */
  offer() {
    const { resolutions, eyes, masks } = this.model;
    const sizes = resolutions.map((size) => [String(size), `${size} px`]);
    this.resolution.replaceChildren(choices("resolution", sizes, String(Math.min(...resolutions))));
    this.eye.hidden = !eyes;
    this.lesions.hidden = !masks.includes("lesions");
    this.masks.hidden = !masks.length;
    this.disc.parentElement.hidden = !masks.includes("disc");
    this.lesionMask.parentElement.hidden = !masks.includes("lesions");
  }

  layOut() {
    const c = this.controls;
    const splits = h("div", { class: "stack tight" },
      h("label", { class: "check" }, c.split, "Train, validation and test"),
      h("div", { class: "together", hidden: true }, inner("train", c.train, "#/splits/train"), inner("val", c.val, "#/splits/val"), inner("test", c.test, "#/splits/test")));
    c.split.addEventListener("change", () => { splits.lastChild.hidden = !c.split.checked; });
    return h("form", { class: "card stack", id: newId("order"), novalidate: true },
      h("div", { class: "fields" },
        field("Number of pairs", c.count, { pointer: "#/count" }),
        field("Model", c.model, { pointer: "#/model" }),
        group("Resolution", this.resolution, { pointer: "#/resolution" }),
        field("Seed", c.seed, { pointer: "#/seed", help: "The same order with the same seed gives the same pictures. Drawn, and recorded, if you leave it out." }),
        group("Split into folders", splits, { pointer: "#/splits", whole: true, help: "By share. A pair stays in its folder if the order grows." })),
      h("details", { class: "more" }, h("summary", {}, "More options"), h("div", { class: "fields" },
        field("Layout of the zip", c.layout, { pointer: "#/layout" }),
        field("Photographs as", c.image_format, { pointer: "#/image_format", help: "Labels and masks are always PNG." }),
        this.eye,
        this.lesions,
        this.masks,
        field("Style seed", c.style_seed, { pointer: "#/style_seed", help: "One style for all, as of one camera and one person." }),
        group("Share of vessel", h("div", { class: "together" }, inner("at least", c.least, "#/vessel_share/min"), inner("at most", c.most, "#/vessel_share/max")),
          { pointer: "#/vessel_share", help: "Of the field of view, 0 to 1. What is outside is drawn again, which takes longer." }),
        group("Least quality", h("div", { class: "together" }, inner("contrast", c.contrast, "#/minimum_quality/contrast"), inner("connected", c.connected, "#/minimum_quality/connected")),
          { pointer: "#/minimum_quality", help: "Grey levels of 255 by which vessels are darker than their rim; share of vessel in the largest piece." }),
        field("Vessel maps", c.maps, { pointer: "#/maps", help: "Those of an upload are photographed as they are." }),
        field("Pairs in one zip", c.volume_pairs, { pointer: "#/volume_pairs", help: "More come as several zips, which unpack into one folder." }),
        field("Deadline", c.deadline, { pointer: "#/deadline", help: "If it is not done by then, what is finished is packed." }),
        field("Webhook", c.webhook, { pointer: "#/webhook/url", help: "Gets a signed POST when the job has ended." }))));
  }

  /** Those that are asked for and that the model draws; undefined if none are. */
  get askedMasks() {
    const asked = this.model.masks.filter((mask) => (mask === "disc" ? this.disc : this.lesionMask).checked);
    return asked.length ? asked : undefined;
  }

  /** The order as the API takes it. */
  get order() {
    const c = this.controls;
    const webhook = textOf(c.webhook);
    return given({
      count: numberOf(c.count) ?? null,
      model: c.model.value,
      resolution: Number(this.resolution.querySelector(":checked").value),
      seed: numberOf(c.seed),
      splits: c.split.checked ? given({ train: numberOf(c.train), val: numberOf(c.val), test: numberOf(c.test) }) : undefined,
      layout: textOf(c.layout),
      image_format: textOf(c.image_format),
      volume_pairs: numberOf(c.volume_pairs),
      style_seed: numberOf(c.style_seed),
      eye: this.eye.hidden ? undefined : this.eye.querySelector(":checked").value || undefined,
      lesions: this.lesions.hidden || c.maps.value ? undefined : this.lesions.querySelector(":checked").value,
      masks: this.askedMasks,
      vessel_share: given({ min: numberOf(c.least), max: numberOf(c.most) }),
      minimum_quality: given({ contrast: numberOf(c.contrast), connected: numberOf(c.connected) }),
      maps: textOf(c.maps),
      deadline: c.deadline.value ? new Date(c.deadline.value).toISOString() : undefined,
      webhook: webhook && { url: webhook },
    });
  }

  /** Fills in what was ordered before. */
  fill(request) {
    const c = this.controls;
    if (request.model) this.choose(request.model);
    if (request.resolution) check(this.resolution, String(request.resolution));
    if (request.eye) check(this.eye, request.eye);
    if (request.lesions) check(this.lesions, request.lesions);
    this.disc.checked = request.masks?.includes("disc") ?? false;
    this.lesionMask.checked = request.masks?.includes("lesions") ?? false;
    for (const name of ["count", "seed", "layout", "image_format", "volume_pairs", "style_seed"]) {
      if (request[name] !== null && request[name] !== undefined) c[name].value = request[name];
    }
    if (request.splits) {
      c.split.checked = true;
      c.split.dispatchEvent(new Event("change"));
      for (const name of ["train", "val", "test"]) c[name].value = request.splits[name];
    }
    c.least.value = request.vessel_share?.min ?? "";
    c.most.value = request.vessel_share?.max ?? "";
    c.contrast.value = request.minimum_quality?.contrast ?? "";
    c.connected.value = request.minimum_quality?.connected ?? "";
    c.maps.value = request.maps?.upload ?? "";
  }
}

function share(value) {
  return numberInput({ min: "0", max: "1", value });
}

/** One of several controls of a field, with a small label and a pointer of its own. */
function inner(label, control, pointer) {
  control.id ||= newId("part");
  return h("div", { class: "inner field", "data-pointer": pointer }, h("label", { for: control.id }, label), control, h("p", { class: "error", hidden: true }));
}

function check(box, value) {
  const found = box.querySelector(`[value="${CSS.escape(value)}"]`);
  if (found) found.checked = true;
}
