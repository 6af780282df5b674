/** What was used, by day, and the key that this tab sends. */
import { get } from "../api.js";
import { h } from "../dom.js";
import { duration, integer } from "../format.js";
import { askForKey, currentKey, forgetKey } from "../key.js";
import { empty, facts, head, show } from "../states.js";

const DAYS = 30;

export function page({ signal }) {
  const place = h("div", {});
  show(place, () => usage(signal));
  return [head("Usage", { text: `Pairs made and device time in the last ${DAYS} days (UTC).` }),
    h("div", { class: "stack loose" }, place, key())];
}

async function usage(signal) {
  const used = await get(`/usage?days=${DAYS}`, signal);
  if (!used.days.length) return empty("Nothing used yet", "Pairs that you order and training runs count here.", h("a", { class: "button primary", href: "#/order" }, "Order pairs"));
  const most = Math.max(...used.days.map(({ device_seconds: seconds }) => seconds));
  return h("div", { class: "stack" },
    h("section", { class: "card" }, facts([
      ["Pairs", integer(used.pairs)],
      ["Device time", duration(used.device_seconds)],
      used.owner && ["Owner", used.owner]])),
    h("div", { class: "table" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Day"), h("th", { scope: "col", class: "number" }, "Pairs"), h("th", { scope: "col", class: "number" }, "Device time"), h("th", { class: "wide" }, h("span", { class: "hidden-text" }, "Share of the busiest day")))),
      h("tbody", {}, used.days.map(({ day, pairs, device_seconds: seconds }) => h("tr", {},
        h("th", { scope: "row" }, h("time", { datetime: day }, day)),
        h("td", { class: "number" }, integer(pairs)),
        h("td", { class: "number" }, duration(seconds)),
        h("td", { class: "wide" }, h("progress", { value: seconds, max: most || 1, "aria-label": `Device time of ${day}` }))))))));
}

function key() {
  const again = () => dispatchEvent(new Event("hashchange"));
  return h("section", { class: "card stack" }, h("h2", {}, "API key"),
    currentKey()
      ? [h("p", {}, "This tab sends a key, ", h("code", {}, `${currentKey().slice(0, 8)}…`), ". It is gone when you close the tab."),
        h("div", { class: "actions" }, h("button", { class: "button", type: "button", onclick: () => { forgetKey(); again(); } }, "Forget the key"))]
      : [h("p", { class: "soft" }, "This tab sends no key. On the machine that it runs on, the service asks for none; elsewhere it asks when it needs one."),
        h("div", { class: "actions" }, h("button", { class: "button", type: "button", onclick: async () => { if (await askForKey("It is sent with every request from now on.")) again(); } }, "Use a key"))],
    h("p", { class: "small soft" }, "Keys are made, listed and revoked by whoever runs the service: ", h("code", {}, "fundusmith keys create --name laptop --owner alice"), "."));
}
