/** One training run: how far it is, its curves, its sheets, and what can be done with it. */
import { act, ENDED, get, post, remove } from "../api.js";
import { Curves } from "../curves.js";
import { fill, h } from "../dom.js";
import { follow } from "../events.js";
import { numberInput, numberOf } from "../field.js";
import { count, duration, figure, integer, sentence, time } from "../format.js";
import { bar, outlook } from "../jobs.js";
import { saveLink } from "../picture.js";
import { Sheets } from "../sheets.js";
import { action, confirm, facts, failure, head, status, toast } from "../states.js";
import { budgetText, shareOfStage, STAGE, STAGES } from "../training.js";

export async function page({ id, signal }) {
  const run = await get(`/training-runs/${encodeURIComponent(id)}`, signal);
  const curves = new Curves(run, signal);
  const sheets = new Sheets(run, signal);
  const state = h("section", { class: "card stack", "aria-label": "Progress" });
  const buttons = h("div", { class: "actions" });
  const stale = h("p", { class: "notice", hidden: true }, "The service does not answer. Trying again…");
  const more = h("div", {});
  let slice = run.progress.slice;

  function show(now) {
    fill(state, progress(now));
    const pressed = actions(now, watch, signal);
    if (buttons.dataset.status !== now.status) fill(buttons, pressed);
    buttons.dataset.status = now.status;
    curves.take(now);
    const known = String(now.settings !== null);
    if (more.dataset.known !== known) fill(more, details(now));
    more.dataset.known = known;
    // A slice records what it has seen when it is done.
    if (now.progress.slice !== slice || ENDED.includes(now.status)) {
      slice = now.progress.slice;
      catchUp();
    }
  }
  const catchUp = () => Promise.all([curves.load(), sheets.load()]).catch(() => {});
  const watch = (from) => {
    show(from);
    follow(from, show, signal, (lost) => { stale.hidden = !lost; }).catch((error) => {
      if (!signal.aborted) fill(state, failure(error));
    });
  };
  watch(run);
  catchUp();
  return [
    head(run.request.name, { back: ["#/training", "Training"], text: `${STAGES[run.request.stages]}, ${run.request.resolution} px, ${count(run.pairs, "pair")}, ${budgetText(run.request.budget)}`.replace(/^./, (first) => first.toUpperCase()), actions: [buttons] }),
    h("div", { class: "stack loose" }, stale, state, stages(run, curves, sheets), more),
  ];
}

/** Curves and sheets, a tab for each stage. */
function stages(run, curves, sheets) {
  const names = run.progress.stages.map(({ stage }) => stage);
  const panels = names.map((stage) => h("div", { class: "stack" },
    h("h2", {}, "Sample sheets"), sheets.place(stage),
    h("h2", {}, "Curves"), curves.places[stage]));
  if (names.length === 1) return panels[0];
  const begin = run.progress.stage ?? (run.progress.stages[1].images ? names[1] : names[0]);
  const pick = (stage) => panels.forEach((panel, number) => { panel.hidden = names[number] !== stage; });
  pick(begin);
  return h("div", { class: "stack" },
    h("fieldset", { class: "field" }, h("legend", { class: "hidden-text" }, "Stage"),
      h("div", { class: "choices" }, names.map((stage) => h("label", {},
        h("input", { type: "radio", name: "stage", value: stage, checked: stage === begin, onchange: () => pick(stage) }), STAGE[stage])))),
    panels);
}

function progress(run) {
  const { progress: now } = run;
  return [
    h("div", { class: "spread" }, status(run.status), h("span", { class: "soft" }, ENDED.includes(run.status) ? time(run.timestamps[run.status]) : outlook(run))),
    run.error && h("div", { class: "notice bad", role: "alert" }, h("p", {}, run.error.detail)),
    run.model && h("div", { class: "notice good" }, h("p", {}, "The model is there: ", h("a", { href: `#/models/${encodeURIComponent(run.model)}` }, run.model), "."),
      h("a", { class: "button primary", href: `#/order?model=${encodeURIComponent(run.model)}` }, "Order pairs from it")),
    now.stages.map((stage) => h("div", { class: "stack tight" },
      h("div", { class: "spread" }, h("h3", {}, STAGE[stage.stage]), h("span", { class: "small soft" }, spent(stage))),
      bar(shareOfStage(stage), 1, STAGE[stage.stage]))),
    facts([
      now.images_per_second !== null && ["Pace", `${figure(now.images_per_second)} images/s`],
      now.seconds_left !== null && ["Left in this stage", duration(now.seconds_left)],
      now.metrics.resolution && ["Draws at", `${integer(now.metrics.resolution)} px`],
      now.slice !== null && ["Slice in hand", integer(now.slice + 1)],
      ["Started from", run.request.from ?? "noise"],
    ]),
  ];
}

function spent(stage) {
  if (!stage.images) return "not begun";
  if (stage.of_images) return `${integer(stage.images)} of ${integer(stage.of_images)} images`;
  return `${duration(60 * stage.minutes)} of ${duration(60 * stage.of_minutes)}, ${count(stage.images, "image")}`;
}

function actions(run, watch, signal) {
  const { links } = run;
  return [
    links.cancel && action("Cancel", async () => {
      const sure = await confirm("Cancel this run?", "What it has learned is kept, and it can go on later.", "Cancel the run");
      if (sure) await act(links.cancel);
    }),
    links.resume && action("Go on", async () => {
      const budget = await askForBudget(run.request.budget);
      if (!budget) return;
      await post(links.resume, { budget }, { signal });
      toast("The run goes on from its last checkpoint.");
      watch(await get(links.self, signal));
    }, "primary"),
    run.settings && saveLink(links.tensorboard, `${run.id}-tensorboard.zip`, { class: "button" }, "TensorBoard files"),
    ENDED.includes(run.status) && action("Delete", async () => {
      const sure = await confirm("Delete this run?", "Its curves, sheets and checkpoints are removed. A model that came of it stays.", "Delete");
      if (!sure) return;
      await remove(links.self);
      location.hash = "#/training";
    }, "danger"),
  ];
}

/** The budget to go on with: as it was, or larger. Resolves to nothing if it is called off. */
function askForBudget({ minutes, images }) {
  const [unit, before] = images ? ["images", images] : ["minutes", minutes];
  const input = numberInput({ id: "budget", value: String(before), min: String(before), required: true });
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "resume-title" }, h("form", { method: "dialog" },
      h("h2", { id: "resume-title" }, "Go on with this run"),
      h("div", { class: "field" }, h("label", { for: "budget" }, `Budget of each stage, ${unit}`), input,
        h("p", { class: "help" }, "All in all, with what it has had. As it was, or larger.")),
      h("div", { class: "actions" },
        h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Not now"),
        h("button", { class: "button primary", value: "go" }, "Go on"))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "go" ? { [unit]: numberOf(input) } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function details(run) {
  return h("details", { class: "more" },
    h("summary", {}, "Everything about this run"),
    h("div", { class: "stack" },
      facts([["Id", h("span", { class: "id" }, run.id)], ["Upload", h("a", { class: "id", href: `#/uploads/${run.request.upload}` }, run.request.upload)],
        ["Seed", String(run.request.seed)], ["Ordered", time(run.created_at)], ...Object.entries(run.environment ?? {}).map(([name, value]) => [sentence(name), String(value)])]),
      Object.entries(run.settings ?? {}).map(([stage, settings]) => h("div", { class: "stack tight" }, h("h3", {}, `${STAGE[stage]}: hyper-parameters`),
        facts(Object.entries(settings).map(([name, value]) => [sentence(name), figure(value)]))))));
}

