// SPDX-License-Identifier: Apache-2.0
// Storage backends and the cache of a node: what there is, and what can be switched, opened, closed and emptied.

import { lockNote, needing } from "../access.js";
import { append, div, el, para, replace } from "../dom.js";
import { confirmed } from "../confirming.js";
import { bytes, flatten, percent, show } from "../format.js";
import { isInProcess, KIND_NAMES } from "../nodes.js";
import { NotOffered, panel, readItem, readNode, sentence, tryTo } from "../panel.js";
import { looseJson } from "../parse.js";
import { button, data, listCard, mark, notice, table } from "../widgets.js";
import { drawServer, loadServer } from "./node-backends-mp.js";

export function mount(root, context) {
  const view = { context, said: new Map(), locations: new Set() };
  const isMp = context.kind === "mp";
  const shown = panel(root, context, {
    thing: "backends and cache",
    async load(signal) {
      if (isMp) return loadServer(context, signal);
      if (isInProcess(context.kind)) return loadEngine(context, signal);
      throw new NotOffered(`A ${(KIND_NAMES[context.kind] ?? "node").toLowerCase()} has no cache.`);
    },
    render(body, found) {
      const held = body.contains(document.activeElement) ? document.activeElement : null;
      replace(body, lockNote("Nothing can be changed here"),
        (isMp ? drawServer : drawEngine)(view, found));
      if (held) refocus(body, held);
    },
  });
  view.again = () => shown.update();
  return shown;
}

/** Put the keyboard where it was, or on what stands there now: a switch has another name once it is switched. */
function refocus(body, held) {
  const card = held.closest("[data-card]")?.dataset.card;
  const buttons = [...body.querySelectorAll("[data-act]")];
  const same = buttons.find(({ dataset }) => dataset.act === held.dataset.act)
    ?? buttons.find((one) => one.closest("[data-card]").dataset.card === card);
  same?.focus();
}

/** Read each part by itself: what a node lacks must not hide what it has. Without an engine there is less to ask. */
async function loadEngine(context, signal) {
  const freeze = await settled(readJson(context, "freeze/status", signal));
  if (freeze.error && freeze.error.kind !== "http") throw freeze.error;
  const paths = isEngineless(freeze) ? { lookup: "lookup/info", statistics: "chunk_statistics/status" }
    : { bypass: "bypass/list", hot: "hot_cache/status", lookup: "lookup/info" };
  const found = await Promise.all(Object.entries(paths).map(async ([name, path]) => [name,
    await settled(readJson(context, path, signal))]));
  const backends = isEngineless(freeze) ? null : await settled(readItem(context, "backends", signal));
  return { freeze, backends, ...Object.fromEntries(found) };
}

export async function readJson(context, path, signal) {
  return looseJson(await readNode(context, path, signal));
}

/** `{value}` or `{error}` of a promise; one that was given up is thrown. */
export async function settled(promise) {
  try {
    return { value: await promise };
  } catch (error) {
    if (error.kind === "aborted") throw error;
    return { error };
  }
}

function drawEngine(view, { backends, bypass, freeze, hot, lookup, statistics }) {
  if (isEngineless(freeze)) {
    return [
      notice("info", "This node has no cache engine", "Schedulers look chunks up; the workers beside them keep them."),
      div("switches", statisticsCard(view, statistics), lookupCard(lookup), countersCard(view)),
    ];
  }
  return [
    backendsCard(view, backends, bypass),
    div("switches", freezeCard(view, freeze), hotCard(view, hot), clearCard(view, backends), countersCard(view),
      lookupCard(lookup)),
  ];
}

function isEngineless({ error }) {
  return error?.status === 503;
}

/** A card with a title, what there is, buttons, and what came of the last one. */
export function card(view, id, title, content, buttons = []) {
  return el("section", { class: "card switch", dataset: { card: id } }, el("h2", {}, title), content,
    div("inline", buttons), div("switch-said", view.said.get(id)?.cloneNode(true)));
}

/** Change the node, say in a card what came of it (`done` in place of the node's own words), and read it all again. */
export async function change(view, id, action, values, done = null) {
  const { line, said } = await tryTo(view.context, action, values);
  view.said.set(id, line?.outcome === "done" ? mark("ok", "ok", sentence(done ?? line.detail)) : said);
  if (!view.context.signal.aborted) view.again();
}

/** A button that changes the node; `ask` is what is asked before. */
export function changer(view, id, words, action, values, { ask = null, style = "", label = null, done = null } = {}) {
  const press = async () => {
    if (ask && !await confirmed(ask)) return;
    await change(view, id, action, typeof values === "function" ? values() : values, done);
  };
  return button(words, press, {
    class: `small ${style}`, "aria-label": label, dataset: { act: `${id} ${label ?? words}` }, ...needing(),
  });
}

function missing({ error }) {
  return para("muted", error instanceof NotOffered ? sentence(error.message)
    : error.status === 404 ? "This node does not offer it: LMCache has it from 0.3.15 on." : sentence(error.message));
}

function backendsCard(view, backends, bypass) {
  if (backends.error) return card(view, "backends", "Storage backends", missing(backends));
  const passed = new Set(bypass.value?.bypassed_backends ?? []);
  const entries = Object.entries(backends.value);
  const { element, body, row } = table("Storage backends", [
    ["Backend", "col-key"], ["Class", "col-text"], ["State", "col-state"], ["Change", "col-actions"]], "backends");
  append(body, entries.map(([name, kind]) => {
    const isPassed = passed.has(name);
    const recreate = { title: "Recreate a backend?", verb: "Recreate", text: [data(name),
      "It is closed and opened anew. What it holds in memory is lost."] };
    const close = { title: "Close a backend?", verb: "Close it", text: [data(name),
      "Nothing is stored in it or read from it any more until it is created again. What it holds in memory is lost."] };
    return row([data(name), data(show(kind)),
      isPassed ? mark("warn", "warn", "Passed by", "Nothing is stored in it or read from it")
        : mark("ok", "ok", "In use"),
      div("actions",
        !bypass.error && changer(view, "backends", isPassed ? "Use again" : "Bypass", "bypass",
          { backend: name, bypassed: !isPassed }, { label: `${isPassed ? "Use again" : "Bypass"} ${name}` }),
        changer(view, "backends", "Recreate", "backend", { operation: "recreate", name },
          { ask: recreate, label: `Recreate ${name}` }),
        changer(view, "backends", "Close", "backend", { operation: "close", name },
          { ask: close, label: `Close ${name}` }))],
    { dataset: { backend: name } });
  }));
  const create = changer(view, "backends", "Create what is missing", "backend", { operation: "create" });
  return card(view, "backends", "Storage backends", [
    para("muted", "What the configuration asks for is opened when the node starts. A backend that is passed by keeps "
      + "what it holds."),
    entries.length ? listCard(element) : para("none", "No backend is open: nothing is kept.")], [create]);
}

function freezeCard(view, { value, error }) {
  if (error) return card(view, "freeze", "Storing", missing({ error }));
  const words = value.freeze
    ? [mark("warn", "pause", "Frozen"),
      para("", "Nothing new is stored and nothing is evicted; only what CPU memory holds is found.")]
    : [mark("ok", "healthy", "Storing"), para("muted", "New chunks are stored. Freeze it to keep the cache as it is.")];
  return card(view, "freeze", "Storing", words, [
    changer(view, "freeze", value.freeze ? "Unfreeze" : "Freeze", "freeze", { enabled: !value.freeze })]);
}

function hotCard(view, { value, error }) {
  if (error) return card(view, "hot", "Hot cache", missing({ error }));
  const ask = {
    title: "Switch the hot cache off?", verb: "Switch it off",
    text: ["All that it holds in CPU memory is dropped at once, and lookups miss until it is filled again."],
  };
  const words = value.hot_cache
    ? [mark("ok", "healthy", "On"), para("muted", "Chunks are kept in CPU memory. Off, it is emptied.")]
    : [mark("warn", "pause", "Off"), para("", "No chunk is kept in CPU memory.")];
  return card(view, "hot", "Hot cache", words, [
    changer(view, "hot", value.hot_cache ? "Switch off" : "Switch on", "hot_cache", { enabled: !value.hot_cache },
      value.hot_cache ? { ask } : {})]);
}

/** Choose what to empty; nothing chosen means everything. */
function clearCard(view, { value }) {
  const { locations, context } = view;
  const names = Object.keys(value ?? {});
  for (const name of locations) if (!names.includes(name)) locations.delete(name);
  const choose = (name) => el("label", { class: "inline check" }, el("input", {
    type: "checkbox", ...needing(), on: { change: ({ target }) => {
      if (target.checked) locations.add(name);
      else locations.delete(name);
    } },
  }), data(name));
  const ask = {
    title: "Empty the cache?", verb: "Empty it", typed: context.node?.name ?? context.key,
    get text() {
      return [`${locations.size ? [...locations].join(", ") : "Everything"} on this node is removed and cannot be `
        + "brought back: requests compute their KV anew until it is filled again."];
    },
  };
  const boxes = names.map(choose);
  for (const [index, name] of names.entries()) boxes[index].firstChild.checked = locations.has(name);
  return card(view, "clear", "Empty the cache", [
    para("muted", "Removes what is stored: in the backends that are ticked, or in all if none is."),
    heldNow(context.state()?.figures), div("inline", boxes)],
  [changer(view, "clear", "Empty …", "cache_clear", () => (locations.size ? { locations: [...locations] } : {}),
    { ask, style: "danger-quiet" })]);
}

/** What the CPU tier holds, as the fleet knows it: the last reading, not this very moment. */
function heldNow({ cpu_used_bytes: used, cpu_capacity_bytes: capacity } = {}) {
  if (typeof used?.value !== "number" || !(capacity?.value > 0)) return null;
  const share = used.value / capacity.value;
  return div("held", el("span", { title: `${used.value} of ${capacity.value} bytes` },
    `${bytes(used.value)} of ${bytes(capacity.value)} of CPU memory in use (${percent(share)})`),
  el("meter", { class: "gauge", value: Math.min(1, share), max: 1, "aria-hidden": "true" }));
}

function countersCard(view) {
  const ask = { title: "Set the counters to zero?", verb: "Set to zero", style: "primary",
    text: "Counters and histograms of this node start anew. Prometheus takes that as a restart; gauges stay." };
  return card(view, "counters", "Counters", para("muted", "Counters and histograms of the node's metrics."),
    [changer(view, "counters", "Set to zero", "metrics_reset", {}, { ask })]);
}

function lookupCard({ value, error }) {
  const none = { said: new Map() };
  if (error) return card(none, "lookup", "Lookup", missing({ error }));
  return card(none, "lookup", "Lookup", el("dl", { class: "facts" },
    Object.entries(value).map(([name, kind]) => el("div", {}, el("dt", {}, name), el("dd", {}, data(show(kind)))))));
}

function statisticsCard(view, { value, error }) {
  if (error) {
    return card(view, "statistics", "Chunk statistics", para("muted",
      error.status === 400 ? "Switched off: enable_chunk_statistics is false." : sentence(error.message)));
  }
  const facts = flatten(value).filter(([key]) => !/timing|auto_exit|timestamp|bloom|queue/.test(key));
  const send = (operation, words, done) => changer(view, "statistics", words, "request",
    { method: "POST", path: `/chunk_statistics/${operation}` }, { done });
  return card(view, "statistics", "Chunk statistics", [
    value.enabled ? mark("ok", "healthy", "Counting") : mark("calm", "pause", "Stopped"),
    el("dl", { class: "facts" }, facts.filter(([key]) => key !== "enabled")
      .map(([key, fact]) => el("div", {}, el("dt", {}, key.replace(/_/g, " ")), el("dd", {}, show(rounded(fact))))))],
  [value.enabled ? send("stop", "Stop", "it has stopped") : send("start", "Start", "it counts"),
    send("reset", "Reset", "it counts from zero")]);
}

function rounded(value) {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toFixed(4)) : value;
}
