// SPDX-License-Identifier: Apache-2.0
// The editor of one setting: a field that fits its type, checked as it is typed.

import { el, setAttribute, setText, span } from "../dom.js";
import { show } from "../format.js";
import { expected, readField } from "../settings.js";
import { AS_TYPED, button, select } from "../widgets.js";

/**
 * A small form for one setting. `text` is what the field starts with, null for null.
 * Calls `typed(text)` at each change of the field, and `keep(value)` or `stop()` in the end.
 */
export function editor(row, text, { typed, keep, stop }) {
  const problem = el("span", { class: "said", role: "alert", dataset: { mark: "bad" } });
  const current = () => (nothing?.checked ? null : field.value);
  const check = () => {
    const found = readField(row, current());
    setText(problem, found.problem ?? "");
    setAttribute(field, "aria-invalid", found.problem ? "true" : null);
    return found;
  };
  const changed = () => {
    typed(current());
    check();
  };
  // Who types something does not mean null.
  const field = fieldOf(row, text ?? "", () => {
    if (nothing) nothing.checked = false;
    changed();
  });
  const mayBeNull = row.nullable && row.type !== "bool";
  const nothing = mayBeNull ? el("input", { type: "checkbox", on: { change: changed } }) : null;
  if (nothing) nothing.checked = text === null;
  const send = (event) => {
    event.preventDefault();
    const { value, problem: wrong } = check();
    if (!wrong) keep(value);
  };
  const keydown = (event) => {
    if (event.key === "Escape") stop();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(event);
  };
  const back = row.known && button("Default", () => keep(row.fallback),
    { class: "small", title: `Its default is ${show(row.fallback)}` });
  return el("form", { class: "inline edit", on: { submit: send, keydown } },
    field, nothing && el("label", { class: "inline check" }, nothing, "null"),
    el("button", { class: "small primary" }, "Keep"), button("Cancel", stop, { class: "small" }), back,
    span("muted edit-hint", expected(row)), problem);
}

function fieldOf(row, text, changed) {
  const label = `New value of ${row.key}`;
  const on = { input: changed };
  if (row.type === "bool") {
    return select(label, [["true", "true"], ["false", "false"]], text || "false", changed);
  }
  if (row.choices) return select(label, choicesOf(row, text), text, changed);
  if (row.type === "dict" || text.includes("\n") || text.length > 80) {
    const lines = Math.min(12, Math.max(3, text.split("\n").length));
    return el("textarea", { "aria-label": label, rows: lines, value: text, ...AS_TYPED, on });
  }
  const mode = { int: "numeric", float: "decimal" }[row.type];
  return el("input", { type: "text", inputmode: mode, "aria-label": label, value: text, ...AS_TYPED, on });
}

function choicesOf({ choices }, text) {
  return (choices.includes(text) ? choices : [text, ...choices]).map((choice) => [choice, choice]);
}
