/** Figures of models in a table. */
import { h } from "./dom.js";
import { figure, words } from "./format.js";

/** `[name, value]` of each figure within nested ones; names are joined by dots. */
export function flatten(values, stem = "") {
  return Object.entries(values).flatMap(([name, value]) =>
    value !== null && typeof value === "object" ? flatten(value, `${stem}${name}.`) : [[stem + name, value]]);
}

/** A row for each metric, a column for each model. */
export function metricsTable(models, metrics) {
  return h("div", { class: "table" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Figure"), models.map((id) => h("th", { scope: "col", class: "number" }, id)))),
    h("tbody", {}, metrics.map(({ name, values }) => h("tr", {},
      h("th", { scope: "row" }, name.split(".").map(words).join(" · ")),
      values.map((value) => h("td", { class: "number" }, typeof value === "number" ? figure(value) : value === null ? "–" : String(value))))))));
}
