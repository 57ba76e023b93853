// SPDX-License-Identifier: Apache-2.0
// All rules as text: to be copied, or to be put in place of what is edited.

import { copyButton } from "../copying.js";
import { div, el, para, setText } from "../dom.js";
import { putRules, readWork, rulesToSend } from "../rules-work.js";
import { parseRules } from "../rules.js";
import { AS_TYPED, dialog } from "../widgets.js";

const PLAIN = { description: "", enabled: true, deny: false, match: {}, items: [] };
const PARTS = ["app_id", "env", "config", "client", "rollout_percent", "rollout_by"];

/** Show the rules as they are edited, as JSON. */
export function openText(view) {
  const { rules } = readWork(view.work, view.find);
  const text = JSON.stringify({ rules: rulesToSend(rules) }, null, 2);
  const lines = Math.min(28, text.split("\n").length + 1);
  const field = el("textarea", {
    "aria-label": "Rules as JSON", rows: lines, value: text, readonly: !view.mayEdit, ...AS_TYPED,
  });
  const said = el("p", { class: "problem", role: "alert" });
  const takeOver = () => {
    try {
      putRules(view.work, view.work.base, readRules(field.value), view.find);
    } catch (error) {
      setText(said, error.message);
      return false;
    }
    view.redraw();
    return true;
  };
  dialog("The rules as text", [
    para("muted", "As they are edited here; secrets stand in them as they are. ",
      view.mayEdit && "What you change is put into the editor, and saved from there. "),
    field, div("", copyButton("Copy", () => field.value)), said,
  ], [{ text: "Close" }, ...(view.mayEdit ? [{ text: "Put into the editor", style: "primary", run: takeOver }] : [])],
  { style: "wide" });
}

function readRules(text) {
  let given;
  try {
    given = parseRules(/^\s*\[/.test(text) ? `{"rules": ${text}}` : text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
  if (!Array.isArray(given?.rules)) throw new Error('Expected {"rules": [...]}.');
  return given.rules.map((rule, at) => {
    const problem = problemOf(rule);
    if (problem) throw new Error(`Rule ${at + 1}: ${problem}`);
    for (const item of rule.items ?? []) Object.assign(item, { override: true, ...item });
    return { ...PLAIN, ...rule };
  });
}

/** What cannot be shown in the editor must not be passed over: a condition that is lost is a rule for everybody. */
function problemOf(rule) {
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(rule) || typeof rule.name !== "string") return "expected an object with a name.";
  const { match = {}, items = [] } = rule;
  if (!isObject(match) || !Array.isArray(items)) return "match is an object, and items a list.";
  const strange = [...Object.keys(rule).filter((name) => name !== "name" && !(name in PLAIN)),
    ...Object.keys(match).filter((name) => !PARTS.includes(name))];
  if (strange.length) return `there is no “${strange[0]}” in a rule.`;
  return items.every((item) => isObject(item) && typeof item.key === "string" && "value" in item) ? null
    : "each of items has a key and a value.";
}
