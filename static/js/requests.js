// SPDX-License-Identifier: Apache-2.0
// Requests to nodes as text: paths to choose from, header fields, curl, and answers made readable. Pure.

import { looseJson } from "./parse.js";

const COMMON = [
  "/version", "/metrics", "/threads", "/loglevel", "/periodic-threads", "/periodic-threads-health", "/env",
];
const PATHS = {
  inprocess: [
    ...COMMON, "/conf", "/meta", "/inference_info", "/backends", "/bypass/list", "/freeze/status", "/hot_cache/status",
    "/lookup/info", "/chunk_statistics/status", "/cache/kvcache/info", "/openapi.json",
  ],
  mp: [
    ...COMMON, "/healthcheck", "/status", "/config", "/config/adapters", "/quota", "/cache/objects?tier=l2",
    "/openapi.json",
  ],
  frontend: ["/health", "/api/nodes", "/api/fleet", "/metrics"],
  coordinator: ["/healthz", "/instances", "/instances/usage", "/quota", "/metrics", "/openapi.json"],
  controller: ["/controller/workers", "/controller/key-stats", ...COMMON, "/openapi.json"],
};

/** The paths that a node of a kind is likely to have. */
export function pathsOf(kind, isInProcess) {
  return PATHS[isInProcess ? "inprocess" : kind] ?? COMMON;
}

/** Header fields, one a line: `{fields}` or `{problem}`. */
export function readFields(text) {
  const fields = {};
  for (const line of text.split("\n").filter((one) => one.trim())) {
    const match = /^([!#$%&'*+\-.^_`|~\w]+)\s*:\s*(.*)$/.exec(line.trim());
    if (!match) return { problem: `“${line.trim().slice(0, 80)}” is not “Name: value”.` };
    fields[match[1]] = match[2];
  }
  return { fields };
}

/** The command that sends the same from a shell, through the frontend. */
export function curlText(page, base, { method, path, fields, body }) {
  const url = new URL(base + path.replace(/^\/+/, ""), page.split("#")[0]).href;
  const isBare = ["GET", "HEAD"].includes(method) || body === "";
  const words = ["curl", "-sS", method === "HEAD" ? "-I" : method === "GET" ? null : `-X ${method}`];
  const given = readFields(fields).fields ?? {};
  if (!isBare && !Object.keys(given).some((name) => name.toLowerCase() === "content-type")) {
    given["Content-Type"] = /^\s*[[{]/.test(body) ? "application/json" : "text/plain";
  }
  for (const [name, value] of Object.entries(given)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (!isBare) words.push(`--data-raw ${quoted(body)}`);
  return [...words.filter(Boolean), quoted(url)].join(" ");
}

function quoted(text) {
  return `'${text.replace(/'/g, "'\\''")}'`;
}

/** JSON with two spaces, numbers kept as they came; null if it is no JSON. */
export function formatted(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    return written(looseJson(text), "");
  } catch {
    return null;
  }
}

function written(value, indent) {
  if (isPlain(value)) return typeof value === "string" ? JSON.stringify(value) : String(value);
  const isList = Array.isArray(value);
  const items = isList ? value.map((item) => written(item, `${indent}  `))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${written(item, `${indent}  `)}`);
  if (items.length === 0) return isList ? "[]" : "{}";
  const line = items.join(", ");
  if (isList && value.every(isPlain) && line.length < 100) return `[${line}]`;
  const lines = items.map((item) => `${indent}  ${item}`).join(",\n");
  return isList ? `[\n${lines}\n${indent}]` : `{\n${lines}\n${indent}}`;
}

function isPlain(value) {
  return typeof value !== "object" || value === null;
}
