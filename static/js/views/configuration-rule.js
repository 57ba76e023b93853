// SPDX-License-Identifier: Apache-2.0
// One rule in the list: its summary, and when it is opened the fields to edit it.

import { guarded, needing } from "../access.js";
import { div, el, para, replace, setAttribute, setText, span } from "../dom.js";
import { count, show } from "../format.js";
import { masked } from "../masking.js";
import { matchWords } from "../rules.js";
import { button, data, icon, mark } from "../widgets.js";
import { conditionsEditor, itemsEditor } from "./configuration-parts.js";

const SHOWN = 6;
const LONG = 80;

/**
 * Make the card of a rule: `{element, update, handle, fold}`. `view.changed(draft)` is told of every edit; `startDrag`
 * and `moveKeys` move it.
 */
export function ruleCard(view, draft, { startDrag, moveKeys, remove, duplicate }) {
  const { work: { open } } = view;
  const handle = el("button", {
    type: "button", class: "bare rule-handle", title: "Drag, or move with the arrow keys", ...needing(),
    on: { pointerdown: (event) => startDrag(event, draft), keydown: (event) => moveKeys(event, draft) },
  }, span("grip", "⠿"));
  const name = span("rule-name");
  const fold = el("button", { type: "button", class: "unfold", on: { click: toggle } }, icon("next"), name);
  const place = span("rule-place muted");
  const marks = span("rule-marks");
  const summary = div("rule-summary");
  const body = div("rule-body");
  const element = el("li", { class: "rule card", dataset: { rule: draft.id } },
    div("rule-head", handle, place, fold, marks), summary, body);

  function toggle() {
    if (!open.delete(draft.id)) open.add(draft.id);
    drawBody();
    update();
    view.drawSaid();
  }

  function drawBody() {
    const isOpen = open.has(draft.id);
    setAttribute(fold, "aria-expanded", String(isOpen));
    replace(body, isOpen && editor(view, draft, { remove, duplicate }));
  }

  const update = () => updateCard(view, draft, { element, handle, name, place, marks, summary });
  drawBody();
  update();
  return { element, update, handle, fold };
}

/** Bring the head of a card up to date; its fields stay as they are. */
function updateCard(view, draft, { element, handle, name, place, marks, summary }) {
  const { rule } = view.read(draft);
  const { drafts, open } = view.work;
  const at = drafts.indexOf(draft);
  setText(name, draft.name.trim() || "(no name)");
  setText(place, String(at + 1));
  handle.disabled = !view.mayEdit || view.isFiltered();
  handle.ariaLabel = `Move ${draft.name}: ${at + 1} of ${drafts.length}, arrow keys`;
  setAttribute(element, "data-off", draft.enabled ? null : "");
  replace(marks, marksOf(view, draft));
  const shown = open.has(draft.id) ? "fields" : rule;
  if (summary.shown === shown) return;
  summary.shown = shown;
  replace(summary, shown === rule && summaryOf(rule));
}

function marksOf(view, draft) {
  const { errors, others } = view.counts(draft);
  const change = view.changeOf(draft);
  return [
    !draft.enabled && span("chip", "switched off"), draft.deny && mark("bad", "bad", "denies"),
    change && mark("warn", "edit", change), errors > 0 && mark("bad", "bad", count(errors, "error")),
    others > 0 && mark("warn", "warn", `${others} to look at`),
  ];
}

function cut(text) {
  return text.length > LONG ? `${text.slice(0, LONG)} …` : text;
}

function summaryOf({ match, items, deny, description }) {
  const whom = matchWords(match);
  const sets = items.slice(0, SHOWN).map(({ key, value, override }) => span("chip mono",
    data(`${key} = ${cut(show(masked(key, value)))}`), !override && span("muted", " if unset")));
  return [
    description && para("rule-text muted", data(description)),
    para("", span("rule-label", "For"), whom.length === 0 ? "everybody"
      : whom.map(([what, words]) => span("chip", data(`${what} ${words}`)))),
    deny ? para("", span("rule-label", "Gets"), "no configuration: it is refused, and keeps its own")
      : para("", span("rule-label", "Gets"), items.length === 0 ? "nothing yet" : sets,
      items.length > SHOWN && span("muted", `and ${items.length - SHOWN} more`)),
  ];
}

function editor(view, draft, { remove, duplicate }) {
  const changed = () => view.changed(draft);
  const typed = (name) => (event) => {
    draft[name] = event.target.value;
    changed();
  };
  const check = (name, words, hint) => el("label", { class: "choice", title: hint },
    el("input", { type: "checkbox", checked: draft[name], on: { change(event) {
      draft[name] = event.target.checked;
      changed();
    } } }), words);
  const nameField = view.field(`${draft.id}:name`, el("input", {
    type: "text", id: `name-${draft.id}`, value: draft.name, maxlength: "128", ...AS_PROSE,
    on: { input: typed("name") },
  }));
  return guarded(el("fieldset", { class: "rule-edit", disabled: !view.mayEdit, ...needing() },
    el("legend", { class: "unseen" }, `The rule ${draft.name}`),
    div("rule-words",
      div("field", el("label", { for: nameField.id }, "Name"), nameField, view.slot(`${draft.id}:name`)),
      div("field", el("label", { for: `text-${draft.id}` }, "Description"), el("input", {
        type: "text", id: `text-${draft.id}`, value: draft.description, maxlength: "2000", ...AS_PROSE,
        on: { input: typed("description") },
      }))),
    div("inline rule-switches", check("enabled", "Switched on"),
      check("deny", "Denies: whoever it is for gets no configuration, and keeps its own")),
    view.slot(draft.id),
    el("section", {}, el("h3", {}, "Whom it is for"), conditionsEditor(view, draft, changed)),
    el("section", {}, el("h3", {}, "What it sets"), itemsEditor(view, draft, changed)),
    view.mayEdit && div("inline rule-tools",
      button([icon("copy"), "Duplicate"], () => duplicate(draft), { class: "small" }),
      button("Delete this rule", () => remove(draft), { class: "small danger-quiet" }))));
}

const AS_PROSE = { autocomplete: "off" };
