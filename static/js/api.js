// SPDX-License-Identifier: Apache-2.0
// The only module that fetches. Every address is relative to the page, so the page works under any sub-path.

/** The event at `document` that says that the frontend could not be reached. */
export const GONE = "frontend-gone";

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
 * Send one request and read the whole answer: `{status, text, relayed}`; `relayed` says that the frontend had it from a
 * node. Raises ApiError, also for a status of 400 and up.
 */
export async function request(path, { method = "GET", body, signal, timeout_s = 20 } = {}) {
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

async function send(path, method, body, signal, failed) {
  const options = { method, signal, cache: "no-store", mode: "same-origin" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    const error = failed("gone", "the frontend cannot be reached");
    if (error.kind === "gone") document.dispatchEvent(new Event(GONE));
    throw error;
  }
  try {
    return { status: response.status, text: await response.text(), relayed: isRelayed(response) };
  } catch {
    throw failed("broken", "the answer ended before it was complete");
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
