// SPDX-License-Identifier: Apache-2.0
// The editor of one configuration value, and what is sent for it.

import { el, replace, span } from "../dom.js";
import { literal } from "../format.js";
import { looseJson } from "../parse.js";
import { AS_TYPED, button, select } from "../widgets.js";

/**
 * A small form for one value. `current` tells the type, `text` is what the field starts with.
 * Calls `typed(text)` at each change of the field, and `keep(value)` or `stop()` in the end.
 */
export function editor(key, current, text, { typed, keep, stop }) {
  const problem = el("span", { class: "said", role: "alert", dataset: { mark: "bad" } });
  const field = typeof current === "boolean"
    ? select(`New value of ${key}`, [["true", "true"], ["false", "false"]], text, typed)
    : el("input", {
      type: "text", "aria-label": `New value of ${key}`, value: text, ...AS_TYPED,
      on: { input: () => typed(field.value) },
    });
  const send = (event) => {
    event.preventDefault();
    const read = readValue(field.value, current);
    if (read.problem) replace(problem, read.problem);
    else keep(read.value);
  };
  const escape = (event) => { if (event.key === "Escape") stop(); };
  return el("form", { class: "inline edit", on: { submit: send, keydown: escape } },
    field, el("button", { class: "small primary" }, "Keep"), button("Cancel", stop, { class: "small" }),
    span("muted", hint(current)), problem);
}

/** Read what was typed as a value of the same type as `current`: `{value}` or `{problem}`. */
export function readValue(text, current) {
  const trimmed = text.trim();
  if (typeof current === "string") return { value: text === "null" ? null : text };
  if (typeof current === "number" || typeof current === "bigint") return readNumber(trimmed);
  if (typeof current === "boolean") return { value: trimmed === "true" };
  try {
    return { value: looseJson(trimmed) };
  } catch {
    return current === null ? { value: text } : { problem: "This must be JSON, for instance [1, 2] or {\"a\": 1}." };
  }
}

/** The JSON object for `POST /conf`; what JSON cannot say (infinity) goes as the word the node reads. */
export function postBody(edits) {
  const plain = (value) => !["number", "bigint"].includes(typeof value) || Number.isFinite(value);
  return Object.fromEntries([...edits].map(([key, value]) => [key, plain(value) ? value : literal(value)]));
}

function readNumber(text) {
  if (text === "null") return { value: null };
  if (/^[+-]?inf(inity)?$/i.test(text)) return { value: text.startsWith("-") ? -Infinity : Infinity };
  const value = Number(text);
  return text === "" || Number.isNaN(value) ? { problem: "This must be a number." } : { value };
}

function hint(current) {
  if (current === null) return "JSON, or plain text";
  if (Array.isArray(current)) return "a JSON list";
  return { number: "a number", string: "text", object: "a JSON object" }[typeof current];
}
