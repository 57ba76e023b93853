// SPDX-License-Identifier: Apache-2.0
// Values to words and figures. Pure: no page, no clock of its own.

// Made when first needed: each takes longer than to draw a hundred rows.
const USUAL = once(() => new Intl.NumberFormat("en", { maximumFractionDigits: 3 }));
const SMALL = once(() => new Intl.NumberFormat("en", { maximumSignificantDigits: 4 }));
const TIME = once(() => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
const MINUTES = once(() => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" }));
const DAY = once(() => new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }));
const COUNT_UNITS = ["", "k", "M", "G", "T"];
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number with thousands separators; fractions keep three places, and four digits below one. */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  return (Math.abs(value) < 1 ? SMALL : USUAL)().format(value);
}

/** A count and its noun: `1 node`, `3 nodes`. */
export function count(value, noun, nouns = `${noun}s`) {
  return `${number(value)} ${value === 1 ? noun : nouns}`;
}

/** Bytes in binary units. */
export function bytes(value) {
  const unit = value < 1024 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** unit;
  return `${shortened(amount)} ${BYTE_UNITS[unit]}`;
}

/** A count of tokens, or of anything else there is much of, in short: `940`, `12.4 k`, `3.1 M`. */
export function tokens(value) {
  // What would be rounded to 1000 of a unit is one of the next.
  const thousands = Math.abs(value) < 999.5 ? 0 : Math.floor(Math.log10(Math.abs(value) / 0.9995) / 3);
  const unit = Math.min(COUNT_UNITS.length - 1, thousands);
  const text = shortened(value / 1000 ** unit);
  return COUNT_UNITS[unit] ? `${text} ${COUNT_UNITS[unit]}` : text;
}

/** An amount a second, `show`n in short; what is rarer than once in ten seconds is told a minute. */
export function rate(value, show = tokens) {
  if (value > 0 && value < 0.1) return `${show(value * 60)}/min`;
  return `${show(value)}/s`;
}

/** A share 0..1 as per cent; never rounds up to 100 % or down to 0 %. */
export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value < 100 && value > 99.9) return "> 99.9 %";
  return `${Number(value.toFixed(1))} %`;
}

/** A length of time in its two largest units. */
export function duration(seconds) {
  if (seconds > 0 && seconds < 0.001) return `${shortened(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Math.max(0, Number((seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)))} ms`;
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  if (seconds < 3600) return pair(seconds, 60, "min", 1, "s");
  if (seconds < 86400) return pair(seconds, 3600, "h", 60, "min");
  return pair(seconds, 86400, "d", 3600, "h");
}

/** How long ago a time (seconds since the epoch) was. */
export function ago(time, now = Date.now() / 1000) {
  const passed = now - time;
  return passed < 1 ? "now" : `${passed < 60 ? `${Math.round(passed)} s` : duration(passed)} ago`;
}

/** A time (seconds since the epoch) by the reader's clock; the day is told where it is not today. */
export function clock(time) {
  const date = new Date(time * 1000);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? TIME().format(date) : `${DAY().format(date)}, ${TIME().format(date)}`;
}

/** The same time in short, for an axis: the day at midnight, seconds only where they are `precise` and not zero. */
export function shortClock(time, precise = false) {
  const date = new Date(time * 1000);
  if (!precise && date.getHours() + date.getMinutes() === 0) return DAY().format(date);
  return (precise && date.getSeconds() ? TIME : MINUTES)().format(date);
}

/** The same time in UTC, to the second. */
export function utc(time) {
  return `${new Date(time * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Any value of a node as text: strings bare, everything else as JSON, with `Infinity`, `NaN` and big integers kept. */
export function show(value) {
  return typeof value === "string" ? value : literal(value);
}

/** A value as JSON text; unlike JSON.stringify it keeps `Infinity`, `NaN` and big integers. */
export function literal(value) {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item)}`).join(", ")}}`;
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Nested objects as `[dotted key, value]` pairs; lists of plain values stay whole. */
export function flatten(value, prefix = "") {
  const nested = value !== null && typeof value === "object";
  const plainList = Array.isArray(value) && value.every((item) => item === null || typeof item !== "object");
  if (!nested || plainList || Object.keys(value).length === 0) return [[prefix, value]];
  return Object.entries(value).flatMap(([key, item]) => flatten(item, prefix ? `${prefix}.${key}` : key));
}

/** A test for whether some text holds every word of a filter, in any case. */
export function matcher(filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return (text) => {
    const lower = text.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
}

function once(make) {
  let made;
  return () => (made ??= make());
}

function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  const head = `${Math.floor(seconds / large)} ${largeName}`;
  return rest ? `${head} ${rest} ${smallName}` : head;
}

function shortened(amount) {
  const size = Math.abs(amount);
  return String(Number(amount.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)));
}
