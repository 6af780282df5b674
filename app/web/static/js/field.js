/** Fields of a form, and what the service says is wrong with them. */
import { fill, h, newId } from "./dom.js";

/**
 * A field: label, control, help, and a place for errors. `pointer` is the JSON pointer of what it
 * fills in, by which problems find it.
 */
export function field(label, control, { help, pointer, whole = false } = {}) {
  const id = (control.id ||= newId("field"));
  const notes = [help && h("p", { class: "help", id: `${id}-help` }, help), h("p", { class: "error", id: `${id}-error`, hidden: true })];
  control.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  return h("div", { class: `field${whole ? " whole" : ""}`, "data-pointer": pointer }, h("label", { for: id }, label), control, notes);
}

/** Several controls under one heading; `pointer` may be of the whole, and each part has its own. */
export function group(label, controls, { help, pointer, whole = false } = {}) {
  return h("fieldset", { class: `field${whole ? " whole" : ""}`, "data-pointer": pointer },
    h("legend", {}, label), controls, help && h("p", { class: "help" }, help), h("p", { class: "error", hidden: true }));
}

export function numberInput(properties = {}) {
  return h("input", { type: "number", inputmode: "decimal", step: "any", ...properties });
}

export function select(options, properties = {}) {
  return h("select", properties, options.map(([value, text]) => h("option", { value }, text)));
}

/** A few choices side by side: radio buttons of one name. `value` is the one that is chosen. */
export function choices(name, options, value, change = () => {}) {
  return h("div", { class: "choices" },
    options.map(([option, text]) =>
      h("label", {}, h("input", { type: "radio", name, value: option, checked: option === value, onchange: change }), text)));
}

/** A number from an input; undefined if it is empty. */
export function numberOf(input) {
  return input.value.trim() === "" ? undefined : Number(input.value);
}

export function textOf(input) {
  return input.value.trim() || undefined;
}

/** Values without those that are undefined; undefined if none is left. */
export function given(values) {
  const rest = Object.entries(values).filter(([, value]) => value !== undefined);
  return rest.length ? Object.fromEntries(rest) : undefined;
}

/** Takes away what was said to be wrong. */
export function clearErrors(form) {
  for (const wrong of form.querySelectorAll(".field.wrong")) {
    wrong.classList.remove("wrong");
    const error = wrong.querySelector(":scope > .error");
    error.hidden = true;
    error.textContent = "";
    wrong.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
  }
}

/**
 * Says at each field what is wrong with it: by its pointer, or by that of what it is part of.
 * Returns what belongs to no field. `focus` goes to the first that is wrong.
 */
export function showErrors(form, problem, focus = false) {
  clearErrors(form);
  const rest = [];
  const errors = problem.errors?.length ? problem.errors : [{ detail: problem.message }];
  for (const { pointer, detail } of errors) {
    const text = detail.replace(/^Value error, /, "");
    const place = find(form, pointer);
    if (!place) {
      rest.push(pointer ? `${pointer.slice(2)}: ${text}` : text);
      continue;
    }
    const error = place.querySelector(":scope > .error");
    error.textContent = [error.textContent, text].filter(Boolean).join("; ");
    error.hidden = false;
    place.classList.add("wrong");
    place.querySelector("input, select")?.setAttribute("aria-invalid", "true");
    place.closest("details")?.setAttribute("open", "");
  }
  if (focus) form.querySelector(".field.wrong :is(input, select)")?.focus();
  return rest;
}

function find(form, pointer) {
  const parts = (pointer ?? "").split("/");
  while (parts.length > 1) {
    const found = [...form.querySelectorAll("[data-pointer]")].find((place) => place.dataset.pointer === parts.join("/"));
    if (found) return found;
    parts.pop();
  }
  return null;
}

/** A place for what is wrong with the whole form. */
export function complain(place, texts) {
  fill(place, texts.length > 0 && h("div", { class: "notice bad", role: "alert" }, texts.map((text) => h("p", {}, text))));
}
