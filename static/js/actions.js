// SPDX-License-Identifier: Apache-2.0
// Changes on nodes, one or many: sent as an action of the fleet, which tells of each node as it is done.

import { ApiError, streamLines } from "./api.js";
import { loadStyle } from "./styles.js";

const PATH = "api/fleet/actions";

/**
 * Carry out an action: `{action, nodes or filter, arguments, ...}`. `onLine(line)` hears of the beginning
 * (`{id, nodes}`) and of each node (`{node, outcome, status, detail, seconds}`). Gives the counts by outcome. The
 * action goes on where nobody listens any more. Raises ApiError.
 */
export async function runAction(request, onLine = () => {}, { signal } = {}) {
  let summary = null;
  await streamLines(PATH, { method: "POST", body: request, signal }, (line) => {
    if (line.summary) summary = line.summary;
    else onLine(line);
  });
  if (!summary) throw new ApiError("broken", "the answer ended before the action did");
  return summary;
}

/**
 * Ask for the arguments of an action on the nodes `keys`, carry it out, and show how it goes, node by node.
 * `arguments` are what the form begins with.
 */
export async function actionDialog(context, options) {
  const [{ openAction }] = await Promise.all([import("./action-dialog.js"), loadStyle("actions")]);
  openAction(context, options);
}
