// SPDX-License-Identifier: Apache-2.0
// Small parts that views share: marks, notices, search boxes, tables. Built with dom.js; they hold no state.

import { append, div, el, para, replace, setAttribute, setText, span, svg } from "./dom.js";
import {
  ago, bytes, clock, count, duration, matcher, number, percent, rate, show, tokens, utc,
} from "./format.js";

const ICONS = {
  ok: "M3.5 8.5l3 3 6-7",
  bad: "M4 4l8 8M12 4l-8 8",
  wait: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3l2 1.5",
  warn: "M8 4.5v4M8 11.2v.3",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 7.5v3.3M8 5v.2",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5v2.8h-2.8",
  edit: "M3 13l.7-2.7L10.5 3.5l2 2-6.8 6.8zM9 5l2 2",
  next: "M6 3.5L10.5 8 6 12.5",
  pause: "M6 3.5v9M10 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  healthy: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.2 8.2l2 2 3.6-4.2",
  serving: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 7.9v.2",
  asked: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5 8.5q1.5-2 3 0t3 0",
  degraded: "M8 2L14.5 13.5H1.5zM8 6.5v3M8 11.6v.1",
  unreachable: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  up: "M8 13V3.5M4 7.2L8 3.2l4 4",
  down: "M8 3v9.5M4 8.8l4 4 4-4",
  out: "M6.5 3.5h-3v9h9v-3M9 3h4v4M13 3L7.5 8.5",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  undo: "M4 7h6a3 3 0 0 1 0 6H7M4 7l3-3M4 7l3 3",
};

/** For fields whose text is not prose. */
export const AS_TYPED = { autocomplete: "off", spellcheck: "false" };

/** A small line icon; decorative, the words beside it carry the meaning. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** A badge: `tone` is ok, warn, bad or calm. */
export function mark(tone, shape, text, title = null) {
  return el("span", { class: `state state-${tone}`, title }, icon(shape), el("span", {}, text));
}

const LEVELS = {
  healthy: ["ok", "healthy", "Healthy"],
  serving: ["ok", "serving", "Serving"],
  degraded: ["warn", "degraded", "Degraded"],
  answering: ["warn", "asked", "Answering"],
  unreachable: ["bad", "unreachable", "Unreachable"],
  unknown: ["calm", "wait", "Checking"],
};

/** The levels, the worst first. */
export const LEVEL_ORDER = ["unreachable", "degraded", "answering", "unknown", "serving", "healthy"];

/** A badge of shape, colour and word for how a node is; the reasons show on hover. */
export function levelMark(level, reasons = []) {
  return mark(...(LEVELS[level] ?? LEVELS.unknown), reasons.length ? reasons.join("; ").slice(0, 500) : null);
}

/** The word for a level. */
export function levelText(level) {
  return (LEVELS[level] ?? LEVELS.unknown)[2];
}

const QUANTITIES = {
  tokens: [tokens, (value) => `${number(value)} tokens`],
  bytes: [bytes, (value) => `${number(value)} bytes`],
  rate: [rate, (value) => `${number(value)} a second`],
  percent: [percent, (value) => `${number(value * 100)} %`],
  duration: [duration, (value) => `${number(value)} s`],
  ago: [ago, (value) => `${clock(value)} (${utc(value)})`],
  clock: [clock, utc],
};

/** A value in short, with the exact one on hover. `unit` is tokens, bytes, rate, percent, duration, ago or clock. */
export function quantity(unit, value, attributes = {}) {
  const [short, exact] = QUANTITIES[unit];
  return el("span", { title: exact(value), ...attributes }, short(value));
}

/** Text that comes from outside: kept apart from the text around it, whatever its direction. */
export function data(text, attributes = {}) {
  return el("bdi", { ...attributes, class: `data ${attributes.class ?? ""}`.trim() }, text);
}

/** A message in the page. `tone` is ok, bad, warn or info. */
export function notice(tone, title, text, action = null) {
  return div(`notice notice-${tone}`,
    span("notice-icon", icon(tone)),
    div("notice-text", title && el("strong", {}, title), text && el("p", {}, text), action));
}

const FAILURES = {
  gone: "The frontend cannot be reached",
  unreached: "The node cannot be reached",
  timeout: "No answer came in time",
  broken: "The answer broke off",
};

/** What a failed request is called; `refused` is the word for an answer that says no. */
export function failureTitle(error, refused) {
  return FAILURES[error.kind] ?? refused;
}

/** What to say of a change that failed: whether it was refused, or whether nobody knows. */
export function failedChange(error, refused) {
  // A gateway before the frontend answers for it where it is gone, and may do so once the change is made.
  const unsure = error.kind !== "http" || error.status >= 502;
  return notice("bad", failureTitle(error, refused),
    unsure ? `${error.message}. Whether the change was made is not known.` : error.message);
}

/** A drop-down; `options` are `[value, text]` pairs. */
export function select(label, options, value, onChange, attributes = {}) {
  const box = el("select", { "aria-label": label, ...attributes, on: { change: () => onChange(box.value) } },
    options.map(([key, text]) => el("option", { value: key }, text)));
  box.value = value;
  return box;
}

export function button(text, onClick, attributes = {}) {
  return el("button", { type: "button", ...attributes, on: { click: onClick } }, text);
}

/**
 * A table that folds into cards on a narrow screen. `columns` are `[name, class]`; that of actions shows no name. 
 * `{element, body, row}`; `row(cells, attributes)` makes one row.
 */
export function table(label, columns, kind = "") {
  const body = el("tbody", { role: "rowgroup" });
  const heads = columns.map(([name, style]) => el("th", { role: "columnheader", scope: "col", class: style },
    style === "col-actions" ? span("unseen", name) : name));
  // The roles are spelt out: where the cells become blocks, browsers forget that this is a table.
  const element = el("table", { role: "table", "aria-label": label, class: `grid ${kind}` },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), body);
  const row = (cells, attributes = {}) => el("tr", { role: "row", ...attributes }, cells.map((cell, index) =>
    el("td", { role: "cell", class: columns[index][1], "data-label": columns[index][0] }, cell)));
  return { element, body, row };
}

/**
 * A search field over something, and what of it matches. `memory.filter` outlives a redraw. `draw(accepts, filter)`
 * gives `{text, content, none}`: the words of the tally, what to show, and the words for it if nothing matches; then
 * the filter can be cleared, and `memory.clear()` clears what else filters. Gives `{parts, redraw}`.
 */
export function filterable(memory, label, draw, ...extra) {
  memory.filter ??= "";
  const shown = el("span", { class: "tally", role: "status" });
  const place = el("div");
  const redraw = () => {
    const { text, content, none } = draw(matcher(memory.filter), memory.filter);
    setText(shown, text);
    // What is there already stays, and the keyboard with it.
    if (none) setText(nothing.firstChild, none);
    nothing.lastChild.hidden = !memory.filter && !memory.clear;
    if (place.firstChild !== (none ? nothing : content)) replace(place, none ? nothing : content);
  };
  const clear = () => {
    memory.filter = search.value = "";
    memory.clear?.();
    redraw();
    search.focus();
  };
  const nothing = div("card nothing", para("none"), button("Clear filter", clear, { class: "small" }));
  const search = el("input", {
    type: "search", class: "search", placeholder: label, "aria-label": label, value: memory.filter, ...AS_TYPED,
    on: { input: () => { memory.filter = search.value; redraw(); } },
  });
  redraw();
  return { parts: [div("tools", search, shown, span("spring"), extra), place], redraw };
}

/** A card around a table. */
export function listCard(element) {
  return div("card flush", element);
}

/** `3 of 108 keys`. */
export function ofAll(some, all, noun, nouns) {
  return `${number(some)} of ${count(all, noun, nouns)}`;
}

/**
 * Open a modal dialog. `actions` are `{text, style, run}`; `run(close)` may return false to keep it open, and may be
 * left out. Escape closes it, and the keyboard goes back to where it was. Gives `{element, close}`.
 */
export function dialog(title, body, actions = [{ text: "Close" }], { style = "", closed = () => {} } = {}) {
  const before = document.activeElement;
  const close = () => element.close();
  const press = async ({ run }) => { if (await run?.(close) !== false) close(); };
  const buttons = actions.map((action) => button(action.text, () => press(action), { class: action.style }));
  const gone = () => {
    element.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
    closed();
  };
  const element = el("dialog", { class: `dialog ${style}`, "aria-label": title, on: { close: gone } },
    div("dialog-body", el("h2", {}, title), body, div("dialog-buttons", buttons)));
  document.body.append(element);
  element.showModal();
  return { element, close };
}

/**
 * A row of tabs: `items` are `[id, text]`, `choose(id)` is called when one is opened. Arrow keys, Home and End move
 * between them. Gives `{element, select}`.
 */
export function tabs(label, items, chosen, choose) {
  const buttons = items.map(([id, text]) => el("button", {
    type: "button", role: "tab", class: "tab", dataset: { tab: id }, on: { click: () => { select(id); choose(id); } },
  }, text));
  const select = (id) => {
    for (const tab of buttons) {
      setAttribute(tab, "aria-selected", String(tab.dataset.tab === id));
      setAttribute(tab, "tabindex", tab.dataset.tab === id ? "0" : "-1");
    }
  };
  const keydown = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const next = buttons[(to + buttons.length) % buttons.length];
    next.focus();
    next.click();
  };
  select(chosen);
  const element = el("div", { class: "tabs", role: "tablist", "aria-label": label, on: { keydown } }, buttons);
  return { element, select };
}
