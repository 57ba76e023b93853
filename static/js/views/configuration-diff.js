// SPDX-License-Identifier: Apache-2.0
// What differs between two lists of rules, in the page: rule by rule, line by line.

import { div, el, para, span } from "../dom.js";
import { isMasked, masked } from "../masking.js";
import { isSame, ruleLines } from "../rules.js";
import { data } from "../widgets.js";

const OPERATIONS = {
  added: ["ok", "New rule"], removed: ["bad", "Rule taken out"], changed: ["warn", "Changed"], moved: ["calm", "Moved"],
};

/** Show a list of differences as the server gives it: `[{op, rule, before, after}]`. */
export function diffList(differences) {
  // The same number, written otherwise, is no difference to anybody.
  const real = differences.filter(({ op, before, after }) => op !== "changed" || !isSame(before, after));
  if (real.length === 0) return para("muted", "Nothing differs.");
  return el("ol", { class: "diff" }, real.map(({ op, rule, before, after }) => el("li",
    { class: "card", dataset: { op } },
    div("diff-head", span(`diff-op state-${OPERATIONS[op][0]}`, OPERATIONS[op][1]), data(rule)),
    op === "moved" ? para("diff-moved", `from place ${before + 1} to place ${after + 1}`) : diffLines(before, after))));
}

/** Show what differs between two forms of one rule; null where there is none. */
export function diffLines(before, after) {
  const [old, now] = [before, after].map((rule) => grouped(ruleLines(rule, masked)));
  const names = [...new Set([...old.keys(), ...now.keys()])];
  const secrets = changedSecrets(before, after);
  const differ = names.filter((name) => old.get(name) !== now.get(name) || secrets.has(name));
  const rows = differ.map((name) => div("diff-line",
    el("dt", {}, data(name)),
    el("dd", {}, old.has(name) && el("del", {}, data(old.get(name))),
      now.has(name) && el("ins", {}, data(now.get(name))),
      secrets.has(name) && span("muted", "the secret itself differs"))));
  return el("dl", { class: "diff-lines" }, rows);
}

/** Settings whose value is hidden, and differs. */
function changedSecrets(before, after) {
  const values = (rule) => new Map((rule?.items ?? []).map(({ key, value }) => [key, value]));
  const [old, now] = [values(before), values(after)];
  return new Set([...now.keys()].filter((key) => old.has(key) && !isSame(old.get(key), now.get(key))
    && isMasked(key, now.get(key)) && isSame(masked(key, old.get(key)), masked(key, now.get(key)))));
}

/** Lines of one name as one text. */
function grouped(lines) {
  const found = new Map();
  for (const [name, text] of lines) found.set(name, found.has(name) ? `${found.get(name)}, ${text}` : text);
  return found;
}
