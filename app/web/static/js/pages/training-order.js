/** The form that starts a training run. */
import { get, schemas } from "../api.js";
import { h } from "../dom.js";
import { choices, field, given, group, numberInput, numberOf, select, textOf } from "../field.js";
import { count } from "../format.js";
import { Settings } from "../settings.js";
import { empty, head } from "../states.js";
import { sendOnSubmit } from "../submit.js";

export async function page({ query, signal }) {
  const [uploads, models, known] = await Promise.all([
    get("/uploads?status=succeeded&limit=100", signal), get("/models", signal), schemas()]);
  const top = head("Train a model", { back: ["#/training", "Training"], text: "It learns from pairs that you have uploaded, and ends as a model that can be ordered from at once." });
  const pairs = uploads.data.filter((upload) => upload.request.kind === "pairs");
  if (!pairs.length) {
    return [top, empty("First, some real pairs", "A run learns from photographs with their vessel maps: a few dozen are enough. Upload them as one zip.",
      h("a", { class: "button primary", href: "#/uploads" }, "Upload pairs"))];
  }
  return [top, form(pairs, models.data, known, query)];
}

function form(pairs, models, known, query) {
  const upload = select(pairs.map(({ id, count: number, created_at: made }) => [id, `${count(number, "pair")} · ${new Date(made).toLocaleDateString("en")} · ${id}`]), { name: "upload" });
  if (query.get("upload")) upload.value = query.get("upload");
  const name = h("input", { type: "text", name: "name", required: true, placeholder: "mine-256", autocomplete: "off", spellcheck: "false" });
  const from = select([["", "nothing: from noise, which takes hours"], ...models.map(({ id }) => [id, id])], { name: "from" });
  from.value = models.find((model) => model.default)?.id ?? "";
  const sizes = known.TrainingOrder.properties.resolution.enum;
  const resolution = choices("resolution", sizes.map((size) => [String(size), `${size} px`]), "256");
  const stages = choices("stages", [["both", "Both"], ["vessel", "Vessel maps"], ["photo", "Photographs"]], "both");
  const budget = numberInput({ name: "budget", value: "60", min: "0", required: true, "aria-label": "Budget" });
  const unit = choices("unit", [["minutes", "minutes"], ["images", "images"]], "minutes");
  const seed = numberInput({ name: "seed", min: "0", step: "1", placeholder: "drawn" });
  const vessel = new Settings(known.VesselSettings, "#/settings/vessel");
  const photo = new Settings(known.PhotoSettings, "#/settings/photo");
  const about = { name: text("own data"), licence: text("not stated"), attribution: text("not stated"), url: text("https://…") };
  const wrong = h("div", {});
  const button = h("button", { class: "button primary" }, "Start training");

  const chosen = (box) => box.querySelector(":checked").value;
  const order = () => given({
    upload: upload.value,
    name: textOf(name) ?? "",
    from: textOf(from),
    resolution: Number(chosen(resolution)),
    stages: chosen(stages),
    budget: { [chosen(unit)]: numberOf(budget) },
    seed: numberOf(seed),
    settings: given({ vessel: vessel.values, photo: photo.values }),
    data: given(Object.fromEntries(Object.entries(about).map(([key, input]) => [key, textOf(input)]))),
  });

  const element = h("form", { class: "stack card narrow", novalidate: true },
    h("div", { class: "fields" },
      field("Pairs to learn from", upload, { pointer: "#/upload", whole: true }),
      field("Name of the model", name, { pointer: "#/name", help: "Small letters, digits and dashes. Its version is the next one of this name." }),
      field("Start from", from, { pointer: "#/from", help: "With a model to start from, minutes do what takes hours otherwise." }),
      group("Resolution", resolution, { pointer: "#/resolution", whole: true }),
      group("Stages", stages, { pointer: "#/stages", whole: true, help: "The stage that is left out is taken from the model that the run starts from." }),
      group("Budget of each stage", h("div", { class: "together" }, budget, unit), { pointer: "#/budget", help: "A budget in images is repeatable: the same run ends with the same weights." }),
      field("Seed", seed, { pointer: "#/seed", help: "Drawn and recorded if you leave it out." })),
    h("details", { class: "more" }, h("summary", {}, "About the pairs, for the model's card"), h("div", { class: "fields" },
      Object.entries(about).map(([key, input]) => field(key === "url" ? "Address" : key[0].toUpperCase() + key.slice(1), input, { pointer: `#/data/${key}` })))),
    h("details", { class: "more" }, h("summary", {}, "Hyper-parameters of stage one, vessel maps"), vessel.element),
    h("details", { class: "more" }, h("summary", {}, "Hyper-parameters of stage two, photographs"), photo.element),
    wrong, h("div", { class: "actions" }, button));

  sendOnSubmit(element, { path: "/training-runs", page: "training", order, button, wrong });
  return element;
}

function text(placeholder) {
  return h("input", { type: "text", placeholder });
}
