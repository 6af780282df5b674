/** One model: what it makes, how good it is, what it has learned from. */
import { act, get, remove, request } from "../api.js";
import { h } from "../dom.js";
import { bytes, count, duration, sentence, words } from "../format.js";
import { markdown } from "../markdown.js";
import { picture, saveLink } from "../picture.js";
import { action, confirm, facts, head, show, toast } from "../states.js";
import { flatten, metricsTable } from "../metrics.js";

export async function page({ id, signal }) {
  const model = await get(`/models/${encodeURIComponent(id)}`, signal);
  const card = h("section", { class: "card prose" });
  if (model.links.card) show(card, async () => markdown(await (await request(model.links.card, { signal })).text()));
  const figures = flatten(model.metrics);
  return [
    head(model.id, { back: ["#/models", "Models"], text: model.title, actions: actions(model) }),
    h("div", { class: "stack loose" },
      h("div", { class: "two" },
        h("figure", { class: "sample" },
          model.links.samples && picture(model.links.samples, `Sample pairs of ${model.id}`, signal),
          h("figcaption", { class: "small soft" }, model.links.samples ? "Pairs in the order they were drawn, none picked." : "The package has no sample pairs.")),
        h("section", { class: "card" }, facts([
          ["Resolutions", model.resolutions.map((size) => `${size} px`).join(", ")],
          ["Draws", sentence(model.channels.map(words).join(", "))],
          ["A pair takes", paceText(model.expected.seconds_per_pair)],
          ["on", model.expected.machine],
          ["A pair has", bytes(model.expected.bytes_per_pair)],
          ["Left and right eyes", model.eyes ? "can be asked for" : "not told apart"],
          ["Learned from", count(model.training_data.images.length, "photograph")],
          ...model.training_data.data_sets.map((one) => ["Data set", `${one.name}, ${one.licence}`]),
          ["Their licence", model.training_data.licence],
          ["Licence", model.licence],
          ["Digest", h("span", { class: "id" }, model.digest)],
        ], "lines"))),
      model.links.card && card,
      figures.length > 0 && h("details", { class: "more" }, h("summary", {}, "All figures"), metricsTable([model.id], figures.map(([name, value]) => ({ name, values: [value] }))))),
  ];
}

function actions(model) {
  const home = model.links.self;
  return [
    h("a", { class: "button primary", href: `#/order?model=${encodeURIComponent(model.id)}` }, "Order pairs"),
    h("a", { class: "button", href: `#/evaluations?model=${encodeURIComponent(model.id)}` }, "Evaluations"),
    !model.default && action("Make it the default", async () => {
      await act(`${home}/default`, "PUT");
      toast(`Orders that name no model get ${model.id} from now on.`);
      dispatchEvent(new Event("hashchange"));
    }),
    saveLink(model.links.export, `${model.id}.zip`, { class: "button" }, "Export"),
    !model.shipped && action("Delete", async () => {
      if (!(await confirm(`Delete ${model.id}?`, "Its version is never used again. What was ordered from it stays.", "Delete"))) return;
      await remove(home);
      location.hash = "#/models";
    }, "danger"),
  ];
}

function paceText(seconds) {
  return seconds < 1 ? `${Math.round(1000 * seconds)} ms` : duration(seconds);
}
