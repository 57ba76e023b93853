// SPDX-License-Identifier: Apache-2.0
// What is shown while there are no nodes: the ways to add some.

import { el, para } from "../dom.js";
import { notice } from "../widgets.js";

const WAYS = [
  ["On the command line", "Name the nodes when the frontend starts. The port is a number or the path of a Unix socket.",
    "python3 -m lmcache_frontend --nodes '[{\"name\": \"worker-0\", \"host\": \"127.0.0.1\", \"port\": 7000}]'"],
  ["In a file", "Keep the same list in a JSON file. The file is watched: what you add to it appears here.",
    "python3 -m lmcache_frontend --config nodes.json"],
];

/** `whyNot` says why this reader may not add nodes on the page, if so. */
export function emptyFleet(whyNot) {
  return el("section", { class: "empty" },
    el("h2", {}, "No nodes yet"),
    el("p", {}, "Every LMCache process serves a small internal API. ",
      `Tell this frontend where, in one of ${whyNot ? "two" : "three"} ways:`),
    el("ol", { class: "ways" },
      WAYS.map(([title, text, command]) => way(title, text, el("pre", { tabindex: "0" }, command))),
      !whyNot && way("On this page", "Add nodes, or another frontend with nodes of its own, while this one runs.",
        el("a", { class: "button primary", href: "#/manage?add=node" }, "Add a node"))),
    whyNot && notice("info", "Nodes cannot be added on this page", whyNot),
    para("muted", "Only looking? ", el("code", {}, "python3 -m lmcache_frontend --demo"), " brings simulated nodes."));
}

function way(title, text, how) {
  return el("li", { class: "card" }, el("h3", {}, title), el("p", {}, text), how);
}
