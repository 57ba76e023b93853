// SPDX-License-Identifier: Apache-2.0
// The heat strip of the fleet: which figure, how far back, and a line a node.

import { div, el, setText } from "../dom.js";
import { count, percent, rate } from "../format.js";
import { heatStrip, SCALES } from "../heat.js";
import { nodeHref } from "../router.js";
import { levelText, select } from "../widgets.js";
import { RANGES, rangeOf } from "./fleet-history.js";

/** What the strip can show: `[figure, words]`. */
export const HEATS = [
  ["lookup_hit_rate", "Hit rate"], ["level", "State"], ["cpu_fill", "Fill"], ["tokens_hit_per_s", "Tokens hit"],
  ["evictions_per_s", "Evictions"], ["failures_per_s", "Failures"],
];

const HEIGHT = 168;

/** Make the strip; `draw(nodes, history)` shows the nodes in the given order. `on` holds `figure`, `range`, `open`. */
export function heatCard({ heat, range }, on) {
  const figure = select("Figure of the strip", HEATS, heat, on.figure, { class: "quiet strong" });
  const ranges = RANGES.map(([id, words]) => [id, words]);
  const span = select("How far back", ranges, rangeOf(range)[0], on.range, { class: "quiet" });
  const said = el("p", { class: "muted card-said" }, "Reading …");
  const place = div("heat-place");
  const element = el("section", { class: "card heat-card", "aria-label": "Nodes over time" },
    el("header", { class: "card-head" }, el("h2", {}, "Over time"), figure, span), said, place);
  let strip = null;
  let failure = null;
  const draw = (nodes, history) => {
    setText(said, failure ?? wordsFor(nodes, history));
    said.hidden = !said.textContent;
    place.hidden = !said.hidden;
    if (place.hidden) return;
    const data = dataOf(nodes, history);
    if (strip) strip.update(data);
    else strip = heatStrip(place, { ...data, onPick: (row) => on.open(nodeHref(row.key)) });
  };
  return {
    element,
    draw,
    set(options) {
      figure.value = options.heat;
      span.value = rangeOf(options.range)[0];
    },
    /** Note why the history could not be read, or with null that it was. */
    fail(error) { failure = error && `The history could not be read: ${error.message}`; },
    stop() { strip?.destroy(); },
  };
}

function wordsFor(nodes, history) {
  if (!history.count) return "Reading …";
  return nodes.length ? "" : "No node matches the filter.";
}

function dataOf(nodes, history) {
  const blank = Array(history.worth).fill(null);
  const newest = (values) => values?.slice(-history.worth) ?? blank;
  const label = HEATS.find(([name]) => name === history.name)?.[1] ?? history.name;
  return {
    label: `${label} of ${count(nodes.length, "node")}, a line each`,
    rows: nodes.map(({ key }) => ({ key, name: key })),
    values: nodes.map(({ key }) => newest(history.rows.get(key))),
    start: history.start + (history.count - history.worth) * history.step_s, step_s: history.step_s,
    height: HEIGHT, ...scaleOf(history),
  };
}

const scales = new Map();

function scaleOf({ name, top, levels }) {
  if (name === "level") return { scale: SCALES.level, format: (value) => levelText(levels?.[value]) };
  if (name === "lookup_hit_rate") return { scale: SCALES.share, format: percent };
  if (name === "cpu_fill") return { scale: SCALES.fill, format: percent };
  const id = `${name} ${top}`;
  if (!scales.has(id)) {
    scales.clear();
    scales.set(id, { ...SCALES.fill, high: top });
  }
  return { scale: scales.get(id), format: rate };
}
