/** The form that orders an evaluation. */
import { get } from "../api.js";
import { h } from "../dom.js";
import { NETWORKS, PARTS } from "../evaluations.js";
import { field, given, group, numberInput, numberOf, select, textOf } from "../field.js";
import { count } from "../format.js";
import { empty, head } from "../states.js";
import { sendOnSubmit } from "../submit.js";

export async function page({ query, signal }) {
  const [uploads, models, datasets] = await Promise.all([
    get("/uploads?status=succeeded&limit=100", signal), get("/models", signal), get("/datasets?status=succeeded&limit=100", signal)]);
  const top = head("Evaluate", { back: ["#/evaluations", "Evaluations"], text: "Are generated pairs real, useful and private enough? They are held against real pairs, some of them of people whom the model has not learned from." });
  const pairs = uploads.data.filter((upload) => upload.request.kind === "pairs");
  if (!pairs.length) {
    return [top, empty("First, some real pairs", "Photographs with their vessel maps, as one zip: at least four to train on, and four to test on.",
      h("a", { class: "button primary", href: "#/uploads" }, "Upload pairs"))];
  }
  return [top, form(pairs, models.data, datasets.data, query)];
}

function form(pairs, models, datasets, query) {
  const date = (job) => new Date(job.created_at).toLocaleDateString("en");
  const upload = select(pairs.map((each) => [each.id, `${count(each.count, "pair")} · ${date(each)} · ${each.id}`]), { name: "upload" });
  const subject = h("select", { name: "subject" },
    h("optgroup", { label: "Models: pairs are drawn anew" }, models.map(({ id }) => h("option", { value: id }, id))),
    datasets.length > 0 && h("optgroup", { label: "Data sets, as they are" },
      datasets.map((each) => h("option", { value: each.id }, `${count(each.request.count, "pair")} of ${each.request.model} · ${date(each)} · ${each.id}`))));
  const asked = query.get("dataset") ?? query.get("model") ?? models.find((model) => model.default)?.id;
  if (asked && [...subject.options].some(({ value }) => value === asked)) subject.value = asked;
  if (query.get("upload")) upload.value = query.get("upload");
  const train = h("input", { type: "text", name: "train", placeholder: "those that the model has learned from", autocomplete: "off" });
  const holdOut = h("input", { type: "text", name: "hold_out", placeholder: "all others", autocomplete: "off" });
  const number = numberInput({ name: "pairs", min: "16", step: "1", placeholder: "200" });
  const seeds = numberInput({ name: "seeds", min: "1", max: "20", step: "1", placeholder: "3" });
  const steps = numberInput({ name: "steps", min: "10", max: "10000", step: "1", placeholder: "400" });
  const seed = numberInput({ name: "seed", min: "0", step: "1", placeholder: "drawn" });
  const overlap = numberInput({ name: "copy_overlap", min: "0.5", max: "1", placeholder: "0.9" });
  const network = select(Object.entries(NETWORKS), { name: "network" });
  const only = Object.keys(PARTS).map((part) => h("input", { type: "checkbox", name: "only", value: part, checked: true }));
  const wrong = h("div", {});
  const button = h("button", { class: "button primary" }, "Start evaluation");

  const order = () => {
    const parts = only.filter((box) => box.checked).map((box) => box.value);
    return given({
      [datasets.some(({ id }) => id === subject.value) ? "dataset" : "model"]: subject.value,
      upload: upload.value,
      train: which(train),
      hold_out: which(holdOut),
      pairs: numberOf(number),
      seeds: numberOf(seeds),
      steps: numberOf(steps),
      seed: numberOf(seed),
      copy_overlap: numberOf(overlap),
      network: network.value,
      only: parts.length === only.length ? undefined : parts,
    });
  };

  const element = h("form", { class: "stack card narrow", novalidate: true },
    h("div", { class: "fields" },
      field("Model or data set", subject, { pointer: "#/model", whole: true }),
      field("Real pairs", upload, { pointer: "#/upload", whole: true }),
      field("Train on", train, { pointer: "#/train", help: "How many, from the first on, or names of photographs with commas." }),
      field("Test on", holdOut, { pointer: "#/hold_out", help: "How many, up to the last, or names: of people whom the model has not seen." }),
      field("Generated pairs", number, { pointer: "#/pairs" }),
      field("Networks for each way of training", seeds, { pointer: "#/seeds", help: "More of them tell better what is chance." }),
      field("Training steps of each", steps, { pointer: "#/steps" }),
      field("Seed", seed, { pointer: "#/seed", help: "Drawn and recorded if you leave it out." }),
      group("What is done", h("div", { class: "choices" }, only.map((box) => h("label", {}, box, PARTS[box.value]))), { pointer: "#/only", whole: true, help: "The first takes minutes, each of the others trains networks." })),
    h("details", { class: "more" }, h("summary", {}, "More options"), h("div", { class: "fields" },
      field("Segmentation network", network, { pointer: "#/network", help: "Labels of drawn pairs are found by a U-Net; the other says what they teach a network of another shape." }),
      field("A map is a copy from an overlap of", overlap, { pointer: "#/copy_overlap", help: "F1 with a real map, turned, mirrored and shifted as it fits best." }))),
    wrong, h("div", { class: "actions" }, button));

  sendOnSubmit(element, { path: "/evaluations", page: "evaluations", order, button, wrong });
  return element;
}

/** A number of pairs, or their names; undefined if nothing is filled in. */
function which(input) {
  const text = textOf(input);
  if (text === undefined || !/^\d+$/.test(text)) return text?.split(",").map((name) => name.trim());
  return Number(text);
}
