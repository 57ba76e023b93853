// SPDX-License-Identifier: Apache-2.0
// What a node says about itself: `/meta` of in-process nodes, `/status` of MP servers.

import { replace } from "../dom.js";
import { flatten } from "../format.js";
import { pairList } from "../pairs.js";
import { panel, readItem } from "../panel.js";
import { notice } from "../widgets.js";

export function mount(root, context) {
  const memory = {};
  const isMp = context.kind === "mp";
  const read = async (signal, options) => flatten(await readItem(context, isMp ? "status" : "meta", signal, options))
    .filter(([key]) => key !== "");
  return panel(root, context, {
    thing: isMp ? "its status" : "metadata",
    load: (signal) => read(signal),
    render(body, pairs) {
      if (pairs.length === 0) {
        return replace(body, notice("warn", "The node gave no metadata",
          "It answered with nothing, as it does when its cache engine failed to start."));
      }
      return replace(body,
        isMp && notice("info", "MP servers have no metadata", "This is the server's status, with dotted keys."),
        pairList(memory, "Search keys and values", "value", pairs,
          { reveal: () => read(context.signal, { reveal: true }) }).parts);
    },
  });
}
