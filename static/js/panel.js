// SPDX-License-Identifier: Apache-2.0
// One tab of a node: reads, shows, says in words what is missing, and stops when it is left.

import { ROLE_CHANGED, signInButton } from "./access.js";
import { runAction } from "./actions.js";
import { ApiError, request } from "./api.js";
import { div, para, replace } from "./dom.js";
import { whenBack } from "./feed.js";
import { isNodesOwn, itemPath, nodePath } from "./nodes.js";
import { looseJson } from "./parse.js";
import { button, failedChange, failureTitle, notice } from "./widgets.js";

/** Raised by a tab that finds that the node has no such thing; the message says why. */
export class NotOffered extends Error {}

/** Read one path of a node as text. Raises ApiError, `unreached` where a frontend answered for it. */
export async function readNode({ key, node }, path, signal) {
  try {
    return (await request(nodePath(key, path), { signal })).text;
  } catch (error) {
    const own = error.kind !== "http" || [401, 403].includes(error.status) || isNodesOwn(error, node);
    throw own ? error : new ApiError("unreached", error.message, error.answer);
  }
}

/**
 * Read an item of a node through the frontend, whatever the node's kind and release: its data. Raises NotOffered where
 * such a node has none, and ApiError. With `reveal` what is secret comes in clear, to operators.
 */
export async function readItem({ key }, item, signal, { reveal = false } = {}) {
  const path = `${itemPath(key, item)}${reveal ? "?reveal=1" : ""}`;
  const { text } = await request(path, { signal, timeout_s: 75, asked: reveal });
  const { state, reason, data } = looseJson(text);
  if (state === "unsupported") throw new NotOffered(reason);
  // What the node answered begins with the path; everything else says why there was no answer.
  if (state === "failed") throw new ApiError(reason?.startsWith("/") ? "failed" : "unreached", reason);
  return data;
}

/**
 * Change something on a node, as an action of the fleet: `{outcome, status, detail, keys}`, where `outcome` is `done`,
 * `failed` or `unsupported`. Raises ApiError.
 */
export async function act({ key }, action, values) {
  let line = null;
  await runAction({ action, nodes: [key], arguments: values }, (one) => { if (one.outcome) line = one; });
  if (!line) throw new ApiError("broken", "the answer says nothing of this node");
  return line;
}

/** Change something on a node and say what came of it, as something to put in the page; `{line, said}`. */
export async function tryTo(context, action, values) {
  try {
    const line = await act(context, action, values);
    const tone = { done: "ok", unsupported: "info" }[line.outcome] ?? "bad";
    const title = { done: "Done", unsupported: "This node cannot do that" }[line.outcome] ?? "The node did not do it";
    return { line, said: notice(tone, title, line.detail) };
  } catch (error) {
    return { line: null, said: failedChange(error, "This was refused") };
  }
}

/**
 * Show what `load(signal)` gives through `render(body, value)`, in `root`.
 * `thing` names it for messages, `since` the LMCache release it came with, `every_ms` reads it again that often.
 * Returns `{update, unmount}`; `update()` reads again. What is on the page stays until the new answer is there. What
 * could not be read is read again once it can be; `hint(error)` says what may help.
 */
export function panel(root, { store, key }, { thing, since = null, every_ms = 0, load, render, hint = () => null }) {
  const body = div("panel-body", para("loading", `Reading ${thing} …`));
  replace(root, body);
  let reading = null;
  let timer = 0;
  let stopWaiting = () => {};
  const isShut = () => store.get().whoami?.role === "none";
  // Somebody else may see other things. What was read stays for who has to sign in again.
  const changedRole = ({ detail }) => { if (!isShut()) detail.waits.push(update()); };
  document.addEventListener(ROLE_CHANGED, changedRole);

  async function update() {
    stopReading();
    const mine = new AbortController();
    reading = mine;
    root.setAttribute("aria-busy", "true");
    try {
      const value = await load(mine.signal);
      if (!mine.signal.aborted) render(body, value);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof ApiError) && !(error instanceof NotOffered)) console.error(error);
      replace(body, explain(error, thing, since, update), hint(error));
      stopWaiting = whenBack(store, error, update, key);
    }
    if (mine.signal.aborted) return;
    root.removeAttribute("aria-busy");
    if (every_ms) timer = setTimeout(later, every_ms);
  }

  function later() {
    if (document.hidden || store.get().paused || isShut()) timer = setTimeout(later, every_ms);
    else update();
  }

  function stopReading() {
    clearTimeout(timer);
    stopWaiting();
    reading?.abort();
  }

  function unmount() {
    document.removeEventListener(ROLE_CHANGED, changedRole);
    stopReading();
  }

  update();
  return { update, unmount };
}

/** Whether somebody has selected text there: it would be gone with what it is in. */
function isReading(root) {
  const selection = getSelection();
  return !selection.isCollapsed && root.contains(selection.anchorNode);
}

/** What went wrong, in words, as something to put in the page. */
export function explain(error, thing, since, again) {
  const retry = button("Try again", again, { class: "small" });
  if (error instanceof NotOffered) return notice("info", sentence(error.message));
  const failed = (title) => notice("bad", title, error.message, retry);
  if (!(error instanceof ApiError)) return failed(`The answer could not be read as ${thing}`);
  if (error.kind !== "http") return failed(failureTitle(error, `Reading ${thing} failed`));
  const said = `The answer was ${error.status}: ${error.message}`;
  switch (error.status) {
    case 401:
    case 403:
      return notice("info", `You may not read ${thing}`,
        error.status === 401 ? "It is shown to operators only." : sentence(error.message), signInButton());
    case 404:
    case 405:
      return notice("info", `This node does not offer ${thing}`,
        since ? `In-process nodes have it from LMCache ${since} on. ${said}` : said);
    case 503:
      return notice("info", `This node has no ${thing} at the moment`, said, retry);
    default:
      return notice("bad", `Reading ${thing} failed`, said, retry);
  }
}

/** A reason as the server gives it, as a sentence. */
export function sentence(text) {
  const whole = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?)]$/.test(whole) ? whole : `${whole}.`;
}
