/** What pages show before there is anything, when something is wrong, and in passing. */
import { fill, h, mark } from "./dom.js";
import { sentence } from "./format.js";

export function loading(rows = 3) {
  return h("div", { class: "loading", role: "status" },
    h("span", { class: "hidden-text" }, "Loading"),
    Array.from({ length: rows }, () => h("div", { class: "bone" })));
}

export function empty(title, text, ...actions) {
  return h("section", { class: "empty" }, mark(), h("h2", {}, title), h("p", {}, text), actions);
}

export function failure(error, again) {
  return h("div", { class: "notice bad", role: "alert" },
    h("strong", {}, error.title ?? "That did not work"),
    h("p", {}, error.message),
    again && h("button", { class: "button", onclick: again }, "Try again"));
}

export function status(word) {
  return h("span", { class: `status ${word}` }, sentence(word));
}

/** Title, what the page is for, and what can be done on it. */
export function head(title, { text, back, actions = [] } = {}) {
  return h("div", { class: "head" },
    h("div", { class: "titles" },
      back && h("a", { class: "back", href: back[0] }, `← ${back[1]}`),
      h("h1", { tabindex: "-1" }, title),
      text && h("p", {}, text)),
    h("div", { class: "actions" }, actions));
}

export function facts(pairs, kind = "") {
  return h("dl", { class: `facts ${kind}` },
    pairs.filter(Boolean).map(([name, value]) => h("div", { class: kind === "lines" ? "line" : "" }, h("dt", {}, name), h("dd", {}, value))));
}

export function toast(text) {
  const note = h("div", { class: "toast" }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}

/** Asks before something is lost; resolves to the answer. */
export function confirm(question, text, yes) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { role: "alertdialog", "aria-label": question },
      h("form", { method: "dialog" },
        h("h2", {}, question),
        h("p", {}, text),
        h("div", { class: "actions" },
          h("button", { class: "button", value: "no", autofocus: true }, "Keep it"),
          h("button", { class: "button danger", value: "yes" }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A button that works on something: it cannot be pressed twice, and says what goes wrong. */
export function action(label, work, kind = "") {
  const button = h("button", { class: `button ${kind}`, type: "button" }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      toast(error.message);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** Shows what `load` resolves to, bones before, and the error with a way to try again. */
export async function show(place, load, rows) {
  const attempt = async () => {
    fill(place, loading(rows));
    try {
      fill(place, await load());
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error, attempt));
    }
  };
  await attempt();
}
