// SPDX-License-Identifier: Apache-2.0
// What is shown while there is nothing to compare: which nodes might be, and where the fleet differs.

import { requestJson } from "../api.js";
import { suggestionsFor, words } from "../comparing.js";
import { div, el, para, replace, span } from "../dom.js";
import { count, number } from "../format.js";
import { masked } from "../masking.js";
import { KIND_NAMES } from "../nodes.js";
import { explain } from "../panel.js";
import { compareHref } from "../router.js";
import { data, table } from "../widgets.js";

const NAMES_SHOWN = 3;

/** Make the part; `draw(fleet, keys)` shows it where fewer than two nodes are chosen; `limit` are compared at most. */
export function offers(view, limit) {
  const groups = el("section", { class: "offers" });
  const drift = el("section", { class: "drift", "aria-label": "Where the fleet differs" });
  const element = div("", groups, drift);
  const state = { view, limit, drift, isRead: false, shape: null };
  const draw = (fleet, keys) => {
    element.hidden = keys.length > 1;
    if (element.hidden) return;
    drawGroups(state, groups, fleet, keys);
    if (!state.isRead) readDrift(state);
  };
  return { element, draw };
}

function drawGroups(state, groups, fleet, keys) {
  const found = suggestionsFor(fleet.nodes, keys, state.limit);
  const shape = JSON.stringify([found, keys, fleet.state]);
  if (shape === state.shape) return;
  state.shape = shape;
  const lead = keys.length ? "Compare it with its like, or add nodes above." :
    "Choose two or more nodes above, select them in the fleet, or begin with these.";
  replace(groups, para("muted", lead), div("offer-list", found.map(({ text, keys: some }) =>
    el("a", { class: "button", href: compareHref(some) }, text, " ", span("muted", number(some.length))))),
  fleet.state === "ready" && !fleet.nodes.length && para("muted", "There is no node in the fleet yet. ",
    el("a", { href: "#/" }, "How to add some")));
}

async function readDrift(state) {
  state.isRead = true;
  const { drift } = state;
  replace(drift, para("loading", "Looking for differences …"));
  try {
    replace(drift, driftCards(await requestJson("api/fleet/drift"), state));
  } catch (error) {
    const title = el("h2", {}, "Where the fleet differs");
    replace(drift, title, explain(error, "where the fleet differs", null, () => readDrift(state)));
  }
}

function driftCards({ groups, versions: all }, { limit, view }) {
  // Other frontends are in the fleet too, and have versions of their own.
  const { byKey } = view.store.get().fleet;
  const others = (nodes) => nodes.filter((key) => byKey.get(key)?.kind !== "frontend");
  const versions = all.map(({ version, nodes }) => ({ version, nodes: others(nodes) }))
    .filter(({ nodes }) => nodes.length > 0);
  const keys = groups.flatMap(({ kind, keys: some }) => some.map(({ key, values }) => ({ kind, key, values })));
  if (versions.length > 1) {
    const values = versions.map(({ version, nodes }) => ({ value: version, nodes }));
    keys.unshift({ kind: null, key: "LMCache", values });
  }
  const title = el("h2", {}, "Where the fleet differs");
  if (!keys.length) {
    return [title,
      para("muted", "Nodes of a kind agree in their configuration and version, as far as they have been asked.")];
  }
  const { element, body, row } = table("Where the fleet differs", [
    ["Key", "col-key"], ["Among", "col-kind"], ["Values", "col-value"], ["Compare", "col-actions"],
  ], "drift-table");
  for (const { kind, key, values } of keys) {
    const sorted = [...values].sort((one, other) => one.nodes.length - other.nodes.length);
    body.append(row([
      data(key), kind ? `${KIND_NAMES[kind] ?? kind}s` : "all",
      el("ul", { class: "drift-values" }, sorted.map((one) => el("li", {}, data(words(masked(key, one.value))), " ",
        span("muted", whose(one.nodes))))),
      el("a", {
        class: "button small", href: compareHref(examples(sorted, limit)), "aria-label": `Compare nodes by ${key}`,
      }, "Compare"),
    ], { dataset: { key } }));
  }
  return [title, div("card flush", element)];
}

function whose(nodes) {
  const names = nodes.slice(0, NAMES_SHOWN).join(", ");
  return nodes.length > NAMES_SHOWN ? `${count(nodes.length, "node")}` : names;
}

/** A few nodes of each value, the rarest first. */
function examples(values, limit) {
  return values.flatMap(({ nodes }) => nodes.slice(0, NAMES_SHOWN)).slice(0, Math.min(limit, 12));
}
