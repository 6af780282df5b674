/** Sending a zip, whole or by parts, and the list of uploads. */
import { send } from "../api.js";
import { fill, h, say } from "../dom.js";
import { choices, complain } from "../field.js";
import { bytes, count, time } from "../format.js";
import { jobList, row } from "../jobs.js";
import { PARTS_FROM, sendByParts } from "../parts.js";
import { empty, head, show } from "../states.js";

const KINDS = { pairs: "Pairs: photographs with their labels, to train on", maps: "Maps: labels alone, to be photographed" };

export function page({ signal }) {
  const place = h("div", {});
  const none = empty("Nothing uploaded yet", "Folders as DRIVE, CHASE_DB1, HRF and STARE are given out work as they are; so do images/ and labels/ with the same names.");
  show(place, () => jobList("/uploads", describe, none, signal));
  return [head("Uploads", { text: "Real pairs to train on, or vessel maps of your own to be photographed." }),
    h("div", { class: "stack loose" }, sender(signal), h("section", { class: "stack" }, h("h2", {}, "Your uploads"), place))];
}

function describe(upload) {
  const { request } = upload;
  const found = upload.status === "succeeded" ? count(upload.count, request.kind === "maps" ? "map" : "pair") : `Zip of ${request.kind}`;
  return row({ href: `#/uploads/${upload.id}`, title: found, text: `${bytes(request.bytes)} · ${time(upload.created_at)}`, word: upload.status });
}

function sender(signal) {
  const wrong = h("div", {});
  const moving = h("div", { class: "stack tight", hidden: true });
  const bar = h("progress", { value: 0, max: 1, "aria-label": "Sent" });
  const told = h("span", { class: "small soft" });
  const kind = choices("kind", Object.entries(KINDS), "pairs");
  const input = h("input", { type: "file", accept: ".zip,application/zip", class: "hidden-text", onchange: () => take(input.files) });
  const drop = h("label", { class: "drop" }, input, h("span", {}, h("strong", {}, "Choose a zip"), " or drop it here"), h("span", { class: "small soft" }, "It is checked file by file before anything is done with it."));
  let sending = null;

  async function take(files) {
    const [file] = files;
    if (!file || sending) return;
    fill(wrong);
    sending = new AbortController();
    signal.addEventListener("abort", () => sending?.abort(), { once: true });
    drop.hidden = true;
    moving.hidden = false;
    const tell = (sent) => {
      bar.value = sent / (file.size || 1);
      say(told, sent < file.size ? `${bytes(sent)} of ${bytes(file.size)}` : "All sent, being stored…");
    };
    tell(0);
    const [chosen, byParts] = [kind.querySelector(":checked").value, file.size >= PARTS_FROM];
    try {
      const upload = byParts
        ? await sendByParts(file, chosen, tell, sending.signal)
        : await send(`/uploads?kind=${chosen}`, file, tell, sending.signal);
      location.hash = `#/uploads/${upload.id}`;
    } catch (error) {
      const goOn = byParts && "What has come is kept for a while: choose the same zip again to go on.";
      const why = error.name === "AbortError" ? "Stopped." : error.message;
      if (byParts || error.name !== "AbortError") complain(wrong, [why, goOn].filter(Boolean));
    } finally {
      sending = null;
      drop.hidden = false;
      moving.hidden = true;
      input.value = "";
    }
  }

  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  fill(moving, h("div", { class: "spread" }, told, h("button", { class: "button quiet", type: "button", onclick: () => sending?.abort() }, "Stop")), bar);
  return h("section", { class: "card stack" }, h("fieldset", { class: "field" }, h("legend", {}, "What is in the zip?"), kind), drop, moving, wrong);
}
