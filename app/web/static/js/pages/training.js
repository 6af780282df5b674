/** The list of training runs. */
import { h } from "../dom.js";
import { time } from "../format.js";
import { bar, jobList, outlook, row } from "../jobs.js";
import { empty, head, show } from "../states.js";
import { budgetText, shareOf, STAGES } from "../training.js";

export function page({ signal }) {
  const order = h("a", { class: "button primary", href: "#/training/new" }, "Train a model");
  const place = h("div", {});
  const none = empty("No training run yet",
    "Upload a few dozen real pairs, choose a model to start from, and watch it learn. What comes out can be ordered from at once.",
    h("a", { class: "button", href: "#/uploads" }, "Upload pairs"));
  show(place, () => jobList("/training-runs", describe, none, signal));
  return [head("Training", { text: "Models that learn from pairs of your own.", actions: [order] }), place];
}

function describe(run) {
  const { request } = run;
  return row({
    href: `#/training/${run.id}`,
    title: run.model ?? request.name,
    text: [STAGES[request.stages], `${request.resolution} px`, budgetText(request.budget), outlook(run) || time(run.created_at)].join(" · "),
    progress: bar(shareOf(run), 1, "Progress"),
    word: run.status,
  });
}

