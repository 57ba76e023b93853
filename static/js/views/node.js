// SPDX-License-Identifier: Apache-2.0
// The page of one node: its head, and its tabs, each loaded when it is opened.

import { el, para, replace, setAttribute, span } from "../dom.js";
import { whenBack } from "../feed.js";
import { keyOf } from "../fleet.js";
import { entriesNamed, isNotAsked } from "../nodes.js";
import { nodeHref } from "../router.js";
import { isUnsaved } from "../store.js";
import { button, icon, notice } from "../widgets.js";
import { makeHead } from "./node-head.js";

const TABS = [
  ["overview", "Overview"], ["metrics", "Metrics"], ["threads", "Threads"], ["loglevel", "Log level"],
  ["config", "Config"], ["meta", "Meta"], ["inference", "Inference"], ["environment", "Environment"],
  ["periodic", "Periodic threads"], ["backends", "Backends and cache"], ["script", "Script"], ["console", "Console"],
];

const CONFIG = TABS.findIndex(([id]) => id === "config");

export function mount(root, { store, feed, route, title, navigate }) {
  const page = {
    store, feed, navigate, route, key: route.name, tab: tabOf(route), panel: null, control: null, unlisted: false,
  };
  title(page.key);
  feed.now();

  page.tabs = TABS.map(([id, text]) => el("a", {
    role: "tab", id: `tab-${id}`, href: nodeHref(page.key, id), "aria-controls": "panel",
  }, text));
  page.panelRoot = el("section", { id: "panel", class: "panel", role: "tabpanel", tabindex: "0" });
  const keydown = (event) => keys(event, page);
  page.list = el("div", { class: "tabs", role: "tablist", "aria-label": "Parts", on: { keydown } }, page.tabs);
  const refresh = () => {
    feed.now();
    page.panel?.update();
  };
  page.head = makeHead(button([icon("refresh"), span("button-text", "Refresh")], refresh,
    { "aria-label": "Refresh", title: "Read again what this tab shows" }));
  replace(root, page.head.element, page.list, page.panelRoot);

  const redraw = () => look(page);
  const stop = store.subscribe(redraw);
  redraw();
  if (!page.unlisted) openTab(page, page.tab);
  return {
    update(next) {
      page.route = next;
      if (page.unlisted) page.tab = tabOf(next);
      else if (tabOf(next) !== page.tab) openTab(page, tabOf(next));
      else if (page.panel?.routed) page.panel.routed(next);
      else if (next.query.q !== undefined) openTab(page, page.tab);
    },
    unmount() {
      stop();
      closeTab(page);
    },
  };
}

function tabOf(route) {
  return TABS.some(([id]) => id === route.query.tab) ? route.query.tab : "overview";
}

function findEntry({ store, key }) {
  const found = entriesNamed(store.get().fleet, key);
  return found.length === 1 ? found[0] : undefined;
}

/** The name of the node in the fleet, which may be shorter than that in addresses. */
function fleetKey(page) {
  const entry = findEntry(page);
  return entry ? keyOf(entry) : page.key;
}

/** What the fleet knows of the node, undefined where that is nothing yet. */
function stateOf(page) {
  const state = page.store.get().fleet.byKey.get(fleetKey(page));
  return state && !isNotAsked(state) ? state : undefined;
}

function look(page) {
  const { fleet, drafts } = page.store.get();
  const entry = findEntry(page);
  const state = stateOf(page);
  const unlisted = fleet.listed && !entry;
  const own = fleetKey(page);
  setAttribute(page.tabs[CONFIG], "data-unsaved", isUnsaved(drafts.get(page.key)));
  page.head.draw({
    key: page.key, entry, state, unlisted, several: unlisted ? entriesNamed(fleet, page.key) : [],
    problems: fleet.problems.filter(({ node, nodes }) => node === own || nodes?.includes(own)),
  });
  page.list.hidden = page.panelRoot.hidden = unlisted;
  if (unlisted !== page.unlisted) {
    page.unlisted = unlisted;
    if (unlisted) closeTab(page);
    else openTab(page, page.tab);
    return;
  }
  // A tab that was opened while the node was silent, or was something else, is opened again.
  const kind = kindOf(entry, state);
  const isBack = page.silent && state && state.level !== "unreachable";
  if (page.panel && kind && (kind !== page.kind || isBack)) openTab(page, page.tab);
}

function kindOf(entry, state) {
  if (entry?.isProxy) return "frontend";
  return state && state.kind !== "unknown" ? state.kind : null;
}

async function openTab(page, id) {
  closeTab(page);
  page.tab = id;
  for (const tab of page.tabs) {
    const selected = tab.id === `tab-${id}`;
    setAttribute(tab, "aria-selected", String(selected));
    setAttribute(tab, "tabindex", selected ? "0" : "-1");
  }
  setAttribute(page.panelRoot, "aria-labelledby", `tab-${id}`);
  const control = new AbortController();
  page.control = control;
  replace(page.panelRoot, para("loading", "Loading …"));
  try {
    const [{ mount: mountTab }] = await Promise.all([import(`./node-${id}.js`), identified(page, control.signal)]);
    if (control.signal.aborted) return;
    page.kind = kindOf(findEntry(page), stateOf(page));
    page.silent = stateOf(page)?.level === "unreachable";
    page.panel = mountTab(page.panelRoot, contextOf(page, control.signal));
  } catch (error) {
    if (control.signal.aborted) return;
    // A module that does not come is told of by the browser itself.
    if (!/import/.test(error.message)) console.error(error);
    replace(page.panelRoot, notice("bad", "This part of the page could not be loaded", error.message,
      button("Try again", () => openTab(page, id), { class: "small" })));
    control.signal.addEventListener("abort", whenBack(page.store, { kind: "gone" }, () => openTab(page, id)));
    page.feed.now();
  }
}

/** What a tab is given: `node` is its entry in the list, `state()` what the fleet knows of it now. */
function contextOf(page, signal) {
  const { store, feed, key, kind, navigate } = page;
  return {
    store, feed, key, kind, signal, navigate,
    node: findEntry(page),
    state: () => stateOf(page),
    route: () => page.route,
    refresh: () => page.panel?.update(),
  };
}

/** Wait until the node has been asked (its kind decides what a tab asks for), or is found not to be listed. */
function identified(page, signal) {
  const { store } = page;
  return new Promise((resolve) => {
    let stop = () => {};
    const lookFor = () => {
      const entry = findEntry(page);
      if (entry && entry.key !== page.key) {
        page.key = entry.key;
        page.feed.now();
      }
      const settled = stateOf(page) || entry?.isProxy || (store.get().fleet.listed && !entry);
      if (!settled && !signal.aborted) return;
      stop();
      resolve();
    };
    stop = store.subscribe(lookFor);
    signal.addEventListener("abort", lookFor);
    lookFor();
  });
}

function closeTab(page) {
  page.control?.abort();
  page.panel?.unmount();
  page.panel = null;
}

/** Left, Right, Home and End move between tabs and Space opens one, as the tab pattern asks. */
function keys(event, page) {
  const at = page.tabs.indexOf(document.activeElement);
  const last = page.tabs.length - 1;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, " ": at }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = page.tabs[(to + page.tabs.length) % page.tabs.length];
  tab.focus();
  tab.click();
}
