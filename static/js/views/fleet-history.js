// SPDX-License-Identifier: Apache-2.0
// What figures of every node, and of the fleet, were over the last while: read once, then only what is new.

import { requestJson } from "../api.js";

/** How far back: `[id, words, seconds, step in seconds]`. */
export const RANGES = [["15m", "15 min", 900, 10], ["1h", "1 h", 3600, 60], ["24h", "24 h", 86400, 600]];
/** The figures of the fleet that are drawn beside their numbers. */
export const TOTALS = ["lookup_hit_rate", "tokens_hit_per_s", "cpu_fill", "evictions_per_s", "failures_per_s"];

/**
 * Keep the history of one figure of every node: `{name, start, step_s, count, rows: Map(key -> values), levels, top,
 * worth, stamp}`; `read(name, range, signal)` brings it up to date and says whether it has changed. Raises ApiError.
 */
export function heatHistory() {
  const history = {
    name: null, range: null, start: 0, step_s: 10, count: 0, rows: new Map(), levels: null, top: null, worth: 0,
    stamp: 0,
  };
  history.read = async (name, range, signal) => {
    const isNew = history.name !== name || history.range !== range || !history.count;
    const [, , length_s, step_s] = rangeOf(range);
    const now_s = Date.now() / 1000;
    // The newest steps may have been read before they were full.
    const since = isNew ? now_s - length_s + step_s : history.start + (history.count - 2) * history.step_s;
    const path = `api/fleet/heat?name=${name}&since=${Math.max(0, since)}&step=${step_s}`;
    const answer = await requestJson(path, { signal });
    const end = history.start + history.count * history.step_s;
    const isPart = !isNew && answer.step_s === history.step_s && answer.start <= end;
    Object.assign(history, { name, range, levels: answer.levels ?? null });
    if (isPart) extend(history, answer);
    else renew(history, answer);
    history.top = topOf(name, history.rows);
    history.worth = stepsWorth(history.rows.values(), history.count);
    history.stamp += 1;
  };
  return history;
}

/** The figures of the fleet over the last while, as `{start, step_s, series: {name: values}}`. Raises ApiError. */
export function readTotals(range, signal) {
  const [, , length_s, step_s] = rangeOf(range);
  const since = Math.max(0, Date.now() / 1000 - length_s + step_s);
  return requestJson(`api/fleet/series?name=${TOTALS.join(",")}&since=${since}&step=${step_s}`, { signal });
}

/**
 * How many of the newest steps are worth showing: all, or a quarter, half or three quarters of them while the service
 * has not run for longer. `rows` are lists of as many values.
 */
export function stepsWorth(rows, count) {
  let first = count;
  for (const values of rows) {
    const at = values.findIndex((value) => value !== null);
    if (at >= 0 && at < first) first = at;
  }
  return [0.25, 0.5, 0.75].map((share) => Math.ceil(count * share)).find((steps) => first >= count - steps) ?? count;
}

/** A range by its id, or the shortest. */
export function rangeOf(id) {
  return RANGES.find(([one]) => one === id) ?? RANGES[0];
}

function renew(history, { start, step_s, nodes, values }) {
  const rows = new Map(nodes.map((key, index) => [key, values[index]]));
  Object.assign(history, { start, step_s, rows, count: values[0]?.length ?? 0 });
}

/** Put new steps behind the known ones, over those that were read half full, and drop as many of the oldest. */
function extend(history, { start, step_s, nodes, values }) {
  const known = Math.round((start - history.start) / step_s);
  const added = known + (values[0]?.length ?? 0) - history.count;
  const blank = Array(known).fill(null);
  history.rows = new Map(nodes.map((key, index) =>
    [key, (history.rows.get(key) ?? blank).slice(0, known).concat(values[index]).slice(added)]));
  history.start += added * step_s;
}

/** The value at the upper edge: shares end at one, rates a little below their largest, so that one spike hides none. */
function topOf(name, rows) {
  if (name === "level") return null;
  if (!name.endsWith("_per_s")) return 1;
  const values = [...rows.values()].flat().filter((value) => value !== null).sort((a, b) => a - b);
  return values.length ? values[Math.floor((values.length - 1) * 0.98)] || values.at(-1) || 1 : 1;
}
