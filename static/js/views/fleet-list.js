// SPDX-License-Identifier: Apache-2.0
// The list of nodes: filter, columns, grouping, what is selected, and what can be done with that.

import { whyNot } from "../access.js";
import { div, el, setText, span } from "../dom.js";
import { requestJson } from "../api.js";
import { number } from "../format.js";
import { nodeHref } from "../router.js";
import { AS_TYPED, button, dialog, icon, ofAll, select } from "../widgets.js";
import { COLUMNS } from "./fleet-columns.js";
import { parseFilter, TERMS } from "./fleet-filter.js";
import { problemsByNode, worstByNode } from "./fleet-problems.js";
import { GROUPINGS, inOrder, ranking, rowsOf, sorted } from "./fleet-rows.js";
import { selectionBar } from "./fleet-selection.js";
import { nodeTable } from "./fleet-table.js";

const ENVIRONMENT_KEPT_MS = 60_000;
// What the cards of a narrow screen, which have no heads, can be sorted by.
const SORTS = [
  ["state", "Worst first"], ["name", "By name"], ["lookup_hit_rate", "Lowest hit rate"], ["-cpu_fill", "Fullest"],
  ["-tokens_hit_per_s", "Most tokens"], ["-evictions_per_s", "Most evictions"],
];

/** Make the list. `draw(fleet)` gives the nodes that match; `set(options)` takes what the address says. */
export function listCard(view, change) {
  const list = {
    view, change, options: view.options, selected: new Set(), anchor: null, closed: new Set(), order: [], rows: [],
    environments: new Map(), rankOf: ranking(), filter: parseFilter(view.options.q), held: false, nodes: [],
    fleet: null,
  };
  list.search = searchField(list);
  list.tally = span("tally");
  list.tally.setAttribute("role", "status");
  list.group = select("Grouping", GROUPINGS, view.options.group, (group) => change({ group }), { class: "grouping" });
  list.sort = select("Sort by", SORTS, view.options.sort, (sort) => sortBy(list, sort), { class: "narrow-only" });
  list.hint = el("p", { class: "muted list-hint", role: "status" });
  list.nothing = div("card nothing", el("p", { class: "none" }, "No node matches."),
    button("Clear filter", () => { change({ q: "" }); list.search.focus(); }, { class: "small" }));
  list.table = nodeTable(handlers(list));
  list.bar = selectionBar(view, list);
  list.element = el("section", { class: "list", "aria-label": "Nodes" },
    div("tools list-tools", list.search,
      button("?", openTerms, { class: "bare", "aria-label": "What the filter can find" }), list.tally,
      span("spring"), list.sort, list.group,
      button([icon("columns"), "Columns"], () => openColumns(list), { class: "wide-only" })),
    list.hint, list.nothing, list.table.element, list.bar.element);
  hold(list);
  return {
    element: list.element,
    draw: (fleet) => draw(list, fleet),
    set: (options) => adopt(list, options),
    stop: () => list.table.stop(),
  };
}

function sortBy(list, sort) {
  list.order = [];
  list.change({ sort });
}

function handlers(list) {
  const { view } = list;
  return {
    sort: (id) => sortBy(list, list.options.sort === id ? `-${id}` : id),
    select: (key, how) => choose(list, key, how),
    selectAll: (on) => {
      list.selected = new Set(on ? list.nodes.map((node) => node.key) : []);
      redraw(list);
    },
    open: (key) => view.navigate(nodeHref(key)),
    fold: (name) => {
      if (!list.closed.delete(name)) list.closed.add(name);
      redraw(list);
    },
  };
}

function searchField(list) {
  const input = () => list.change({ q: field.value });
  const keydown = (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    list.table.enter();
  };
  const field = el("input", {
    type: "search", class: "search", value: list.view.options.q, ...AS_TYPED, "aria-label": "Filter nodes",
    placeholder: "Filter: name, state:degraded, kind:mp, env:TAG=x", on: { input, keydown },
  });
  return field;
}

function adopt(list, options) {
  if (options.q !== list.options.q) list.filter = parseFilter(options.q);
  if (options.sort !== list.options.sort) list.order = [];
  list.options = options;
  if (list.search.value !== options.q) list.search.value = options.q;
  list.group.value = options.group;
  list.sort.value = options.sort;
}

function redraw(list) {
  if (list.fleet) draw(list, list.fleet);
}

function draw(list, fleet) {
  const { options, selected, view } = list;
  list.fleet = fleet;
  if (list.problemsOf !== fleet.problems) {
    list.problemsOf = fleet.problems;
    list.problems = problemsByNode(fleet.problems);
    list.worst = worstByNode(fleet.problems);
  }
  askEnvironments(list);
  const known = { problems: list.problems, environments: list.environments };
  const some = fleet.nodes.filter((node) => list.filter.accepts(node, known));
  // Nothing jumps away from the pointer or the keyboard: while one is in the list, the order stays.
  const keep = list.held && list.order.length > 0;
  list.nodes = keep ? inOrder(some, list.order) : sorted(some, options.sort, list.rankOf(fleet.nodes), list.worst);
  list.order = list.nodes.map((node) => node.key);
  for (const key of selected) if (!fleet.byKey.has(key)) selected.delete(key);
  setText(list.tally, ofAll(some.length, fleet.nodes.length, "node"));
  list.nothing.hidden = some.length > 0 || !fleet.nodes.length;
  list.table.element.hidden = !some.length;
  const isWorstFirst = options.sort === "state";
  list.rows = rowsOf(list.nodes, options.group, list.closed,
    { worst: isWorstFirst ? list.worst : null, before: keep ? list.rows : [] });
  list.table.draw(list.rows, {
    sort: options.sort, selected, worst: list.worst, chosen: options.columns ? options.columns.split(",") : [],
    history: view.trend ?? view.history, now: Date.now() / 1000,
  });
  list.bar.draw(whyNot(view.store.get()));
  return some;
}

/** Keep the order while the pointer, or the keyboard, is among the rows. */
function hold(list) {
  const { element } = list.table;
  const body = element.lastChild;
  let pointer = false;
  const settle = () => {
    const held = pointer || (body.contains(document.activeElement) && body.querySelector(":focus-visible") !== null);
    if (held === list.held) return;
    list.held = held;
    if (!held) redraw(list);
  };
  body.addEventListener("pointerenter", () => { pointer = true; settle(); });
  body.addEventListener("pointerleave", () => { pointer = false; settle(); });
  body.addEventListener("focusin", settle);
  body.addEventListener("focusout", () => setTimeout(settle));
}

/** Select a node, or take it out; with `range` all from the last one on. */
function choose(list, key, { range = false } = {}) {
  const { selected, order } = list;
  const [from, to] = [order.indexOf(list.anchor), order.indexOf(key)];
  if (range && from >= 0 && to >= 0) {
    for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) selected.add(one);
  } else {
    if (!selected.delete(key)) selected.add(key);
    list.anchor = key;
  }
  redraw(list);
}

/** Ask the nodes for the variables that `env:` terms name; the answer is kept for a while. */
function askEnvironments(list) {
  const { environments, filter, view: { control: { signal } } } = list;
  for (const value of new Set(filter.env)) {
    const known = environments.get(value);
    if (known && performance.now() - known.asked_at < ENVIRONMENT_KEPT_MS) continue;
    const words = `Asking the nodes for ${value} …`;
    const asked = { asked_at: performance.now(), nodes: known?.nodes ?? null, words };
    environments.set(value, asked);
    requestJson(`api/fleet/env?filter=${encodeURIComponent(value)}`, { signal, timeout_s: 60 }).then(
      ({ nodes, unknown }) => {
        asked.nodes = new Set(nodes);
        asked.words = unknown.length ? `${number(unknown.length)} nodes could not be asked for ${value}.` : "";
      },
      (error) => { asked.words = `env:${value} could not be asked for: ${error.message}`; },
    ).then(() => { if (!signal.aborted) list.change({}); });
  }
  setText(list.hint, filter.env.map((value) => environments.get(value)?.words).filter(Boolean).join(" "));
  list.hint.hidden = !list.hint.textContent;
}

function openTerms() {
  dialog("What the filter can find", [
    el("p", {}, "All words and terms must hold. A word with spaces goes in quotes."),
    el("dl", { class: "terms" }, TERMS.map(([term, words]) => div("term",
      el("dt", {}, el("code", {}, term)), el("dd", {}, words)))),
  ], [{ text: "Close", style: "primary" }], { style: "wide" });
}

function openColumns(list) {
  const chosen = new Set(list.table.columns().map(({ id }) => id));
  const box = ({ id, title }) => el("label", { class: "choice" }, el("input", {
    type: "checkbox", checked: chosen.has(id), disabled: id === "name",
    on: {
      change: ({ target }) => {
        if (target.checked) chosen.add(id);
        else chosen.delete(id);
        list.change({ columns: COLUMNS.filter((one) => chosen.has(one.id)).map((one) => one.id).join(",") });
      },
    },
  }), title);
  dialog("Columns", div("choices", COLUMNS.map(box)), [
    { text: "The usual ones", run: () => { list.change({ columns: "" }); } }, { text: "Close", style: "primary" },
  ], { style: "wide" });
}
