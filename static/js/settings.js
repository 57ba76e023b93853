// SPDX-License-Identifier: Apache-2.0
// Settings of LMCache as the page holds them: what a value is compared with, read from, and written as. Pure.

import { literal, show } from "./format.js";
import { looseJson } from "./parse.js";
import { formatted } from "./requests.js";

const CHOICES = {
  hidden_states_retrieve_mode: ["prefix_strict", "skip_missing_chunks"],
  cache_policy: ["LRU", "LFU", "FIFO", "MRU"],
  chunk_statistics_strategy: ["memory_bloom_filter", "file_hash"],
};
const EXPECTED = {
  int: "a whole number", float: "a number, or inf", str: "text", dict: "a JSON object",
  "list[int]": "whole numbers with commas between them", "list[float]": "numbers with commas between them",
  "list[str]": "texts with commas between them, or a JSON list", bool: "true or false", any: "JSON, or plain text",
};
const FILE_VARIABLES = ["LMCACHE_CONFIG_FILE"];

/**
 * The settings of a node as rows: `{key, value, known, type, nullable, fallback, changed, meaning, source}`; `known`
 * says whether the catalogue has the key. `values` and `infinite` are what the node holds, `environment` its variables
 * or null, `sent` the keys that were set from this page.
 */
export function rowsOf({ values, infinite = [] }, catalogue, environment, sent) {
  const keys = new Map(catalogue.map((entry) => [entry.key, entry]));
  return Object.entries(values).map(([key, given]) => {
    const value = infinite.includes(key) ? Number(given) : given;
    const entry = keys.get(key);
    const type = entry?.type.replace("?", "") ?? typeOf(value);
    // JSON has no infinity: it stands there as a word.
    const isWord = type === "float" && typeof entry?.default === "string";
    const fallback = isWord ? Number(entry.default) : entry?.default;
    const row = {
      key, value, type, fallback, known: Boolean(entry), nullable: entry ? entry.type.endsWith("?") : true,
      meaning: entry?.meaning ?? "", variable: entry?.variable ?? `LMCACHE_${key.toUpperCase()}`,
      since: entry?.since ?? null, choices: CHOICES[key] ?? null,
    };
    row.changed = row.known && !isSame(value, fallback);
    row.source = sourceOf(row, environment, sent);
    return row;
  });
}

/** A value in words; an empty text is not nothing. */
export function words(value) {
  return value === "" ? '""' : show(value);
}

/** Whether two values are the same as settings. */
export function isSame(one, other) {
  return show(one) === show(other) || (typeof one === "number" && Number(one) === other);
}

/** Where a value comes from, as far as that can be told: `[word, more]`. */
function sourceOf({ key, value, changed, known, variable }, environment, sent) {
  if (sent.has(key)) return ["set here", "Sent from this page since it was opened"];
  const said = environment?.[variable];
  if (said !== undefined && saysSame(said, value)) return ["environment", `${variable} says so`];
  if (said !== undefined) return ["set later", `${variable} says something else: it was changed after the start`];
  if (!known) return ["", ""];
  if (!changed) return ["default", ""];
  if (!environment) return ["not known", "The node's environment could not be read"];
  const file = FILE_VARIABLES.map((name) => environment[name]).find(Boolean);
  return ["file or later", `Not from the environment: from ${file ?? "a file"}, the engine's own settings, remote `
    + "configuration, or set while it runs"];
}

function saysSame(text, value) {
  const plain = Array.isArray(value) ? value.join(",") : show(value);
  const lower = text.trim().toLowerCase();
  if (typeof value === "boolean") return ["true", "1"].includes(lower) === value;
  if (typeof value === "number") return Number(lower.replace(/^inf$/, "Infinity")) === value;
  return lower.replace(/\s*,\s*/g, ",") === plain.toLowerCase();
}

/** The words for what a setting takes. */
export function expected({ type, nullable }) {
  return `${EXPECTED[type] ?? EXPECTED.any}${nullable ? ", or null" : ""}`;
}

/** A value as it stands in its field; null stays null. */
export function fieldText({ type }, value) {
  if (value === null) return null;
  if (type.startsWith("list") && Array.isArray(value) && value.every((item) => !/[,"\n]/.test(show(item)))) {
    return value.map(show).join(", ");
  }
  if (type === "dict" && typeof value === "object") return formatted(literal(value));
  return show(value);
}

/** Read what was typed for a setting: `{value}` or `{problem}`; null is null. */
export function readField(row, text) {
  if (text === null) return { value: null };
  const { type } = row;
  const trimmed = text.trim();
  if (type === "bool") return { value: trimmed === "true" };
  if (type === "int" || type === "float") return readNumber(trimmed, type);
  if (type.startsWith("list")) return readList(trimmed, type.slice(5, -1));
  if (type === "dict") return readObject(trimmed);
  if (type === "str") return { value: text };
  return readAny(trimmed, text);
}

function readNumber(text, type) {
  const isInfinite = type === "float" && /^[+-]?inf(inity)?$/i.test(text);
  if (isInfinite) return { value: text.startsWith("-") ? -Infinity : Infinity };
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) return { problem: "This must be a number." };
  if (type === "int" && !Number.isInteger(value)) return { problem: "This must be a whole number." };
  return { value: type === "int" && !Number.isSafeInteger(value) ? BigInt(text) : value };
}

function readList(text, of) {
  if (text.startsWith("[")) {
    const { value } = readAny(text);
    if (Array.isArray(value)) return checkItems(value, of);
    return { problem: "This must be a JSON list, or items with commas between them." };
  }
  const items = text === "" ? [] : text.split(",").map((item) => item.trim());
  return checkItems(of === "str" ? items : items.map((item) => (item === "" ? NaN : Number(item))), of);
}

const FITS = {
  int: Number.isInteger,
  float: (item) => typeof item === "number" && !Number.isNaN(item),
  str: (item) => typeof item === "string",
};

function checkItems(value, of) {
  if (value.every(FITS[of] ?? (() => true))) return { value };
  return { problem: `This must be ${EXPECTED[`list[${of}]`]}.` };
}

function readObject(text) {
  const { value } = readAny(text);
  return isObject(value) ? { value } : { problem: 'This must be a JSON object, for instance {"a": 1}.' };
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readAny(text, plain) {
  try {
    return { value: looseJson(text) };
  } catch {
    return plain === undefined ? { problem: "This is not JSON." } : { value: plain };
  }
}

function typeOf(value) {
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return "float";
  return typeof value === "string" ? "str" : "any";
}

/** Values as an action carries them; what JSON cannot say (infinity) goes as the word that the node reads. */
export function sendable(values) {
  const plain = (value) => !["number", "bigint"].includes(typeof value) || Number.isFinite(value);
  return Object.fromEntries([...values].map(([key, value]) => [key, plain(value) ? value : String(value)]));
}

/** Settings as a YAML file, nested objects as blocks. */
export function yamlText(pairs, indent = "") {
  return pairs.map(([key, value]) => {
    const name = /^[A-Za-z_][\w.-]*$/.test(key) ? key : JSON.stringify(key);
    const inside = isObject(value) ? Object.entries(value) : [];
    if (inside.length > 0) return `${indent}${name}:\n${yamlText(inside, `${indent}  `)}`;
    return `${indent}${name}: ${yamlValue(value)}`;
  }).join("\n");
}

// What YAML would read as something other than text.
const NOT_TEXT = /^(?:|~|null|true|false|yes|no|on|off|[+-]?\.?(?:inf|nan)|[+-]?[\d.][\d._eExob+-]*)$/i;

function yamlValue(value) {
  if (typeof value === "string") {
    const isPlain = /^[\w/.][\w/.:@+=-]*$/.test(value) && !value.endsWith(":") && !NOT_TEXT.test(value);
    return isPlain ? value : JSON.stringify(value);
  }
  if (Number.isNaN(value)) return ".nan";
  if (value === Infinity || value === -Infinity) return value < 0 ? "-.inf" : ".inf";
  return literal(value);
}

/** Settings as variables of a shell; null has no form as a variable, and is left out with a word. */
export function variablesText(rows) {
  return rows.map(({ variable, value }) => {
    if (value === null) return `# ${variable} is null, which a variable cannot say`;
    const text = typeof value === "number" ? String(value).replace("Infinity", "inf") : plainText(value);
    return `export ${variable}=${/^[\w./:@,+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`}`;
  }).join("\n");
}

function plainText(value) {
  if (Array.isArray(value) && value.every((item) => typeof item !== "object")) return value.join(",");
  return show(value);
}

/** Why a node's settings cannot be changed while it runs, or null. */
export function whyFixed(kind, version) {
  if (kind === "mp") return "An MP server takes its configuration from its command line, only when it starts.";
  if (kind === "frontend") return "A frontend is not set through here.";
  const release = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version ?? "")?.slice(1).map(Number);
  if (!release) return null;
  const [major, minor, patch] = release;
  const isTooOld = major === 0 && (minor < 3 || (minor === 3 && patch < 14));
  if (!isTooOld) return null;
  return `LMCache ${release.join(".")} is too old to be set while it runs: that is possible from 0.3.14 on.`;
}
