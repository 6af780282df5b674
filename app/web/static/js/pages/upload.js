/** One upload: the report of its check, file by file, with the pictures as they are used. */
import { ENDED, get, remove } from "../api.js";
import { fill, h } from "../dom.js";
import { bytes, count, percent, time } from "../format.js";
import { sleep } from "../events.js";
import { picture } from "../picture.js";
import { action, confirm, facts, failure, head, status } from "../states.js";

const LOOK_AGAIN = 1000; // milliseconds
const FIRST = 24; // pictures at first

export async function page({ id, signal }) {
  const upload = await get(`/uploads/${encodeURIComponent(id)}`, signal);
  const place = h("div", { class: "stack loose" });
  const buttons = h("div", { class: "actions" });
  const draw = (now) => {
    fill(buttons, actions(now));
    fill(place, state(now), now.report && report(now, signal));
  };
  draw(upload);
  watch(upload, draw, signal).catch((error) => { if (!signal.aborted) fill(place, failure(error)); });
  return [head(upload.request.kind === "maps" ? "Maps" : "Pairs", { back: ["#/uploads", "Uploads"], text: `${bytes(upload.request.bytes)}, sent ${time(upload.created_at)}`, actions: [buttons] }), place];
}

async function watch(upload, draw, signal) {
  while (!ENDED.includes(upload.status)) {
    await sleep(LOOK_AGAIN, signal);
    if (signal.aborted) return;
    const now = await get(`/uploads/${upload.id}`, signal);
    if (now.status !== upload.status || now.receiving !== upload.receiving || now.parts?.received !== upload.parts?.received) draw(now);
    upload = now;
  }
}

function actions(upload) {
  const good = upload.status === "succeeded";
  return [
    good && upload.request.kind === "pairs" && h("a", { class: "button primary", href: `#/training/new?upload=${upload.id}` }, "Train on these pairs"),
    good && upload.request.kind === "pairs" && h("a", { class: "button", href: `#/evaluations/new?upload=${upload.id}` }, "Evaluate against them"),
    good && h("a", { class: "button", href: `#/order?maps=${upload.id}` }, "Photograph these maps"),
    action("Delete", async () => {
      if (!(await confirm("Delete this upload?", "Its pictures are removed. Models that have learned from them stay.", "Delete"))) return;
      await remove(upload.links.self);
      location.hash = "#/uploads";
    }, "danger"),
  ];
}

function state(upload) {
  const waits = !ENDED.includes(upload.status);
  return h("section", { class: "card stack", role: "status" },
    h("div", { class: "spread" }, status(upload.status), h("span", { class: "id" }, upload.id)),
    upload.error && h("div", { class: "notice bad" }, h("p", {}, upload.error.detail)),
    waits && h("p", { class: "soft" }, !upload.receiving ? "A worker looks at each file. That takes some seconds."
      : upload.parts ? `${upload.parts.received} of ${count(upload.parts.count, "part")} have come. If nothing sends the others any more, choose the same zip again among the uploads: it goes on.`
        : "The zip is still being sent."),
    waits && (upload.parts ? h("progress", { value: upload.parts.received, max: upload.parts.count, "aria-label": "Parts that have come" }) : h("progress", { "aria-label": upload.receiving ? "Being sent" : "Being checked" })),
    upload.report && facts([
      ["Used", count(upload.report.used.length, upload.request.kind === "maps" ? "map" : "pair")],
      upload.report.unlabelled.length > 0 && ["Without a label", count(upload.report.unlabelled.length, "photograph")],
      ["Refused", count(upload.report.refused.length, "file")],
      ["Not looked at", count(upload.report.ignored.length, "file")],
      upload.report.used.length > 0 && ["Vessel share, mean", percent(upload.report.used.reduce((sum, { vessel_share: part }) => sum + part, 0) / upload.report.used.length)],
    ]));
}

function report(upload, signal) {
  const { used, unlabelled, refused, ignored } = upload.report;
  const warned = [...used, ...unlabelled].flatMap(({ warnings }) => warnings);
  return [
    refused.length > 0 && h("section", { class: "stack" }, h("h2", {}, "Refused"),
      table(["File", "Why"], refused.map(({ file, detail, partners }) => [file, [detail, ...partners.map((name) => `${name} is not used either`)].join("; ")]))),
    warned.length > 0 && h("section", { class: "stack" }, h("h2", {}, "To look at"),
      table(["File", "What may be wrong"], warned.map(({ file, detail }) => [file, detail]))),
    changes([...used, ...unlabelled]),
    used.length > 0 && h("section", { class: "stack" }, h("h2", {}, "Used"), pictures(upload, used, signal)),
    unlabelled.length > 0 && h("details", { class: "more" }, h("summary", {}, `Without a label (${unlabelled.length})`),
      table(["Photograph", "Size"], unlabelled.map(({ image, width, height }) => [image, `${width} × ${height}`]))),
    ignored.length > 0 && h("details", { class: "more" }, h("summary", {}, `Not looked at (${ignored.length})`),
      table(["File", "Why"], ignored.map(({ file, reason }) => [file, reason]))),
  ];
}

/** What was done to files before they could be used: the same once, with all its files. */
function changes(used) {
  const files = Map.groupBy(used.flatMap(({ conversions }) => conversions), ({ done }) => done);
  if (!files.size) return null;
  return h("section", { class: "stack" }, h("h2", {}, "Put right"),
    [...files].map(([done, of]) => h("details", { class: "card list" }, h("summary", {}, `${done}: `, h("b", {}, count(of.length, "file"))),
      h("p", { class: "small soft" }, of.map(({ file }) => file).join(", ")))));
}

function pictures(upload, used, signal) {
  const list = h("ol", { class: "gallery" });
  const foot = h("div", { class: "actions" });
  const add = (from, to) => {
    list.append(...used.slice(from, to).map((record) => tile(upload, record, signal)));
    fill(foot, to < used.length && h("button", { class: "button", type: "button", onclick: () => add(to, 2 * to) }, "Show more"));
  };
  // Pictures are there only if the upload is good.
  add(0, FIRST);
  return h("div", { class: "stack" }, list, foot);
}

function tile(upload, record, signal) {
  const home = `/uploads/${upload.id}/pictures/${record.number}`;
  const path = record.image ?? record.label;
  const name = path.slice(path.lastIndexOf("/") + 1);
  return h("li", {}, h("div", { class: "tile" },
    upload.status === "succeeded" && h("span", { class: "pictures" },
      record.image && picture(`${home}/image`, `Photograph ${name}`, signal, { loading: "lazy" }),
      picture(`${home}/label`, `Vessels of ${name}`, signal, { loading: "lazy" }),
      record.field_confidence !== null && picture(`${home}/mask`, `Field of view found in ${name}`, signal, { loading: "lazy" })),
    h("span", { class: "caption", title: path }, h("b", {}, name), h("span", { class: "soft" }, `${record.width} × ${record.height} · ${percent(record.vessel_share)}`))));
}

function table(heads, rows) {
  return h("div", { class: "table" }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map(([name, text]) => h("tr", {}, h("td", { class: "name" }, h("code", {}, name)), h("td", {}, text))))));
}
