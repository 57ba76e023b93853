// SPDX-License-Identifier: Apache-2.0
// Small parts that views share: marks, notices, search boxes, tables. Built with dom.js; they hold no state.

import { append, div, el, para, replace, setText, span, svg } from "./dom.js";
import { count, matcher, number, show } from "./format.js";
import { KIND_NAMES } from "./nodes.js";

const ICONS = {
  ok: "M3.5 8.5l3 3 6-7",
  bad: "M4 4l8 8M12 4l-8 8",
  wait: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3l2 1.5",
  lock: "M5 7V5a3 3 0 0 1 6 0v2M4 7h8v6H4z",
  warn: "M8 4.5v4M8 11.2v.3",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 7.5v3.3M8 5v.2",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2.5v2.8h-2.8",
  edit: "M3 13l.7-2.7L10.5 3.5l2 2-6.8 6.8zM9 5l2 2",
  next: "M6 3.5L10.5 8 6 12.5",
};

/** For fields whose text is not prose. */
export const AS_TYPED = { autocomplete: "off", spellcheck: "false" };

const STATES = {
  answering: ["ok", "ok", "Answering"],
  silent: ["bad", "bad", "Not answering"],
  restricted: ["calm", "lock", "Not readable"],
  checking: ["calm", "wait", "Checking"],
};

/** A small line icon; decorative, the words beside it carry the meaning. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

/** A badge of shape, colour and words for a probe's state. */
export function stateMark(probe) {
  return mark(...STATES[probe?.state ?? "checking"], probe?.reason);
}

/** A badge: `tone` is ok, bad or calm. */
export function mark(tone, shape, text, title = null) {
  return el("span", { class: `state state-${tone}`, title }, icon(shape), el("span", {}, text));
}

/** The word for a probe's state. */
export function stateText(probe) {
  return STATES[probe?.state ?? "checking"][2];
}

/** The name of a kind; "–" until it is known. */
export function kindText(probe) {
  return probe?.kind ? KIND_NAMES[probe.kind] : "–";
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

/**
 * `filterable` over the pairs of key and value that `pairs()` gives. `noun` names one of them; `cell(value, key)` makes
 * the value's cell, `textOf(key, value)` gives what is searched.
 */
export function filterablePairs(memory, label, noun, pairs, { cell = asText, textOf = joined } = {}) {
  return filterable(memory, label, (accepts) => {
    const all = pairs();
    const some = all.filter(([key, value]) => accepts(textOf(key, value)));
    const { element, body, row } = table(label, [["Key", "col-key"], ["Value", "col-value"]]);
    append(body, some.map(([key, value]) => row([data(key), cell(value, key)], { dataset: { key } })));
    const none = some.length === 0 && (all.length ? `No ${noun} matches.` : `There is no ${noun}.`);
    return { text: ofAll(some.length, all.length, noun), content: listCard(element), none };
  });
}

function asText(value) {
  return data(show(value));
}

function joined(key, value) {
  return `${key} ${show(value)}`;
}

/** A card around a table. */
export function listCard(element) {
  return div("card flush", element);
}

/** `3 of 108 keys`. */
export function ofAll(some, all, noun, nouns) {
  return `${number(some)} of ${count(all, noun, nouns)}`;
}
