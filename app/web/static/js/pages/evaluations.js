/** The list of evaluations, all or those of one model. */
import { h } from "../dom.js";
import { count, time } from "../format.js";
import { stepsOf, subjectOf } from "../evaluations.js";
import { bar, jobList, outlook, row } from "../jobs.js";
import { empty, head, show } from "../states.js";

export function page({ query, signal }) {
  const model = query.get("model");
  const order = h("a", { class: "button primary", href: `#/evaluations/new${model ? `?model=${encodeURIComponent(model)}` : ""}` }, model ? "Evaluate it" : "Evaluate");
  const place = h("div", {});
  const none = empty("No evaluation yet",
    "Are the pictures real, useful and private enough? Hold a model or a data set against real pairs that it has not learned from.",
    h("a", { class: "button", href: "#/uploads" }, "Upload pairs"));
  show(place, () => jobList(`/evaluations${model ? `?model=${encodeURIComponent(model)}` : ""}`, describe, none, signal));
  return [head("Evaluations", {
    back: model && [`#/models/${encodeURIComponent(model)}`, model],
    text: "Generated pairs held against real ones: is it good enough?",
    actions: [order],
  }), place];
}

function describe(job) {
  const { request, progress } = job;
  return row({
    href: `#/evaluations/${job.id}`,
    title: subjectOf(request),
    text: [`${count(request.pairs, "pair")} beside ${request.train.length + request.hold_out.length} real ones`, outlook(job) || time(job.created_at)].join(" · "),
    progress: bar(stepsOf(progress), progress.steps, "Steps done"),
    word: job.status,
  });
}
