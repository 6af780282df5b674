/** Pictures and files of the API, also where a key is needed, which an `img` or a link cannot send. */
import { request } from "./api.js";
import { h } from "./dom.js";
import { currentKey } from "./key.js";
import { toast } from "./states.js";

/** Resolves to an address that `img` can load. Made ones are given back when the page is left. */
export async function address(path, signal) {
  if (!currentKey()) return path;
  const blob = await (await request(path, { signal })).blob();
  const made = URL.createObjectURL(blob);
  if (signal?.aborted) URL.revokeObjectURL(made);
  else signal?.addEventListener("abort", () => URL.revokeObjectURL(made), { once: true });
  return made;
}

/** An `img` that fills itself; the class `absent` says that it could not. */
export function picture(path, alt, signal, properties = {}) {
  const image = h("img", { alt, decoding: "async", ...properties });
  image.addEventListener("error", () => image.classList.add("absent"));
  image.addEventListener("load", () => image.classList.remove("absent"));
  address(path, signal).then((found) => { image.src = found; }, () => image.classList.add("absent"));
  return image;
}

/**
 * A link that saves what is at `path`. Without a key the browser does it all. With one, storage that
 * has a server of its own is linked to; otherwise the file is fetched whole, and then saved.
 */
export function saveLink(path, name, properties, ...children) {
  const link = h("a", { href: path, download: name, ...properties }, ...children);
  link.addEventListener("click", async (event) => {
    if (!currentKey()) return;
    event.preventDefault();
    if (link.getAttribute("aria-busy")) return;
    link.setAttribute("aria-busy", "true");
    try {
      await save(path, name);
    } catch (error) {
      toast(error.message);
    } finally {
      link.removeAttribute("aria-busy");
    }
  });
  return link;
}

async function save(path, name) {
  const response = await request(path, { headers: { Accept: "text/uri-list, */*" } });
  if (response.headers.get("Content-Type")?.startsWith("text/uri-list")) {
    location.assign((await response.text()).trim()); // an attachment: the page stays
    return;
  }
  const made = URL.createObjectURL(await response.blob());
  h("a", { href: made, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(made), 60_000);
}
