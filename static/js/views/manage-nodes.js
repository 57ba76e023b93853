// SPDX-License-Identifier: Apache-2.0
// The list of nodes by proxy: add, edit, delete, test, and have a proxy's list read again.

import { lockNote, needing, ROLE_CHANGED, whyNot } from "../access.js";
import { request, requestJson } from "../api.js";
import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { count, matcher, number } from "../format.js";
import { keyOf } from "../fleet.js";
import { LOCAL } from "../nodes.js";
import { encodeName, nodeHref, parseRoute } from "../router.js";
import { AS_TYPED, button, data, failureTitle, levelMark, notice, table } from "../widgets.js";
import { confirmDialog, entryDialog } from "./manage-forms.js";
import { SOURCES, warningFor } from "./manage-sources.js";
import { openTest } from "./manage-test.js";

const COLUMNS = [
  ["Name", "col-name"], ["State", "col-state"], ["Address", "col-address"], ["Told by", "col-source"],
  ["Actions", "col-actions"],
];
const SEARCH = "Search names and addresses";
// Of a proxy with very many nodes only some are shown until all are asked for.
const SHOWN = 100;

/** Show the nodes in `root`; `add(isProxy, closed)` opens the form for a new one. */
export function nodesView(root, { store, feed }) {
  const control = new AbortController();
  const { q: asked } = parseRoute(location.hash).query;
  const view = { store, feed, signal: control.signal, sources: {}, file: null, filter: asked ?? "", all: new Set() };
  build(root, view);
  const stop = store.subscribe(() => draw(view));
  draw(view);
  readSources(view);
  document.addEventListener(ROLE_CHANGED, () => readSources(view), { signal: control.signal });
  return {
    add: (isProxy, closed) => openAdd(view, isProxy, closed),
    unmount() {
      stop();
      control.abort();
    },
  };
}

function build(root, view) {
  view.said = el("div", { role: "status" });
  view.why = div("");
  view.dialogs = el("div");
  view.lists = div("");
  view.search = el("input", {
    type: "search", class: "search", placeholder: SEARCH, "aria-label": SEARCH, value: view.filter, ...AS_TYPED,
    on: { input: () => { view.filter = view.search.value; draw(view); } },
  });
  view.tally = span("tally");
  view.tally.setAttribute("role", "status");
  view.adders = [
    button("Add a proxy", () => openAdd(view, true), needing()),
    button("Add a node", () => openAdd(view, false), { class: "primary", ...needing() }),
  ];
  replace(root, view.said, view.why, div("tools", view.search, view.tally, span("spring"), view.adders), view.lists,
    view.dialogs);
}

/** Who told of each node: it decides what becomes of a change. Those who may change nothing are not told. */
async function readSources(view) {
  if (whyNot(view.store.get(), "secrets")) return;
  try {
    const { sources, node_file: file } = await requestJson("api/about", { signal: view.signal });
    Object.assign(view, { sources, file });
    draw(view);
  } catch {
    // Without it, only the words for what becomes of a change are missing.
  }
}

function draw(view) {
  const { fleet } = view.store.get();
  const accepts = matcher(view.filter);
  drawWhy(view, fleet);
  const groups = groupsOf(fleet, accepts)
    .filter(({ proxy, nodes }) => !view.filter || nodes.length || accepts(proxy.name));
  const shown = groups.reduce((sum, { nodes }) => sum + nodes.length, 0);
  setText(view.tally, fleet.listed ? `${number(shown)} of ${count(fleet.entries.length, "node")}` : "Reading …");
  const takeBack = keptFocus(view.lists);
  keyed(view.lists, groups, ({ proxy }) => proxy.name, {
    make: () => groupSection(view),
    update: (section, group) => section.show(group, fleet),
  });
  takeBack();
}

function drawWhy(view, fleet) {
  const shape = JSON.stringify(fleet.state === "failed" && fleet.reason);
  if (shape === view.shape) return;
  view.shape = shape;
  replace(view.why, lockNote("Nodes cannot be changed"),
    fleet.state === "failed" && notice("bad", "The node list could not be read", fleet.reason));
}

/** Remember where the keyboard is, to put it at what took the place of it where it is gone. */
function keptFocus(body) {
  const controls = () => [...body.querySelectorAll("a, button:not(:disabled)")];
  const focused = document.activeElement;
  const at = controls().indexOf(focused);
  return () => {
    if (at < 0 || (focused.isConnected && !focused.disabled)) return;
    const now = controls();
    now[Math.min(at, now.length - 1)]?.focus();
  };
}

/** Each proxy with those of its nodes that match; this frontend first, also while it has none. */
function groupsOf({ proxies, entries }, accepts = () => true) {
  const listed = proxies.some((proxy) => proxy.local) ? proxies : [{ name: LOCAL, local: true }, ...proxies];
  return listed.map((proxy) => {
    const all = entries.filter((node) => node.proxy === proxy.name);
    const nodes = all.filter(({ name, address }) => accepts(`${name} ${address} ${proxy.local ? "" : proxy.name}`));
    return { proxy, nodes, total: all.length };
  });
}

function groupSection(view) {
  const title = el("h2");
  const address = span("muted");
  const level = span("");
  const tools = div("group-actions");
  const list = table("Nodes", COLUMNS, "manage");
  const none = para("none");
  const more = button("", () => { view.all.add(section.proxy.name); draw(view); }, { class: "small" });
  const rest = div("group-more", more);
  const section = el("section", { class: "group card flush" },
    el("header", { class: "group-head" }, title, address, level, span("spring"), tools), list.element, none, rest);
  section.show = ({ proxy, nodes, total }, fleet) => {
    const isNew = section.proxy?.given !== proxy.given;
    section.proxy = proxy;
    if (isNew || !title.firstChild) {
      list.element.setAttribute("aria-label", `Nodes of ${proxy.local ? "this frontend" : proxy.name}`);
      replace(title, proxy.local ? "This frontend" : data(proxy.name));
      setText(address, proxy.local ? "nodes it reaches itself" : proxy.address);
      replace(tools, !proxy.local && actions(proxy, view));
    }
    drawLevel(level, proxy, fleet);
    const shown = view.all.has(proxy.name) ? nodes : nodes.slice(0, SHOWN);
    keyed(list.body, shown, (node) => node.key, {
      make: () => el("tr", { role: "row" }),
      update: (line, node) => drawRow(line, node, { view, list, fleet }),
    });
    list.element.hidden = !nodes.length;
    none.hidden = nodes.length > 0;
    setText(none, emptyText(proxy, total));
    rest.hidden = shown.length === nodes.length;
    setText(more, `Show all ${number(nodes.length)}`);
  };
  return section;
}

/** How a proxy is; of this frontend the head of the page tells. */
function drawLevel(place, proxy, fleet) {
  const state = proxy.local ? null : fleet.byKey.get(proxy.name);
  const shape = JSON.stringify([state?.level, state?.reasons]);
  if (place.dataset.shape === shape) return;
  place.dataset.shape = shape;
  replace(place, state && levelMark(state.level, state.reasons));
}

function emptyText(proxy, total) {
  if (total) return "No node matches.";
  return proxy.local ? "No nodes yet." : "No nodes known. Refresh asks the proxy for its list.";
}

function drawRow(line, node, { view, list, fleet }) {
  const state = fleet.byKey.get(keyOf(node));
  const source = view.sources[node.proxy]?.nodes[node.name];
  const shape = JSON.stringify([node, state?.level, source]);
  if (line.shape === shape) return;
  const focused = line.contains(document.activeElement) && document.activeElement.ariaLabel;
  line.shape = shape;
  const made = list.row([
    el("a", { href: nodeHref(node.key), class: "node-link" }, data(node.name)),
    levelMark(state?.level ?? "unknown", state?.reasons), data(node.address), SOURCES[source]?.word ?? "",
    actions(node, view),
  ]);
  line.replaceChildren(...made.children);
  if (focused) [...line.querySelectorAll("button")].find(({ ariaLabel }) => ariaLabel === focused)?.focus();
}

function actions(entry, view) {
  const action = (verb, act) => button(verb, act,
    { class: "small", "aria-label": `${verb} ${entry.name}`, ...needing() });
  return div("actions", action("Test", () => openTest(entry)),
    entry.isProxy && action("Refresh", () => refreshProxy(entry, view)),
    action("Edit", () => openEdit(view, entry)), action("Delete", () => openDelete(view, entry)));
}

function openAdd(view, isProxy, closed) {
  entryDialog(view.dialogs, {
    title: isProxy ? "Add a proxy" : "Add a node",
    isProxy,
    proxies: proxyNames(view),
    async send({ proxy, ...body }) {
      const path = isProxy ? "api/proxies" : `api/proxies/${encodeName(proxy)}/nodes`;
      await change(view, "POST", path, body, `${body.name} was added.`);
    },
    closed,
  });
}

function openEdit(view, entry) {
  entryDialog(view.dialogs, {
    title: `Edit ${noun(entry)}`,
    isProxy: entry.isProxy,
    entry,
    proxies: proxyNames(view),
    warning: warningFor(view, entry, "edit"),
    async send({ proxy, ...fields }) {
      // What else the entry says (labels, a token file) goes back as it came.
      const { id, children, ...given } = entry.given;
      const body = { ...given, ...fields, is_proxy: entry.isProxy, proxy_id: entry.proxy };
      await change(view, "PUT", entryPath(entry), body, `${fields.name} was changed.`);
    },
  });
}

function openDelete(view, entry) {
  const behind = view.store.get().fleet.entries.filter((node) => entry.isProxy && node.proxy === entry.name).length;
  confirmDialog(view.dialogs, {
    title: `Delete ${noun(entry)}?`,
    name: entry.name,
    text: [behind
      ? `The proxy and what is behind it (${count(behind, "node")}) go from the list. They themselves run on.`
      : "It goes from the list. The process itself runs on.", warningFor(view, entry, "delete")],
    typed: behind ? entry.name : null,
    verb: "Delete",
    send: () => change(view, "DELETE", entryPath(entry), undefined, `${entry.name} was deleted.`),
  });
}

async function refreshProxy({ name }, view) {
  try {
    const text = `The node list of ${name} was read again.`;
    await change(view, "POST", `api/proxies/${encodeName(name)}/refresh`, undefined, text);
  } catch (error) {
    if (error.kind === "aborted") return;
    replace(view.said, notice("bad", failureTitle(error, "The proxy's node list could not be read"), error.message));
  }
}

/** Make a change, say that it is done, and read the list again. Raises ApiError. */
async function change(view, method, path, body, text) {
  await request(path, { method, body, signal: view.signal });
  replace(view.said, notice("ok", text));
  view.feed.now();
  readSources(view);
}

function entryPath(entry) {
  return `api/nodes/${encodeName(entry.key)}`;
}

function noun(entry) {
  return entry.isProxy ? "proxy" : "node";
}

function proxyNames(view) {
  return groupsOf(view.store.get().fleet).map(({ proxy }) => proxy.name);
}
