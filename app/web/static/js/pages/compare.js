/** Models side by side. */
import { get } from "../api.js";
import { h } from "../dom.js";
import { metricsTable } from "../metrics.js";
import { picture } from "../picture.js";
import { empty, head } from "../states.js";

export async function page({ query, signal }) {
  const [first, ...others] = (query.get("ids") ?? "").split(",").filter(Boolean);
  const top = head("Compare models", { back: ["#/models", "Models"], text: "The figures of each package. They compare only where they were measured alike." });
  if (!others.length) return [top, empty("Two models are needed", "Tick two or more on the page of models.", h("a", { class: "button", href: "#/models" }, "Models"))];
  const found = await get(`/models/${encodeURIComponent(first)}/compare?with=${others.map(encodeURIComponent).join(",")}`, signal);
  return [top, h("div", { class: "stack loose" },
    h("ul", { class: "cards" }, found.models.map((model) => h("li", { class: "card stack tight" },
      h("h2", {}, h("a", { href: `#/models/${encodeURIComponent(model.id)}` }, model.id)),
      model.links.samples && picture(model.links.samples, `Sample pairs of ${model.id}`, signal),
      h("p", { class: "small soft" }, `${model.training_data.name}, ${model.licence}`)))),
    metricsTable(found.models.map(({ id }) => id), found.metrics))];
}
