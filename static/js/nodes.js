// SPDX-License-Identifier: Apache-2.0
// Nodes: their names in addresses, and what kind each one is, found by asking it. Holds nothing.

import { ApiError, request } from "./api.js";
import { jsonOrText } from "./parse.js";
import { encodeName } from "./router.js";

/** The proxy that stands for this frontend itself. */
export const LOCAL = "local_proxy";

export const KIND_NAMES = {
  worker: "Worker",
  scheduler: "Scheduler",
  inprocess: "In-process",
  mp: "MP server",
  frontend: "Frontend",
  coordinator: "Coordinator",
  controller: "Controller",
};

const PROBE_S = 4;

/** Whether a kind is a cache inside an inference engine (worker, scheduler, or not said which). */
export function isInProcess(kind) {
  return kind === "worker" || kind === "scheduler" || kind === "inprocess";
}

/** The answer of `/api/nodes` as `{proxies, nodes}`, each entry with the `key` that names it in addresses. */
export function readFleet(answer) {
  const listed = answer.nodes ?? [];
  const proxyNames = new Set(listed.map((item) => item.name));
  const proxies = listed.map((item) => ({ ...entry(item, null, proxyNames), local: item.name === LOCAL }));
  const nodes = listed.flatMap((item) => (item.children ?? []).map((child) => entry(child, item.name, proxyNames)));
  return { proxies, nodes, store_fault: answer.store_fault ?? null };
}

/**
 * The entries that a name in an address means: one, none, or several where children of different proxies share it. As
 * the frontend reads it: a key, `proxy/node`, a node of its own, then any other.
 */
export function entriesNamed({ proxies, nodes }, name) {
  const exact = [...proxies, ...nodes].find((item) => item.key === name || `${item.proxy}/${item.name}` === name);
  if (exact) return [exact];
  const children = nodes.filter((node) => node.name === name);
  const own = children.filter((node) => node.proxy === LOCAL);
  return own.length ? own : children;
}

/** The address of `path` on the node `key`, through the frontend. */
export function nodePath(key, path) {
  return `proxy2/${encodeName(key)}/${path}`;
}

/** `host:port`, or `unix:/path` for a socket. */
export function address(host, port) {
  const text = String(port ?? "");
  if (text.includes("/")) return `unix:${text}`;
  if (!host) return text;
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${text}` : `${host}:${text}`;
}

/**
 * Ask a node how it is. `known` is the last probe: a node whose kind has been asked for, and whose version is the same,
 * is asked for its version only. Gives `{state, reason, kind, version, latency_ms}`, state being `answering`, `silent`
 * or `restricted`; raises ApiError `aborted` or `gone`.
 */
export async function probe(node, known, signal) {
  const ask = asker(node, signal);
  const started = performance.now();
  try {
    const first = await ask(node.isProxy ? "health" : "version");
    const latency_ms = performance.now() - started;
    const isRefused = first.status === 403;
    if (node.isProxy ? !first.ok && !isRefused : isSaidOnTheWay(node, first)) throw first.error;
    const version = !node.isProxy && first.ok ? String(jsonOrText(first.text)) : null;
    const usual = known?.state === (isRefused ? "restricted" : "answering");
    if (usual && known.version === version) return { ...known, latency_ms };
    const kind = node.isProxy ? "frontend" : await kindOf(ask);
    // A 404 from behind another frontend could be that one's own: a node has at least one thing to be asked for.
    if (!kind && isBehind(node) && first.status === 404 && !(await ask("metrics")).ok) throw first.error;
    const restricted = isRefused && (node.isProxy || !kind);
    return {
      state: restricted ? "restricted" : "answering", reason: restricted ? first.text : null, kind, version, latency_ms,
    };
  } catch (error) {
    if (!(error instanceof ApiError) || error.kind === "aborted" || error.kind === "gone") throw error;
    return { kind: null, version: null, ...known, state: "silent", reason: error.message, latency_ms: null };
  }
}

/**
 * Whether an error is the node's own answer. It is not where a frontend answered in its place: ours, whose own answers
 * are not relayed, or one behind ours, whose answers are.
 */
export function isNodesOwn(error, node) {
  if (error.kind !== "http" || !error.answer.relayed || NOT_REACHED.has(error.status)) return false;
  return !(isBehind(node) && ASTRAY.has(error.status) && isDetail(error.answer));
}

// What gateways say of those behind them; 508 is a frontend's that met itself on the way.
const NOT_REACHED = new Set([502, 504, 508]);
// What a frontend says of names it does not know, or that mean several nodes, and of hosts it does not answer for.
const ASTRAY = new Set([404, 409, 421]);

function isBehind(node) {
  return Boolean(node) && !node.isProxy && node.proxy !== LOCAL;
}

/** Whether the answer to the first question came from a frontend on the way: no node answers that one so. */
function isSaidOnTheWay(node, { ok, status, error }) {
  return !ok && status !== 403 && isBehind(node) && isDetail(error.answer);
}

/** Whether an answer is an error of a frontend; LMCache's own 404 looks alike, and always says the same. */
function isDetail({ status, text }) {
  const detail = jsonOrText(text)?.detail;
  return typeof detail === "string" && !(status === 404 && detail === "Not Found");
}

/** What a node is, or null. Viewers may not read `/conf`; to them its metrics tell. */
async function kindOf(ask) {
  const conf = await ask("conf?names=chunk_size");
  if (conf.ok) return roleOf(await ask("meta?names=role"));
  if (conf.status === 403) {
    const metrics = (await ask("metrics")).text;
    if (metrics.includes("\nlmcache_mp")) return "mp";
    const role = /^lmcache:[^{\n]+\{(?:.*,)?role="(\w*)/m.exec(metrics);
    if (role) return toRole(role[1]);
  }
  for (const [path, kind, word] of QUESTIONS) {
    const answer = await ask(path);
    if (answer.ok && answer.text.includes(word)) return kind;
  }
  return null;
}

const QUESTIONS = [
  ["status", "mp", ""],
  ["api/status", "mp", ""],
  ["health", "frontend", "lmcache-monitor"],
  ["healthz", "coordinator", ""],
  ["controller/workers", "controller", ""],
];

function roleOf(meta) {
  if (meta.text.includes("only work for lmcache_engine")) return "scheduler";
  return toRole(meta.ok ? String(jsonOrText(meta.text)?.role ?? "") : "");
}

function toRole(text) {
  return ["scheduler", "worker"].find((word) => text.toLowerCase().includes(word)) ?? "inprocess";
}

/** A way to ask one question. Any answer of the node's own is one, also a 404 or 500, and so is that we may not ask. */
function asker(node, signal) {
  return async (path) => {
    try {
      const { text } = await request(nodePath(node.key, path), { signal, timeout_s: PROBE_S });
      return { ok: true, status: 200, text };
    } catch (error) {
      if (error.status !== 403 && !isNodesOwn(error, node)) throw error;
      return { ok: false, status: error.status, text: error.message, error };
    }
  };
}

function entry(item, proxy, proxyNames) {
  return {
    given: item,
    key: keyOf(item.name, proxy, proxyNames),
    name: item.name,
    address: address(item.host ?? "", item.port),
    isProxy: Boolean(item.is_proxy),
    proxy,
  };
}

/** A local node goes by its name alone, unless a proxy has that name or the name would read as something else. */
function keyOf(name, proxy, proxyNames) {
  if (proxy === null) return name;
  const plain = proxy === LOCAL && !proxyNames.has(name) && !name.includes("/") && name !== "." && name !== "..";
  return plain ? name : `${proxy}/${name}`;
}
