/** Requests to the service, and its problems (RFC 9457) as errors. */
import { askForKey, currentKey, forgetKey, keyHeaders } from "./key.js";

export const ENDED = ["succeeded", "failed", "cancelled", "expired"];

/** What the service says is wrong. `errors` has a `pointer` and a `detail` for each bad field. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `The service answered ${status}.`);
    this.status = status;
    this.title = body.title;
    this.errors = body.errors ?? [];
  }
}

/** The service cannot be reached. */
export class Unreachable extends Error {
  constructor() {
    super("The service does not answer. Is it still running?");
  }
}

/** A request with the key, if there is one; asks for a key where the service wants it. */
export async function request(path, options = {}) {
  for (;;) {
    const key = currentKey();
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Unreachable();
    }
    if (response.ok || response.status === 304) return response;
    const problem = await readProblem(response);
    if (response.status !== 401) throw problem;
    if (key && key === currentKey()) forgetKey();
    // Another request may have got a key meanwhile.
    if (!currentKey() && !(await askForKey(problem.message))) throw problem;
  }
}

export async function readProblem(response) {
  try {
    return new Problem(response.status, await response.json());
  } catch {
    return new Problem(response.status, {});
  }
}

export async function get(path, signal) {
  return (await request(path, { signal })).json();
}

export async function post(path, body, { headers = {}, signal } = {}) {
  const options = { method: "POST", headers: { "Content-Type": "application/json", ...headers }, signal };
  return (await request(path, { ...options, body: JSON.stringify(body ?? {}) })).json();
}

/** PUT, or POST without a body. */
export async function act(path, method = "POST") {
  return (await request(path, { method })).json();
}

export async function remove(path) {
  await request(path, { method: "DELETE" });
}

let document_;

/** The schemas of the OpenAPI document: fields with their bounds, defaults and meanings. */
export async function schemas() {
  document_ ??= get("/openapi.json").catch((error) => {
    document_ = undefined;
    throw error;
  });
  return (await document_).components.schemas;
}

/**
 * Sends a file as the body, and tells `progress` how many bytes are sent. The key goes to the service
 * alone, not to a file store that a part of an upload is sent to.
 */
export function send(address, file, progress, signal, { method = "POST", type = "application/zip" } = {}) {
  return new Promise((resolve, reject) => {
    // fetch tells nothing of what it has sent.
    const sending = new XMLHttpRequest();
    sending.open(method, address);
    const headers = address.startsWith("/") ? { ...keyHeaders(), "Content-Type": type } : {};
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value);
    sending.responseType = "json";
    sending.upload.onprogress = (event) => progress(event.loaded);
    sending.onerror = () => reject(new Unreachable());
    sending.onabort = () => reject(new DOMException("Stopped", "AbortError"));
    sending.onload = () => {
      if (sending.status < 300) resolve(sending.response);
      else reject(new Problem(sending.status, sending.response ?? {}));
    };
    signal?.addEventListener("abort", () => sending.abort());
    if (signal?.aborted) sending.onabort();
    else sending.send(file);
  });
}
