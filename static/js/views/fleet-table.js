// SPDX-License-Identifier: Apache-2.0
// The node list: a grid of which only the rows in sight are in the page, so that thousands cost no more than fifty.
// The page scrolls, not the list. One cell has the keyboard; arrows move it.

import { div, el, replace, setAttribute, setText, span } from "../dom.js";
import { number } from "../format.js";
import { icon, levelMark } from "../widgets.js";
import { columnsFor } from "./fleet-columns.js";

const OVERSCAN = 6;

/**
 * Make the list. `on` holds `sort(id)`, `select(key, {range, only})`, `selectAll(on)`, `open(key)`, `fold(name)`.
 * Gives `{element, draw(rows, view), columns()}`; `view` has `sort`, `selected`, `chosen`, `history`, `now`.
 */
export function nodeTable(on) {
  const head = div("row head");
  const body = div("rows");
  setAttribute(head, "role", "row");
  setAttribute(body, "role", "rowgroup");
  const element = el("div", {
    class: "nodes", role: "grid", "aria-label": "Nodes", "aria-multiselectable": "true",
  }, el("div", { role: "rowgroup", class: "head-group" }, head), body);
  const table = {
    element, head, body, on, rows: [], view: null, columns: [], shown: new Map(), at: { row: 0, cell: 2 },
  };
  const redraw = () => { if (table.view) place(table); };
  const resize = new ResizeObserver(() => { if (table.view) draw(table, table.rows, table.view); });
  resize.observe(element);
  addEventListener("scroll", redraw, { passive: true });
  element.addEventListener("keydown", (event) => keys(event, table));
  element.addEventListener("click", (event) => click(event, table));
  element.addEventListener("focusin", (event) => follow(event, table));
  return {
    element,
    columns: () => table.columns,
    enter: () => { if (table.rows.length) move(table, 0, table.at.cell); },
    draw: (rows, view) => draw(table, rows, view),
    stop() {
      resize.disconnect();
      removeEventListener("scroll", redraw);
    },
  };
}

function draw(table, rows, view) {
  const { element, body } = table;
  const focused = focusedKey(table);
  Object.assign(table, { rows, view });
  table.folded = matchMedia("(max-width: 44rem)").matches;
  const columns = columnsFor(view.chosen, table.folded ? 0 : element.clientWidth);
  const shape = columns.map(({ id }) => id).join();
  if (shape !== table.shape) {
    Object.assign(table, { shape, columns });
    element.style.setProperty("--columns", `2.1rem ${columns.map(({ width }) => width).join(" ")}`);
    for (const row of table.shown.values()) row.remove();
    table.shown.clear();
    makeHead(table);
  }
  drawHead(table);
  setAttribute(element, "aria-rowcount", rows.length + 1);
  setAttribute(element, "aria-colcount", columns.length + 1);
  const height = parseFloat(getComputedStyle(element).getPropertyValue("--row-height")) * rem();
  table.height = height;
  body.style.setProperty("height", `${rows.length * height}px`);
  if (focused !== null) table.at.row = Math.max(0, rows.findIndex((row) => row.key === focused));
  table.at.row = Math.min(table.at.row, Math.max(0, rows.length - 1));
  place(table);
}

function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** Put the rows in sight into the page, and the one that has the keyboard; the others go. */
function place(table) {
  const { body, rows, height, shown } = table;
  const hadKeyboard = body.contains(document.activeElement);
  const top = body.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / height) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((innerHeight - top) / height) + OVERSCAN);
  const wanted = new Map();
  for (let index = first; index < last; index += 1) wanted.set(rows[index].key, index);
  if (rows[table.at.row]) wanted.set(rows[table.at.row].key, table.at.row);
  for (const [key, row] of shown) {
    if (!wanted.has(key)) {
      row.remove();
      shown.delete(key);
    }
  }
  for (const [key, index] of wanted) {
    let row = shown.get(key);
    if (!row || row.isGroup !== Boolean(rows[index].members)) {
      row?.remove();
      shown.set(key, row = rows[index].members ? makeGroup() : makeRow(table));
    }
    drawRow(table, row, rows[index], index);
  }
  putInOrder(table, [...wanted].sort(([, one], [, other]) => one - other));
  // What is moved or made anew loses the keyboard.
  if (hadKeyboard && !body.contains(document.activeElement)) focusCell(table);
}

/** Have the rows stand in the page as they are seen, for those who hear it read. */
function putInOrder({ body, shown }, wanted) {
  let next = body.firstChild;
  for (const [key] of wanted) {
    const row = shown.get(key);
    if (row === next) next = next.nextSibling;
    else body.insertBefore(row, next);
  }
}

function makeRow({ columns }) {
  const cells = columns.map(({ id, title, short, numeric }) => {
    const one = cell(`cell cell-${id}${numeric ? " num" : ""}`);
    one.dataset.label = short ?? title;
    return one;
  });
  const check = el("input", { type: "checkbox", tabindex: "-1", dataset: { select: "" } });
  const row = el("div", { role: "row", class: "row" }, cell("cell cell-check", check), cells);
  Object.assign(row, { cells, check, drawn: [], isGroup: false });
  return row;
}

function cell(style, ...content) {
  return el("div", { role: "gridcell", class: style, tabindex: "-1" }, content);
}

function makeGroup() {
  const fold = el("button", { type: "button", class: "unfold", tabindex: "-1", dataset: { fold: "" } },
    icon("next"), span("group-name"));
  const row = el("div", { role: "row", class: "row group-row" },
    cell("cell group-cell", fold, span("muted"), span("group-levels")));
  return Object.assign(row, { isGroup: true });
}

function drawRow(table, row, item, index) {
  const { view, columns, height } = table;
  if (row.index !== index || row.height !== height) {
    Object.assign(row, { index, height });
    row.style.setProperty("transform", `translateY(${index * height}px)`);
    setAttribute(row, "aria-rowindex", index + 2);
  }
  if (row.isGroup) return drawGroup(table, row, item, index);
  const { node } = item;
  if (row.dataset.key !== node.key) {
    row.dataset.key = node.key;
    setAttribute(row.check, "aria-label", `Select ${node.key}`);
  }
  columns.forEach((column, place) => {
    const shape = column.shape?.(node, view);
    const [known, knownShape] = row.drawn[place] ?? [];
    if (known === node && knownShape === shape) return;
    row.drawn[place] = [node, shape];
    column.show(row.cells[place], node, view);
  });
  const selected = view.selected.has(node.key);
  if (row.check.checked !== selected) row.check.checked = selected;
  if (row.selected !== selected) {
    row.selected = selected;
    setAttribute(row, "aria-selected", String(selected));
  }
  return markFocus(table, row, index);
}

function drawGroup(table, row, { group, members, open, levels }, index) {
  const [fold, total, counts] = row.firstChild.children;
  setAttribute(fold, "aria-expanded", String(open));
  row.dataset.group = group;
  setText(fold.lastChild, group);
  setText(total, members.length === 1 ? "1 node" : `${number(members.length)} nodes`);
  const shape = [...levels].join(" ");
  if (row.levels !== shape) {
    row.levels = shape;
    const sick = [...levels].filter(([level]) => !["healthy", "serving"].includes(level));
    replace(counts, sick.map(([level, n]) => span("group-level", levelMark(level), ` ${number(n)}`)));
  }
  return markFocus(table, row, index);
}

/** Exactly one cell of the list can be reached with Tab. */
function markFocus({ at }, row, index) {
  for (const [place, one] of [...row.children].entries()) {
    const isIt = index === at.row && place === Math.min(at.cell, row.children.length - 1);
    const target = focusable(one);
    if (target.tabIndex !== (isIt ? 0 : -1)) target.tabIndex = isIt ? 0 : -1;
  }
}

/** What gets the keyboard in a cell: the one control in it, or the cell. */
function focusable(one) {
  return one.querySelector("a, input, button") ?? one;
}

function makeHead({ head, columns, on }) {
  const all = el("input", {
    type: "checkbox", "aria-label": "Select all nodes of the list", on: { change: () => on.selectAll(all.checked) },
  });
  const sorter = (id, title) =>
    el("button", { type: "button", class: "sort", on: { click: () => on.sort(id) } }, title, icon("up"));
  const heads = columns.map(({ id, title, tip, numeric, sort }) => el("div", {
    role: "columnheader", class: `cell cell-${id}${numeric ? " num" : ""}`, title: tip ?? null,
  }, sort ? sorter(id, title) : title));
  replace(head, el("div", { role: "columnheader", class: "cell cell-check" }, all), heads);
  setAttribute(head, "aria-rowindex", 1);
}

function drawHead({ head, columns, view, rows }) {
  const [first, ...heads] = head.children;
  columns.forEach(({ id, sort }, index) => {
    const direction = view.sort === id ? "ascending" : view.sort === `-${id}` ? "descending" : null;
    setAttribute(heads[index], "aria-sort", direction ?? (sort ? "none" : null));
  });
  const nodes = rows.filter((row) => row.node);
  const chosen = nodes.filter(({ key }) => view.selected.has(key)).length;
  first.firstChild.checked = nodes.length > 0 && chosen === nodes.length;
  first.firstChild.indeterminate = chosen > 0 && chosen < nodes.length;
}

function click(event, table) {
  const row = event.target.closest(".rows > .row");
  if (!row) return;
  if (event.target.closest("[data-fold]")) table.on.fold(row.dataset.group);
  else if (event.target.closest("[data-select]")) table.on.select(row.dataset.key, { range: event.shiftKey });
}

/** What the pointer or Tab brings the keyboard to becomes the cell that has it. */
function follow({ target }, table) {
  const row = target.closest(".rows > .row");
  const one = target.closest("[role=gridcell]");
  if (!row || !one) return;
  const before = table.at;
  table.at = { row: row.index, cell: [...row.children].indexOf(one) };
  for (const index of new Set([before.row, table.at.row])) {
    const shown = table.shown.get(table.rows[index]?.key);
    if (shown) markFocus(table, shown, index);
  }
}

function focusedKey({ body, rows, at }) {
  return body.contains(document.activeElement) ? rows[at.row]?.key ?? null : null;
}

function keys(event, table) {
  const { at, rows, on } = table;
  if (!event.target.closest(".rows") || event.ctrlKey || event.altKey || event.metaKey) return;
  const item = rows[at.row];
  const page = Math.max(1, Math.floor(innerHeight / table.height) - 3);
  const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -rows.length, End: rows.length };
  const sideways = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.key in steps) {
    move(table, at.row + steps[event.key], at.cell);
    if (event.shiftKey && rows[table.at.row]?.node) on.select(rows[table.at.row].key, { range: true });
  } else if (event.key in sideways) move(table, at.row, at.cell + sideways[event.key]);
  else if (event.key === " " && item?.node) on.select(item.key, { range: event.shiftKey });
  else if (event.key === "Enter" && item?.node && !event.target.closest("a")) on.open(item.key);
  else if ([" ", "Enter"].includes(event.key) && item?.members && !event.target.closest("button")) on.fold(item.group);
  else return;
  event.preventDefault();
}

function move(table, row, column) {
  const cells = table.columns.length;
  table.at = {
    row: Math.min(table.rows.length - 1, Math.max(0, row)), cell: Math.min(cells, Math.max(0, column)),
  };
  const top = table.body.getBoundingClientRect().top + table.at.row * table.height;
  const covered = table.element.querySelector(".head-group").getBoundingClientRect().bottom;
  const below = parseFloat(getComputedStyle(document.documentElement).scrollPaddingBottom) || 0;
  const bottom = innerHeight - table.height - below;
  if (top < covered) scrollBy(0, top - covered);
  else if (top > bottom) scrollBy(0, top - bottom);
  place(table);
  focusCell(table);
}

function focusCell(table) {
  const row = table.shown.get(table.rows[table.at.row]?.key);
  if (row) focusable(row.children[Math.min(table.at.cell, row.children.length - 1)]).focus({ preventScroll: true });
}
