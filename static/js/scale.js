// SPDX-License-Identifier: Apache-2.0
// Axes: what of the values they show, and the round values and times that are marked. Pure.

const TIMES_S = [1, 5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400];
const STEPS = 4;

/** What an axis shows: `{low, high, marks}`. From zero, or only where the values are; `max` is its end if given. */
export function axis(values, { from_zero = true, max = null, unit = "" }) {
  const least = values.reduce((low, one) => Math.min(low, one), Infinity);
  const most = values.reduce((high, one) => Math.max(high, one), -Infinity);
  const low = from_zero || least === Infinity ? Math.min(0, least) : least;
  let high = Math.max(max ?? -Infinity, most);
  if (!(high > low)) high = low + (Math.abs(low) * 0.1 || 1);
  const rough = (high - low) / STEPS;
  const step = unit === "bytes" ? 2 ** Math.max(0, Math.ceil(Math.log2(rough))) : decimal(rough);
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  const marks = Array.from({ length: last - first + 1 }, (_none, index) => (first + index) * step);
  // A capacity or 100 % ends the axis itself; else it ends at the next round value.
  if (max === null || most > max) return { low: marks[0], high: marks.at(-1), marks };
  const shown = marks.filter((mark) => mark <= high * (1 + 1e-9));
  return { low: marks[0], high, marks: high - shown.at(-1) > step * 0.4 ? [...shown, high] : shown };
}

function decimal(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * (1 - 1e-9)) * power;
}

/** Round times between `start` and `end` (seconds since the epoch) by the reader's clock, at most `count` of them. */
export function timeTicks(start, end, count) {
  const step = TIMES_S.find((one) => (end - start) / one <= count) ?? 86400 * Math.ceil((end - start) / 86400 / count);
  const offset = new Date(start * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((start - offset) / step) * step + offset;
  const length = Math.max(0, Math.floor((end - first) / step) + 1);
  return Array.from({ length }, (_none, index) => first + index * step);
}

/** The stretches of values without a gap: `[[first, last], ...]`. */
export function runsOf(values) {
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (runs.at(-1)?.[1] === index - 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  });
  return runs;
}
