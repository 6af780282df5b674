/** The form that orders pairs, with a quote as it is filled in. */
import { get, post, Unreachable } from "../api.js";
import { fill, h, say } from "../dom.js";
import { clearErrors, complain, showErrors } from "../field.js";
import { bytes, count, duration } from "../format.js";
import { OrderForm } from "../order-form.js";
import { picture } from "../picture.js";
import { empty, facts, head } from "../states.js";
import { sendOnSubmit } from "../submit.js";

const PAUSE = 400; // milliseconds without a key pressed, before a quote is asked for

export async function page({ query, signal }) {
  const top = head("Order pairs", { text: "Each pair is a vessel map, the label, and the fundus photograph that shows exactly those vessels." });
  const again = query.get("again");
  const [models, uploads, before] = await Promise.all([
    get("/models", signal),
    get("/uploads?status=succeeded&limit=100", signal),
    again && get(`/datasets/${encodeURIComponent(again)}`, signal),
  ]);
  if (!models.data.length) {
    return [top, empty("There is no model to order from", "Train one on pairs of your own, or import one.",
      h("a", { class: "button primary", href: "#/training/new" }, "Train a model"), h("a", { class: "button", href: "#/models" }, "Import a model"))];
  }
  const form = new OrderForm(models.data, uploads.data);
  if (before) form.fill(before.request);
  if (query.get("model")) form.choose(query.get("model"));
  if (query.get("maps")) form.fill({ maps: { upload: query.get("maps") } });
  return [top, h("div", { class: "two" }, form.element, aside(form, before, signal))];
}

function aside(form, before, signal) {
  const sample = h("figure", { class: "sample" });
  const quote = h("div", { class: "quote", role: "status", "aria-live": "polite" });
  const wrong = h("div", {});
  const button = h("button", { class: "button primary wide", form: form.element.id }, "Order");
  let quoting = new AbortController();
  let timer;

  function showModel() {
    const { model } = form;
    if (sample.dataset.model === model.id) return;
    sample.dataset.model = model.id;
    fill(sample,
      model.links.samples && picture(model.links.samples, `Sample pairs of ${model.id}`, signal),
      h("figcaption", { class: "small soft" }, h("a", { href: `#/models/${encodeURIComponent(model.id)}` }, model.id), `: ${model.title}. Not picked.`));
  }

  async function ask() {
    quoting.abort();
    quoting = new AbortController();
    try {
      const found = await post("/datasets?dry_run=true", form.order, { signal: quoting.signal });
      clearErrors(form.element);
      fill(wrong);
      fill(quote, facts([["Working time", `about ${duration(found.seconds)}`], ["Size of the zip", `about ${bytes(found.bytes)}`],
        ["From", found.basis === "measured" ? "measured here" : "the model's figures"]], "lines"));
      say(button, `Order ${count(found.request.count, "pair")}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      say(button, "Order");
      fill(quote, h("p", { class: "soft" }, error instanceof Unreachable ? error.message : "No quote: something in the order needs another look."));
      complain(wrong, error instanceof Unreachable ? [] : showErrors(form.element, error));
    }
  }

  form.element.addEventListener("input", () => {
    showModel();
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
  form.element.addEventListener("submit", () => clearTimeout(timer));
  sendOnSubmit(form.element, { path: "/datasets", page: "datasets", order: () => form.order, button, wrong });
  signal.addEventListener("abort", () => { clearTimeout(timer); quoting.abort(); });
  showModel();
  ask();
  return h("aside", { class: "stack summary", "aria-label": "Your order" },
    sample,
    h("div", { class: "card stack" }, before && h("p", { class: "notice small" }, "As before: the same order with the same seed gives the same bytes."), quote, wrong, button));
}
