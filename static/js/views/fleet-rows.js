// SPDX-License-Identifier: Apache-2.0
// Which nodes the list shows, in which order and groups. Pure.

import { KIND_NAMES, LOCAL } from "../nodes.js";
import { columnOf, levelOf } from "./fleet-columns.js";
import { LEVEL_ORDER } from "../widgets.js";

const ORDER = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** By what the list can be grouped: `[id, words, (node) -> name]`. */
export const GROUPINGS = [
  ["", "Not grouped", null],
  ["proxy", "By proxy", (node) => (node.proxy === LOCAL ? "This frontend" : node.proxy)],
  ["instance", "By instance", (node) => node.instance ?? "No instance"],
  ["kind", "By kind", (node) => KIND_NAMES[node.kind] ?? "Not known"],
  ["version", "By version", (node) => node.version ?? "Not known"],
];

/** Make `(nodes) -> rank(node)`, its place by name; names are compared anew only where there are other nodes. */
export function ranking() {
  let ranks = new Map();
  return (nodes) => {
    if (ranks.size !== nodes.length || !nodes.every(({ key }) => ranks.has(key))) {
      const keys = nodes.map(({ key }) => key).sort(ORDER.compare);
      ranks = new Map(keys.map((key, index) => [key, index]));
    }
    return ({ key }) => ranks.get(key);
  };
}

/**
 * The nodes by `sort`, a column's id, with `-` before it the other way round; what has no value comes last.
 * `rank(node)` is its place by name, `worst` holds what is wrong with nodes.
 */
export function sorted(nodes, sort, rank, worst) {
  const column = columnOf(sort.replace(/^-/, ""));
  const valueFor = column?.id === "name" || !column?.sort ? rank : column.sort;
  const sign = sort.startsWith("-") ? -1 : 1;
  const keyed = nodes.map((node) => [valueFor(node, worst), rank(node), node]);
  keyed.sort(([a, one], [b, other]) => {
    if (a === b) return one - other;
    if (a === null || b === null) return a === null ? 1 : -1;
    return sign * (typeof a === "string" ? ORDER.compare(a, b) : a - b) || one - other;
  });
  return keyed.map(([, , node]) => node);
}

/** The nodes in an order that was shown before; those that are new come last. */
export function inOrder(nodes, keys) {
  const places = new Map(keys.map((key, index) => [key, index]));
  const place = (node) => places.get(node.key) ?? keys.length;
  return [...nodes].sort((a, b) => place(a) - place(b));
}

/**
 * The rows of the list: nodes, and before those of each group its head, unless there are no groups. With `worst`, a map
 * of what is wrong with nodes, the groups that have something wrong come first. With `before`, earlier rows, the groups
 * stay in their order.
 */
export function rowsOf(nodes, grouping, closed, { worst = null, before = [] } = {}) {
  const nameOf = GROUPINGS.find(([id]) => id === grouping)?.[2];
  if (!nameOf) return nodes.map((node) => ({ key: node.key, node }));
  const groups = new Map();
  for (const node of nodes) {
    const name = nameOf(node);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(node);
  }
  const places = new Map(before.flatMap(({ group }, index) => (group === undefined ? [] : [[group, index]])));
  const place = new Map([...groups].map(([name, members]) =>
    [name, [places.get(name) ?? before.length, worst ? wrongIn(members, worst) : 0]]));
  const names = [...groups.keys()].sort((one, other) => {
    const [[at, wrong], [otherAt, otherWrong]] = [place.get(one), place.get(other)];
    return at - otherAt || wrong - otherWrong || ORDER.compare(one, other);
  });
  return names.flatMap((name) => {
    const members = groups.get(name);
    const head = { key: `\n${name}`, group: name, members, open: !closed.has(name), levels: levelsOf(members) };
    return [head, ...(head.open ? members.map((node) => ({ key: node.key, node })) : [])];
  });
}

/** How badly the worst of some nodes is, the less the worse; all that is well, or not known yet, is alike. */
function wrongIn(members, worst) {
  const well = LEVEL_ORDER.indexOf("unknown");
  return Math.min(...members.map((node) => Math.min(LEVEL_ORDER.indexOf(levelOf(node)), well)
    - (worst.has(node.key) ? 0.5 : 0)));
}

/** How many nodes there are of each level: `Map(level -> n)`. */
export function levelsOf(nodes) {
  const levels = new Map();
  for (const node of nodes) levels.set(levelOf(node), (levels.get(levelOf(node)) ?? 0) + 1);
  return levels;
}
