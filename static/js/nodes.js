// SPDX-License-Identifier: Apache-2.0
// Nodes: their names in addresses, what is listed, and whose answer an error is. Holds nothing.

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

const NOT_ASKED = "not asked yet";

/** Whether a kind is a cache inside an inference engine (worker, scheduler, or not said which). */
export function isInProcess(kind) {
  return kind === "worker" || kind === "scheduler" || kind === "inprocess";
}

/** Whether the server has not come to ask a node yet: it is not known how it is. */
export function isNotAsked({ reasons }) {
  return reasons.length === 1 && reasons[0] === NOT_ASKED;
}

/**
 * The answer of `/api/nodes`: `{listed, proxies, entries, store_fault}`, each entry with the `key` that names it in
 * addresses. `given` is an entry as the server gave it.
 */
export function readTree(answer) {
  const listed = answer.nodes ?? [];
  const proxyNames = new Set(listed.map((item) => item.name));
  const proxies = listed.map((item) => ({ ...entry(item, null, proxyNames), local: item.name === LOCAL }));
  const entries = listed.flatMap((item) => (item.children ?? []).map((child) => entry(child, item.name, proxyNames)));
  return { listed: true, proxies, entries, store_fault: answer.store_fault ?? null };
}

/**
 * The entries that a name in an address means: one, none, or several where children of different proxies share it. As
 * the frontend reads it: a key, `proxy/node`, a node of its own, then any other.
 */
export function entriesNamed({ proxies, entries }, name) {
  const exact = [...proxies, ...entries].find((item) => item.key === name || `${item.proxy}/${item.name}` === name);
  if (exact) return [exact];
  const children = entries.filter((node) => node.name === name);
  const own = children.filter((node) => node.proxy === LOCAL);
  return own.length ? own : children;
}

/** The address of `path` on the node `key`, through the frontend. */
export function nodePath(key, path) {
  return `proxy2/${encodeName(key)}/${path}`;
}

/** The address of what the frontend has read of a node: `version`, `series?name=...`. */
export function itemPath(key, item) {
  return `api/nodes/${encodeName(key)}/${item}`;
}

/** `host:port`, or `unix:/path` for a socket. */
export function address(host, port) {
  const text = String(port ?? "");
  if (text.includes("/")) return `unix:${text}`;
  if (!host) return text;
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${text}` : `${host}:${text}`;
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

/** Whether an answer is an error of a frontend; LMCache's own 404 looks alike, and always says the same. */
function isDetail({ status, text }) {
  const detail = jsonOrText(text)?.detail;
  return typeof detail === "string" && !(status === 404 && detail === "Not Found");
}

function entry(item, proxy, proxyNames) {
  return {
    given: item,
    key: keyFor(item.name, proxy, proxyNames),
    name: item.name,
    address: address(item.host ?? "", item.port),
    isProxy: Boolean(item.is_proxy),
    proxy,
  };
}

/** A local node goes by its name alone, unless a proxy has that name. */
function keyFor(name, proxy, proxyNames) {
  return proxy === null || (proxy === LOCAL && !proxyNames.has(name)) ? name : `${proxy}/${name}`;
}
