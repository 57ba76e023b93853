// SPDX-License-Identifier: Apache-2.0
// The comparison as a table: a column a node, a row a key; what differs comes first, what is equal is folded away.

import { needing } from "../access.js";
import { actionDialog } from "../actions.js";
import { NOTHING, words } from "../comparing.js";
import { append, div, el, replace, span } from "../dom.js";
import { ago, count, matcher, number } from "../format.js";
import { holdsMask, isMasked, masked } from "../masking.js";
import { isInProcess } from "../nodes.js";
import { sentence } from "../panel.js";
import { nodeHref } from "../router.js";
import { button, data, icon, levelText } from "../widgets.js";

const TABS = {
  configuration: "config", loggers: "loglevel", metadata: "meta", inference: "inference", environment: "environment",
};
const FOLDS = {
  partial: (amount) => `${count(amount, "key")} that only some have, with the same value`,
  hidden: (amount) => `${count(amount, "key")} whose masked values may be the same or not`,
  equal: (amount) => `${number(amount)} equal ${amount === 1 ? "key" : "keys"}`,
  alone: (amount) => `${count(amount, "key")} of the one node that could be read`,
};

const LONG = 160;

/** Make the table; `draw(columns, parts, options)` shows it, `change(patch)` is called where a fold is opened. */
export function compareTable(view, change) {
  const head = el("thead", { role: "rowgroup" });
  const table = el("table", { class: "grid compare", role: "table", "aria-label": "Nodes side by side" }, head);
  // It scrolls, so the keyboard must get there.
  const element = el("div", {
    class: "card flush compare-box", tabindex: "0", role: "group", "aria-label": "Comparison",
  }, table);
  const state = { view, change, head, table, shape: null };
  return { element, draw: (columns, parts, options) => draw(state, columns, parts, options) };
}

function draw(state, columns, parts, options) {
  const shape = JSON.stringify([
    columns.map(({ key, state: node }) => [key, node?.level, node?.kind]), options.q, options.part, [...options.open],
    parts.map(({ entries }) => entries.map((one) => one?.read_at ?? one?.reason
      ?? (one?.entries && [...one.entries].join()))),
  ]);
  if (shape === state.shape) return;
  state.shape = shape;
  const focused = document.activeElement?.dataset?.focus;
  const ways = { ...state, columns, options, accepts: matcher(options.q) };
  replace(state.head, headRow(columns));
  replace(state.table, state.head, parts.map((part) => partBody(part, ways)));
  if (focused) state.table.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function headRow(columns) {
  return el("tr", { role: "row" }, el("th", { role: "columnheader", scope: "col", class: "compare-key" }, "Key"),
    columns.map(({ key, state }) => el("th", { role: "columnheader", scope: "col" },
      el("a", { href: nodeHref(key, "config") }, data(key)),
      span("compare-level", state ? levelText(state.level) : "Not in the fleet"))));
}

function partBody({ id, text, entries, rows }, ways) {
  const { columns, accepts, options } = ways;
  const matches = (row) => accepts(`${row.key} ${row.cells.filter((cell) => cell !== null && cell !== NOTHING)
    .map((cell) => words(masked(row.key, cell))).join(" ")}`);
  const some = Object.fromEntries(Object.entries(rows).map(([group, list]) => [group, list.filter(matches)]));
  const total = Object.values(rows).reduce((sum, list) => sum + list.length, 0);
  const body = el("tbody", { role: "rowgroup", dataset: { part: id } },
    partHead({ id, text, entries, rows, total }, columns),
    some.differing.map((row) => differingRow(row, id, ways)));
  for (const fold of ["partial", "hidden", "equal"]) {
    if (!some[fold].length) continue;
    const name = `${id}-${fold}`;
    // What is searched for is to be seen.
    const isOpen = Boolean(options.q) || options.open.has(name);
    const told = entries.filter((one) => one?.entries).length < 2 ? FOLDS.alone : FOLDS[fold];
    const rowOf = (row) => (fold === "equal" && !row.cells.includes(null) ? equalRow : plainRow)(row, columns);
    append(body, foldRow(name, told(some[fold].length), isOpen, { ...ways, isHidden: fold === "hidden" }),
      isOpen && some[fold].map(rowOf));
  }
  return body;
}

function partHead({ id, text, entries, rows, total }, columns) {
  const waiting = entries.filter((one) => one === null || one.isPartial).length;
  const faults = entries.flatMap((one, at) => (one?.reason ? [{ key: columns[at].key, ...one }] : []));
  const read_at = Math.min(...entries.map((one) => one?.read_at ?? Infinity));
  const isAlone = entries.filter((one) => one?.entries).length < 2;
  const isForbidden = faults.length === columns.length && faults.every(({ forbidden }) => forbidden);
  return el("tr", { role: "row", class: "compare-part" },
    el("th", { role: "rowheader", scope: "rowgroup", colspan: columns.length + 1 }, div("compare-part-head",
      el("h2", {}, text), span("muted", waiting ? "Reading …" : isForbidden ? "Not shown to you"
        : tally(total, rows.differing.length, isAlone)),
      Number.isFinite(read_at) && span("muted compare-read", `read ${ago(read_at)}`),
      !isForbidden && faults.map(({ key, reason, absent }) => span(absent ? "compare-fault muted" : "compare-fault bad",
        el("a", { href: nodeHref(key, TABS[id] ?? "overview") }, data(key)), ": ", data(sentence(reason)))))));
}

function tally(total, differing, isAlone) {
  if (!total) return "Nothing to compare";
  if (isAlone) return "One node alone could be read";
  return differing ? `${number(differing)} of ${count(total, "key")} differ` : `${count(total, "key")}, no difference`;
}

function differingRow(row, part, ways) {
  const { columns } = ways;
  const action = actionFor(row, part, ways);
  return el("tr", { role: "row", class: "differs", dataset: { key: row.key } },
    el("th", { role: "rowheader", scope: "row", class: "compare-key" },
      span("compare-mark", "≠", span("unseen", " differs: ")), data(row.key),
      action && button("Make alike …", action, {
        class: "small", "aria-label": `Make ${row.key} alike`, dataset: { focus: `alike ${part} ${row.key}` },
        ...needing(),
      }), row.isOwn && span("muted compare-own", "each its own")),
    row.cells.map((cell, at) => valueCell(row, cell, columns[at], row.odd.has(at))));
}

function plainRow(row, columns) {
  return el("tr", { role: "row", dataset: { key: row.key } },
    el("th", { role: "rowheader", scope: "row", class: "compare-key" }, data(row.key)),
    row.cells.map((cell, at) => valueCell(row, cell, columns[at], false)));
}

function equalRow(row, columns) {
  const cell = row.cells.find((one) => one !== null && one !== NOTHING);
  return el("tr", { role: "row", class: "equal", dataset: { key: row.key } },
    el("th", { role: "rowheader", scope: "row", class: "compare-key" }, data(row.key)),
    el("td", { role: "cell", colspan: columns.length }, valueOf(row.key, cell)));
}

function valueCell({ key }, cell, column, isOdd) {
  const absent = (words) => span("absent", "—", span("unseen", words));
  const what = cell === null ? absent("could not be read") : cell === NOTHING ? absent("has no such key")
    : valueOf(key, cell);
  return el("td", { role: "cell", class: isOdd ? "odd" : null, "data-label": column.key },
    isOdd && span("odd-mark", "◆", span("unseen", " unlike most: ")), what);
}

function valueOf(key, cell) {
  const text = words(cell);
  if (!isMasked(key, cell)) return data(text, { class: text.length > LONG ? "long" : null });
  return span("", data(words(masked(key, cell))), span("unseen", " masked"));
}

function foldRow(name, text, isOpen, { columns, change, options, isHidden, view }) {
  const toggle = () => {
    const open = new Set(options.open);
    if (!open.delete(name)) open.add(name);
    change({ open });
  };
  const control = options.q ? span("muted", text) : button([icon("next"), text], toggle, {
    class: "unfold", "aria-expanded": String(isOpen), dataset: { focus: name },
  });
  // They are read to be told apart, and stay masked.
  const look = isHidden && button("Compare them", () => view.compareSecrets(true),
    { class: "small", dataset: { focus: `look ${name}` }, ...needing("secrets") });
  return el("tr", { role: "row", class: "compare-fold" },
    el("td", { role: "cell", colspan: columns.length + 1 }, control, " ", look));
}

/** How to bring all nodes to the value that most have, where that can be set; nothing for what is secret. */
function actionFor(row, part, { columns, view }) {
  const all = columns.map(({ key }) => key);
  const keys = row.odd.size ? all.filter((_key, at) => row.odd.has(at)) : all;
  const isSettable = row.common !== undefined && !row.isOwn && !row.key.includes(".") && !isMasked(row.key, row.common)
    && !holdsMask(row.common)
    && columns.every(({ state }) => state && isInProcess(state.kind));
  const begin = (action, given) => () => actionDialog(view, {
    keys, action, arguments: given, closed: (lines) => {
      if (!lines.length) return;
      view.reader.again();
      view.reader.want(all, ["conf", "loggers"]);
    },
  });
  if (part === "loggers" && row.common !== undefined) return begin("loglevel", { logger: row.key, level: row.common });
  return part === "configuration" && isSettable && begin("conf", { values: { [row.key]: row.common } });
}
