// SPDX-License-Identifier: Apache-2.0
// Overview of a node: what it is, its main figures in words, and the health of its periodic threads.

import { div, el, para, replace, span } from "../dom.js";
import { inProcessFigures, mpFigures, upFor } from "../figures.js";
import { count, duration, number, show } from "../format.js";
import { isInProcess, LOCAL } from "../nodes.js";
import { explain, panel, readFirst, readNode } from "../panel.js";
import { looseJson, parseMetrics } from "../parse.js";
import { data, kindText, listCard, mark, notice, stateMark, table } from "../widgets.js";

const EVERY_MS = 10_000;

export function mount(root, context) {
  return panel(root, context, {
    thing: "its state",
    every_ms: EVERY_MS,
    load: (signal) => (context.kind === "frontend" ? {} : load(context, signal)),
    render(body, parts) {
      const probe = context.store.get().probes.get(context.key);
      replace(body, facts(context, probe, parts), context.kind === "frontend"
        ? notice("info", "This is another frontend", "It has no cache. The nodes behind it are in the fleet list.")
        : [figures(context, parts), periodic(parts)]);
    },
  });
}

/** Everything the page shows, each part as `{value}` or `{error}`; raises the error of a node that does not answer. */
async function load(context, signal) {
  const ask = (path, read) => settle(readNode(context, path, signal).then(read));
  const metrics = await ask("metrics", parseMetrics);
  if (metrics.error && isDead(metrics.error)) throw metrics.error;
  const inProcess = isInProcess(context.kind) && context.store.get().whoami?.role !== "viewer";
  const [status, conf, meta, health, threads] = await Promise.all([
    context.kind === "mp" ? settle(readFirst(context, ["status", "api/status"], signal).then(looseJson)) : {},
    inProcess ? ask("conf?names=max_local_cpu_size", looseJson) : {},
    inProcess ? ask("meta?names=model_name,served_model_name,worker_id,world_size", looseJson) : {},
    ask("periodic-threads-health", looseJson),
    ask("periodic-threads", looseJson),
  ]);
  return { metrics, status: status.value, conf: conf.value, meta: meta.value, health, threads };
}

function isDead(error) {
  return error.kind !== "http";
}

function settle(promise) {
  return promise.then((value) => ({ value }), (error) => ({ error }));
}

function facts({ node, kind }, probe, { metrics, meta, status }) {
  const up = metrics?.value ? upFor(metrics.value, Date.now() / 1000) : null;
  const model = meta?.served_model_name ?? meta?.model_name ?? modelOf(metrics?.value);
  const pairs = [
    ["State", stateMark(probe)],
    ["Version", data(probe?.version ?? "not said")],
    ["Kind", kindText(probe)],
    ["Address", data(node?.address ?? "not listed")],
    probe?.latency_ms && ["Reply", duration(probe.latency_ms / 1000)],
    node?.proxy && node.proxy !== LOCAL && ["Proxy", data(node.proxy)],
    model && ["Model", data(model)],
    kind === "worker" && typeof meta?.worker_id === "number" && [
      "Worker", `rank ${meta.worker_id}, world size ${meta.world_size}`,
    ],
    status && ["Engine", data(show(status.engine_type ?? "not said"))],
    status && ["Connected", `${count(engines(status), "engine")}, ${count(status.active_sessions ?? 0, "session")}`],
    up !== null && ["Running for", duration(up)],
  ];
  return el("dl", { class: "card facts" },
    pairs.filter(Boolean).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function engines(status) {
  return Object.keys(status.cache_context_meta ?? status.gpu_context_meta ?? {}).length;
}

function modelOf(families) {
  const family = families?.find((item) => item.name.startsWith("lmcache:") && item.samples.length);
  return family?.samples[0].labels.model_name;
}

function figures({ kind, refresh }, { metrics, status, conf }) {
  if (metrics.error) return explain(metrics.error, "its metrics", null, refresh);
  const list = kind === "mp"
    ? mpFigures(metrics.value, status)
    : inProcessFigures(metrics.value, kind, conf?.max_local_cpu_size);
  if (!list.length) return notice("info", "No figures", "Its metrics hold no counters of LMCache.");
  return el("section", { class: "figures", "aria-label": "Figures since the node started" }, list.map(figure));
}

function figure({ title, value, text, share, none = "no traffic yet" }) {
  return div("figure",
    el("h3", {}, title),
    el("p", { class: value === null ? "figure-none" : "figure-value" }, value ?? none),
    share !== undefined && bar(share),
    para("figure-text", text));
}

function periodic({ health, threads }) {
  return el("section", {}, el("h2", {}, "Periodic threads"), healthLine(health), threadList(threads));
}

/** A bar for a share 0..1; its meaning is in the words beside it. */
function bar(share) {
  const fill = span("bar-fill");
  fill.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  return el("span", { class: "bar-track", "aria-hidden": "true" }, fill);
}

function healthLine({ value, error }) {
  if (error) return para("muted", error.status === 404
    ? "This node does not report on them; LMCache has it from 0.3.13 on."
    : `Their health could not be read: ${error.message}`);
  if (value.healthy) return el("p", {}, mark("ok", "ok", "Every important periodic thread runs on time."));
  const late = value.unhealthy_threads.map((thread) => `${thread.name} (${ago(thread.last_run_ago)})`);
  return el("p", {}, mark("bad", "warn", [`${count(late.length, "important thread")} late: `, data(late.join(", "))]));
}

function threadList({ value, error }) {
  if (error) return error.status === 404 ? null : para("muted", `They could not be listed: ${error.message}`);
  if (!value.threads.length) return null;
  const { element, body, row } = table("Periodic threads", [
    ["Name", "col-key"], ["Level"], ["State"], ["Every", "num"],
    ["Last run", "num"], ["Runs", "num"], ["Failed", "num"], ["Last result", "col-text"],
  ]);
  body.append(...value.threads.map((thread) => row([
    data(thread.name), thread.level, runState(thread), duration(thread.interval), ago(thread.last_run_ago),
    number(thread.total_runs), number(thread.failed_runs),
    data(thread.last_summary?.message ?? "–"),
  ])));
  return listCard(element);
}

function runState({ is_running: runs, is_active: active }) {
  if (!runs) return mark("calm", "wait", "stopped");
  return active ? mark("ok", "ok", "on time") : mark("bad", "warn", "late");
}

function ago(seconds) {
  return typeof seconds === "number" ? `${duration(seconds)} ago` : "never";
}
