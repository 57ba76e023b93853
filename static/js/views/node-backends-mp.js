// SPDX-License-Identifier: Apache-2.0
// The cache of an MP server: its L1, the adapters of its L2 and the objects there, and the quotas.

import { needing } from "../access.js";
import { append, div, el, para, span } from "../dom.js";
import { bytes, count, number, percent } from "../format.js";
import { readItem } from "../panel.js";
import { AS_TYPED, data, listCard, mark, table } from "../widgets.js";
import { card, change, changer, settled } from "./node-backends.js";
import { objectsCard } from "./node-objects.js";

const GIB = 1024 ** 3;
// Source: the quota manager of LMCache 0.5.6, for which a salt without an entry has a limit of 0.
const GONE = "Where the adapter evicts by salt, a salt without a quota may hold nothing: what it has in L2 is evicted "
  + "within about a second.";
const JSON_FIELDS = { "Content-Type": "application/json" };

/** Read each part by itself: older servers lack some. */
export async function loadServer(context, signal) {
  const status = await readItem(context, "status", signal);
  const [adapters, quota] = await Promise.all([
    settled(readItem(context, "backends", signal)), settled(readItem(context, "quota", signal))]);
  return { status, adapters, quota };
}

export function drawServer(view, { status, adapters, quota }) {
  const storage = status.storage_manager ?? {};
  const hasAdapters = adapters.value?.adapters?.length > 0;
  const below = [adaptersCard(view, adapters, storage), objectsCard(view, adapters.value?.adapters ?? [])];
  // What has no table has room beside L1.
  return [
    div("switches", tierCards(view, storage), !hasAdapters && below),
    hasAdapters && below,
    quotaCard(view, quota),
  ];
}

/** A card for each L1: releases before 0.5.6 have one, under another name. */
function tierCards(view, storage) {
  const managers = storage.l1_managers ?? (storage.l1_manager ? { _default: storage.l1_manager } : {});
  const evictions = storage.l1_eviction_controllers
    ?? { _default: storage.l1_eviction_controller ?? storage.eviction_controller };
  const tags = Object.keys(managers);
  const ask = {
    title: "Empty L1?", verb: "Empty it", typed: view.context.node?.name ?? view.context.key,
    text: ["All objects in L1 that are not in use are removed and cannot be brought back; what is in use stays."],
  };
  return tags.map((tag, index) => {
    const { memory_used_bytes: used, memory_total_bytes: total, memory_usage_ratio: share, ...rest } = managers[tag];
    const policy = evictions[tag] ?? {};
    const filled = share ?? used / total;
    return card(view, index ? `l1-${tag}` : "clear", tag === "_default" ? "L1" : `L1 ${tag}`, [
      healthMark(rest.is_healthy),
      el("p", { title: `${number(used)} of ${number(total)} bytes` },
        `${bytes(used)} of ${bytes(total)} in use (${percent(filled)}), ${count(rest.total_object_count, "object")}`),
      gauge(filled, policy.trigger_watermark),
      policy.eviction_policy && para("muted", `Evicts by ${policy.eviction_policy} at `
        + `${percent(policy.trigger_watermark)}, ${percent(policy.eviction_ratio)} at a time.`),
    ], index ? [] : [changer(view, "clear", "Empty L1 …", "cache_clear", {}, { ask, style: "danger-quiet" })]);
  });
}

function gauge(value, high = 1) {
  return el("meter", { class: "gauge", value: Math.min(1, value), max: 1, high, "aria-hidden": "true" });
}

function healthMark(isHealthy) {
  return isHealthy ? mark("ok", "healthy", "Healthy") : mark("bad", "warn", "Not healthy");
}

function adaptersCard(view, { value, error }, storage) {
  if (error) return card(view, "adapters", "L2 adapters", para("muted", error.message));
  const states = storage.l2_adapters ?? [];
  if (!value.adapters?.length) {
    return card(view, "adapters", "L2 adapters", para("muted", "None: this server keeps everything in L1."));
  }
  const { element, body, row } = table("L2 adapters", [
    ["Adapter", "col-key"], ["Type", "col-text"], ["Health", "col-state"], ["Tier", "col-short"],
    ["Notes", "col-text"]]);
  append(body, value.adapters.map((adapter) => {
    const state = states[adapter.index] ?? {};
    return row([data(String(adapter.index)), data(adapter.type_name),
      state.is_healthy === undefined ? "–" : healthMark(state.is_healthy), adapter.tier,
      [adapter.primary && "primary", adapter.reconfigurable && "reconfigurable"].filter(Boolean).join(", ")]);
  }));
  return card(view, "adapters", "L2 adapters", listCard(element));
}

function quotaCard(view, { value, error }) {
  if (error) return card(view, "quota", "Quotas", para("muted", error.message));
  const users = Object.entries(value.users ?? {});
  const { element, body, row } = table("Quotas", [
    ["Cache salt", "col-key"], ["In use", "col-value"], ["Limit", "col-limit"], ["Change", "col-actions"]], "quotas");
  append(body, users.map(([salt, { limit_gb: limit, current_usage_gb: used }]) => row([
    salt === "_default" ? [data(salt), el("small", { class: "meaning" }, "requests without a salt")] : data(salt),
    div("last-run", el("span", { title: `${number(used * GIB)} bytes` }, bytes(used * GIB)),
      limit > 0 && gauge(used / limit, 0.9)),
    limitForm(view, salt, limit),
    div("actions", changer(view, "quota", "Remove", "request", { method: "DELETE", path: quotaPath(salt) }, {
      label: `Remove the quota of ${salt}`, done: `The quota of ${salt} is gone`,
      ask: { title: "Remove a quota?", verb: "Remove it", text: [data(salt), GONE] },
    })),
  ], { dataset: { salt } })));
  return card(view, "quota", "Quotas", [
    para("muted", "How much of L2 each cache salt may hold, in GB, where the adapter evicts by salt. What is over the "
      + "limit is evicted within about a second; a salt without a limit may hold nothing there."),
    users.length > 0 ? listCard(element) : para("none", "No quota is set."), newQuota(view)]);
}

/** The limit of a salt, to be changed in place. */
function limitForm(view, salt, limit) {
  const field = el("input", {
    type: "text", inputmode: "decimal", value: String(limit), size: "7", "aria-label": `Limit of ${salt} in GB`,
    ...needing(), ...AS_TYPED, on: { input: () => { set.button.hidden = field.value === String(limit); } },
  });
  const set = setter(view, () => salt, field);
  set.button.hidden = true;
  return form(set, field, span("muted", "GB"));
}

function quotaPath(salt) {
  return `/quota/${encodeURIComponent(salt)}`;
}

function newQuota(view) {
  const salt = el("input", { placeholder: "_default", "aria-label": "Cache salt", ...needing(), ...AS_TYPED });
  const limit = el("input", {
    type: "text", inputmode: "decimal", placeholder: "10", size: "7", "aria-label": "Limit in GB", ...needing(),
    ...AS_TYPED,
  });
  const set = setter(view, () => salt.value.trim() || "_default", limit, "Set quota");
  return form(set, salt, limit, span("muted", "GB"));
}

function form({ run, button: set }, ...parts) {
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  return el("form", { class: "inline", on: { submit } }, parts, set);
}

/** The button that sets a limit, and what it does: `{button, run}`. */
function setter(view, saltOf, field, words = "Set") {
  field.addEventListener("input", () => field.setCustomValidity(""));
  const run = () => {
    const limit = Number(field.value.trim() || NaN);
    const isGood = Number.isFinite(limit) && limit >= 0;
    field.setCustomValidity(isGood ? "" : "A number of GB, 0 or more.");
    if (!field.reportValidity()) return;
    change(view, "quota", "request", {
      method: "PUT", path: quotaPath(saltOf()), headers: JSON_FIELDS,
      body: JSON.stringify({ limit_gb: limit }),
    }, `The limit of ${saltOf()} is ${limit} GB`);
  };
  return { run, button: el("button", {
    class: "small", dataset: { act: `quota ${words} ${saltOf()}` }, ...needing(),
  }, words) };
}
