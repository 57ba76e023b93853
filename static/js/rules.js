// SPDX-License-Identifier: Apache-2.0
// Rules of the remote configuration as they are edited: from the server's form to fields and back. Pure.

import { literal, show } from "./format.js";
import { looseJson } from "./parse.js";
import { fieldText, readField, rowsOf } from "./settings.js";

/** What may be asked of a variable and of a setting: `[operator, words]`. */
export const OPERATORS = {
  env: [["glob", "is like"], ["equals", "is"], ["present", "is set"], ["absent", "is not set"]],
  config: [["equals", "is"], ["glob", "is like"], ["at_least", "is at least"], ["at_most", "is at most"]],
};
const LIST = { type: "list[str]", nullable: false };
const BARE = { env: "glob", config: "equals" };
// How a setting's value was written, where that says more than its value here: 5.0 is a float to LMCache, and 5 is not.
const written = new WeakMap();
let made = 0;

/** Read a document of rules (`{rules, …}`) such that what is not edited goes back as it was written. */
export function parseRules(text) {
  const document = looseJson(text);
  if (!JSON.rawJSON || !Array.isArray(document?.rules)) return document;
  const exact = JSON.parse(text, (_key, value, context) => {
    const isExact = typeof value !== "number" || String(value) === context.source;
    return isExact ? value : JSON.rawJSON(context.source);
  });
  for (const [at, rule] of document.rules.entries()) {
    if (!Array.isArray(rule?.items)) continue;
    for (const [place, item] of rule.items.entries()) {
      if (isObject(item)) written.set(item, exact.rules[at].items[place].value);
    }
  }
  return document;
}

/** Something with an id of its own, so that it can be found however its fields change. */
export function withId(fields) {
  made += 1;
  return { id: `part-${made}`, ...fields };
}

/** A way to get what the catalogue says of a setting: its type, default, choices, meaning. */
export function settingsFinder(catalogue) {
  const found = new Map();
  return (key) => {
    if (!found.has(key)) found.set(key, rowsOf({ values: { [key]: undefined } }, catalogue, null, new Map())[0]);
    return found.get(key);
  };
}

/** A rule as it is edited; fields hold text, and what is not touched keeps the value that it came with. */
export function draftOf(rule, find) {
  const { name, description, enabled, deny, match, items } = rule;
  return withId({
    name, description, enabled, deny, conditions: conditionsFrom(match, find),
    items: items.map((item) => withId({
      ...item, from: item, text: fieldText(find(item.key), item.value), touched: false,
    })),
  });
}

function conditionsFrom(match, find) {
  const found = [];
  for (const kind of ["app_id", "client"]) {
    if (match[kind]) found.push(withId({ kind, text: fieldText(LIST, match[kind]) }));
  }
  for (const kind of ["env", "config"]) {
    for (const [name, asked] of Object.entries(match[kind] ?? {})) {
      const each = typeof asked === "object" && asked !== null ? asked : { [BARE[kind]]: asked };
      for (const [operator, value] of Object.entries(each)) {
        found.push(withId(condition({ kind, name, operator }, value, find)));
      }
    }
  }
  if (match.rollout_percent !== undefined) {
    found.push(withId({ kind: "rollout", text: String(match.rollout_percent), by: match.rollout_by ?? "" }));
  }
  return found;
}

function condition({ kind, name, operator }, value, find) {
  if (operator === "present") return { kind, name, operator: value ? "present" : "absent", text: "", value: "" };
  const text = kind === "config" && operator === "equals" ? fieldText(find(name), value) : show(value);
  return { kind, name, operator, text, value, touched: false };
}

/**
 * Read a rule as it is edited: `{rule, problems}`. `problems` has for ids (`ID:name` for the name of the rule) what is
 * wrong; what is, is left out of `rule`.
 */
export function readRule(draft, find) {
  const problems = new Map();
  if (!draft.name.trim()) problems.set(`${draft.id}:name`, "A rule needs a name: it is known by it.");
  const { name, description, enabled, deny } = draft;
  const match = readMatch(draft.conditions, find, problems);
  const items = [];
  for (const item of draft.items) {
    const problem = problemOf(item, items, readValue(item, find));
    if (problem) problems.set(item.id, problem);
    else items.push({ key: item.key, value: readValue(item, find).value, override: item.override });
    if (!problem && !item.touched && written.has(item.from)) written.set(items.at(-1), written.get(item.from));
  }
  return { rule: { name, description, enabled, deny, match, items }, problems };
}

function problemOf({ key }, before, { problem }) {
  if (!key) return "Which setting?";
  return before.some((item) => item.key === key) ? "This rule sets it above already." : problem;
}

function readValue(part, find) {
  if (!part.touched) return { value: part.value };
  return readField(find(part.key ?? part.name), part.text);
}

function readMatch(conditions, find, problems) {
  const match = {};
  for (const part of conditions) {
    const problem = READERS[part.kind](match, part, find);
    if (problem) problems.set(part.id, problem);
  }
  // The order of the server's own answers.
  const ordered = ["app_id", "env", "config", "client", "rollout_percent", "rollout_by"];
  return Object.fromEntries(ordered.filter((name) => name in match).map((name) => [name, match[name]]));
}

const READERS = {
  app_id: readList, client: readList, env: readAsked, config: readAsked,
  rollout(match, { text, by }) {
    if ("rollout_percent" in match) return "There is a rollout above already.";
    const value = Number(text);
    if (text.trim() === "" || !(value >= 0 && value <= 100)) return "A number from 0 to 100, please.";
    match.rollout_percent = value;
    if (by.trim()) match.rollout_by = by.trim();
    return null;
  },
};

function readList(match, { kind, text }) {
  const { value, problem } = readField(LIST, text);
  if (problem) return problem;
  const given = value.filter(Boolean);
  if (given.length === 0) return "Empty: this would be for nobody. Take it out if everybody is meant.";
  match[kind] = [...(match[kind] ?? []), ...given];
  return null;
}

function readAsked(match, part, find) {
  const { kind, name, operator } = part;
  if (!name.trim()) return kind === "env" ? "Which variable?" : "Which setting?";
  const { word, value, problem } = readOperand(part, find);
  if (problem) return problem;
  const before = match[kind]?.[name];
  const isRange = before !== undefined && [word, ...Object.keys(before)].sort().join() === "at_least,at_most";
  if (before !== undefined && !isRange) return "It is asked for above already.";
  const isBare = word === BARE[kind] && !isObject(value);
  match[kind] = { ...match[kind], [name]: isBare ? value : { ...(isRange && before), [word]: value } };
  return null;
}

function readOperand(part, find) {
  const { kind, operator, text } = part;
  if (operator === "present" || operator === "absent") return { word: "present", value: operator === "present" };
  if (operator === "at_least" || operator === "at_most") {
    return { word: operator, ...(part.touched ? readField({ type: "float" }, text ?? "") : { value: part.value }) };
  }
  if (kind === "config" && operator === "equals") return { word: operator, ...readValue(part, find) };
  return { word: operator, value: text ?? "" };
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A rule as JSON.stringify can send it: big integers whole, infinity as the word that LMCache reads. */
export function ruleToSend(rule) {
  const items = rule.items.map((item) => ({
    ...item, value: written.has(item) ? written.get(item) : carried(item.value),
  }));
  return { ...rule, match: carried(rule.match), items };
}

function carried(value) {
  if (typeof value === "bigint") return JSON.rawJSON ? JSON.rawJSON(String(value)) : Number(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (Array.isArray(value)) return value.map(carried);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, carried(part)]));
}

/** Whether two rules (or two of anything) say the same, whatever the order of what has none. */
export function isSame(one, other) {
  return canonical(one) === canonical(other);
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return literal(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
}

/** Whom a rule is for, as a list of `[what, words]`; everybody where it is empty. */
export function matchWords(match) {
  const words = [];
  if (match.app_id) words.push(["application", match.app_id.join(" or ")]);
  for (const kind of ["env", "config"]) {
    for (const [name, asked] of Object.entries(match[kind] ?? {})) {
      for (const [operator, value] of Object.entries(isObject(asked) ? asked : { [BARE[kind]]: asked })) {
        words.push([name, operandWords(operator, value)]);
      }
    }
  }
  if (match.client) words.push(["address", `in ${match.client.join(" or ")}`]);
  if (match.rollout_percent !== undefined) {
    words.push(["rollout", `${match.rollout_percent} %${match.rollout_by ? ` by ${match.rollout_by}` : ""}`]);
  }
  return words;
}

function operandWords(operator, value) {
  if (operator === "present") return value ? "is set" : "is not set";
  return `${{ equals: "is", glob: "is like", at_least: "≥", at_most: "≤" }[operator] ?? operator} ${show(value)}`;
}

/** A rule as lines to be compared: `[[name, text]]`; `mask(key, value)` hides what is secret. */
export function ruleLines(rule, mask) {
  if (!rule) return [];
  return [
    ...(rule.description ? [["description", rule.description]] : []),
    ...(rule.enabled ? [] : [["switched off", "yes"]]),
    ...(rule.deny ? [["denies", "yes"]] : []),
    ...(matchWords(rule.match).length ? [] : [["for", "everybody"]]),
    ...matchWords(rule.match).map(([what, words]) => [`for ${what}`, words]),
    ...rule.items.map(({ key, value, override }) => [
      key, `${show(mask(key, value))}${override ? "" : "  (only where the worker sets nothing)"}`]),
  ];
}
