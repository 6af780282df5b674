/** One data set: progress, pictures as they are made, and what can be done with it. */
import { act, ENDED, get, remove } from "../api.js";
import { fill, h, say } from "../dom.js";
import { follow } from "../events.js";
import { bytes, count, figure, integer, sentence, time, words } from "../format.js";
import { Gallery } from "../gallery.js";
import { bar, outlook } from "../jobs.js";
import { saveLink } from "../picture.js";
import { action, confirm, empty, facts, failure, head, status } from "../states.js";

export async function page({ id, signal }) {
  const job = await get(`/datasets/${encodeURIComponent(id)}`, signal);
  const state = h("section", { class: "card stack", "aria-label": "Progress" });
  const spoken = h("p", { class: "hidden-text", role: "status" });
  const buttons = h("div", { class: "actions" });
  const stale = h("p", { class: "notice", hidden: true }, "The service does not answer. Trying again…");
  const about = h("div", {});
  const gone = job.status === "expired";
  const gallery = gone ? null : new Gallery(job, signal);

  function show(now) {
    fill(state, progress(now));
    say(spoken, sentence(now.status));
    gallery?.take(now);
    if (buttons.dataset.status === now.status) return;
    buttons.dataset.status = now.status;
    fill(buttons, actions(now));
    fill(about, details(now));
  }
  show(job);
  follow(job, show, signal, (lost) => { stale.hidden = !lost; }).catch((error) => {
    if (!signal.aborted) fill(state, failure(error));
  });
  const { request } = job;
  return [
    head(count(request.count, "pair"), { back: ["#/datasets", "Data sets"], text: [request.model, `${request.resolution} px`, `seed ${request.seed}`].join(" · "), actions: [buttons] }),
    h("div", { class: "stack loose" }, stale, spoken, state,
      gone ? empty("The files are gone", "A data set is kept for a while only. The same order with the same seed makes it again, byte for byte.", h("a", { class: "button primary", href: `#/order?again=${job.id}` }, "Order again"))
        : gallery.element,
      about),
  ];
}

function progress(job) {
  const { progress: now, rates, archive } = job;
  const ended = ENDED.includes(job.status);
  return [
    h("div", { class: "spread" }, status(job.status), h("span", { class: "soft" }, ended ? time(job.timestamps[job.status] ?? job.created_at) : outlook(job))),
    job.error && h("div", { class: "notice bad", role: "alert" }, h("p", {}, job.error.detail)),
    h("div", { class: "stack tight" },
      bar(now.generated, now.requested, "Pairs made"),
      h("div", { class: "spread small soft" }, h("span", { class: "made" }, `${integer(now.generated)} of ${count(now.requested, "pair")}`),
        job.status === "packaging" && h("span", {}, "packing the zip"))),
    facts([
      rates && ["Networks", `${figure(rates.generate)} pairs/s`],
      rates && ["Encoding", `${figure(rates.encode)} pairs/s`],
      rates && ["Storing", `${figure(rates.upload)} pairs/s`],
      job.estimate.bytes !== null && ["Size", `${archive ? "" : "about "}${bytes(job.estimate.bytes)}`],
      ...Object.entries(now.rejected ?? {}).map(([name, number]) => [`Turned away, ${words(name)}`, integer(number)]),
    ]),
  ];
}

function actions(job) {
  const { links, archive } = job;
  const again = h("a", { class: "button", href: `#/order?again=${job.id}` }, "Order again");
  const volumes = (archive?.volumes ?? []).filter(({ download }) => download);
  return [
    volumes.map((volume) => saveLink(volume.download, volumes.length === 1 ? `${job.id}.zip` : `${job.id}-${String(volume.number).padStart(3, "0")}.zip`,
      { class: "button primary" },
      volumes.length === 1 ? `Download (${bytes(volume.bytes)})` : `Volume ${volume.number} (${bytes(volume.bytes)})`)),
    links.cancel && action("Cancel", async () => {
      if (await confirm("Cancel this order?", "What is finished by then is packed and can be downloaded.", "Cancel the order")) await act(links.cancel);
    }),
    again,
    job.status === "succeeded" && h("a", { class: "button", href: `#/evaluations/new?dataset=${job.id}` }, "Evaluate"),
    ENDED.includes(job.status) && action("Delete", async () => {
      if (!(await confirm("Delete this data set?", "Its files are removed. The same order with the same seed makes it again.", "Delete"))) return;
      await remove(links.self);
      location.hash = "#/datasets";
    }, "danger"),
  ];
}

function details(job) {
  const rest = Object.entries(job.request).filter(([, value]) => value !== null).map(([name, value]) => [sentence(name), Array.isArray(value) ? value.join(", ") : typeof value === "object" ? Object.entries(value).filter(([, part]) => part !== null).map(([key, part]) => `${words(key)} ${part}`).join(", ") : String(value)]);
  return h("details", { class: "more" }, h("summary", {}, "Everything about this order"),
    facts([["Id", h("span", { class: "id" }, job.id)], ...rest, ["Ordered", time(job.created_at)],
      job.deadline && ["Deadline", time(job.deadline)], job.expires_at && ["Kept until", time(job.expires_at)],
      job.webhook && ["Webhook", `${job.webhook.url}: ${job.webhook.deliveries.map(({ event, state, attempts }) => `${event} ${words(state)} (${attempts})`).join(", ") || "nothing sent yet"}`],
      job.archive?.manifest_sha256 && ["SHA-256 of the manifest", h("span", { class: "id" }, job.archive.manifest_sha256)],
      ["Model package", h("span", { class: "id" }, job.package_digest)],
      ...Object.entries(job.environment ?? {}).map(([name, value]) => [sentence(name), String(value)])]));
}
