// SPDX-License-Identifier: Apache-2.0
// Environment variables of a node; values that look like secrets stay masked until they are asked for.

import { replace, span } from "../dom.js";
import { isSecret, show } from "../format.js";
import { panel, readNode } from "../panel.js";
import { looseJson } from "../parse.js";
import { button, data, filterablePairs } from "../widgets.js";

export function mount(root, context) {
  const memory = {};
  const bared = new Set();
  return panel(root, context, {
    thing: "environment variables",
    since: "0.3.10",
    load: async (signal) => Object.entries(looseJson(await readNode(context, "env", signal))),
    render(body, pairs) {
      replace(body, filterablePairs(memory, "Search variables", "variable", () => pairs,
        {
          cell: (value, key) => (isSecret(key) ? secret(key, value, bared) : data(show(value))),
          // A masked value is not searched: a search must not give it away letter by letter.
          textOf: (key, value) => (isSecret(key) && !bared.has(key) ? key : `${key} ${show(value)}`),
        }).parts);
    },
  });
}

function secret(key, value, bared) {
  const place = span("secret");
  const draw = () => {
    const bare = bared.has(key);
    const toggle = button(bare ? "Hide" : "Show", () => {
      if (!bared.delete(key)) bared.add(key);
      draw().focus();
    }, { class: "small", "aria-label": `${bare ? "Hide" : "Show"} the value of ${key}` });
    replace(place, bare ? data(show(value)) : span("mask", "••••••••", span("unseen", "masked")), toggle);
    return toggle;
  };
  draw();
  return place;
}
