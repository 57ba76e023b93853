// SPDX-License-Identifier: Apache-2.0
// Environment variables of a node; values that look like secrets stay masked until they are asked for.

import { replace } from "../dom.js";
import { chips, pairList } from "../pairs.js";
import { panel, readItem } from "../panel.js";

const MOST_GROUPS = 6;

export function mount(root, context) {
  const memory = { group: null };
  return panel(root, context, {
    thing: "environment variables",
    since: "0.3.10",
    load: async (signal) => Object.entries(await readItem(context, "env", signal)),
    render(body, pairs) {
      const groups = groupsOf(pairs);
      const whose = chips("Whose variables", groups, () => memory.group, (group) => {
        memory.group = group;
        list.redraw();
      });
      memory.clear = () => {
        memory.group = null;
        whose.draw();
      };
      const list = pairList(memory, "Search variables", "variable", pairs, {
        names: ["Variable", "Value"],
        accepts: (key) => !memory.group || key.startsWith(memory.group),
        extra: groups.length > 0 && whose.element,
        reveal: async () => Object.entries(await readItem(context, "env", context.signal, { reveal: true })),
      });
      replace(body, list.parts);
    },
  });
}

/** The commonest first words of the names, LMCache's before all others. */
function groupsOf(pairs) {
  const counts = new Map();
  for (const [key] of pairs) {
    const prefix = /^[A-Z0-9]+_/.exec(key)?.[0];
    if (prefix) counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  const weight = ([prefix, n]) => (prefix === "LMCACHE_" ? Infinity : n);
  return [...counts].filter(([prefix, n]) => n > 1 || prefix === "LMCACHE_")
    .sort((one, other) => weight(other) - weight(one))
    .slice(0, MOST_GROUPS).map(([prefix, n]) => [prefix, `${prefix}* ${n}`]);
}
