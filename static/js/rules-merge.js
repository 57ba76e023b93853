// SPDX-License-Identifier: Apache-2.0
// Two lists of rules that were made from the same one: what each changed, and both together. Pure.

import { isSame } from "./rules.js";

/** What changes from one list to another: `{added, removed, changed, moved}`; names, and whether the order differs. */
export function changesOf(before, after) {
  const old = byName(before);
  const now = byName(after);
  const kept = (rules, others) => rules.map(({ name }) => name).filter((name) => others.has(name));
  return {
    added: kept(after, { has: (name) => !old.has(name) }),
    removed: kept(before, { has: (name) => !now.has(name) }),
    changed: kept(after, old).filter((name) => !isSame(old.get(name), now.get(name))),
    moved: kept(before, now).join("\n") !== kept(after, old).join("\n"),
  };
}

/** How many rules a change touches; another order counts as one more. */
export function changeCount({ added, removed, changed, moved }) {
  return added.length + removed.length + changed.length + (moved ? 1 : 0);
}

/**
 * The rules that either side touched: `{name, before, mine, theirs, my, their, clash}`, where `my` and `their` are
 * added, changed, removed or null. A clash is what both touched, and differently.
 */
export function touched(base, mine, theirs) {
  const [old, my, their] = [base, mine, theirs].map(byName);
  const names = [...new Set([...theirs, ...mine, ...base].map(({ name }) => name))];
  return names.map((name) => {
    const rules = { before: old.get(name), mine: my.get(name), theirs: their.get(name) };
    const both = { my: deed(rules.before, rules.mine), their: deed(rules.before, rules.theirs) };
    return { name, ...rules, ...both, clash: Boolean(both.my && both.their) && !sameOrGone(rules.mine, rules.theirs) };
  }).filter(({ my: one, their: other }) => one || other);
}

function deed(before, after) {
  if (!before) return after ? "added" : null;
  if (!after) return "removed";
  return isSame(before, after) ? null : "changed";
}

function sameOrGone(one, other) {
  return one && other ? isSame(one, other) : !one && !other;
}

/**
 * Both together: what only one side touched is as that side has it; of a clash, `choices` (name to `mine` or `theirs`)
 * decides. The order is that of the side that changed it, else theirs; where both did, theirs.
 */
export function merged(base, mine, theirs, choices) {
  const chosen = new Map();
  for (const { name, mine: my, theirs: their, my: deedMine, clash } of touched(base, mine, theirs)) {
    const isMine = clash ? choices.get(name) === "mine" : Boolean(deedMine);
    chosen.set(name, isMine ? my : their);
  }
  const [my, their] = [mine, theirs].map(byName);
  const ruleOf = (name) => (chosen.has(name) ? chosen.get(name) : their.get(name) ?? my.get(name));
  const byMine = changesOf(base, mine).moved && !changesOf(base, theirs).moved;
  const [frame, others] = byMine ? [mine, theirs] : [theirs, mine];
  const order = frame.map(({ name }) => name);
  for (const [place, { name }] of others.entries()) {
    // What is not in the frame goes after what it stands after on its own side.
    if (!order.includes(name)) order.splice(place ? order.indexOf(others[place - 1].name) + 1 : 0, 0, name);
  }
  return order.map(ruleOf).filter(Boolean);
}

function byName(rules) {
  return new Map(rules.map((rule) => [rule.name, rule]));
}
