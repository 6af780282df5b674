/** One evaluation: how far its steps are, then its figures and the report. */
import { act, ENDED, get, remove } from "../api.js";
import { fill, h, say } from "../dom.js";
import { NETWORKS, PARTS, stepsOf, stepText, subjectOf } from "../evaluations.js";
import { follow } from "../events.js";
import { count, figure, integer, percent, sentence, time } from "../format.js";
import { bar, outlook } from "../jobs.js";
import { currentKey } from "../key.js";
import { saveLink } from "../picture.js";
import { action, confirm, facts, failure, head, status } from "../states.js";

export async function page({ id, signal }) {
  const job = await get(`/evaluations/${encodeURIComponent(id)}`, signal);
  const state = h("section", { class: "card stack", "aria-label": "Progress" });
  const spoken = h("p", { class: "hidden-text", role: "status" });
  const buttons = h("div", { class: "actions" });
  const stale = h("p", { class: "notice", hidden: true }, "The service does not answer. Trying again…");
  const found = h("div", { class: "stack loose" });
  const about = h("div", {});

  function show(now) {
    fill(state, progress(now));
    say(spoken, sentence(now.status));
    if (buttons.dataset.status === now.status) return;
    buttons.dataset.status = now.status;
    fill(buttons, actions(now));
    fill(found, now.summary && figures(now), now.links.page && report(now));
    fill(about, details(now));
  }
  show(job);
  follow(job, show, signal, (lost) => { stale.hidden = !lost; }).catch((error) => {
    if (!signal.aborted) fill(state, failure(error));
  });
  const { request } = job;
  return [
    head(subjectOf(request), { back: ["#/evaluations", "Evaluations"], text: `${count(request.pairs, "generated pair")} beside ${integer(request.train.length)} real ones to train on and ${integer(request.hold_out.length)} held out`, actions: [buttons] }),
    h("div", { class: "stack loose" }, stale, spoken, state, found, about),
  ];
}

function progress(job) {
  const { progress: now } = job;
  const ended = ENDED.includes(job.status);
  return [
    h("div", { class: "spread" }, status(job.status), h("span", { class: "soft" }, ended ? time(job.timestamps[job.status] ?? job.created_at) : outlook(job))),
    job.error && h("div", { class: "notice bad", role: "alert" }, h("p", {}, job.error.detail)),
    h("div", { class: "stack tight" },
      bar(stepsOf(now), now.steps, "Steps done"),
      h("div", { class: "spread small soft" }, h("span", {}, `${integer(now.done)} of ${count(now.steps, "step")}`),
        job.status === "packaging" && h("span", {}, "writing the report"))),
    now.current.map(({ step, share }) => h("div", { class: "stack tight" },
      h("div", { class: "spread small" }, h("span", {}, stepText(step)), h("span", { class: "soft" }, `${Math.round(100 * share)} %`)),
      bar(share, 1, stepText(step)))),
  ];
}

function figures({ summary, request }) {
  const arms = Object.keys(PARTS).filter((part) => part in summary.f1);
  return h("section", { class: "stack" }, h("h2", {}, "The main figures"),
    h("div", { class: "card" }, facts([
      summary.synthetic_to_real !== null && ["Generated pairs train as well as real ones to", percent(summary.synthetic_to_real)],
      summary.copies !== null && ["Copies of real maps", `${integer(summary.copies)} of ${integer(request.pairs)}`],
      summary.nearer_to_training !== null && ["Nearer to training than to held-out maps", percent(summary.nearer_to_training)],
      summary.kid !== null && ["KID to real photographs", figure(summary.kid)],
    ])),
    arms.length > 0 && h("div", { class: "table" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Segmentation networks"), h("th", { scope: "col", class: "wide", "aria-hidden": "true" }), h("th", { scope: "col", class: "number" }, "F1"))),
      h("tbody", {}, arms.map((part) => h("tr", {}, h("th", { scope: "row" }, PARTS[part]),
        h("td", { class: "wide", "aria-hidden": "true" }, bar(summary.f1[part], 1, "F1")),
        h("td", { class: "number" }, summary.f1[part].toFixed(3))))))));
}

/** A frame cannot send a key, and what the page itself makes into an address has the page's policy. */
function report({ links }) {
  return h("section", { class: "stack" },
    h("div", { class: "spread" }, h("h2", {}, "Report"), !currentKey() && h("a", { href: links.page, target: "_blank", rel: "noopener" }, "Open it in a tab of its own")),
    h("p", { class: "small soft" }, "It shows real photographs of the upload: think of whom you give it to."),
    currentKey()
      ? h("p", {}, "Where keys are required it is not shown here: download it as one HTML file, which needs nothing from outside.")
      : h("iframe", { class: "report", title: "Report", sandbox: "", src: links.page }));
}

function actions({ id, links, status: word }) {
  return [
    links.page && saveLink(links.page, `${id}.html`, { class: "button primary" }, "Download the report"),
    links.report && saveLink(links.report, `${id}.json`, { class: "button" }, "All figures (JSON)"),
    links.cancel && action("Cancel", async () => {
      if (await confirm("Cancel this evaluation?", "It has no report then.", "Cancel the evaluation")) await act(links.cancel);
    }),
    ENDED.includes(word) && action("Delete", async () => {
      if (!(await confirm("Delete this evaluation?", "Its report is removed. Model, data set and upload stay.", "Delete"))) return;
      await remove(links.self);
      location.hash = "#/evaluations";
    }, "danger"),
  ];
}

function details({ id, request, package_digest: digest, environment, created_at: made, expires_at: until }) {
  const link = (home, name) => h("a", { class: "id", href: `#/${home}/${encodeURIComponent(name)}` }, name);
  const sides = [["Trained on", request.train], ["Held out", request.hold_out]];
  return h("details", { class: "more" }, h("summary", {}, "Everything about this evaluation"), h("div", { class: "stack" },
    facts([["Id", h("span", { class: "id" }, id)], ["Model", link("models", request.model)], request.dataset && ["Data set", link("datasets", request.dataset)],
      ["Upload", link("uploads", request.upload)], ["Resolution", `${request.resolution} px`], ["Segmentation network", NETWORKS[request.network]], ["Networks for each way", integer(request.seeds)],
      ["Steps of each", integer(request.steps)], ["Seed", String(request.seed)], ["A copy from an overlap of", figure(request.copy_overlap)],
      ["Ordered", time(made)], until && ["Kept until", time(until)], digest && ["Model package", h("span", { class: "id" }, digest)],
      ...Object.entries(environment ?? {}).map(([name, value]) => [sentence(name), String(value)])]),
    sides.map(([title, pairs]) => h("details", { class: "card list" }, h("summary", {}, `${title}: `, h("b", {}, count(pairs.length, "real pair"))),
      h("p", { class: "small soft" }, pairs.map(({ file }) => file).join(", "))))));
}
