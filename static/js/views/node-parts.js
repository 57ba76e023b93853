// SPDX-License-Identifier: Apache-2.0
// The parts of an MP server out of its status and quotas, and the periodic threads of any node, each as a card. Pure.
// Field names as of LMCache 0.5.6; up to 0.5.5 there is one L1, with names in the singular.

import { el, para, span } from "../dom.js";
import { bytes, count, duration, literal, number, percent } from "../format.js";
import { sentence } from "../panel.js";
import { nodeHref } from "../router.js";
import { data, mark } from "../widgets.js";

const GIB = 1024 ** 3;
const ENGINES_AT_MOST = 16;
const QUOTAS_AT_MOST = 20;
const IMPORTANT = new Set(["critical", "high"]);

/** The cards of an MP server: `[{id, shape, content()}]`; what has the same shape looks the same. */
export function mpParts(status, quota, key) {
  if (!status.value) return [card("status", status.error?.message, () => [
    el("h2", {}, "Status"), para("muted", sentence(`it could not be read: ${status.error?.message ?? "no answer"}`)),
  ])];
  const { storage_manager: storage = {}, ...server } = status.value;
  return [
    card("health", [status.value.is_healthy, componentsOf(storage)], () => health(status.value, storage)),
    ...managersOf(storage).map(([tag, manager, eviction]) =>
      card(`l1-${tag}`, [manager, eviction], () => l1(tag, manager, eviction))),
    card("l2", [storage.l2_adapters, storage.l2_eviction_controller], () => l2(storage)),
    card("sessions", server, () => sessions(server)),
    card("prefetch", [storage, server.active_prefetch_jobs], () => prefetch(storage, server)),
    card("quotas", [quota.value, quota.error?.message], () => quotas(quota, key)),
  ];
}

/** The card of a node's periodic threads: whether the important ones run on time. */
export function periodicPart({ value, error }, key) {
  const late = (value?.threads ?? []).filter(({ is_running: runs, is_active: active }) => runs && !active);
  const names = late.map(({ name, last_run_ago: passed, level }) =>
    `${name} (${level}, ${typeof passed === "number" ? `ran ${duration(passed)} ago` : "never ran"})`);
  const total = value?.threads?.length ?? 0;
  return card("periodic", [names.map((name) => name.split(" (")[0]), total, error?.message], () => [
    el("h2", {}, "Periodic threads"),
    error ? para("muted", sentence(`they could not be read: ${error.message}`))
      : late.length === 0 ? el("p", {}, mark("ok", "ok", total ? "All that run are on time." : "There are none."))
        : names.map((name, place) =>
          el("p", {}, mark(IMPORTANT.has(late[place].level) ? "bad" : "warn", "warn", ["Late: ", data(name)]))),
    total > 0 && more(nodeHref(key, "periodic"), `All ${count(total, "thread")}`),
  ]);
}

function more(href, text) {
  return el("p", { class: "part-more" }, el("a", { href }, text));
}

function card(id, shape, content) {
  return { id, shape: literal(shape), content };
}

/** `[tag, manager, eviction controller]` of each L1. */
function managersOf(storage) {
  const { l1_managers: several, l1_manager: one } = storage;
  const evictions = storage.l1_eviction_controllers ?? {};
  if (several) return Object.entries(several).map(([tag, manager]) => [tag, manager, evictions[tag] ?? {}]);
  return one ? [["_default", one, storage.l1_eviction_controller ?? storage.eviction_controller ?? {}]] : [];
}

/** `[name, whether it is well]` of each part that says so. */
function componentsOf(storage) {
  const named = { ...storage };
  // What 0.5.6 tells under both names is meant once.
  for (const [many, one] of [["l1_managers", "l1_manager"], ["store_controllers", "store_controller"],
    ["l1_eviction_controllers", "l1_eviction_controller"]]) if (storage[many]) delete named[one];
  return Object.entries(named).flatMap(([name, part]) => {
    if (Array.isArray(part)) return part.map((one, place) => [`${one?.type ?? name} ${place}`, one?.is_healthy]);
    if (typeof part?.is_healthy === "boolean") return [[words(name), part.is_healthy]];
    if (!part || typeof part !== "object") return [];
    const single = words(name.replace(/s$/, ""));
    return Object.entries(part).map(([tag, one]) =>
      [tag === "_default" ? single : `${single} ${tag}`, one?.is_healthy]);
  }).filter(([, isWell]) => typeof isWell === "boolean");
}

/** `l1_eviction_controller` as words. */
function words(name) {
  const text = name.replaceAll("_", " ").replace(/\bl([12])\b/g, "L$1");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function health(status, storage) {
  const parts = componentsOf(storage);
  const bad = parts.filter(([, isWell]) => !isWell).length;
  const text = bad ? `${number(bad)} of ${count(parts.length, "part")} not well`
    : status.is_healthy === false ? "It says that it is not well" : "All parts are well";
  return [
    el("h2", {}, "Health"),
    el("p", {}, wellness(!bad && status.is_healthy !== false, text)),
    el("ul", { class: "part-marks" }, parts.map(([name, isWell]) => el("li", {}, wellness(isWell, data(name))))),
  ];
}

function wellness(isWell, text) {
  return mark(isWell ? "ok" : "bad", isWell ? "ok" : "bad", text);
}

/** `12 GiB of 32 GiB (38 %)`, the size being left out where it is not known. */
function usedOf(used, size) {
  return size > 0 ? `${bytes(used)} of ${bytes(size)} (${percent(used / size)})` : bytes(used);
}

function l1(tag, manager, { eviction_policy: policy, trigger_watermark: from, eviction_ratio: ratio }) {
  const { memory_used_bytes: used = 0, memory_total_bytes: size } = manager;
  return [
    el("h2", {}, tag === "_default" ? "L1 memory" : ["L1 memory ", data(tag)]),
    el("p", { class: "part-value" }, bytes(used), span("muted", usedOf(used, size).slice(bytes(used).length))),
    size > 0 && bar(used / size, from),
    facts([
      ["Objects", number(manager.total_object_count)],
      ["Locked to read", number(manager.read_locked_count ?? 0)],
      ["Locked to write", number(manager.write_locked_count ?? 0)],
      manager.staging_bytes > 0 && ["Staging", bytes(manager.staging_bytes)],
      policy && ["Eviction", `${policy}, from ${percent(from)} on, ${percent(ratio)} at a time`],
      manager.read_ttl_seconds && ["Locks end after",
        `${duration(manager.read_ttl_seconds)} (read), ${duration(manager.write_ttl_seconds)} (write)`],
    ]),
  ];
}

function l2({ l2_adapters: adapters = [], l2_eviction_controller: eviction }) {
  const heading = el("h2", {}, "L2");
  if (!adapters.length) return [heading, para("muted", "No L2 adapter is set up: what L1 evicts is gone.")];
  const sizes = eviction?.adapters ?? [];
  return [heading, adapters.map((adapter, place) => {
    const { type = "Adapter", is_healthy: isWell, ...rest } = adapter;
    // The eviction controller lists those that it watches, in the same order where that is all of them.
    const watched = sizes.length === adapters.length ? sizes[place] : {};
    const used = rest.current_size_bytes ?? watched.total_bytes_used;
    const size = rest.max_capacity_bytes ?? watched.total_capacity_bytes;
    return el("div", { class: "part-item" },
      el("p", {}, wellness(isWell !== false, data(type))),
      typeof used === "number" && para("muted", usedOf(used, size)),
      typeof used === "number" && size > 0 && bar(used / size, watched.trigger_watermark),
      facts(Object.entries(rest).filter(([name, value]) => typeof value !== "object" && !name.endsWith("_bytes"))
        .map(([name, value]) => [words(name), typeof value === "number" ? number(value) : data(String(value))])));
  })];
}

function sessions(server) {
  const engines = Object.entries(server.cache_context_meta ?? server.gpu_context_meta ?? {});
  const peers = () => (server.p2p_enabled ? `${server.p2p_state}, ${number(server.p2p_peer_count ?? 0)} known` : "off");
  const liveness = server.worker_liveness ?? {};
  return [
    el("h2", {}, "Sessions and engines"),
    el("p", { class: "part-value" }, count(server.active_sessions ?? 0, "session"),
      span("muted", ` from ${count(engines.length, "engine")}`)),
    facts([
      server.engine_type && ["Server", data(server.engine_type)],
      server.chunk_size && ["Chunk", `${number(server.chunk_size)} tokens`],
      liveness.enabled && ["Given up after", `${duration(liveness.reap_timeout_seconds)} of silence`],
      server.p2p_state && ["Peers", peers()],
      ...engines.slice(0, ENGINES_AT_MOST).map(([id, meta]) => [
        data(`Engine ${id}`), data(`${meta?.model_name ?? "model?"}, world size ${meta?.world_size ?? "?"}`),
      ]),
    ]),
    engines.length > ENGINES_AT_MOST && para("muted", `and ${count(engines.length - ENGINES_AT_MOST, "engine")} more`),
  ];
}

function prefetch({ prefetch_controller: control = {}, store_controllers: stores, store_controller: store }, server) {
  const all = Object.values(stores ?? { store: store ?? {} });
  const sum = (field) => all.reduce((total, one) => total + (Number(one?.[field]) || 0), 0);
  const most = control.max_in_flight ? `, at most ${number(control.max_in_flight)} at a time` : "";
  const events = server.kv_events ?? {};
  return [
    el("h2", {}, "Prefetch and stores"),
    el("p", { class: "part-value" }, number(control.in_flight_request_count ?? server.active_prefetch_jobs ?? 0),
      span("muted", ` being prefetched${most}`)),
    facts([
      ["Waiting to be prefetched", number((control.submission_queue_size ?? 0) + (control.pending_queue_size ?? 0))],
      control.lookup_phase_count !== undefined && ["Being looked up", number(control.lookup_phase_count)],
      control.load_phase_count !== undefined && ["Being loaded", number(control.load_phase_count)],
      ["Waiting to be stored in L2", count(sum("pending_keys_count"), "key")],
      ["Stores under way", number(sum("in_flight_task_count"))],
      events.enabled && ["KV events kept", `${number(events.log_depth)} of ${number(events.log_capacity)}`],
      events.lost_markers > 0 && ["KV events lost", number(events.lost_markers)],
    ]),
  ];
}

function quotas({ value, error }, key) {
  const users = Object.entries(value?.users ?? {}).sort((a, b) => shareOf(b[1]) - shareOf(a[1]));
  const heading = el("h2", {}, "Quotas");
  if (error) return [heading, para("muted", sentence(error.message))];
  const link = more(nodeHref(key, "backends"), users.length ? "Change quotas" : "Set one");
  if (!users.length) return [heading, para("muted", "No tenant has a quota."), link];
  return [heading, el("ul", { class: "part-quotas" }, users.slice(0, QUOTAS_AT_MOST).map(([salt, user]) => el("li", {},
    el("p", {}, data(salt || "no tenant"), span("muted", quotaText(user))),
    bar(shareOf(user))))), users.length > QUOTAS_AT_MOST && para("muted", "The fullest are shown."), link];
}

function quotaText({ current_usage_gb: used, limit_gb: limit }) {
  return limit > 0 ? usedOf(used * GIB, limit * GIB) : `${bytes(used * GIB)}, may keep nothing`;
}

function shareOf({ current_usage_gb: used, limit_gb: limit }) {
  return limit > 0 ? used / limit : used > 0 ? 1 : 0;
}

/** A bar for a share 0..1, with a tick at `from`; its meaning is in the words beside it. */
function bar(share, from = null) {
  const part = (style, name, value) => {
    const one = span(style);
    one.style.setProperty(name, `${Math.min(100, Math.max(0, value * 100))}%`);
    return one;
  };
  const isFull = share >= 1 || (from > 0 && share >= from);
  return el("span", { class: `bar-track part-bar${isFull ? " is-full" : ""}`, "aria-hidden": "true" },
    part("bar-fill", "width", share), from > 0 && part("bar-tick", "left", from));
}

function facts(pairs) {
  return el("dl", { class: "part-facts" }, pairs.filter(Boolean).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
