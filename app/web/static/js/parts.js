/** Sending a large zip by parts: several at a time, each again if it fails, and on after a break. */
import { act, get, post, Problem, send, Unreachable } from "./api.js";
import { sleep } from "./events.js";

export const PARTS_FROM = 32 * 2 ** 20; // bytes; a shorter zip is sent as one body
const AT_ONCE = 3;
const ATTEMPTS = 4;
const FIRST_PAUSE = 500; // milliseconds, and twice as long after each further failure
const PASSING = [408, 425, 429]; // and whatever the service answers from 500 on

/**
 * Sends the zip, or what has not come of it if this browser has begun to send it before. Resolves to
 * the upload, which is then checked. `progress` is told how many bytes are there.
 */
export async function sendByParts(file, kind, progress, signal) {
  // No digest: a browser cannot make one of a file that does not fit into its memory.
  const place = `fundusmith-upload:${kind}:${file.size}:${file.lastModified}:${file.name}`;
  const upload = (await begunBefore(place, signal)) ?? (await begin(place, file, kind, signal));
  if (upload.receiving) {
    await sendMissing(upload, file, progress, signal);
    await act(`${upload.links.self}/complete`);
  }
  localStorage.removeItem(place);
  return upload;
}

/** The upload that this file was last sent as; null if there is none, or it has failed. */
async function begunBefore(place, signal) {
  const id = localStorage.getItem(place);
  if (!id) return null;
  try {
    const upload = await get(`/uploads/${id}`, signal);
    return upload.receiving || ["queued", "running", "succeeded"].includes(upload.status) ? upload : null;
  } catch (error) {
    if (error instanceof Problem && [404, 410].includes(error.status)) return null;
    throw error;
  }
}

async function begin(place, file, kind, signal) {
  const upload = await post("/multipart-uploads", { kind, bytes: file.size }, { signal });
  localStorage.setItem(place, upload.id);
  return upload;
}

async function sendMissing(upload, file, progress, signal) {
  const { size, count } = upload.parts;
  const sent = await received(upload, signal);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !sent.has(number));
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const target = { direct: true };
  const tell = (number, bytes) => {
    sent.set(number, bytes);
    progress([...sent.values()].reduce((sum, each) => sum + each, 0));
  };
  const work = async () => {
    for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
      const part = file.slice((number - 1) * size, number * size);
      await insist(() => sendPart(upload, target, number, part, (bytes) => tell(number, bytes), either), either);
      tell(number, part.size);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    failed.abort(); // the other parts need not go on
    throw error;
  }
}

/** Bytes of each part that has come, by its number. */
async function received(upload, signal) {
  const found = new Map();
  for (let after = 0; ; after = Math.max(...found.keys())) {
    const page = await get(`${upload.links.self}/parts?after=${after}`, signal);
    for (const { number, bytes } of page.data) found.set(number, bytes);
    if (!page.has_more) return found;
  }
}

/**
 * One part, straight to the file store where that has a server of its own. One that this page may
 * not call, because its CORS rules do not name it, is gone round: the service takes parts as well.
 */
async function sendPart(upload, target, number, part, tell, signal) {
  const home = `${upload.links.self}/parts`;
  const url = target.direct ? (await post(home, { numbers: [number] }, { signal })).data[0].url : `${home}/${number}`;
  try {
    await send(url, part, tell, signal, { method: "PUT", type: "application/octet-stream" });
  } catch (error) {
    if (!url.startsWith("/")) {
      target.direct = error instanceof Problem;
      error.passes = true; // its addresses hold for a time: the next one is good
    }
    throw error;
  }
}

/** Does it again a few times, if it fails for a reason that may pass. */
async function insist(attempt, signal) {
  for (let pause = FIRST_PAUSE, left = ATTEMPTS; ; pause *= 2) {
    try {
      return await attempt();
    } catch (error) {
      left -= 1;
      const passes = error.passes || error instanceof Unreachable || PASSING.includes(error.status) || error.status >= 500;
      if (signal.aborted || !passes || !left) throw error;
    }
    await sleep(pause, signal);
    if (signal.aborted) throw new DOMException("Stopped", "AbortError");
  }
}
