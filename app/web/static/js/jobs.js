/** What lists and pages of jobs of every kind share. */
import { ENDED, get } from "./api.js";
import { fill, h } from "./dom.js";
import { duration } from "./format.js";
import { sleep } from "./events.js";
import { action, status } from "./states.js";

const LOOK_AGAIN = 3000; // milliseconds

export function bar(done, all, label) {
  return h("progress", { value: done, max: all || 1, "aria-label": label, class: done >= all ? "done" : "" });
}

/** When it will be done, or where it waits, in a few words. */
export function outlook(job) {
  const { queue_position: place, seconds_left: left } = job.estimate;
  const rest = left === null ? "" : `about ${duration(left)} left`;
  if (place === null) return rest;
  const waits = place === 1 ? "next in the queue" : `place ${place} in the queue`;
  return rest ? `${waits}, ${rest}` : waits;
}

/** The row of a job in a list: a link with what it is, how far it is and its state. */
export function row({ href, title, text, progress, word }) {
  return h("li", {}, h("a", { class: "row", href },
    h("span", { class: "what" }, h("strong", {}, title), h("span", { class: "small soft" }, text)),
    h("span", { class: "bar" }, progress),
    status(word)));
}

/**
 * A list that shows more on demand, and keeps what runs up to date. `describe` makes a job's row,
 * `none` what is shown when there are no jobs.
 */
export async function jobList(path, describe, none, signal) {
  const list = h("ul", { class: "rows" });
  const foot = h("div", { class: "actions" });
  let jobs = [];
  let more = false;

  async function load(after, limit) {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=${limit}${after ? `&after=${after}` : ""}`, signal);
    jobs = after ? jobs.concat(page.data) : page.data;
    more = page.has_more;
    fill(list, jobs.map(describe));
    fill(foot, more && action("Show more", () => load(jobs.at(-1).id, 20)));
  }

  async function keepUp() {
    while (!signal.aborted) {
      await sleep(LOOK_AGAIN, signal);
      const unfinished = jobs.some((job) => !ENDED.includes(job.status));
      const used = list.contains(document.activeElement); // a new row would lose the focus
      if (signal.aborted || !unfinished || used || document.hidden) continue;
      await load(null, Math.min(100, Math.max(20, jobs.length))).catch(() => {});
    }
  }

  await load(null, 20);
  if (!jobs.length) return none;
  keepUp();
  return h("div", { class: "stack" }, list, foot);
}

