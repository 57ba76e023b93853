// SPDX-License-Identifier: Apache-2.0
// The fleet as the page holds it, out of the server's documents. A node that did not change is the same object. Pure.

import { LOCAL } from "./nodes.js";

/** The name that is unique in the fleet, as the server forms it. */
export function keyOf({ name, proxy }) {
  return proxy === LOCAL ? name : `${proxy}/${name}`;
}

/** Take a whole document (`api/fleet`) in place of what was known. */
export function take(before, document) {
  const known = before.byKey;
  const nodes = document.nodes.map((item) => kept(known, item));
  return next(before, document, new Map(nodes.map((node) => [node.key, node])));
}

/** Take what an event says has changed. */
export function apply(before, { changed, gone, complete, ...document }) {
  if (complete) return take(before, { ...document, nodes: changed });
  if (!changed.length && !gone.length) return next(before, document, before.byKey);
  const byKey = new Map(before.byKey);
  for (const key of gone) byKey.delete(key);
  for (const item of changed) byKey.set(keyOf(item), kept(before.byKey, item));
  return next(before, document, byKey);
}

function next(before, { snapshot, taken_at, interval_s, totals, problems }, byKey) {
  const isNew = snapshot !== before.snapshot || taken_at !== before.taken_at;
  return {
    ...before, state: "ready", reason: null, snapshot, taken_at, totals, problems, byKey,
    interval_s: interval_s ?? before.interval_s,
    received_at: isNew ? Date.now() : before.received_at,
    nodes: byKey === before.byKey ? before.nodes : [...byKey.values()],
  };
}

function kept(known, item) {
  const key = keyOf(item);
  const old = known.get(key);
  if (!old) return { ...item, key };
  if (alike(old, { ...item, key, last_seen: old.last_seen })) {
    // When it was seen last is no change of it, but is said where it is asked for.
    old.last_seen = item.last_seen;
    return old;
  }
  return { ...item, key };
}

function alike(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => alike(one[name], other[name]));
}
