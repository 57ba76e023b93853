// SPDX-License-Identifier: Apache-2.0
// Several nodes side by side: versions, configuration, log levels and more, what differs first.

import { ROLE_CHANGED } from "../access.js";
import { makeReader } from "../compare-read.js";
import { PARTS, entriesOf, sideBySide } from "../comparing.js";
import { copyButton } from "../copying.js";
import { div, el, replace, setAttribute, setText, span } from "../dom.js";
import { number } from "../format.js";
import { chips } from "../pairs.js";
import { namesText, readNames, replaceQuery } from "../router.js";
import { AS_TYPED, button, icon, notice } from "../widgets.js";
import { chooser } from "./compare-chooser.js";
import { offers } from "./compare-offers.js";
import { compareTable } from "./compare-table.js";

/** So many nodes are compared at most: more can neither be read nor shown in a useful time. */
export const LIMIT = 32;

export function mount(root, { store, feed, route, title }) {
  const view = { store, feed, title, options: readOptions(route.query), due: false, snapshot: 0 };
  view.later = () => {
    if (view.due) return;
    view.due = true;
    requestAnimationFrame(() => {
      view.due = false;
      draw(view);
    });
  };
  view.reader = makeReader(store, view.later);
  view.compareSecrets = (on) => {
    view.reader.setInClear(on);
    adopt(view);
  };
  build(root, view);
  const stop = store.subscribe(() => {
    if (someBack(view)) adopt(view);
    else draw(view);
  });
  // What somebody else was shown is not kept.
  const again = () => view.compareSecrets(false);
  document.addEventListener(ROLE_CHANGED, again);
  adopt(view);
  return {
    update(next) {
      view.options = readOptions(next.query);
      adopt(view);
    },
    unmount() {
      document.removeEventListener(ROLE_CHANGED, again);
      stop();
      view.reader.stop();
    },
  };
}

function readOptions({ nodes, part = "", q = "", open = "" }) {
  const named = readNames(nodes);
  const known = PARTS.some(({ id }) => id === part) ? part : "";
  const left = Math.max(0, named.length - LIMIT);
  return { keys: named.slice(0, LIMIT), left, part: known, q, open: new Set(readNames(open)) };
}

function build(root, view) {
  view.chooser = chooser(view, LIMIT, (keys) => change(view, { keys, left: 0 }));
  view.offers = offers(view, LIMIT);
  view.table = compareTable(view, (patch) => change(view, patch));
  view.parts = chips("Parts", PARTS.map(({ id, text }) => [id, text]), () => view.options.part || null,
    (part) => change(view, { part: part ?? "" }));
  view.search = el("input", {
    type: "search", class: "search", placeholder: "Search keys and values", "aria-label": "Search keys and values",
    value: view.options.q, ...AS_TYPED, on: { input: () => change(view, { q: view.search.value }) },
  });
  view.tally = span("tally");
  view.tally.setAttribute("role", "status");
  view.again = button([icon("refresh"), "Read again"], () => {
    view.reader.again();
    adopt(view);
  }, { class: "small" });
  view.said = el("div");
  view.tools = div("tools", view.search, view.parts.element, view.tally, span("spring"), view.again,
    copyButton("Copy link", () => location.href, { title: "Copies the address of this comparison" }));
  view.body = div("", view.tools, view.table.element);
  replace(root, div("page-head", el("h1", {}, "Compare nodes")), view.chooser.element, view.said, view.offers.element,
    view.body);
}

/** Take a change of what is shown, and put it into the address, so that it can be shared. */
function change(view, patch) {
  view.options = { ...view.options, ...patch };
  const { keys, part, q, open } = view.options;
  replaceQuery({ nodes: namesText(keys), part, q, open: namesText([...open]) });
  adopt(view);
}

function adopt(view) {
  const { keys, part, q } = view.options;
  if (view.search.value !== q) view.search.value = q;
  view.parts.draw();
  const [first, ...others] = keys;
  const more = others.length ? ` and ${number(others.length)} more` : "";
  view.title(first ? `${first}${more}, compared` : "Compare nodes");
  draw(view);
  if (keys.length < 2) return;
  const wanted = shownParts(part).flatMap(({ items }) => items);
  view.reader.want(keys, [...new Set(wanted)]);
}

/** Whether something is to be asked again: with each round, what a node could not say that answers by now. */
function someBack(view) {
  const { fleet } = view.store.get();
  if (fleet.snapshot === view.snapshot) return false;
  view.snapshot = fleet.snapshot;
  let isSome = false;
  for (const key of view.options.keys) {
    const node = fleet.byKey.get(key);
    if (!node || node.level === "unreachable") view.reader.rest(key);
    else if (view.reader.retry(key)) isSome = true;
  }
  return isSome;
}

/** The parts that are shown; one whose reading costs, or whose values are secret, only where it is asked for. */
function shownParts(part) {
  return PARTS.filter(({ id, asked }) => (part ? id === part : !asked));
}

function draw(view) {
  const { store, options, reader } = view;
  const { fleet } = store.get();
  const isChosen = options.keys.length > 1;
  view.chooser.draw(fleet, options.keys);
  view.offers.draw(fleet, options.keys);
  view.body.hidden = !isChosen;
  drawSaid(view, fleet);
  if (!isChosen) return;
  const columns = options.keys.map((key) => ({ key, state: fleet.byKey.get(key) }));
  const parts = shownParts(options.part).map((part) => {
    const entries = columns.map(({ key, state }) => entriesOf(part, state, (item) => reader.answer(key, item)));
    return { ...part, entries, rows: sideBySide(entries) };
  });
  view.table.draw(columns, parts, options);
  const differing = parts.reduce((sum, { rows }) => sum + rows.differing.length, 0);
  const differ = `${number(differing)} ${differing === 1 ? "key differs" : "keys differ"}`;
  setText(view.tally, reader.isReading() ? "Reading …" : differ);
  setAttribute(view.body, "aria-busy", reader.isReading() ? "true" : null);
}

/** Names that are no nodes are said, and kept: a node may be back in a moment. */
function drawSaid(view, fleet) {
  const unknown = fleet.state === "ready" ? view.options.keys.filter((key) => !fleet.byKey.has(key)) : [];
  const shape = JSON.stringify([unknown, view.options.left]);
  if (view.saidShape === shape) return;
  view.saidShape = shape;
  replace(view.said,
    unknown.length > 0 && notice("warn", "Not in the fleet", unknown.join(", ").slice(0, 500)),
    view.options.left > 0 && notice("info", `The first ${LIMIT} nodes are compared`,
      `${number(view.options.left)} more were named. Choose those that matter, or look at where the fleet differs.`));
}
