// SPDX-License-Identifier: Apache-2.0
// The only module that fetches or opens streams. Every address is relative to the page, so it works under any sub-path.

/** The event at `document` that says that the frontend could not be reached. */
export const GONE = "frontend-gone";

/**
 * The event at `document` that says that the frontend has refused a request (401, 403). `detail.isAsked` says that
 * somebody waits for it; a listener may set `detail.again` to a promise of whether it is worth sending once more.
 */
export const REFUSED = "frontend-refused";

/**
 * What went wrong with a request. `kind` is `http` (an answer with a bad status), `unreached` (a frontend answered in
 * place of the node), `gone` (the frontend cannot be reached), `timeout`, `broken` (the answer ended too soon) or
 * `aborted` (nobody waits for it any more). `answer` is what `request` gives, where there was one.
 */
export class ApiError extends Error {
  constructor(kind, message, answer = { status: 0, text: "", relayed: false }) {
    super(message);
    this.name = "ApiError";
    this.kind = kind;
    this.status = answer.status;
    this.answer = answer;
  }
}

/**
 * Send one request and read the whole answer: `{status, text, relayed, wait_s}`; `relayed` says that the frontend had
 * it from a node, `wait_s` when to come again. Raises ApiError, also for a status of 400 and up. Where it is refused,
 * whoever makes a change (or has `asked` to read something) may sign in, unless it is to be `quiet`.
 */
export async function request(path, options = {}) {
  try {
    return await requestOnce(path, options);
  } catch (error) {
    if (options.quiet || !await mayAgain(error.answer, options)) throw error;
    return requestOnce(path, options);
  }
}

async function requestOnce(path, { method = "GET", body, signal, timeout_s = 20 }) {
  const control = new AbortController();
  const giveUp = () => control.abort();
  if (signal?.aborted) throw new ApiError("aborted", "aborted");
  signal?.addEventListener("abort", giveUp);
  let late = false;
  const timer = setTimeout(() => { late = true; giveUp(); }, timeout_s * 1000);
  const failed = (kind, message) => {
    if (signal?.aborted) return new ApiError("aborted", "aborted");
    return late ? new ApiError("timeout", `no answer within ${timeout_s} s`) : new ApiError(kind, message);
  };
  try {
    const answer = await send(path, method, body, control.signal, failed);
    if (answer.status < 400) return answer;
    throw new ApiError("http", wordsOf(answer.text) || `status ${answer.status}`, answer);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Send one request and read its answer as JSON. */
export async function requestJson(path, options) {
  const { text } = await request(path, options);
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("broken", `expected JSON, got ${JSON.stringify(text.slice(0, 80))}`);
  }
}

/**
 * Send a request just as it is given and give whatever comes back: `{status, reason, fields, text, relayed, first_ms,
 * whole_ms}`, the times until the head and until the end. Raises ApiError where no answer comes.
 */
export async function exchange(path, options = {}) {
  const answer = await exchangeOnce(path, options);
  return await mayAgain(answer, { asked: true }) ? exchangeOnce(path, options) : answer;
}

async function exchangeOnce(path, { method = "GET", fields = {}, body, signal }) {
  const failed = failing(signal);
  const begun = performance.now();
  let response;
  try {
    response = await fetch(path, {
      method, headers: fields, body, signal, cache: "no-store", mode: "same-origin", redirect: "manual",
    });
  } catch (error) {
    // A field or method that may not be sent is told of in the same way as a frontend that is gone.
    throw failed("gone", error.message);
  }
  const first_ms = performance.now() - begun;
  let text;
  try {
    text = await response.text();
  } catch {
    throw failed("broken", "the answer ended before it was complete");
  }
  const { status, statusText: reason, headers } = response;
  const whole_ms = performance.now() - begun;
  return { status, reason, fields: [...headers], text, relayed: isRelayed(response), first_ms, whole_ms };
}

/**
 * Listen to events of the fleet: `onSnapshot(document, began_at)` for each, with the time at which reading it began,
 * `onError()` once, when the stream has failed and is closed. Returns how to close it.
 */
export function openEvents(path, { onSnapshot, onError }) {
  const source = new EventSource(path);
  source.addEventListener("snapshot", ({ data }) => {
    const began_at = performance.now();
    onSnapshot(JSON.parse(data), began_at);
  });
  // Browsers try again by themselves, but do not say what is wrong: who listens decides.
  source.addEventListener("error", () => {
    source.close();
    onError();
  });
  return () => source.close();
}

/**
 * Send a request whose answer is lines of JSON, and give each to `onLine` as it comes. Raises ApiError, `broken` where
 * the answer ends within a line.
 */
export async function streamLines(path, { method = "GET", body, signal } = {}, onLine) {
  const failed = failing(signal);
  let response = await open(path, method, body, signal, failed);
  let answer = response.status >= 400 && await answerOf(response);
  if (await mayAgain(answer, { method })) {
    response = await open(path, method, body, signal, failed);
    answer = response.status >= 400 && await answerOf(response);
  }
  if (answer) {
    throw new ApiError("http", wordsOf(answer.text) || `status ${answer.status}`, answer);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + piece.value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) onLine(JSON.parse(line));
    }
  } catch (error) {
    throw failed("broken", `the answer ended before it was complete: ${error.message}`);
  }
  if (rest) throw failed("broken", "the answer ended within a line");
}

/** How errors are made of what was given up meanwhile, perhaps. */
function failing(signal) {
  return (kind, message) => (signal?.aborted ? new ApiError("aborted", "aborted") : new ApiError(kind, message));
}

async function send(path, method, body, signal, failed) {
  const response = await open(path, method, body, signal, failed);
  try {
    return await answerOf(response);
  } catch {
    throw failed("broken", "the answer ended before it was complete");
  }
}

async function answerOf(response) {
  const wait_s = Number(response.headers.get("Retry-After")) || 0;
  return { status: response.status, text: await response.text(), relayed: isRelayed(response), wait_s };
}

/** Whether what the frontend itself has refused may be sent once more; somebody may have to sign in for that. */
async function mayAgain(answer, { method = "GET", asked = !["GET", "HEAD"].includes(method) }) {
  if (!answer || answer.relayed || (answer.status !== 401 && answer.status !== 403)) return false;
  const detail = { isAsked: asked, again: false };
  document.dispatchEvent(new CustomEvent(REFUSED, { detail }));
  return detail.again;
}

async function open(path, method, body, signal, failed) {
  const options = { method, signal, cache: "no-store", mode: "same-origin" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  try {
    return await fetch(path, options);
  } catch {
    const error = failed("gone", "the frontend cannot be reached");
    if (error.kind === "gone") document.dispatchEvent(new Event(GONE));
    throw error;
  }
}

/** Answers of nodes are kept in a sandbox of their own; those of the frontend itself are not. */
function isRelayed({ headers }) {
  const policies = headers.get("Content-Security-Policy") ?? "";
  return policies.split(/[,;]/).some((directive) => directive.trim() === "sandbox");
}

/** The reason in an error's body: `{"detail"}`, `{"error", "message"}` or plain text. */
function wordsOf(text) {
  let parsed;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text.trim().slice(0, 500);
  }
  if (typeof parsed?.detail === "string") return parsed.detail;
  if (Array.isArray(parsed?.detail)) {
    return parsed.detail.map((item) => `${(item.loc ?? []).join(".")}: ${item.msg}`).join("; ");
  }
  if (parsed?.errors) return Object.entries(parsed.errors).map(([key, why]) => `${key}: ${why}`).join("; ");
  return [parsed?.error, parsed?.message].filter((part) => typeof part === "string").join(": ");
}
