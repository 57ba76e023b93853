// SPDX-License-Identifier: Apache-2.0
// Keeps the store fresh while the page is visible: one stream of events, polling where streams fail, and the node list.

import { readWhoami, ROLE_CHANGED } from "./access.js";
import { GONE, openEvents, requestJson } from "./api.js";
import { apply, take } from "./fleet.js";
import { readTree } from "./nodes.js";
import { eventsPath, readFleet } from "./start.js";

const LIST_EVERY_MS = 30_000;
const RETRY_MS = 2_000;
const STREAM_AGAIN_MS = 30_000;
const DRAWN_MS = 50;
const READ_S = 15;
/** How many intervals data may be old before it is called so. */
export const STALE_INTERVALS = 3;
// What comes through a stream may be this many intervals late before it is asked for.
const LATE_INTERVALS = 2;
// What may be otherwise a moment later.
const PASSING = new Set(["gone", "unreached", "broken", "timeout"]);

/** Start reading into `store`; `now()` reads the node list at once. */
export function startFeed(store) {
  const feed = { store, close: null, control: null, timers: {}, heard_at: -Infinity, resting: false };
  document.addEventListener(GONE, () => setLink(store, false));
  // Events are those of who opened the stream: somebody else opens another.
  document.addEventListener(ROLE_CHANGED, () => { if (!document.hidden) begin(feed); });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop(feed) : begin(feed)));
  if (!document.hidden) begin(feed);
  return { now: () => readList(feed) };
}

function begin(feed) {
  stop(feed);
  feed.control = new AbortController();
  poll(feed, feed.control.signal);
  readList(feed);
}

/** A page that nobody sees asks for nothing, and keeps none of the few connections that browsers allow. */
function stop(feed) {
  for (const timer of Object.values(feed.timers)) clearTimeout(timer);
  feed.resting = false;
  feed.control?.abort();
  hangUp(feed);
}

function hangUp(feed) {
  feed.close?.();
  feed.close = null;
  feed.heard_at = -Infinity;
}

function later(feed, name, delay_ms, act) {
  clearTimeout(feed.timers[name]);
  feed.timers[name] = setTimeout(act, delay_ms);
}

/** Read the fleet where nothing comes through a stream, as some proxies hold streams back; again after an interval. */
async function poll(feed, signal) {
  const { store } = feed;
  if (isShut(store)) return;
  const interval_ms = store.newest().interval_s * 1000;
  let ok = performance.now() - feed.heard_at < LATE_INTERVALS * interval_ms;
  if (!ok) {
    ok = await reading(store, async () => {
      const document = await readFleet({ signal });
      if (signal.aborted) return;
      // What is newest is known only now: the list may have been read meanwhile.
      show(feed, take(store.newest(), document));
    }, "poll");
    if (signal.aborted) return;
    // Back after an outage, the stream is most likely to be had again.
    // What was read is drawn first: opening a stream takes its time.
    if (ok && (feed.wasGone || (!feed.close && !feed.resting))) {
      later(feed, "stream", DRAWN_MS, () => listen(feed, signal));
    }
    feed.wasGone = !ok;
  }
  later(feed, "poll", ok ? store.newest().interval_s * 1000 : RETRY_MS, () => poll(feed, signal));
}

/** Open the stream, from what is known on. One that fails is tried again in a while; the fleet is polled meanwhile. */
function listen(feed, signal) {
  const { store } = feed;
  hangUp(feed);
  feed.resting = false;
  clearTimeout(feed.timers.stream);
  feed.close = openEvents(eventsPath(store.newest().snapshot), {
    onSnapshot(event, began_at) {
      feed.heard_at = performance.now();
      setLink(store, true, "stream");
      show(feed, apply(store.newest(), event));
      // For who measures the page.
      performance.clearMeasures("fleet-read");
      performance.measure("fleet-read", { start: began_at });
    },
    onError() {
      if (signal.aborted) return;
      const had = feed.heard_at > 0;
      hangUp(feed);
      feed.resting = true;
      later(feed, "stream", had ? RETRY_MS : STREAM_AGAIN_MS, () => listen(feed, signal));
      later(feed, "poll", 0, () => poll(feed, signal));
    },
  });
}

/** Read who we are, as a session may have ended, and what is listed, with the reason why nothing can be kept, if so. */
async function readList(feed) {
  const { store, control: { signal } } = feed;
  const options = { signal, timeout_s: READ_S };
  const ok = await reading(store, async () => {
    await readWhoami(store, signal);
    if (isShut(store) || signal.aborted) return;
    const tree = readTree(await requestJson("api/nodes", options));
    const fleet = store.newest();
    if (JSON.stringify(tree) !== JSON.stringify(pick(fleet, tree))) show(feed, { ...fleet, ...tree });
  });
  if (!signal.aborted) later(feed, "list", ok ? LIST_EVERY_MS : RETRY_MS, () => readList(feed));
}

/** Put a fleet into the store; a set of nodes that is new has the list read again. */
function show(feed, fleet) {
  const before = feed.store.newest();
  feed.store.setFleet(fleet);
  if (fleet.nodes.length !== before.nodes.length && before.nodes.length) later(feed, "list", 500, () => readList(feed));
}

/** Whether there is nothing to be read before somebody has signed in. */
function isShut(store) {
  return store.get().whoami?.role === "none";
}

function pick(fleet, like) {
  return Object.fromEntries(Object.keys(like).map((name) => [name, fleet[name]]));
}

/** Do one reading and note what it says of the frontend, and `how` the fleet comes; true if it worked. */
async function reading(store, read, how = store.get().link.how) {
  try {
    await read();
    setLink(store, true, how);
    return true;
  } catch (error) {
    // Behind a reverse proxy, a frontend that is gone shows as 502 to 504.
    if (["gone", "timeout"].includes(error.kind) || (error.status >= 502 && error.status <= 504)) setLink(store, false);
    else if (error.kind !== "aborted" && error.status !== 401) {
      const fleet = store.newest();
      store.setFleet({ ...fleet, state: fleet.nodes.length ? fleet.state : "failed", reason: error.message });
      if (!error.kind) throw error;
    }
    return false;
  }
}

/** Note whether the frontend can be reached, since when that is so, when it last was, and how the fleet comes. */
function setLink(store, up, how = null) {
  const { link } = store.get();
  const at = Date.now();
  if (up || link.up !== up) {
    store.set({
      link: { up, how: up ? how : null, since: link.up === up ? link.since : at, read_at: up ? at : link.read_at },
    });
  }
}

/**
 * Call `again` once what failed with `error` can be had again: the frontend is back, or the node answers. One that took
 * too long must have been silent in between, or it would be asked for the same without end. Returns how to stop.
 */
export function whenBack(store, error, again, key = null) {
  const failed_at = Date.now();
  let paused = error.kind !== "timeout";
  if (!PASSING.has(error.kind)) return () => {};
  const stop = store.subscribe(({ link }) => {
    const node = store.newest().byKey.get(key);
    const answers = error.kind === "gone" ? link.up : node && node.level !== "unreachable";
    const at = error.kind === "gone" ? link.read_at : (node?.last_seen ?? 0) * 1000;
    paused ||= !answers;
    if (!paused || !answers || at <= failed_at) return;
    stop();
    again();
  });
  return stop;
}
