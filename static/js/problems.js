// SPDX-License-Identifier: Apache-2.0
// Where a problem of the fleet is looked into: the part of the page for each kind of problem. Pure.

import { compareHref, nodeHref, placeHref } from "./router.js";

const TABS = {
  switched_off: "backends", failures: "metrics", event_bus: "metrics", drift: "config", stale_metrics: "metrics",
};

/** The address at which a problem (`{code, node, nodes, text}`) is looked into, and what is to be found there. */
export function placeOf({ code = "", node, nodes = [], text = "" }) {
  if (code === "versions") return { href: compareHref(nodes), text: "Compare versions" };
  if (code.startsWith("drift") && !node) return { href: placeHref("compare"), text: "Compare configurations" };
  if (!node) return { href: placeHref("fleet"), text: "To the fleet" };
  const tab = tabOf(code, text);
  // One key is looked for; of several, all are shown.
  const q = tab === "config" ? /: ([^\s,]+)$/.exec(text)?.[1] : null;
  return { href: nodeHref(node, tab, { q }), text: NAMES[tab] ?? "Look at the node", tab };
}

const NAMES = {
  backends: "Backends and cache", metrics: "Metrics", config: "Configuration", threads: "Threads",
  loglevel: "Log levels", periodic: "Periodic threads",
};

function tabOf(code, text) {
  if (code === "slow") return text.includes("DEBUG") ? "loglevel" : "threads";
  if (code === "degraded" && text.includes("periodic thread")) return "periodic";
  if (code === "degraded" && text.includes("metrics")) return "metrics";
  return TABS[code] ?? "overview";
}
