// SPDX-License-Identifier: Apache-2.0
// One tab of a node: reads, shows, says in words what is missing, and stops when it is left.

import { ApiError, request } from "./api.js";
import { div, para, replace } from "./dom.js";
import { isNodesOwn, nodePath } from "./nodes.js";
import { whenBack } from "./poll.js";
import { button, failureTitle, notice } from "./widgets.js";

/** Raised by a tab that finds that the node has no such thing; the message says why. */
export class NotOffered extends Error {}

/** Send one request to a node and give its answer. Raises ApiError, `unreached` where a frontend answered for it. */
export async function askNode({ key, node }, path, options) {
  try {
    return await request(nodePath(key, path), options);
  } catch (error) {
    const own = error.kind !== "http" || error.status === 403 || isNodesOwn(error, node);
    throw own ? error : new ApiError("unreached", error.message, error.answer);
  }
}

/** Read one path of a node as text. Raises ApiError. */
export async function readNode(context, path, signal) {
  return (await askNode(context, path, { signal })).text;
}

/** Read the first of `paths` that the node has. Raises the last ApiError if it has none. */
export async function readFirst(context, paths, signal) {
  for (const path of paths.slice(0, -1)) {
    try {
      return await readNode(context, path, signal);
    } catch (error) {
      if (error.kind !== "http" || error.status !== 404) throw error;
    }
  }
  return readNode(context, paths.at(-1), signal);
}

/**
 * Show what `load(signal)` gives through `render(body, value)`, in `root`.
 * `thing` names it for messages, `since` the LMCache release it came with, `every_ms` reads it again that often.
 * Returns `{update, unmount}`; `update()` reads again. What is on the page stays until the new answer is there. What
 * could not be read is read again once it can be.
 */
export function panel(root, { store, key }, { thing, since = null, every_ms = 0, load, render }) {
  const body = div("panel-body", para("loading", `Reading ${thing} …`));
  replace(root, body);
  let reading = null;
  let timer = 0;
  let stopWaiting = () => {};

  async function update() {
    unmount();
    const mine = new AbortController();
    reading = mine;
    root.setAttribute("aria-busy", "true");
    try {
      const value = await load(mine.signal);
      if (!mine.signal.aborted) render(body, value);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof ApiError) && !(error instanceof NotOffered)) console.error(error);
      replace(body, explain(error, thing, since, update));
      stopWaiting = whenBack(store, error, update, key);
    }
    if (mine.signal.aborted) return;
    root.removeAttribute("aria-busy");
    if (every_ms) timer = setTimeout(later, every_ms);
  }

  function later() {
    if (document.hidden) timer = setTimeout(later, every_ms);
    else update();
  }

  function unmount() {
    clearTimeout(timer);
    stopWaiting();
    reading?.abort();
  }

  update();
  return { update, unmount };
}

/** What went wrong, in words, as something to put in the page. */
export function explain(error, thing, since, again) {
  const retry = button("Try again", again, { class: "small" });
  if (error instanceof NotOffered) return notice("info", error.message);
  const failed = (title) => notice("bad", title, error.message, retry);
  if (!(error instanceof ApiError)) return failed(`The answer could not be read as ${thing}`);
  if (error.kind !== "http") return failed(failureTitle(error, ""));
  const said = `The answer was ${error.status}: ${error.message}`;
  switch (error.status) {
    case 403:
      return notice("info", `You may not read ${thing} here`, `This is shown to operators only. ${said}`);
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
