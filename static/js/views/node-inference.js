// SPDX-License-Identifier: Apache-2.0
// The inference engine around an in-process node.

import { replace } from "../dom.js";
import { flatten } from "../format.js";
import { pairList } from "../pairs.js";
import { panel, readItem } from "../panel.js";
import { notice } from "../widgets.js";

const LONG = 60;

export function mount(root, context) {
  const memory = {};
  return panel(root, context, {
    thing: "inference information",
    since: "0.3.7",
    load: (signal) => readItem(context, "inference", signal),
    render(body, info) {
      const pairs = pairsOf(info);
      const reveal = async () => pairsOf(await readItem(context, "inference", context.signal, { reveal: true }));
      replace(body,
        pairs.length === 0
          ? notice("info", "No inference engine", "There is no vLLM around this node, as with standalone ones.")
          : pairList(memory, "Search keys and values", "value", pairs, { reveal }).parts);
    },
  });
}

function pairsOf(info) {
  return flatten(info).filter(([key]) => key !== "").flatMap(unfolded);
}

/** vLLM gives its configuration as one long text, `a=1, b={...}`: each part of it gets a row. */
function unfolded([key, value]) {
  const parts = typeof value === "string" && value.length > LONG && /^[\w.]+=/.test(value) ? partsOf(value) : [];
  if (parts.length < 2 || parts.some((part) => !/^[\w.]+=/.test(part))) return [[key, value]];
  return parts.map((part) => {
    const at = part.indexOf("=");
    return [`${key}.${part.slice(0, at)}`, part.slice(at + 1).replace(/^'(.*)'$/s, "$1")];
  });
}

/** Split at the commas that stand in no bracket and no quotes. */
function partsOf(text) {
  const parts = [];
  let depth = 0;
  let quote = "";
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const mark = text[at];
    if (quote) {
      if (mark === "\\") at += 1;
      else if (mark === quote) quote = "";
    } else if (mark === "'" || mark === '"') quote = mark;
    else if ("([{<".includes(mark)) depth += 1;
    else if (")]}>".includes(mark)) depth -= 1;
    else if (mark === "," && depth === 0) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return [...parts, text.slice(from).trim()].filter(Boolean);
}
