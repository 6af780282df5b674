/** The models that orders can name. */
import { get, send } from "../api.js";
import { fill, h, say } from "../dom.js";
import { complain } from "../field.js";
import { duration, time } from "../format.js";
import { picture } from "../picture.js";
import { empty, head, show } from "../states.js";

export function page({ signal }) {
  const place = h("div", {});
  show(place, () => cards(signal));
  return [head("Models", { text: "Each draws vessel maps and renders photographs of them.", actions: [
    h("a", { class: "button primary", href: "#/training/new" }, "Train a model")] }),
    h("div", { class: "stack loose" }, place, importer(signal))];
}

async function cards(signal) {
  const { data } = await get("/models", signal);
  if (!data.length) return empty("No model yet", "Train one on pairs of your own, or import a package below.");
  const picked = new Set();
  const compare = h("a", { class: "button", "aria-disabled": "true" }, "Compare");
  const count = () => {
    const enough = picked.size > 1;
    compare.toggleAttribute("href", enough);
    if (enough) compare.href = `#/models/compare?ids=${[...picked].map(encodeURIComponent).join(",")}`;
    compare.setAttribute("aria-disabled", String(!enough));
    say(compare, enough ? `Compare ${picked.size}` : "Tick two or more to compare");
  };
  count();
  const list = h("ul", { class: "cards" }, data.map((model) => h("li", {}, card(model, signal, data.length > 1 && ((on) => {
    if (on) picked.add(model.id);
    else picked.delete(model.id);
    count();
  })))));
  return h("div", { class: "stack" }, list, data.length > 1 && h("div", { class: "actions" }, compare));
}

function card(model, signal, pick) {
  const home = `#/models/${encodeURIComponent(model.id)}`;
  return h("article", { class: "card model" },
    model.links.samples ? h("a", { href: home, tabindex: "-1", "aria-hidden": "true" }, picture(model.links.samples, "", signal, { class: "thumb" })) : h("div", { class: "thumb" }),
    h("div", { class: "stack tight" },
      h("div", { class: "spread" }, h("h2", {}, h("a", { href: home }, model.id)), model.default && h("span", { class: "tag" }, "default")),
      h("p", { class: "soft small" }, model.title),
      h("p", { class: "small" }, [model.resolutions.map((size) => `${size} px`).join(", "), `${duration(100 * model.expected.seconds_per_pair)} for 100 pairs`, model.licence].join(" · ")),
      h("p", { class: "soft small" }, model.shipped ? "Came with the service" : `Made ${time(model.created).split(",").slice(0, 2).join(",")}`),
      h("div", { class: "actions" },
        h("a", { class: "button", href: `#/order?model=${encodeURIComponent(model.id)}` }, "Order"),
        pick && h("label", { class: "check" }, h("input", { type: "checkbox", onchange: (event) => pick(event.target.checked) }), "Compare", h("span", { class: "hidden-text" }, ` ${model.id}`)))));
}

function importer(signal) {
  const wrong = h("div", {});
  const told = h("p", { class: "small soft", role: "status" });
  const input = h("input", { type: "file", accept: ".zip,application/zip", class: "hidden-text" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    fill(wrong);
    input.disabled = true;
    try {
      const model = await send("/models", file, (sent) => say(told, sent < file.size ? `${Math.round((100 * sent) / file.size)} % sent` : "All sent, being checked…"), signal);
      location.hash = `#/models/${encodeURIComponent(model.id)}`;
    } catch (error) {
      say(told, "");
      if (error.name !== "AbortError") complain(wrong, [error.message]);
    } finally {
      input.disabled = false;
      input.value = "";
    }
  });
  return h("details", { class: "more" }, h("summary", {}, "Import a model"),
    h("div", { class: "stack" }, h("label", { class: "drop" }, input, h("span", {}, h("strong", {}, "Choose a package"), ", the zip of an export"), h("span", { class: "small soft" }, "Its digests, weights and every field are checked before it is listed.")), told, wrong));
}
