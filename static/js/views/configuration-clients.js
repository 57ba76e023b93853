// SPDX-License-Identifier: Apache-2.0
// The workers that have asked in the last 30 days: what each got, and whether it would get something else now.

import { request, requestJson } from "../api.js";
import { append, div, el, para, replace, setAttribute, span } from "../dom.js";
import { show } from "../format.js";
import { masked } from "../masking.js";
import { panel } from "../panel.js";
import { looseJson } from "../parse.js";
import { isSame } from "../rules.js";
import { button, data, filterable, icon, listCard, mark, notice, ofAll, quantity, select, table } from "../widgets.js";
import { configAddress, partHref } from "./configuration.js";

const COLUMNS = [
  ["Worker", "col-key"], ["Application", "col-name"], ["Address", "col-address"], ["Asked", "col-asked"],
  ["Revision", "col-revision num"], ["Now", "col-now"],
];
const WOULD = {
  change: ["warn", "refresh", "Would get something else", true], same: ["ok", "ok", "The same", false],
  unknown: ["calm", "wait", "Not known", null],
};
// More at once would make the page slow; whoever looks for one searches.
const MOST_ROWS = 300;
const ASKING = (address) => `remote_config_url: "${address}"\napp_id: "chat"\npd_allocation_timeout_sec: 30.0`;

export function mount(root, context) {
  const { memory } = context;
  const { query } = context.route();
  memory.would = query.would ?? memory.would ?? "all";
  if (query.q) memory.filter = query.q;
  const view = { context, memory, open: new Set() };
  return panel(root, context, {
    thing: "who has asked", load: (signal) => requestJson("api/config/clients", { signal }),
    render(body, { clients }) {
      view.clients = clients;
      draw(view, body);
    },
  });
}

function draw(view, body) {
  const { clients, memory } = view;
  if (clients.length === 0) return replace(body, nobody());
  const label = "Search workers, applications, addresses";
  const { parts, redraw } = filterable(memory, label, (accepts) => drawTable(view, accepts));
  const would = select("Which workers", choices(clients), memory.would, (value) => {
    memory.would = value;
    redraw();
  });
  memory.clear = () => { memory.would = would.value = "all"; };
  parts[0].firstChild.after(would);
  const others = clients.filter(({ would_change }) => would_change).length;
  replace(body, others > 0 && notice("info", others === 1 ? "1 worker would get something else now"
    : `${others} workers would get something else now`,
  "Workers ask only when they start: these have to be started again to get it."), parts);
}

function nobody() {
  return div("empty", el("h2", {}, "No worker has asked yet"),
    para("", "In the last 30 days none has fetched its configuration. In the LMCache configuration of the worker:"),
    el("pre", { class: "raw", tabindex: "0" }, ASKING(configAddress())),
    para("muted", "The last line is needed from LMCache 0.4.5 on. MP servers, the coordinator and SGLang never ask."));
}

function choices(clients) {
  const of = (kind) => clients.filter((client) => kindOf(client) === kind).length;
  return [
    ["all", "All workers"], ["change", `Would get something else (${of("change")})`],
    ["same", `The same (${of("same")})`], ["unknown", `Not known (${of("unknown")})`],
  ];
}

function kindOf({ would_change }) {
  return would_change === null ? "unknown" : would_change ? "change" : "same";
}

function drawTable(view, accepts) {
  const { clients, memory } = view;
  const some = clients.filter((client) => (memory.would === "all" || kindOf(client) === memory.would)
    && accepts(`${client.instance} ${client.app_id} ${client.address} ${client.client_id}`));
  const { element, body, row } = table("Workers that have asked", COLUMNS, "clients");
  for (const client of some.slice(0, MOST_ROWS)) append(body, clientRows(view, client, row));
  const cut = some.length > MOST_ROWS ? `, the last ${MOST_ROWS} to ask are shown` : "";
  return {
    text: `${ofAll(some.length, clients.length, "worker")}${cut}`, content: listCard(element),
    none: some.length === 0 && "No worker matches.",
  };
}

function clientRows(view, client, row) {
  const { client_id, app_id, instance, address, fetched_at, revision } = client;
  const place = div("client-more");
  const more = el("tr", { class: "more", role: "row", hidden: true },
    el("td", { role: "cell", colspan: String(COLUMNS.length) }, place));
  const toggle = (isOpen = more.hidden) => {
    more.hidden = !isOpen;
    view.open[isOpen ? "add" : "delete"](client_id);
    setAttribute(fold, "aria-expanded", String(isOpen));
    if (isOpen) showClient(view, place, client);
  };
  const fold = button([icon("next"), data(instance)], () => toggle(), { class: "unfold" });
  const [tone, shape, words] = WOULD[kindOf(client)];
  const title = kindOf(client) === "unknown" ? "That hangs on variables or secrets of it, which are not kept" : null;
  const cells = [fold, app_id ? data(app_id) : span("muted", "none"), data(address), quantity("ago", fetched_at),
    String(revision), mark(tone, shape, words, title)];
  toggle(view.open.has(client_id));
  return [row(cells, { dataset: { client: client_id } }), more];
}

/** Show what the worker got when it asked, next to what it would get now. */
async function showClient({ context: { signal } }, place, { client_id, revision }) {
  replace(place, para("loading", "Reading …"));
  try {
    const now = await preview({ client_id }, signal);
    const then = await readRules(revision, signal).then((rules) => rules && preview({ client_id, rules }, signal));
    replace(place, comparison(then, now, revision),
      el("a", { href: partHref("preview", { client: client_id }) }, "Why, rule by rule"));
  } catch (error) {
    if (error.kind !== "aborted") replace(place, notice("bad", "This could not be read", error.message));
  }
}

async function preview(body, signal) {
  return looseJson((await request("api/config/preview", { method: "POST", body, signal })).text);
}

/** The rules of a revision; null where it is not there any more, as of a file. */
async function readRules(revision, signal) {
  try {
    const { rules } = await requestJson(`api/config/revisions/${revision}`, { signal });
    return { rules };
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function comparison(then, now, revision) {
  const names = [...new Set([...then?.configs ?? [], ...now.configs].map(({ key }) => key))];
  const denied = (answer) => answer?.denied_by && para("state-bad", "Denied by ", data(answer.denied_by));
  if (names.length === 0) {
    return [
      div("", then ? "It got no settings when it asked. " : "", denied(then)),
      div("", "Now it gets none. ", denied(now)),
    ];
  }
  const { element, body, row } = table("What it got and would get", [["Setting", "col-key"],
    [then ? `Got (revision ${revision})` : "Got", "col-given"], ["Would get now", "col-given"]], "client-settings");
  const value = (answer, key) => {
    const found = answer.configs.find((one) => one.key === key);
    return found ? data(show(masked(key, found.value))) : span("muted", "nothing");
  };
  const held = (answer, key) => answer.configs.find((one) => one.key === key)?.value;
  append(body, names.map((key) => row(
    [data(key), then ? value(then, key) : span("muted", "not known"), value(now, key)],
    { class: then && !isSame(held(then, key), held(now, key)) ? "edited" : "" })));
  return [denied(then), denied(now), element];
}
