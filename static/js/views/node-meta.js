// SPDX-License-Identifier: Apache-2.0
// What a node says about itself: `/meta` of in-process nodes, `/status` of MP servers.

import { replace } from "../dom.js";
import { flatten } from "../format.js";
import { NotOffered, panel, readFirst } from "../panel.js";
import { looseJson } from "../parse.js";
import { filterablePairs, notice } from "../widgets.js";

export function mount(root, context) {
  const memory = {};
  const isMp = context.kind === "mp";
  return panel(root, context, {
    thing: isMp ? "its status" : "metadata",
    async load(signal) {
      if (context.kind === "frontend") throw new NotOffered("A frontend has no metadata of LMCache.");
      const text = await readFirst(context, isMp ? ["status", "api/status"] : ["meta"], signal);
      return flatten(looseJson(text)).filter(([key]) => key !== "");
    },
    render(body, pairs) {
      if (pairs.length === 0) {
        return replace(body, notice("warn", "The node gave no metadata",
          "It answered with nothing, as it does when its cache engine failed to start."));
      }
      return replace(body,
        isMp && notice("info", "MP servers have no metadata", "This is the server's status, with dotted keys."),
        filterablePairs(memory, "Search keys and values", "value", () => pairs).parts);
    },
  });
}
