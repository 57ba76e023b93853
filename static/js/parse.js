// SPDX-License-Identifier: Apache-2.0
// What nodes say, as values: tolerant JSON and Prometheus text. Pure.

const JSON_TOKEN = /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|-?Infinity|NaN|(?<![\d.])-?\d{16,}(?![\d.eE])/g;
const MARK = "\ue000number:";
const SAMPLE_NAME = /^([A-Za-z_:][\w:]*)/;
const LABEL = /\s*([A-Za-z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?/y;
const FAMILY_SUFFIX = /_(?:bucket|sum|count|total|created|info)$/;

/** Read JSON that may hold bare `Infinity`, `-Infinity`, `NaN` and integers beyond 2^53 (kept exact, as BigInt). */
export function looseJson(text) {
  const strict = text.replace(JSON_TOKEN, (token) => (token[0] === '"' ? token : JSON.stringify(MARK + token)));
  return JSON.parse(strict, (_key, value) => {
    if (typeof value !== "string" || !value.startsWith(MARK)) return value;
    const token = value.slice(MARK.length);
    return /\d/.test(token) ? exact(token) : Number(token);
  });
}

/** Read JSON if it is JSON, else give the text as it is. */
export function jsonOrText(text) {
  try {
    return looseJson(text);
  } catch {
    return text.trim();
  }
}

/** Read Prometheus text: `[{name, type, help, samples: [{name, labels, value, text}]}]` in the order given. */
export function parseMetrics(text) {
  const families = new Map();
  const family = (name) => {
    if (!families.has(name)) families.set(name, { name, type: "untyped", help: "", samples: [] });
    return families.get(name);
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("# ")) readComment(line, family);
    else if (line && line[0] !== "#") {
      const sample = readSample(line);
      if (sample) family(familyName(sample.name, families)).samples.push(sample);
    }
  }
  return [...families.values()];
}

function exact(token) {
  const value = BigInt(token);
  return BigInt.asIntN(54, value) === value ? Number(value) : value;
}

function readComment(line, family) {
  const match = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
  if (!match) return;
  if (match[1] === "TYPE") family(match[2]).type = match[3].trim();
  else family(match[2]).help = unescape(match[3]);
}

function unescape(text) {
  return text.replace(/\\(.)/g, (_all, mark) => (mark === "n" ? "\n" : mark));
}

function familyName(sample, families) {
  if (families.has(sample)) return sample;
  const base = sample.replace(FAMILY_SUFFIX, "");
  return families.has(base) ? base : sample;
}

function readSample(line) {
  const name = SAMPLE_NAME.exec(line)?.[1];
  if (!name) return null;
  const labels = {};
  let at = name.length;
  if (line[at] === "{") {
    LABEL.lastIndex = at + 1;
    for (let match = LABEL.exec(line); match; match = LABEL.exec(line)) {
      labels[match[1]] = unescape(match[2]);
      at = LABEL.lastIndex;
    }
    at = line.indexOf("}", at) + 1;
    if (at === 0) return null;
  }
  const text = line.slice(at).trim().split(/\s+/)[0];
  return text ? { name, labels, text, value: Number(text.replace(/Inf$/, "Infinity")) } : null;
}
