// SPDX-License-Identifier: Apache-2.0
// The charts of a node: which figures stand together in one, and how far back they go.

import { requestJson } from "../api.js";
import { createCursor, lineChart } from "../chart.js";
import { div, el } from "../dom.js";
import { bytes, duration, percent, rate, tokens } from "../format.js";
import { isInProcess, itemPath } from "../nodes.js";
import { button } from "../widgets.js";

/** How far back: `[id, words, seconds, step in seconds]`. */
export const RANGES = [["15m", "15 min", 900, 10], ["1h", "1 h", 3600, 60], ["24h", "24 h", 86400, 600]];

const COLOURS = ["--series-1", "--series-2", "--series-3"];
const often = { format: (value) => (value === 0 ? "none" : rate(value)), axisFormat: tokens };
const perSecond = { format: (value) => rate(value), axisFormat: tokens };
const gigabytes = (value) => `${Number(value.toPrecision(3))} GB/s`;

// Each chart: its figures as `[figure, word]`, and the kinds of nodes that have it even while it is empty.
const BOTH = ["inprocess", "mp"];
const CHARTS = [
  {
    title: "Hit rate", unit: "of tokens looked up", max: 1, format: percent, kinds: BOTH,
    none: "No lookups in this time",
    figures: [["lookup_hit_rate", "All tiers"], ["lookup_hit_rate_l1", "L1"], ["lookup_hit_rate_l2", "L2"]],
  },
  {
    title: "Tokens", unit: "a second", ...perSecond, kinds: BOTH,
    figures: [["tokens_requested_per_s", "Asked for"], ["tokens_hit_per_s", "Hit"], ["tokens_stored_per_s", "Stored"]],
  },
  {
    title: "CPU tier", mp: "L1 memory", unit: "bytes", format: bytes, kinds: BOTH,
    figures: [["cpu_used_bytes", "In use"]],
  },
  {
    title: "Requests", unit: "a second", ...perSecond, kinds: BOTH,
    figures: [["lookups_per_s", "Lookups"], ["retrieves_per_s", "Retrieves"], ["stores_per_s", "Stores"]],
  },
  { title: "Evictions", unit: "a second", ...often, kinds: BOTH, figures: [["evictions_per_s", "Evicted"]] },
  { title: "Failures", unit: "a second", ...often, kinds: BOTH, figures: [["failures_per_s", "Failed"]] },
  {
    title: "Time to retrieve", unit: "", format: duration, kinds: ["inprocess"], none: "Nothing retrieved in this time",
    figures: [["retrieve_time_p50_s", "p50"], ["retrieve_time_p95_s", "p95"]],
  },
  {
    title: "Retrieve speed", unit: "tokens a second", ...perSecond, kinds: ["inprocess"],
    figures: [["retrieve_speed_p50", "p50"], ["retrieve_speed_p95", "p95"]], none: "Nothing retrieved in this time",
  },
  {
    title: "Time to store", unit: "", format: duration, kinds: ["inprocess"], none: "Nothing stored in this time",
    figures: [["store_time_p50_s", "p50"], ["store_time_p95_s", "p95"]],
  },
  {
    title: "Load speed from L1", unit: "", format: gigabytes, kinds: ["mp"], none: "Nothing loaded in this time",
    figures: [["l1_load_gb_per_s_p50", "p50"], ["l1_load_gb_per_s_p95", "p95"]],
  },
  {
    title: "Store speed into L1", unit: "", format: gigabytes, kinds: ["mp"], none: "Nothing stored in this time",
    figures: [["l1_store_gb_per_s_p50", "p50"], ["l1_store_gb_per_s_p95", "p95"]],
  },
  {
    title: "Load speed from L2", unit: "", format: gigabytes, kinds: [],
    figures: [["l2_load_gb_per_s_p50", "p50"], ["l2_load_gb_per_s_p95", "p95"]],
  },
  {
    title: "Slower tiers", unit: "bytes", format: bytes, kinds: [],
    figures: [["disk_used_bytes", "Disk"], ["remote_used_bytes", "Remote"]],
  },
];
const FIGURES = CHARTS.flatMap(({ figures }) => figures.map(([name]) => name));

/** Read the figures of a node over a range. Raises ApiError. */
export function readSeries({ key, store }, range, signal) {
  const [, , length_s, step_s] = rangeOf(range);
  // By the clock of the server, which cut the steps.
  const now_s = store.get().fleet.taken_at ?? Date.now() / 1000;
  const since = Math.floor(now_s - length_s + step_s);
  return requestJson(`${itemPath(key, "series")}?name=${FIGURES.join(",")}&since=${since}&step=${step_s}`, { signal });
}

/** A range by its id, or the shortest. */
export function rangeOf(id) {
  return RANGES.find(([one]) => one === id) ?? RANGES[0];
}

/** Buttons to choose a range; `choose(id)` is called with the one that is pressed. */
export function rangeChoice(chosen, choose) {
  const buttons = RANGES.map(([id, words]) => button(words, () => choose(id),
    { "aria-pressed": String(id === chosen), dataset: { range: id } }));
  return el("div", { class: "segments", role: "group", "aria-label": "How far back" }, buttons);
}

/** The charts of a node, kept while their values change; `update(answer, figures)` gives how many there are. */
export function nodeCharts(kind) {
  const cursor = createCursor();
  const element = div("charts");
  const said = el("p", { class: "muted", hidden: true }, kind === "scheduler"
    ? "A scheduler has no cache of its own: what is kept, hit and evicted is counted by its workers."
    : "This node counts nothing that could be drawn here.");
  const open = new Map();
  const update = (answer, figures = {}) => {
    let last = null;
    for (const spec of CHARTS) {
      const data = dataOf(spec, kind, answer, figures);
      if (!data) {
        open.get(spec)?.destroy();
        open.delete(spec);
        continue;
      }
      if (open.has(spec)) open.get(spec).update(data);
      else open.set(spec, lineChart(element, { cursor, ...data }));
      // A chart that comes later still stands in its place.
      const now = open.get(spec).element;
      if (now.previousElementSibling !== last) element.insertBefore(now, last ? last.nextSibling : element.firstChild);
      last = now;
    }
    said.hidden = open.size > 0;
    return open.size;
  };
  const destroy = () => { for (const chart of open.values()) chart.destroy(); };
  return { element: el("div", {}, element, said), charts: open, update, destroy };
}

/** What a chart shows, or null for one that says nothing about this node. */
function dataOf(spec, kind, { start, step_s, series }, known) {
  const { title, mp, unit, max = null, format, axisFormat, figures, kinds, none } = spec;
  const isBusy = (name) => series[name].some((value) => value);
  const own = kinds.includes(isInProcess(kind) && kind !== "scheduler" ? "inprocess" : kind);
  if (!own && !figures.some(([name]) => isBusy(name))) return null;
  const shown = figures.filter(([name], place) => (own && place === 0) || series[name].some((value) => value !== null));
  const lines = shown.map(([name, word]) => ({
    name: word, values: series[name], colour: COLOURS[figures.findIndex(([one]) => one === name)],
  }));
  const data = {
    title: kind === "mp" && mp ? mp : title, unit, format, axisFormat, series: lines, start, step_s, max, marks: [],
  };
  if (none) data.none = none;
  return unit === "bytes" && mp ? { ...data, ...capacityOf(known) } : data;
}

/** The end of the axis of what is in use, how much of it that is, and the level from which on is evicted. */
function capacityOf({ cpu_capacity_bytes: capacity, l1_watermark: watermark }) {
  if (!(capacity?.value > 0)) return {};
  const marks = watermark?.value > 0
    ? [{ name: `evicts from ${percent(watermark.value)}`, value: watermark.value * capacity.value }] : [];
  return {
    max: capacity.value, marks, axisFormat: bytes,
    format: (value) => `${bytes(value)} (${percent(value / capacity.value)})`,
  };
}
