/** The API key: asked for when the service wants one, kept for as long as the tab is open. */
import { h } from "./dom.js";

const PLACE = "fundusmith-key";
let asking = null;

export function currentKey() {
  return sessionStorage.getItem(PLACE);
}

export function forgetKey() {
  sessionStorage.removeItem(PLACE);
}

export function keyHeaders() {
  const key = currentKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/**
 * Asks for a key, once for all requests that wait for one. Resolves to whether there is one now.
 * `why` is what the service said.
 */
export function askForKey(why) {
  asking ??= open(why).finally(() => { asking = null; });
  return asking;
}

function open(why) {
  return new Promise((resolve) => {
    const input = h("input", { id: "key", name: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "fs_…" });
    const dialog = h("dialog", { "aria-labelledby": "key-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "key-title" }, "This service asks for an API key"),
        h("p", {}, why),
        h("div", { class: "field" },
          h("label", { for: "key" }, "API key"),
          input,
          h("p", { class: "help" }, "Kept in this tab only, and gone when you close it. Whoever runs the service makes keys with ",
            h("code", {}, "fundusmith keys create"), ".")),
        h("div", { class: "actions" },
          h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
          h("button", { class: "button primary", value: "use" }, "Use this key"))));
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" && input.value.trim();
      if (given) sessionStorage.setItem(PLACE, given);
      dialog.remove();
      resolve(Boolean(given));
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
