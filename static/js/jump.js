// SPDX-License-Identifier: Apache-2.0
// Two dialogs that are opened by keys: go to a node by its name, and what keys there are.

import { div, el, replace } from "./dom.js";
import { matcher } from "./format.js";
import { navigate, nodeHref } from "./router.js";
import { AS_TYPED, data, dialog, levelMark } from "./widgets.js";

const SHOWN = 9;
const KEYS = [
  ["Anywhere", [
    ["/", "Search in what is open; ↓ goes on to the list of nodes"], ["?", "This help"],
    ["p", "Pause, or go on"], ["Esc", "Close a dialog"],
  ]],
  ["Go to", [
    ["g f", "Fleet"], ["g n", "A node, by its name"], ["g o", "Compare"], ["g c", "Configuration"], ["g m", "Manage"],
  ]],
  ["In the list of nodes", [
    ["↑ ↓", "Move between nodes; Home, End, Page Up and Page Down as well"], ["Enter", "Open the node"],
    ["Space", "Select it, or take it out"], ["Shift ↑ ↓", "Select from one to the other"],
  ]],
];

/** Ask for a node by a part of its name, and go there. */
export function openJump(store) {
  const list = el("ul", { class: "jump", role: "listbox", id: "jump-list", "aria-label": "Nodes" });
  let found = [];
  let at = 0;
  const draw = () => {
    const accepts = matcher(field.value);
    found = store.newest().nodes.filter((node) => accepts(node.key)).slice(0, SHOWN);
    at = Math.max(0, Math.min(at, found.length - 1));
    field.setAttribute("aria-activedescendant", found.length ? `jump-${at}` : "");
    replace(list, found.length ? found.map((node, index) => el("li", {
      id: `jump-${index}`, role: "option", "aria-selected": String(index === at), on: { click: () => go(node) },
    }, data(node.key), levelMark(node.level))) : el("li", { class: "muted" }, "No node has this name."));
  };
  const go = (node) => {
    close();
    navigate(nodeHref(node.key));
  };
  const keydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) at += step;
    else if (event.key === "Enter" && found[at]) go(found[at]);
    else return;
    event.preventDefault();
    draw();
  };
  const field = el("input", {
    type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": "jump-list", autofocus: true,
    "aria-label": "Name of a node", placeholder: "Name of a node", ...AS_TYPED,
    on: { keydown, input: () => { at = 0; draw(); } },
  });
  draw();
  const { close } = dialog("Go to a node", [field, list], []);
}

/** Say what keys there are. */
export function openHelp() {
  dialog("Keys", div("keys", KEYS.map(([title, keys]) => el("section", {}, el("h3", {}, title),
    el("dl", {}, keys.map(([key, text]) => div("key",
      el("dt", {}, key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, text))))))),
  [{ text: "Close", style: "primary" }], { style: "wide" });
}
