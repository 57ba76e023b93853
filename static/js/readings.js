// SPDX-License-Identifier: Apache-2.0
// Metrics that were read one after the other: what a family comes to now, how fast it grows, and its course. Pure.

const RATE_OVER_S = 60;
const LINES_AT_MOST = 5;

/** What is kept of one reading of `parseMetrics` families at a time (seconds since the epoch). */
export function reading(at, families) {
  const values = new Map();
  for (const family of families) for (const sample of family.samples) values.set(idOf(sample), sample.value);
  return { at, values };
}

/** The number that a family comes to: its one value, the sum of a counter, the observations of a histogram, or null. */
export function valueOf(family) {
  const counted = countedOf(family);
  if (family.samples.length === 1) return family.samples[0].value;
  return counted.length ? counted.reduce((sum, { value }) => sum + value, 0) : null;
}

/** What a histogram has seen on average since the node started, or null. */
export function meanOf({ name, samples }) {
  const total = (suffix) => samples.filter((sample) => sample.name === name + suffix)
    .reduce((sum, { value }) => sum + value, 0);
  return total("_count") > 0 ? total("_sum") / total("_count") : null;
}

/** How much a counter or histogram grew a second over the last minute of readings; null where it cannot be said. */
export function rateOf(family, readings) {
  const newest = readings.at(-1);
  const before = readings.find(({ at }) => newest.at - at <= RATE_OVER_S);
  return growth(countedOf(family).map(idOf), before, newest);
}

/**
 * The course of a family, as charts: `[{what, lines: [{name, values}], rest}]`, where `what` is `value`, `rate` or
 * `spread` (of a histogram: half of what was observed lay below the first, 95 % below the second), `values` has one
 * for each step of `step_s` seconds from `start` on, and `rest` lines are left out.
 */
export function courseOf(family, readings, { start, step_s, steps }) {
  const slots = Array(steps).fill(null);
  readings.forEach((one, place) => {
    const slot = Math.floor((one.at - start) / step_s);
    if (slot >= 0 && slot < steps) slots[slot] = { now: one, before: readings[place - 1] };
  });
  const each = (of) => slots.map((slot) => {
    const value = slot ? of(slot) : null;
    return Number.isFinite(value) ? value : null;
  });
  const grown = (ids) => each(({ before, now }) => growth(ids, before, now));
  if (family.type === "histogram" || family.type === "summary") {
    const observed = { name: "Observed", values: grown(countedOf(family).map(idOf)) };
    const charts = [{ what: "rate", rest: 0, lines: [observed] }];
    if (family.type === "summary") return charts;
    const lines = [["p50", 0.5], ["p95", 0.95]].map(([name, share]) =>
      ({ name, values: each(({ before, now }) => quantile(family, share, before, now)) }));
    return [{ what: "spread", lines, rest: 0 }, ...charts];
  }
  const isCounter = family.type === "counter";
  const shown = isCounter ? countedOf(family) : family.samples;
  const most = [...shown].sort((a, b) => b.value - a.value).slice(0, LINES_AT_MOST);
  const common = commonLabels(shown);
  const lines = shown.filter((sample) => most.includes(sample)).map((sample) => ({
    name: labelsOf(sample, common) || (isCounter ? "Grows by" : "Now"),
    values: isCounter ? grown([idOf(sample)]) : each(({ now }) => now.values.get(idOf(sample))),
  }));
  return [{ what: isCounter ? "rate" : "value", lines, rest: shown.length - lines.length }];
}

/** The labels of a sample as text, but for those that are `known`; empty without any. */
export function labelsOf({ labels }, known = {}) {
  const told = Object.entries(labels).filter(([key, value]) => known[key] !== value);
  return told.map(([key, value]) => `${key}="${value}"`).join(", ");
}

/** The labels that all samples have in common. */
export function commonLabels(samples) {
  const [first, ...others] = samples.map(({ labels }) => labels);
  const isCommon = ([key, value]) => others.every((one) => one[key] === value);
  return Object.fromEntries(Object.entries(first ?? {}).filter(isCommon));
}

function idOf(sample) {
  return `${sample.name}{${labelsOf(sample)}}`;
}

/** The samples of which the sum only ever grows. */
function countedOf({ name, type, samples }) {
  if (type === "histogram" || type === "summary") return samples.filter((sample) => sample.name === `${name}_count`);
  return type === "counter" ? samples.filter((sample) => !sample.name.endsWith("_created")) : [];
}

/** Growth a second between two readings; null where a part was not there before, or was set back. */
function growth(ids, before, now) {
  if (!before || !now || now.at <= before.at || !ids.length) return null;
  let grown = 0;
  for (const id of ids) {
    // What begins to be counted in between began at zero.
    const more = (now.values.get(id) ?? NaN) - (before.values.get(id) ?? 0);
    if (!(more >= 0)) return null;
    grown += more;
  }
  return grown / (now.at - before.at);
}

/** The value below which a share of what was observed between two readings lay, evenly spread within a bucket. */
function quantile({ name, samples }, share, before, now) {
  const counts = new Map();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket`) continue;
    const bound = Number(sample.labels.le.replace("Inf", "Infinity"));
    const more = growth([idOf(sample)], before, now);
    if (more === null) return null;
    counts.set(bound, (counts.get(bound) ?? 0) + more);
  }
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const wanted = share * (buckets.at(-1)?.[1] ?? 0);
  if (!(wanted > 0)) return null;
  const place = buckets.findIndex(([, count]) => count >= wanted);
  const [low, less] = buckets[place - 1] ?? [Math.min(0, buckets[0][0]), 0];
  const [high, count] = buckets[place];
  return high === Infinity ? low : low + ((high - low) * (wanted - less)) / (count - less);
}
