/** The list of data sets. */
import { h } from "../dom.js";
import { count, time } from "../format.js";
import { bar, jobList, outlook, row } from "../jobs.js";
import { empty, head, show } from "../states.js";

export function page({ signal }) {
  const order = h("a", { class: "button primary", href: "#/order" }, "Order pairs");
  const place = h("div", {});
  const none = empty("No data set yet", "Order a hundred pairs to begin with: they take a few seconds to a few minutes.");
  show(place, () => jobList("/datasets", describe, none, signal));
  return [head("Data sets", { text: "What you have ordered, the newest first.", actions: [order] }), place];
}

function describe(job) {
  const { request, progress } = job;
  return row({
    href: `#/datasets/${job.id}`,
    title: count(request.count, "pair"),
    text: [request.model, `${request.resolution} px`, outlook(job) || time(job.created_at)].join(" · "),
    progress: bar(progress.generated, progress.requested, "Pairs made"),
    word: job.status,
  });
}
