// SPDX-License-Identifier: Apache-2.0
// The nodes of a comparison: those chosen, each to be taken out, and a field to add others by name or by a filter.

import { div, el, keyed, replace, setAttribute } from "../dom.js";
import { count, number } from "../format.js";
import { nodeHref } from "../router.js";
import { AS_TYPED, button, data, icon, levelMark } from "../widgets.js";
import { parseFilter } from "./fleet-filter.js";
import { problemsByNode } from "./fleet-problems.js";

const SHOWN = 8;

/** Make the chooser; `choose(keys)` is called with what is chosen from then on, `limit` is how many there may be. */
export function chooser(view, limit, choose) {
  const state = { view, limit, choose, found: [], at: 0, keys: [] };
  state.chips = el("ul", { class: "chosen", "aria-label": "Chosen nodes" });
  state.list = el("ul", {
    class: "chooser-list", role: "listbox", id: "chooser-list", "aria-label": "Nodes", hidden: true,
  });
  state.field = el("input", {
    type: "search", class: "search", role: "combobox", id: "chooser", "aria-expanded": "false",
    "aria-controls": "chooser-list", "aria-autocomplete": "list", placeholder: "Add nodes: a name, kind:worker …",
    "aria-label": "Add nodes by name or filter", ...AS_TYPED,
    on: {
      input: () => { state.at = 0; look(state); },
      focus: () => look(state),
      keydown: (event) => press(event, state),
    },
  });
  state.field.addEventListener("blur", () => close(state));
  // A press of the mouse on an offer must not take the keyboard from the field.
  state.list.addEventListener("pointerdown", (event) => event.preventDefault());
  state.clear = button("Clear", () => { choose([]); state.field.focus(); }, { class: "bare" });
  const element = el("section", { class: "card chooser", "aria-label": "Nodes to compare" },
    state.chips, div("chooser-add", state.field, state.list), state.clear);
  return { element, draw: (fleet, keys) => drawChosen(state, fleet, keys) };
}

function drawChosen(state, fleet, keys) {
  const isOld = state.nodes !== fleet.nodes || state.keys !== keys;
  Object.assign(state, { keys, nodes: fleet.nodes });
  if (isOld && !state.list.hidden) look(state);
  state.chips.hidden = state.clear.hidden = keys.length === 0;
  keyed(state.chips, keys, (key) => key, {
    make: (key) => makeChip(state, key),
    update: (chip, key) => chip.show(fleet.byKey.get(key)),
  });
}

function makeChip(state, key) {
  const level = el("span", { class: "chip-level" });
  const takeOut = () => {
    const at = state.keys.indexOf(key);
    state.choose(state.keys.filter((other) => other !== key));
    const buttons = state.chips.querySelectorAll("button");
    (buttons[Math.min(at, buttons.length - 1)] ?? state.field).focus();
  };
  const chip = el("li", { class: "chip chosen-node" }, level, el("a", { href: nodeHref(key, "config") }, data(key)),
    button(icon("bad"), takeOut, { class: "bare", "aria-label": `Take ${key} out`, title: "Take it out" }));
  let drawn;
  chip.show = (node) => {
    const now = node?.level ?? "unknown";
    if (now === drawn) return;
    drawn = now;
    replace(level, levelMark(now, node?.reasons));
  };
  return chip;
}

/** Show what the text finds among the nodes that are not chosen. */
function look(state) {
  const { fleet } = state.view.store.get();
  const text = state.field.value;
  const known = { problems: problemsByNode(fleet.problems), environments: new Map() };
  const { accepts } = parseFilter(text);
  const nodes = fleet.nodes.filter((node) => !state.keys.includes(node.key) && accepts(node, known));
  const room = state.limit - state.keys.length;
  const offered = nodes.slice(0, SHOWN).map((node) => ({ keys: [node.key], node }));
  if (text && nodes.length > 1 && nodes.length <= room) offered.unshift({ keys: nodes.map(({ key }) => key) });
  state.found = room > 0 ? offered : [];
  state.at = Math.max(0, Math.min(state.at, state.found.length - 1));
  drawList(state, nodes.length, room);
}

function drawList(state, total, room) {
  const { found, at, list, field } = state;
  const more = total - Math.min(total, SHOWN);
  const none = room > 0 ? "No other node matches." : `${number(state.limit)} nodes are compared at most.`;
  replace(list, found.map(({ keys, node }, index) => el("li", {
    id: `chooser-${index}`, role: "option", "aria-selected": String(index === at),
    on: { click: () => add(state, keys) },
  }, node ? [data(node.key), levelMark(node.level)]
    : el("strong", {}, `Add all ${count(keys.length, "node")} that match`))),
  !found.length && el("li", { class: "muted" }, none),
  found.length > 0 && more > 0 && el("li", { class: "muted" }, `and ${number(more)} more`));
  list.hidden = false;
  setAttribute(field, "aria-expanded", "true");
  setAttribute(field, "aria-activedescendant", found.length ? `chooser-${at}` : null);
}

function close({ list, field }) {
  list.hidden = true;
  setAttribute(field, "aria-expanded", "false");
  setAttribute(field, "aria-activedescendant", null);
}

function add(state, keys) {
  state.field.value = "";
  state.at = 0;
  state.choose([...state.keys, ...keys]);
  state.field.focus();
  look(state);
}

function press(event, state) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const isOpen = !state.list.hidden;
  if (event.key === "Escape" && isOpen) close(state);
  else if (step && !isOpen) look(state);
  else if (step) {
    state.at += step;
    look(state);
  } else if (event.key === "Enter" && isOpen && state.found[state.at]) add(state, state.found[state.at].keys);
  else if (event.key === "Backspace" && !state.field.value && state.keys.length) state.choose(state.keys.slice(0, -1));
  else return;
  event.preventDefault();
}
