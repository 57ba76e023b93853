// SPDX-License-Identifier: Apache-2.0
// Configuration of a node: every key with its value, default, meaning and source, and changes, sent as one action.
// What is changed but not sent is kept in the store, as the node's draft.

import { lockNote, needing } from "../access.js";
import { requestJson } from "../api.js";
import { append, div, el, replace, span } from "../dom.js";
import { count, flatten } from "../format.js";
import { holdsMask, isMasked, masked } from "../masking.js";
import { panel, readItem } from "../panel.js";
import { fieldText, isSame, rowsOf, whyFixed, words } from "../settings.js";
import { button, data, filterable, icon, listCard, notice, ofAll, select, table } from "../widgets.js";
import { openCopy } from "./node-config-copy.js";
import { editor } from "./node-config-edit.js";
import { openReview } from "./node-config-review.js";

const COLUMNS = [["Key", "col-key"], ["Value", "col-value"], ["Default", "col-default"], ["Source", "col-source"]];

export function mount(root, context) {
  const view = {
    context, rows: [], draft: context.store.draft(context.key), answers: new Map(), bared: new Set(), veils: null,
    only: "all", filter: context.route().query.q ?? "",
  };
  view.draft.sent ??= new Map();
  return panel(root, context, {
    thing: "configuration",
    load: (signal) => readAll(view, signal),
    render(body, rows) {
      forgetSecrets(view);
      takeRows(view, rows);
      draw(body, view);
    },
  });
}

/** Read the settings, what the catalogue says of them, and, for the sources, the environment where that can be had. */
async function readAll({ context, draft }, signal, options = {}) {
  const conf = await readItem(context, "conf", signal, options);
  if (context.kind === "mp") return rowsOf({ values: Object.fromEntries(flatten(conf.values)) }, [], null, new Map());
  const version = context.state()?.version;
  const query = version ? `?version=${encodeURIComponent(version)}` : "";
  const [{ keys }, environment] = await Promise.all([
    requestJson(`api/config/catalogue${query}`, { signal }).catch(orElse({ keys: [] })),
    readItem(context, "env", signal).catch(orElse(null)),
  ]);
  return rowsOf(conf, keys, environment, draft.sent);
}

/** What was shown in clear is masked again once the node is read anew. */
function forgetSecrets(view) {
  view.veils = null;
  view.bared.clear();
}

/** Read again with nothing masked; `veils` keeps what stood there. True where that could be had. */
async function reveal(view) {
  if (view.veils || !view.rows.some(({ value }) => holdsMask(value))) return true;
  const veils = new Map(view.rows.filter(({ value }) => holdsMask(value)).map(({ key, value }) => [key, value]));
  try {
    const rows = await readAll(view, view.context.signal, { reveal: true });
    view.veils = veils;
    takeRows(view, rows);
    return true;
  } catch (error) {
    if (error.kind !== "aborted") replace(view.said, notice("bad", "The value could not be read", error.message));
    return false;
  }
}

function orElse(value) {
  return (error) => {
    if (error.kind === "aborted") throw error;
    return value;
  };
}

/** Take what the node holds now; what was to be changed to just that is changed already. */
function takeRows(view, rows) {
  view.rows = rows;
  view.byKey = new Map(rows.map((row) => [row.key, row]));
  for (const [key, value] of view.draft.values) {
    if (view.byKey.has(key) && isSame(view.byKey.get(key).value, value)) view.draft.values.delete(key);
  }
}

function draw(body, view) {
  const { context } = view;
  const isMp = context.kind === "mp";
  view.fixed = whyFixed(context.kind, context.state()?.version);
  view.mayEdit = !view.fixed;
  const { parts, redraw } = filterable(view, "Search keys, values and meanings",
    (accepts) => drawTable(view, accepts, isMp),
    button([icon("copy"), "Copy"], () => openCopy(view, () => reveal(view)), { "aria-haspopup": "dialog" }));
  const only = isMp ? null : select("Which keys", choices(view), view.only, (value) => {
    view.only = value;
    view.redraw();
  });
  if (only) parts[0].firstChild.after(only);
  view.clear = () => {
    view.only = "all";
    if (only) only.value = "all";
  };
  view.said = el("div", { role: "status" });
  view.unsaved = div("unsaved");
  view.redraw = () => {
    redraw();
    drawUnsaved(view);
  };
  // The keyboard goes here where the button that it was on is gone.
  view.rest = () => parts[0].firstChild.focus();
  const fixed = "It cannot be changed while the node runs";
  replace(body, view.fixed ? notice("info", fixed, view.fixed) : lockNote("You cannot change it"), parts[0], view.said,
    parts[1], view.unsaved);
  view.redraw();
}

function choices({ rows }) {
  const changed = rows.filter((row) => row.changed).length;
  return [["all", "All keys"], ["changed", `Not at default (${changed})`], ["edited", "Not saved"]];
}

function drawTable(view, accepts, isMp) {
  const { draft: { values } } = view;
  const some = view.rows.filter((row) => accepts(textOf(row, view))
    && (view.only === "all" || (view.only === "changed" ? row.changed : values.has(row.key))));
  const { element, body, row: line } = table("Configuration", isMp ? COLUMNS.slice(0, 2) : COLUMNS, "conf");
  append(body, some.map((row) => line([
    [data(row.key), row.meaning && el("small", { class: "meaning" }, row.meaning)],
    valueCell(row, view),
    ...(isMp ? [] : [row.known ? data(shown(row, row.fallback, view)) : span("muted", "–"),
      span("source", el("span", { title: row.source[1] }, row.source[0]))]),
  ], { dataset: { key: row.key, changed: row.changed ? "" : undefined }, class: rowStyle(row, values) })));
  return {
    text: ofAll(some.length, view.rows.length, "key"), content: listCard(element),
    none: some.length === 0 && "No key matches.",
  };
}

function rowStyle({ key, changed }, values) {
  return values.has(key) ? "edited" : changed ? "changed" : "";
}

/** A masked value is not searched: a search must not give it away letter by letter. */
function textOf(row, view) {
  return `${row.key} ${shown(row, row.value, view)} ${row.meaning} ${row.source[0]}`;
}

function shown({ key, value: held }, value, { bared, veils }) {
  if (bared.has(key)) return words(value);
  return words(value === held && veils?.has(key) ? veils.get(key) : masked(key, value));
}

function valueCell(row, view) {
  const { key, value } = row;
  const { draft: { values, open }, mayEdit, answers } = view;
  if (mayEdit && open?.key === key) return openEditor(row, view);
  const answer = answers.get(key);
  return div("conf-value",
    value === null ? span("muted", "null") : data(shown(row, value, view)),
    row.changed && span("chip chip-changed", "changed"),
    (isMasked(key, value) || holdsMask(value) || view.veils?.has(key)) && unmask(row, view),
    values.has(key) && span("change", icon("next"), data(shown(row, values.get(key), view)), el("em", {}, "not saved")),
    answer && el("span", { class: "said", dataset: { mark: answer.mark } }, answer.text),
    mayEdit && button(icon("edit"), () => openField(row, view),
      { class: "bare", "aria-label": `Edit ${key}`, ...needing() }));
}

/** Open the field of a key; who edits what is masked is to see what it is. */
async function openField({ key, value }, view) {
  if (holdsMask(value) && !await reveal(view)) return;
  refocus(view, opened(view.byKey.get(key), view.draft.values), key);
}

function unmask({ key, value }, view) {
  const isBare = view.bared.has(key);
  const press = async () => {
    if (!isBare && holdsMask(value) && !await reveal(view)) return;
    if (!view.bared.delete(key)) view.bared.add(key);
    refocus(view, view.draft.open, key);
  };
  return button(isBare ? "Hide" : "Show", press, {
    class: "small bare", "aria-label": `${isBare ? "Hide" : "Show"} the value of ${key}`, ...needing("secrets"),
  });
}

/** The field of a key as it is when it is opened: `text` follows what is typed, `was` does not. */
function opened(row, values) {
  const text = fieldText(row, values.has(row.key) ? values.get(row.key) : row.value);
  return { key: row.key, text, was: text };
}

function openEditor(row, view) {
  const { draft: { values, open }, context: { store } } = view;
  return editor(row, open.text, {
    typed(text) {
      open.text = text;
      store.set({});
    },
    keep(value) {
      if (isSame(value, row.value)) values.delete(row.key);
      else values.set(row.key, value);
      view.answers.delete(row.key);
      refocus(view, null, row.key);
    },
    stop: () => refocus(view, null, row.key),
  });
}

/** Open the field `open` (or close the one that is open) and put the keyboard in the row of `key`. */
function refocus(view, open, key) {
  view.draft.open = open;
  view.redraw();
  for (const row of document.querySelectorAll("tr[data-key]")) {
    if (row.dataset.key !== key) continue;
    const control = row.querySelector("input:not(:disabled), select, textarea, button[aria-label^=Edit], button");
    control?.focus();
    control?.select?.();
  }
}

function readAgain(view) {
  forgetSecrets(view);
  return readAll(view, view.context.signal);
}

function drawUnsaved(view) {
  const { draft: { values }, context } = view;
  const known = [...values].filter(([key]) => view.byKey.has(key));
  const discard = () => {
    values.clear();
    view.redraw();
    view.rest();
  };
  replace(view.unsaved, view.mayEdit && known.length > 0 && [
    el("strong", {}, `${count(known.length, "change")} not saved`),
    span("muted", "Nothing is sent until you have looked at it once more."),
    span("spring"),
    button("Discard", discard),
    button("Review and save", () => openReview(view, () => readAgain(view), takeRows),
      { class: "primary", ...needing() }),
  ]);
  // The mark at the tab is drawn from the store.
  context.store.set({});
}
