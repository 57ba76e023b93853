// SPDX-License-Identifier: Apache-2.0
// The charts of one metric family, from what was read since its tab was opened.

import { createCursor, lineChart } from "../chart.js";
import { div } from "../dom.js";
import { count, rate, tokens } from "../format.js";
import { courseOf } from "../readings.js";

/** How often metrics are read, and for how many such steps they are kept: a quarter of an hour. */
export const STEP_S = 5;
export const STEPS = 180;
// While little is known, less is shown, so that the line does not begin as a dot in a corner.
const SPANS = [24, 60, STEPS];

const FIRST = "Being read: the first values come in seconds";

const COLOURS = [1, 2, 3, 4, 5].map((place) => `--series-${place}`);

/** Charts for a family, kept while they are open: `{element, update(family, readings, inUnit), destroy()}`. */
export function familyCharts() {
  const element = div("charts");
  const cursor = createCursor();
  const open = new Map();
  return {
    element,
    update(family, readings, inUnit) {
      const last = Math.floor(readings.at(-1).at / STEP_S);
      const needed = last - Math.floor(readings[0].at / STEP_S) + 1;
      const steps = SPANS.find((span) => span >= needed) ?? STEPS;
      const frame = { start: (last - steps + 1) * STEP_S, step_s: STEP_S, steps };
      for (const { what, lines, rest } of courseOf(family, readings, frame)) {
        const series = lines.map((line, place) => ({ ...line, colour: COLOURS[place] }));
        const chart = { ...frame, ...WORDS[what](inUnit), series, unit: unitOf(what, family, rest) };
        if (open.has(what)) open.get(what).update(chart);
        else open.set(what, lineChart(element, { cursor, none: FIRST, ...chart }));
      }
    },
    destroy() { for (const chart of open.values()) chart.destroy(); },
  };
}

const often = { format: (value) => (value === 0 ? "none" : rate(value)), axisFormat: tokens };
const WORDS = {
  value: (inUnit) => ({ title: "Value", format: inUnit, from_zero: false }),
  rate: () => ({ title: "Rate", ...often }),
  spread: (inUnit) => ({ title: "Spread", format: inUnit }),
};

/** Whether a family counts bytes, by its name or by its help. */
export function isInBytes({ name, help }) {
  return /_bytes(_total)?$/.test(name) || /^bytes\b/i.test(help);
}

function unitOf(what, family, rest) {
  if (what === "value" && isInBytes(family)) return "bytes";
  const words = { value: "", rate: "a second", spread: "between readings" }[what];
  return rest > 0 ? `${words}, the largest; ${count(rest, "line")} left out`.replace(/^, /, "") : words;
}
