// SPDX-License-Identifier: Apache-2.0
// The inference engine around an in-process node.

import { para, replace } from "../dom.js";
import { flatten, show } from "../format.js";
import { NotOffered, panel, readNode } from "../panel.js";
import { looseJson } from "../parse.js";
import { data, filterablePairs, notice } from "../widgets.js";

export function mount(root, context) {
  const { kind } = context;
  const memory = {};
  return panel(root, context, {
    thing: "inference information",
    since: "0.3.7",
    async load(signal) {
      if (kind === "mp") throw new NotOffered("MP servers run beside the inference engines, not in one.");
      if (kind === "frontend") throw new NotOffered("A frontend runs no inference engine.");
      const info = looseJson(await readNode(context, "inference_info", signal));
      return { info, version: await readVersion(context, signal) };
    },
    render(body, { info, version }) {
      const pairs = flatten(info).filter(([key]) => key !== "");
      replace(body,
        pairs.length === 0
          ? notice("info", "No inference engine", "There is no vLLM around this node, as with standalone ones.")
          : filterablePairs(memory, "Search keys and values", "value", () => pairs).parts,
        version);
    },
  });
}

async function readVersion(context, signal) {
  try {
    const answer = looseJson(await readNode(context, "inference_version", signal));
    return para("muted", "Version of the engine: ", data(show(answer.vllm_version ?? answer)));
  } catch (error) {
    if (error.kind === "aborted") throw error;
    const normal = error.status === 500;
    return para("muted", normal
      ? "The engine's version cannot be asked for by itself: from LMCache 0.3.13 on, that fails on every node."
      : `The engine's version could not be read: ${error.message}`);
  }
}
