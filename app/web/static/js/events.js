/** Following a job: server-sent events over fetch, since an EventSource cannot send a key. */
import { ENDED, get, Problem, request } from "./api.js";

const LONGEST_PAUSE = 15_000; // milliseconds

/**
 * Calls `show` with the job now and after each change, until it has ended or `signal` aborts. A
 * stream that breaks is taken up again where it broke; in the meantime the job is polled.
 * `lost` is told whether the service is out of reach.
 */
export async function follow(job, show, signal, lost = () => {}) {
  let seen = null;
  let pause = 1000;
  const told = (now) => {
    pause = 1000;
    lost(false);
    job = now;
    show(now);
  };
  while (!signal.aborted && !ENDED.includes(job.status)) {
    try {
      seen = await read(job.links.events, seen, told, signal);
      if (!ENDED.includes(job.status)) told(await get(job.links.self, signal));
    } catch (error) {
      if (signal.aborted) return;
      const gone = error instanceof Problem && [401, 403, 404, 410].includes(error.status);
      if (gone) throw error;
      lost(!(error instanceof Problem));
      await sleep(pause, signal);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
      // As many streams may be open as there may be: then a look now and then has to do.
      if (error instanceof Problem) await get(job.links.self, signal).then(told, () => {});
    }
  }
}

/** Reads one stream to its end; returns the id of the last event. */
async function read(path, seen, told, signal) {
  const headers = { Accept: "text/event-stream", ...(seen ? { "Last-Event-ID": seen } : {}) };
  const response = await request(path, { headers, signal });
  if (response.status === 204) return seen;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return seen;
    const parts = (text + value.replaceAll("\r\n", "\n")).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const event = parse(part);
      if (event.id) seen = event.id;
      if (event.data) told(JSON.parse(event.data));
    }
  }
}

/** The fields of one event; comments, which keep the connection open, have none. */
function parse(part) {
  const event = { id: "", data: "" };
  for (const line of part.split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (name in event) event[name] += line.slice(colon + 1).replace(/^ /, "");
  }
  return event;
}

export function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
