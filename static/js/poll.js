// SPDX-License-Identifier: Apache-2.0
// Keeps the store fresh: the node list and one probe a node every ten seconds, while the page is visible.

import { GONE, requestJson } from "./api.js";
import { probe, readFleet } from "./nodes.js";

const EVERY_MS = 10_000;
const RETRY_MS = 2_000;
const AT_ONCE = 4;
// What may be otherwise a moment later.
const PASSING = new Set(["gone", "unreached", "broken", "timeout"]);

/** Start polling into `store`; `{now}` reads at once. What is probed is `state.watched`: `"all"`, a key or null. */
export function startPolling(store) {
  let round = null;
  let timer = 0;

  async function run() {
    stop();
    const { signal } = round = new AbortController();
    await readNodes(store, signal) && await probeAll(store, signal);
    if (!signal.aborted) later(store.get().link.up ? EVERY_MS : RETRY_MS);
  }

  function later(delay_ms) {
    clearTimeout(timer);
    timer = setTimeout(run, delay_ms);
  }

  function stop() {
    clearTimeout(timer);
    round?.abort();
  }

  document.addEventListener(GONE, () => {
    setLink(store, false);
    if (!document.hidden) later(RETRY_MS);
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : run()));
  if (!document.hidden) run();
  return { now: run };
}

/**
 * Call `again` once what failed with `error` can be had again: the frontend is back, or the node answers. One that took
 * too long must have been silent in between, or it would be asked for the same without end. Returns how to stop.
 */
export function whenBack(store, error, again, key = null) {
  const failed_at = Date.now();
  let paused = error.kind !== "timeout";
  if (!PASSING.has(error.kind)) return () => {};
  const stop = store.subscribe(({ link, probes }) => {
    const probe = probes.get(key);
    const answers = error.kind === "gone" ? link.up : probe?.state === "answering";
    paused ||= !answers;
    if (!paused || !answers || (error.kind === "gone" ? link : probe).read_at <= failed_at) return;
    stop();
    again();
  });
  return stop;
}

/** Read who we are (after each outage) and the nodes; true if that worked. */
async function readNodes(store, signal) {
  const options = { signal, timeout_s: 10 };
  try {
    if (!store.get().link.up) {
      // An older frontend does not say who we are, and then nothing is known.
      const whoami = await requestJson("api/whoami", options).catch((error) => {
        if (error.status !== 404) throw error;
        return null;
      });
      store.set({ whoami });
    }
    const fleet = { state: "ready", reason: null, ...readFleet(await requestJson("api/nodes", options)) };
    setLink(store, true);
    if (JSON.stringify(fleet) !== JSON.stringify(store.get().fleet)) store.set({ fleet });
    return true;
  } catch (error) {
    // Behind a reverse proxy, a frontend that is gone shows as 502 to 504.
    if (["gone", "timeout"].includes(error.kind) || (error.status >= 502 && error.status <= 504)) setLink(store, false);
    else if (error.kind !== "aborted") {
      store.set({ fleet: { ...store.get().fleet, state: "failed", reason: error.message } });
    }
    return false;
  }
}

/** Probe what is watched, a few at a time; those that were silent come last, so they hold nobody up. */
async function probeAll(store, signal) {
  const { fleet, probes, watched } = store.get();
  const all = [...fleet.proxies.filter((proxy) => !proxy.local), ...fleet.nodes];
  const wanted = all.filter((node) => watched === "all" || watched === node.key);
  const silent = (node) => Number(probes.get(node.key)?.state === "silent");
  const queue = wanted.sort((a, b) => silent(a) - silent(b));
  const keys = new Set(all.map((node) => node.key));
  for (const key of probes.keys()) if (!keys.has(key)) probes.delete(key);
  const next = async () => {
    for (let node = queue.shift(); node && !signal.aborted; node = queue.shift()) {
      store.setProbe(node.key, await probe(node, probes.get(node.key), signal));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  } catch (error) {
    if (error.kind !== "aborted" && error.kind !== "gone") throw error;
  }
}

/** Note whether the frontend can be reached, since when that is so, and when it last was. */
function setLink(store, up) {
  const { link } = store.get();
  const now = Date.now();
  if (up || link.up !== up) {
    store.set({ link: { up, since: link.up === up ? link.since : now, read_at: up ? now : link.read_at } });
  }
}
