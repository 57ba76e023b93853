// SPDX-License-Identifier: Apache-2.0
// A sparkline: the course of one figure as a small line beside its number, which says what it is. SVG, few marks.

import { setAttribute, svg } from "./dom.js";
import { runsOf } from "./scale.js";

const [WIDTH, HEIGHT, MARGIN] = [100, 24, 2];

/** Make a sparkline; it takes its size from the style sheet. */
export function makeSparkline(style = "") {
  const parts = ["area", "line", "end"].map((name) =>
    svg("path", { class: `spark-${name}`, "vector-effect": "non-scaling-stroke" }));
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", { class: `spark ${style}`, ...frame }, parts);
}

/** Draw values, null for gaps, into a sparkline, from zero up to `max` (left out: to the largest). */
export function sparkline(element, values, { max = null } = {}) {
  const top = max ?? Math.max(...values.filter((value) => value !== null), 0);
  const x = (index) => ((index / Math.max(1, values.length - 1)) * (WIDTH - 2 * MARGIN) + MARGIN).toFixed(2);
  const y = (value) => (HEIGHT - MARGIN - Math.min(1, value / (top || 1)) * (HEIGHT - 2 * MARGIN)).toFixed(2);
  const points = values.map((value, index) => `${x(index)} ${y(value)}`);
  const runs = runsOf(values).map(([first, last]) =>
    ({ first, last, points: points.slice(first, last + 1).join("L") }));
  const [area, line, end] = element.children;
  // A line that goes nowhere is drawn as a dot, with its round ends.
  setAttribute(line, "d", runs.map((run) => `M${run.points}${run.first === run.last ? "h0" : ""}`).join(""));
  setAttribute(area, "d", runs.map((run) =>
    `M${x(run.first)} ${HEIGHT}L${run.points}L${x(run.last)} ${HEIGHT}Z`).join(""));
  setAttribute(end, "d", runs.length ? `M${points[runs.at(-1).last]}h0` : "");
}
