// SPDX-License-Identifier: Apache-2.0
// The rules that are being edited: kept in the store until they are saved, wherever the reader goes meanwhile.

import { changeCount, changesOf } from "./rules-merge.js";
import { draftOf, isSame, readRule, ruleToSend } from "./rules.js";

/** Take the rules of the server (`{revision, rules, …}`) as what is edited; what was edited before is dropped. */
export function adopt(work, document, find) {
  putRules(work, document, document.rules, find);
  work.unsaved = false;
}

/** Put other rules into the editor, made from the revision of `document`; what is open stays open by its name. */
export function putRules(work, document, rules, find) {
  const opened = new Set((work.drafts ?? []).filter(({ id }) => work.open.has(id)).map(({ name }) => name));
  const drafts = rules.map((rule) => draftOf(rule, find));
  const open = new Set(drafts.filter(({ name }) => opened.has(name)).map(({ id }) => id));
  Object.assign(work, { base: document, drafts, open });
}

/** Read one rule as it is edited, anew only where it was changed: `{rule, problems}`. */
export function readDraft(draft, find) {
  draft.read ??= readRule(draft, find);
  return draft.read;
}

/**
 * Read all: `{rules, drafts, problems}`, with the drafts that the rules are of. A rule without a name, or of a name
 * that is there already, is among the problems and not among the rules.
 */
export function readWork(work, find) {
  const found = { rules: [], drafts: [], problems: new Map() };
  const names = new Set();
  for (const draft of work.drafts) {
    const { rule, problems } = readDraft(draft, find);
    for (const [id, text] of problems) found.problems.set(id, text);
    const isTwice = names.has(rule.name);
    if (isTwice) found.problems.set(`${draft.id}:name`, "Another rule is called so already.");
    if (isTwice || !rule.name.trim()) continue;
    names.add(rule.name);
    found.rules.push(rule);
    found.drafts.push(draft);
  }
  return found;
}

/** The rules as they are edited, as a request carries them. */
export function rulesToSend(rules) {
  return rules.map(ruleToSend);
}

/** Note whether anything is not saved, and how much that is. */
export function noteUnsaved(work, { rules, problems }) {
  const changes = changesOf(work.base.rules, rules);
  work.unsaved = problems.size > 0 || !isSame(work.base.rules, rules);
  return changeCount(changes);
}

const PLACE = /^rules\[(\d+)\](?:\.(?:(name)|items\[(\d+)\]|match\.(\w+)(?:\.([\w-]+)|\["([^"]+)"\])?))?/;

/** The id of what a refusal is about, by the path that it begins with; null where it is about all. */
export function idOfPath(text, drafts) {
  const [, at, name, item, kind, plain, quoted] = PLACE.exec(text) ?? [];
  const draft = drafts[at];
  if (!draft) return null;
  if (name) return `${draft.id}:name`;
  // What could not be read was not sent, so that places may be off by that.
  if (item) return draft.items[item]?.id ?? draft.id;
  const asked = kind === "rollout_percent" || kind === "rollout_by" ? "rollout" : kind;
  const own = plain ?? quoted;
  const part = draft.conditions.find((one) => one.kind === asked && (own === undefined || one.name === own));
  return part?.id ?? draft.id;
}

/** The id of what a finding is about: a setting or a condition of a rule, else the rule. */
export function idOfFinding({ rule, key }, drafts) {
  const draft = drafts.find((one) => one.name === rule);
  if (!draft) return null;
  const item = draft.items.find((one) => one.key === key);
  return (item ?? draft.conditions.find((one) => one.name === key) ?? draft).id;
}
