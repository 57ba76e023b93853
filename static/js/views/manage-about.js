// SPDX-License-Identifier: Apache-2.0
// Where nodes come from and what the file of them last said, the store, and what this frontend is.

import { whyNot } from "../access.js";
import { requestJson } from "../api.js";
import { div, el, para, replace, span } from "../dom.js";
import { count, duration, number } from "../format.js";
import { panel } from "../panel.js";
import { wordsOfHow } from "../who.js";
import { data, mark, notice, quantity } from "../widgets.js";
import { counted } from "./manage-sources.js";

const EVERY_MS = 5000;
const STORES = {
  sqlite: ["A file of this frontend", "No other frontend can use it at the same time."],
  etcd: ["etcd", "All frontends with this address share their nodes, rules and audit trail."],
  memory: ["Memory only", "What is added here is forgotten when this frontend ends."],
  none: ["None", "Nothing can be kept: changes of nodes and rules are refused."],
};

/** Show where nodes come from, and the store, in `root`. */
export function sourcesView(root, context) {
  return watched(root, context, "sources and store", (document) => [
    fileCard(document.node_file, counted(document.sources)), sourcesCard(document), storeCard(document.store),
    laterCard(),
  ]);
}

/** Show what this frontend is, in `root`. */
export function aboutView(root, context) {
  const { store } = context;
  return watched(root, context, "what runs here", (document) => [
    card("This frontend", facts([
      ["Version", document.version], ["Python", document.python], ["System", document.platform],
      ["Machine", data(document.machine)], ["Process", `${document.process}, as ${document.user}`],
      ["Listens on", data(`${document.host || "every address"} port ${document.port}`)],
      ["Started", quantity("clock", document.started_at)],
      ["Runs for", span("uptime", duration(Math.floor(Date.now() / 1000 - document.started_at)))],
      ["Looks at nodes", `every ${duration(document.interval_s)}`],
      ["Connections of clients", number(document.connections.clients)],
      ["Connections kept to nodes", number(document.connections.nodes)],
    ])),
    youCard(store.get().whoami), linksCard(),
  ], () => [youCard(store.get().whoami, true), linksCard()]);
}

/** Read what the frontend says of itself again and again; what did not change stays. `without` is for who may not. */
function watched(root, { store }, thing, render, without = () => []) {
  const beside = div("panel-body manage-about");
  const place = div("");
  replace(root, place, beside);
  if (whyNot(store.get(), "secrets")) replace(beside, without());
  let shown = null;
  return panel(place, { store, key: null }, {
    thing, every_ms: EVERY_MS,
    load: (signal) => requestJson("api/about", { signal }),
    render(body, document) {
      const shape = JSON.stringify({ ...document, connections: null });
      const uptime = body.querySelector(".uptime");
      if (uptime) uptime.textContent = duration(Math.floor(Date.now() / 1000 - document.started_at));
      if (shape === shown && body.querySelector(".about-card")) return;
      shown = shape;
      replace(beside);
      body.classList.add("manage-about");
      replace(body, render(document));
    },
  });
}

function card(title, ...content) {
  return el("section", { class: "card about-card", "aria-label": title }, el("h2", {}, title), content);
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function fileCard(file, counts) {
  if (!file) {
    return card("The file of nodes", para("muted", "None was named. With ", el("code", {}, "--config nodes.json"),
      " this frontend reads its nodes from a file, and again whenever that changes."));
  }
  const { path, fault, read_at, refused, refused_count: total } = file;
  return card("The file of nodes",
    facts([
      ["File", data(path, { class: "mono" })],
      ["What it last said", fileMark(fault, total)],
      ["Last read", read_at ? quantity("ago", read_at) : "never"],
      ["Holds", amounts(counts.get("file"))],
    ]),
    fault && notice("bad", "What the file holds now is not shown", [fault, ". What was read before stays."].join("")),
    refused.length > 0 && notice("warn", `${count(total, "entry was", "entries were")} left out`, null,
      el("ul", { class: "refused" }, refused.map((line) => el("li", {}, data(line))),
        total > refused.length
          && el("li", { class: "muted" }, `and ${number(total - refused.length)} more, in the log`))));
}

function fileMark(fault, refused) {
  if (fault) return mark("bad", "bad", "It cannot be used");
  return refused ? mark("warn", "warn", `Read, without ${count(refused, "entry", "entries")}`)
    : mark("ok", "ok", "Read without a fault");
}

function sourcesCard({ sources }) {
  const counts = counted(sources);
  const rows = [
    ["Added on this page or over HTTP", "api", "kept in the store"],
    ["From the file", "file", "read again when it changes"],
    ["From the command line (--nodes)", "flag", "until this frontend ends"],
    ["Reported by other frontends", "proxy", "asked for when they are added, and on Refresh"],
    ["Simulated (--demo)", "demo", "until this frontend ends"],
  ];
  return card("Where nodes come from", el("dl", { class: "source-list" }, rows.map(([text, source, life]) =>
    div(counts.has(source) ? "" : "muted", el("dt", {}, text),
      el("dd", {}, amounts(counts.get(source)), counts.has(source) && span("muted", ` · ${life}`))))));
}

function amounts(found) {
  if (!found) return "none";
  const parts = [found.nodes && count(found.nodes, "node"), found.proxies && count(found.proxies, "proxy", "proxies")];
  return parts.filter(Boolean).join(" and ") || "none";
}

function storeCard({ kind, where, fault, is_shared: isShared, revision }) {
  const [title, text] = STORES[kind] ?? [kind, ""];
  return card("The store",
    para("muted", "Keeps nodes that are added here, the rules of the remote configuration with their revisions, and "
      + "the audit trail."),
    facts([
      ["Kind", title], ["Where", where && data(where, { class: "mono" })],
      ["State", fault ? mark("bad", "bad", "Cannot be used") : mark("ok", "ok", "In use")],
      ["Shared with other frontends", isShared ? "yes" : "no"],
      ["Revision", revision !== null
        && el("span", { title: "Goes up with each change of anything in it" }, number(revision))],
    ]),
    para("muted", text, (kind === "memory" || kind === "none")
      && [" ", el("code", {}, "--store sqlite:/path/state.db"), " names a place."]),
    fault && notice("bad", "Nothing can be kept", fault));
}

function laterCard() {
  return card("Discovery and heartbeats", para("muted",
    "Nodes that announce themselves, or are found by asking Kubernetes or DNS, are not part of this release. "
    + "They will be listed here."));
}

function youCard(whoami, isAlone = false) {
  if (!whoami) return null;
  const { role, read_only: isReadOnly } = whoami;
  const changes = isReadOnly ? "none: it is read-only" : role === "operator" ? "allowed" : "need an operator";
  return card("You", facts([
    ["Role", role], ["Name", data(whoami.name)], ["Why", wordsOfHow(whoami)], ["Changes", changes],
    ["Connection", whoami.tls ? "encrypted" : "not encrypted"],
    ["Version of the frontend", isAlone && whoami.version],
  ]));
}

function linksCard() {
  const link = (href, text, what) =>
    el("li", {}, el("a", { href, target: "_blank", rel: "noopener" }, text), " ", span("muted", what));
  return card("For machines", el("ul", { class: "about-links" },
    link("metrics", "metrics", "all nodes as one exposition, for Prometheus"),
    link("api/sd", "api/sd", "the nodes as targets, for Prometheus to find"),
    link("api/fleet", "api/fleet", "the state of the fleet as JSON"),
    link("api/nodes", "api/nodes", "the list of nodes as JSON"),
    link("health", "health", "whether this frontend serves")));
}
