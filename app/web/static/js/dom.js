/** Making and showing elements. Text is always text: nothing here reads markup. */

/**
 * An element: `h("a", {href, class, onclick}, "text", child, [more])`.
 * Properties that begin with `on` are listeners; null, undefined and false leave one out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing, with attributes only. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

/** Puts these children in the place of those that the element has. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets the text only if it is another, so that screen readers and selections are left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The drawing that stands for the service, in empty states. */
export function mark() {
  return svg("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, svg("use", { href: "/web/icon.svg#eye" }));
}

let used = 0;

/** An id that no other element of this page has. */
export function newId(stem) {
  used += 1;
  return `${stem}-${used}`;
}
