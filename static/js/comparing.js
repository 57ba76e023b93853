// SPDX-License-Identifier: Apache-2.0
// What of several nodes differs: their answers as entries, and entries side by side, the differences first. Pure.

import { flatten, show } from "./format.js";
import { holdsMask } from "./masking.js";
import { KIND_NAMES } from "./nodes.js";

/** The parts of a comparison: `{id, text, items}`, the items being what is read of each node. */
export const PARTS = [
  { id: "versions", text: "Versions", items: ["inference", "python"] },
  { id: "configuration", text: "Configuration", items: ["conf"] },
  { id: "loggers", text: "Log levels", items: ["loggers"] },
  { id: "metadata", text: "Metadata", items: ["meta"] },
  { id: "inference", text: "Inference", items: ["inference"] },
  { id: "environment", text: "Environment", items: ["env"], asked: true },
];

/** What stands for a key that a node does not have. */
export const NOTHING = Symbol("nothing");

/** Last parts of keys that are each node's own: they are bound to differ, and must not be made alike. */
export const OWN_KEYS = new Set([
  "advertise_ip", "advertise_url", "host", "http_host", "http_port", "instance_id", "internal_api_server_host",
  "internal_api_server_port_start", "internal_api_server_socket_path_prefix", "listen_url", "lmcache_instance_id",
  "lmcache_worker_ids", "lmcache_worker_ports", "p2p_host", "p2p_init_ports", "p2p_lookup_ports",
  "pd_peer_alloc_port", "pd_peer_host", "pd_peer_init_port", "pd_peer_query_port", "pd_proxy_host", "pd_proxy_port",
  "port", "prometheus_port", "service_instance_id", "shm_name",
]);

const VERSION = /version$/i;
const ENGINES = { vllm_version: "vLLM", sglang_version: "SGLang", torch_version: "PyTorch" };

/**
 * What a node has in a part: `{entries: Map(key -> value)}`, `{reason, absent, forbidden}`, or null while it is read.
 * `state` is what the fleet knows of it, `answer(item)` what was read.
 */
export function entriesOf({ id, items }, state, answer) {
  if (id === "versions") return versionsOf(state, answer);
  const said = answer(items[0]);
  if (!said) return null;
  if (!("data" in said)) return said;
  return { entries: new Map(READ[id](said.data)), read_at: said.read_at };
}

const READ = {
  configuration({ values, infinite = [] }) {
    const pairs = Object.entries(values).map(([key, value]) => [key, infinite.includes(key) ? Number(value) : value]);
    return flatten(Object.fromEntries(pairs));
  },
  loggers: ({ loggers }) => loggers.map(({ name, level }) => [name, level]),
  metadata: (data) => flatten(data),
  inference: (data) => flatten(data).filter(([key]) => !VERSION.test(key)),
  environment: (data) => Object.entries(data),
};

/** What the fleet knows comes at once; what only the node says comes with its answers. */
function versionsOf(state, answer) {
  const facts = [
    ["Kind", KIND_NAMES[state?.kind]], ["Role", state?.role], ["LMCache", state?.version],
    ["Instance", state?.instance],
  ];
  const entries = new Map(facts.filter(([, value]) => value));
  const python = answer("python");
  if (python?.data) entries.set("Python", python.data);
  const engine = answer("inference");
  for (const [key, value] of Object.entries(engine?.data ?? {})) {
    if (VERSION.test(key) && key !== "lmcache_version") entries.set(ENGINES[key] ?? key, value);
  }
  return { entries, isPartial: !python || !engine };
}

/**
 * Entries side by side: `columns` are what `entriesOf` gave for each node. Gives `{differing, partial, hidden, equal}`,
 * lists of `{key, cells, isOwn, common, odd}`: the value of each node (NOTHING where it has no such key, null where it
 * could not be read), whether it is each node's own, the value that most have, and the places of those unlike it;
 * `partial` are the keys that only some nodes have, with the same value, `hidden` those with masked values.
 */
export function sideBySide(columns) {
  const known = columns.filter((column) => column?.entries);
  const keys = new Set(known.flatMap(({ entries }) => [...entries.keys()]));
  const rows = { differing: [], partial: [], hidden: [], equal: [] };
  for (const key of keys) {
    const cells = columns.map((column) => {
      if (!column?.entries) return null;
      return column.entries.has(key) ? column.entries.get(key) : NOTHING;
    });
    rows[groupOf(cells)].push({ key, cells, isOwn: OWN_KEYS.has(key.split(".").at(-1)), ...commonOf(cells) });
  }
  // What is bound to differ comes after what need not.
  rows.differing.sort((one, other) => one.isOwn - other.isOwn);
  return rows;
}

function groupOf(cells) {
  const given = cells.filter((cell) => cell !== null && cell !== NOTHING).map(words);
  if (new Set(given).size > 1) return "differing";
  // What is masked looks alike, which says nothing of what it is.
  if (given.length > 1 && cells.some((cell) => cell !== NOTHING && holdsMask(cell))) return "hidden";
  return cells.includes(NOTHING) ? "partial" : "equal";
}

/** The value that most nodes have, and who is unlike it; where less than half agree nobody is. */
function commonOf(cells) {
  const counts = new Map();
  for (const cell of cells) {
    if (cell !== null && cell !== NOTHING) counts.set(words(cell), (counts.get(words(cell)) ?? 0) + 1);
  }
  const [first] = [...counts].sort((one, other) => other[1] - one[1]);
  const isClear = first && first[1] > 1 && first[1] * 2 > [...counts.values()].reduce((sum, amount) => sum + amount);
  const common = cells.find((cell) => cell !== null && cell !== NOTHING && words(cell) === first?.[0]);
  if (!isClear) return { common, odd: new Set() };
  const odd = cells.flatMap((cell, at) => (cell !== null && cell !== NOTHING && words(cell) !== first[0] ? [at] : []));
  return { common, odd: new Set(odd) };
}

/** A value as text to compare and to search: an empty text is not nothing. */
export function words(value) {
  return value === "" ? '""' : show(value);
}

/**
 * What may be compared with what is chosen: `[{text, keys}]`. With one node its peers, with none the nodes of each
 * engine and one of each.
 */
export function suggestionsFor(nodes, chosen, limit) {
  const groups = new Map();
  for (const node of nodes) {
    if (node.kind === "unknown" || node.kind === "frontend") continue;
    const id = `${node.kind}\n${node.instance ?? ""}`;
    if (!groups.has(id)) groups.set(id, { kind: node.kind, instance: node.instance, keys: [] });
    groups.get(id).keys.push(node.key);
  }
  const all = [...groups.values()];
  const mine = chosen.length === 1 && all.find(({ keys }) => keys.includes(chosen[0]));
  const offers = mine ? all.filter((group) => group === mine) : all;
  const found = offers.filter(({ keys }) => keys.length > 1).map(({ kind, instance, keys }) => ({
    text: instance ? `${plural(kind)} of ${instance}` : `${plural(kind)} without an instance`,
    keys: firstOf(keys, chosen, limit),
  }));
  for (const kind of new Set(offers.map((group) => group.kind))) {
    const some = all.filter((group) => group.kind === kind)
      .map(({ keys }) => keys.find((key) => chosen.includes(key)) ?? keys[0]);
    const text = `${plural(kind)}, one of each instance`;
    if (some.length > 1) found.push({ text, keys: firstOf(some, chosen, limit) });
  }
  return found.slice(0, 8);
}

function firstOf(keys, chosen, limit) {
  return [...new Set([...chosen, ...keys])].slice(0, limit);
}

function plural(kind) {
  return `${KIND_NAMES[kind] ?? kind}s`;
}
