// SPDX-License-Identifier: Apache-2.0
// The page of one node: who it is, and its tabs, each loaded when it is opened.

import { div, el, para, replace, setAttribute, setText, span } from "../dom.js";
import { entriesNamed, LOCAL } from "../nodes.js";
import { whenBack } from "../poll.js";
import { nodeHref } from "../router.js";
import { isUnsaved } from "../store.js";
import { button, data, icon, kindText, notice, stateMark } from "../widgets.js";

const TABS = [
  ["overview", "Overview"], ["metrics", "Metrics"], ["threads", "Threads"], ["loglevel", "Log level"],
  ["config", "Config"], ["meta", "Meta"], ["inference", "Inference"], ["environment", "Environment"],
];

const CONFIG = TABS.findIndex(([id]) => id === "config");

export function mount(root, { store, poll, route, title }) {
  const page = { store, poll, key: route.name, tab: tabOf(route), panel: null, control: null, unlisted: false };
  title(page.key);
  store.set({ watched: page.key });
  poll.now();

  const refresh = button([icon("refresh"), "Refresh"], () => { poll.now(); page.panel?.update(); });
  const head = div("node-head",
    div("crumbs", el("a", { href: "#/" }, "Fleet"), icon("next"), el("span")),
    div("node-title", el("h1"), div("node-facts"), span("spring"), refresh), el("div"));
  page.tabs = TABS.map(([id, text]) => el("a", {
    role: "tab", id: `tab-${id}`, href: nodeHref(page.key, id), "aria-controls": "panel",
  }, text));
  page.panelRoot = el("section", { id: "panel", class: "panel", role: "tabpanel", tabindex: "0" });
  const keydown = (event) => keys(event, page);
  page.list = el("div", { class: "tabs", role: "tablist", "aria-label": "Parts", on: { keydown } }, page.tabs);
  replace(root, head, page.list, page.panelRoot);

  const redraw = () => drawHead(head, page);
  const stop = store.subscribe(redraw);
  redraw();
  if (!page.unlisted) openTab(page, page.tab);
  return {
    update(next) {
      if (page.unlisted) page.tab = tabOf(next);
      else if (tabOf(next) !== page.tab) openTab(page, tabOf(next));
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

function findNode({ store, key }) {
  const found = entriesNamed(store.get().fleet, key);
  return found.length === 1 ? found[0] : undefined;
}

function drawHead(head, page) {
  const { store, key } = page;
  const probe = store.get().probes.get(key);
  const node = findNode(page);
  const unlisted = store.get().fleet.state === "ready" && !node;
  setAttribute(page.tabs[CONFIG], "data-unsaved", isUnsaved(store.get().drafts.get(key)));
  const shape = JSON.stringify([probe?.state, probe?.reason, probe?.kind, probe?.version, node, unlisted]);
  if (head.shape === shape) return;
  head.shape = shape;
  const [crumbs, { children: [name, facts, , refresh] }, said] = head.children;
  setText(name, node?.name ?? key);
  crumbs.hidden = refresh.hidden = page.list.hidden = page.panelRoot.hidden = unlisted;
  replace(crumbs.lastChild, data(node?.proxy && node.proxy !== LOCAL ? node.proxy : "This frontend"));
  const known = [stateMark(probe), probe?.kind && kindText(probe), probe?.version].filter(Boolean);
  replace(facts, !unlisted && known.map((fact) => (typeof fact === "string" ? span("chip", data(fact)) : fact)));
  replace(said, unlisted && missing(entriesNamed(store.get().fleet, key)));
  if (unlisted !== page.unlisted) {
    page.unlisted = unlisted;
    if (unlisted) closeTab(page);
    else openTab(page, page.tab);
    return;
  }
  // A tab that was opened while the node was silent, or was something else, is opened again.
  const changed = probe?.kind && (probe.kind !== page.kind || (page.silent && probe.state === "answering"));
  if (page.panel && changed) openTab(page, page.tab);
}

/** What is said in place of a node: that there is none of that name, or which ones there are. */
function missing(several) {
  if (several.length === 0) {
    return notice("warn", "No such node", "It is not in the list. It may have been removed or renamed.",
      el("a", { href: "#/" }, "To the fleet"));
  }
  return notice("warn", "Several nodes have this name", "Choose the one that you mean:",
    several.map((node) => el("a", { href: nodeHref(node.key) }, data(`${node.proxy}/${node.name}`))));
}

async function openTab(page, id) {
  closeTab(page);
  page.tab = id;
  for (const tab of page.tabs) {
    const selected = tab.id === `tab-${id}`;
    setAttribute(tab, "aria-selected", String(selected));
    setAttribute(tab, "tabindex", selected ? "0" : "-1");
    if (selected) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  setAttribute(page.panelRoot, "aria-labelledby", `tab-${id}`);
  const control = new AbortController();
  page.control = control;
  replace(page.panelRoot, para("loading", "Loading …"));
  try {
    const [{ mount: mountTab }] = await Promise.all([import(`./node-${id}.js`), identified(page, control.signal)]);
    if (control.signal.aborted) return;
    const probe = page.store.get().probes.get(page.key);
    page.kind = probe?.kind ?? null;
    page.silent = probe?.state === "silent";
    page.panel = mountTab(page.panelRoot, {
      store: page.store, key: page.key, node: findNode(page), kind: page.kind,
      signal: control.signal, refresh: () => page.panel?.update(),
    });
  } catch (error) {
    if (control.signal.aborted) return;
    replace(page.panelRoot, notice("bad", "This part of the page could not be loaded", error.message,
      button("Try again", () => openTab(page, id), { class: "small" })));
    control.signal.addEventListener("abort", whenBack(page.store, { kind: "gone" }, () => openTab(page, id)));
    page.poll.now();
  }
}

/** Wait until the node has been probed (its kind decides what a tab asks for), or is found not to be listed. */
function identified(page, signal) {
  const { store } = page;
  return new Promise((resolve) => {
    let stop = () => {};
    const look = () => {
      const { fleet, probes } = store.get();
      const node = findNode(page);
      if (node && node.key !== page.key) {
        page.key = node.key;
        store.set({ watched: node.key });
        page.poll.now();
      }
      const settled = probes.has(page.key) || node?.local || (fleet.state !== "loading" && !node);
      if (!settled && !signal.aborted) return;
      stop();
      resolve();
    };
    stop = store.subscribe(look);
    signal.addEventListener("abort", look);
    look();
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
