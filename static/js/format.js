// SPDX-License-Identifier: Apache-2.0
// Values to words and figures. Pure: no page, no clock of its own.

const USUAL = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const SMALL = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SECRET_WORDS = new Set(["key", "token", "secret", "password", "credential"]);

/** A number with thousands separators; fractions keep three places, and four digits below one. */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
  return (Math.abs(value) < 1 ? SMALL : USUAL).format(value);
}

/** A count and its noun: `1 node`, `3 nodes`. */
export function count(value, noun, nouns = `${noun}s`) {
  return `${number(value)} ${value === 1 ? noun : nouns}`;
}

/** Bytes in binary units. */
export function bytes(value) {
  const unit = value < 1024 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  const amount = value / 1024 ** unit;
  return `${Number(amount.toFixed(amount >= 100 ? 0 : amount >= 10 ? 1 : 2))} ${BYTE_UNITS[unit]}`;
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
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  if (seconds < 3600) return pair(seconds, 60, "min", 1, "s");
  if (seconds < 86400) return pair(seconds, 3600, "h", 60, "min");
  return pair(seconds, 86400, "d", 3600, "h");
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

/** Whether a key's value is to be masked: it has one of the secret words, whole, split at `_ - .`. */
export function isSecret(key) {
  return key.toLowerCase().split(/[_\-.]+/).some((word) => SECRET_WORDS.has(word));
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

function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  const head = `${Math.floor(seconds / large)} ${largeName}`;
  return rest ? `${head} ${rest} ${smallName}` : head;
}
