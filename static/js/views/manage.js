// SPDX-License-Identifier: Apache-2.0
// Node management: add, edit and delete nodes and proxies, and have a proxy's node list read again.

import { append, div, el, para, replace, span } from "../dom.js";
import { request } from "../api.js";
import { count } from "../format.js";
import { LOCAL } from "../nodes.js";
import { encodeName, forgetQuery, nodeHref } from "../router.js";
import { whyNot } from "../store.js";
import { button, data, failureTitle, notice, table } from "../widgets.js";
import { confirmDialog, entryDialog } from "./manage-forms.js";

const COLUMNS = [
  ["Name", "col-name"], ["Address", "col-address"], ["Actions", "col-actions"],
];

export function mount(root, { store, feed, route, title }) {
  title("Manage nodes");
  feed.now();
  const control = new AbortController();
  const view = { store, feed, signal: control.signal, said: el("div", { role: "status" }), dialogs: el("div") };
  const body = el("div");
  replace(root, view.said, body, view.dialogs);
  const redraw = () => draw(body, view);
  const stop = store.subscribe(redraw);
  redraw();
  if (route.query.add && !whyNot(store.get())) openAdd(view, route.query.add === "proxy", forgetQuery);
  return {
    update() {},
    unmount() {
      stop();
      control.abort();
    },
  };
}

function draw(body, view) {
  const { fleet } = view.store.get();
  const reason = whyNot(view.store.get());
  const shape = JSON.stringify([fleet.listed, fleet.proxies, fleet.entries, fleet.reason, reason]);
  if (shape === view.shape) return;
  view.shape = shape;
  const disabled = Boolean(reason);
  const takeBack = keptFocus(body);
  replace(body,
    div("page-head", el("h1", {}, "Manage nodes"), span("spring"),
      button("Add a proxy", () => openAdd(view, true), { disabled }),
      button("Add a node", () => openAdd(view, false), { class: "primary", disabled })),
    reason && notice("info", "Nodes cannot be changed", reason),
    !fleet.listed && para("loading", "Reading the node list …"),
    fleet.state === "failed" && notice("bad", "The node list could not be read", fleet.reason),
    groupsOf(fleet).map((group) => groupSection(group, view, disabled)));
  takeBack();
}

/** Remember where the keyboard is, to put it there again: at the same control, or at what took the place of it. */
function keptFocus(body) {
  const controls = () => [...body.querySelectorAll("a, button:not(:disabled)")];
  const at = controls().indexOf(document.activeElement);
  if (at < 0) return () => {};
  const label = document.activeElement.ariaLabel;
  return () => {
    const now = controls();
    const same = label && now.find((control) => control.ariaLabel === label);
    (same || now[Math.min(at, now.length - 1)])?.focus();
  };
}

/** Each proxy with its nodes; this frontend first, also while it has none. */
function groupsOf({ proxies, entries }) {
  const listed = proxies.some((proxy) => proxy.local) ? proxies : [{ name: LOCAL, local: true }, ...proxies];
  return listed.map((proxy) => ({ proxy, nodes: entries.filter((node) => node.proxy === proxy.name) }));
}

function groupSection({ proxy, nodes }, view, disabled) {
  const { element, body, row } = table(`Nodes of ${proxy.local ? "this frontend" : proxy.name}`, COLUMNS, "manage");
  append(body, nodes.map((node) => row([
    el("a", { href: nodeHref(node.key), class: "node-link" }, data(node.name)), data(node.address),
    actions(node, view, disabled),
  ])));
  return el("section", { class: "group card flush" },
    el("header", { class: "group-head" },
      el("h2", {}, proxy.local ? "This frontend" : data(proxy.name)),
      span("muted", proxy.local ? "nodes it reaches itself" : data(proxy.address)), span("spring"),
      !proxy.local && actions(proxy, view, disabled)),
    nodes.length ? element
      : para("none", proxy.local ? "No nodes yet." : "No nodes known. Refresh asks the proxy for its list."));
}

function actions(entry, view, disabled) {
  const action = (verb, act) => button(verb, act, { class: "small", disabled, "aria-label": `${verb} ${entry.name}` });
  return div("actions",
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
    text: behind
      ? `The proxy and what is behind it (${count(behind, "node")}) go from the list. They themselves run on.`
      : "It goes from the list. The process itself runs on.",
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
async function change({ signal, said, feed }, method, path, body, text) {
  await request(path, { method, body, signal });
  replace(said, notice("ok", text));
  feed.now();
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
