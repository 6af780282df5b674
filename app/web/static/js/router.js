/** The page by the fragment of the address: `#/datasets/ds_1` and the like. */
import { fill, h } from "./dom.js";
import { empty, failure, loading } from "./states.js";

const TITLE = "Fundusmith";
let leave = new AbortController();

/**
 * `routes` maps patterns such as `/datasets/:id` to functions that import a page. A page is called
 * with its parameters, the query and a signal that aborts when it is left, and gives its elements.
 */
export function start(routes, main) {
  const compiled = Object.entries(routes).map(([pattern, load]) => [pattern.split("/"), load]);
  let first = true;
  const go = async () => {
    const known = location.hash.startsWith("#/");
    if (location.hash && !known && !first) return; // the link to the content
    const [path, query] = (known ? location.hash.slice(1) : "/order").split("?");
    leave.abort();
    const { signal } = (leave = new AbortController());
    for (const link of document.querySelectorAll("header nav a")) {
      if (path.startsWith(link.hash.slice(1))) {
        link.setAttribute("aria-current", "page");
        // On a phone the row of links is longer than the screen.
        link.scrollIntoView({ block: "nearest", inline: "center" });
      } else {
        link.removeAttribute("aria-current");
      }
    }
    fill(main, loading());
    let shown;
    try {
      shown = await open(compiled, path.split("/"), new URLSearchParams(query), signal);
    } catch (error) {
      if (signal.aborted) return;
      shown = error.status === 404
        ? empty(error.title, error.message, h("a", { class: "button", href: "#/order" }, "Order pairs"))
        : failure(error, go);
    }
    if (signal.aborted) return;
    fill(main, shown);
    const title = main.querySelector("h1");
    document.title = title ? `${title.textContent} · ${TITLE}` : TITLE;
    if (first) first = false;
    else {
      scrollTo(0, 0);
      (title ?? main).focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", go);
  go();
}

async function open(compiled, parts, query, signal) {
  for (const [pattern, load] of compiled) {
    const found = match(pattern, parts);
    if (found) return (await load()).page({ ...found, query, signal });
  }
  return empty("There is nothing here", "The address leads to no page.", h("a", { class: "button", href: "#/order" }, "Order pairs"));
}

function match(pattern, parts) {
  if (pattern.length !== parts.length) return null;
  const found = {};
  for (const [place, part] of pattern.entries()) {
    if (part.startsWith(":")) found[part.slice(1)] = decodeURIComponent(parts[place]);
    else if (part !== parts[place]) return null;
  }
  return found;
}
