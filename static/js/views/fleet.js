// SPDX-License-Identifier: Apache-2.0
// Home: the proxies and their nodes, how each is, a filter, and counts.

import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { duration, number } from "../format.js";
import { nodeHref } from "../router.js";
import { whyNot } from "../store.js";
import {
  button, data, filterable, icon, kindText, notice, ofAll, select, stateMark, stateText, table,
} from "../widgets.js";
import { emptyFleet } from "./fleet-empty.js";

const COLUMNS = [
  ["State", "col-state"], ["Name", "col-name"], ["Kind", "col-kind"],
  ["Version", "col-version"], ["Address", "col-address"], ["Reply", "col-reply num"],
];
const SHOWN = ["answering", "silent", "restricted", "checking"].map((state) => [state, stateText({ state })]);

export function mount(root, { store, poll, title }) {
  const view = { only: "all", store, groups: div("groups") };
  title("Fleet");
  store.set({ watched: "all" });
  poll.now();
  const stats = div("stats");
  const { parts, redraw: redrawList } = filterable(view, "Filter by name, kind, version, address",
    (accepts) => drawGroups(view, accepts), button([icon("refresh"), "Refresh"], () => poll.now()));
  const states = select("State", [["all", "All states"], ...SHOWN], "all", (value) => {
    view.only = value;
    redrawList();
  });
  view.clear = () => { view.only = states.value = "all"; };
  parts[0].firstChild.after(states);
  const below = el("div");
  const body = el("div", {}, stats, parts);
  replace(root, el("h1", { class: "unseen" }, "Fleet"), below, body);
  const redraw = () => {
    const { fleet, probes } = store.get();
    body.hidden = drawBelow(below, fleet, whyNot(store.get()));
    if (body.hidden) return;
    drawStats(stats, fleet.nodes, probes);
    redrawList();
  };
  const stop = store.subscribe(redraw);
  redraw();
  return { update() {}, unmount: stop };
}

/** What is said while there is no list; true if there is none. */
function drawBelow(below, { state, reason, nodes, proxies }, forbidden) {
  const empty = state === "ready" && nodes.length === 0 && proxies.every((proxy) => proxy.local);
  const shape = `${state} ${reason} ${empty} ${forbidden}`;
  if (below.shape !== shape) {
    below.shape = shape;
    replace(below,
      state === "loading" && para("loading", "Reading the node list …"),
      state === "failed" && notice("bad", "The node list could not be read", reason),
      empty && emptyFleet(forbidden));
  }
  return empty || (state !== "ready" && nodes.length === 0);
}

function drawStats(stats, nodes, probes) {
  const known = nodes.map((node) => probes.get(node.key)).filter(Boolean);
  const inState = (state) => known.filter((probe) => probe.state === state).length;
  const kinds = tallied(known.filter((probe) => probe.kind).map(kindText));
  const versions = tallied(known.map((probe) => probe.version).filter(Boolean));
  const silent = inState("silent");
  const checking = nodes.length - known.length;
  const tiles = [
    ["Nodes", number(nodes.length), listOf(kinds)],
    ["Answering", number(inState("answering")), checking ? `${number(checking)} being checked` : "checked every 10 s"],
    ["Not answering", number(silent), silent ? "the reason stands at the node" : checking ? "so far" : "all is well",
      silent ? "bad" : ""],
    versions.length === 1
      ? ["Versions", versions[0][0], "the same everywhere"]
      : ["Versions", versions.length ? number(versions.length) : "–", listOf(versions)],
  ];
  keyed(stats, tiles, ([name]) => name, {
    make: ([name]) => div("stat", el("h2", {}, name), para("stat-value"), para("stat-text")),
    update(element, [, value, text, mark = ""]) {
      element.dataset.mark = mark;
      element.classList.toggle("stat-long", value.length > 8);
      setText(element.children[1], value);
      setText(element.children[2], text);
    },
  });
}

function listOf(counts) {
  return counts.map(([value, n]) => `${number(n)} × ${value}`).join(", ");
}

/** `[value, how many]`, the most frequent first. */
function tallied(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function drawGroups(view, accepts) {
  const { fleet: { proxies, nodes }, probes } = view.store.get();
  const byProxy = new Map(proxies.map((proxy) => [proxy.name, { proxy, all: [], some: [] }]));
  let shown = 0;
  for (const node of nodes) {
    const group = byProxy.get(node.proxy);
    const probe = probes.get(node.key);
    group?.all.push(node);
    if (view.only !== "all" && (probe?.state ?? "checking") !== view.only) continue;
    const words = [node.name, node.address, node.proxy, kindText(probe), probe?.version, stateText(probe)];
    if (!accepts(words.join(" "))) continue;
    group?.some.push(node);
    shown += 1;
  }
  const filtered = view.only !== "all" || Boolean(view.filter);
  keyed(view.groups, [...byProxy.values()].filter(({ some }) => some.length || !filtered), ({ proxy }) => proxy.name, {
    make: makeGroup,
    update: (element, group) => updateGroup(element, group, probes),
  });
  const none = filtered && shown === 0 && "No node matches.";
  return { text: ofAll(shown, nodes.length, "node"), content: view.groups, none };
}

function makeGroup() {
  const { element, body, row } = table("Nodes", COLUMNS, "fleet");
  const none = para("none", "No nodes here.");
  const group = el("section", { class: "group card flush" },
    el("header", { class: "group-head" }, el("h2"), span("muted"), span("spring"), el("span"), span("muted")),
    element, none);
  Object.assign(group, { table: element, rows: body, row, none });
  return group;
}

function updateGroup(group, { proxy, all, some }, probes) {
  const [name, address, , state, total] = group.firstChild.children;
  const up = all.filter((node) => probes.get(node.key)?.state === "answering").length;
  const shape = JSON.stringify([proxy, probes.get(proxy.key)?.state, probes.get(proxy.key)?.reason]);
  if (group.shape !== shape) {
    group.shape = shape;
    replace(name, proxy.local ? "This frontend" : el("a", { href: nodeHref(proxy.key) }, data(proxy.name)));
    replace(address, proxy.local ? "nodes it reaches itself" : data(proxy.address));
    replace(state, proxy.local ? null : stateMark(probes.get(proxy.key)));
    group.table.setAttribute("aria-label", `Nodes of ${proxy.local ? "this frontend" : proxy.name}`);
  }
  setText(total, all.length ? `${number(up)} of ${number(all.length)} answering` : "");
  group.none.hidden = all.length > 0;
  group.table.hidden = all.length === 0;
  keyed(group.rows, some, (node) => node.key, {
    make: (node) => group.row(
      [el("span"), el("a", { href: nodeHref(node.key), class: "node-link" }), "", data(""), "", ""]),
    update: (element, node) => updateRow(element, node, probes.get(node.key)),
  });
}

/** Fill one row, touching only what has changed: a thousand rows are gone over at each answer. */
function updateRow(element, node, probe) {
  const cells = element.children;
  const shape = `${probe?.state} ${probe?.reason} ${node.name} ${node.address}`;
  if (element.shape !== shape) {
    element.shape = shape;
    replace(cells[0], stateMark(probe));
    replace(cells[1].firstChild, data(node.name, { title: node.name.slice(0, 300) }));
    replace(cells[1].firstChild.nextSibling ?? cells[1].appendChild(span("why")),
      probe?.reason ? data(probe.reason, { title: probe.reason.slice(0, 500) }) : null);
    replace(cells[4], data(node.address, { title: node.address }));
  }
  setText(cells[2], kindText(probe));
  const version = probe?.version ?? "–";
  setText(cells[3].firstChild, version);
  cells[3].firstChild.title = version.slice(0, 300);
  setText(cells[5], probe?.latency_ms ? duration(probe.latency_ms / 1000) : "–");
}
