// SPDX-License-Identifier: Apache-2.0
// Periodic threads of a node: what each is for, whether it runs in time, and what it last said.

import { append, div, el, para, replace, setText, span } from "../dom.js";
import { count, duration, number, percent } from "../format.js";
import { panel, readItem } from "../panel.js";
import { nodeHref } from "../router.js";
import { data, filterable, listCard, mark, ofAll, quantity, table } from "../widgets.js";

const EVERY_MS = 5000;
const LEVELS = ["critical", "high", "medium", "low"];
// LMCache calls a thread late that has not run for three of its intervals.
const LATE_INTERVALS = 3;
const STATES = {
  late: ["bad", "warn", "Late"],
  failing: ["warn", "warn", "Failing"],
  waiting: ["calm", "wait", "Not run yet"],
  off: ["calm", "pause", "Not started"],
  running: ["ok", "healthy", "In time"],
};
const ORDER = Object.keys(STATES);

export function mount(root, context) {
  const view = { filter: "", threads: [], key: context.key };
  return panel(root, context, {
    thing: "periodic threads",
    since: "0.3.13",
    every_ms: EVERY_MS,
    load: (signal) => readItem(context, "periodic", signal),
    render(body, { threads }) {
      view.threads = [...threads].sort((one, other) => ORDER.indexOf(stateOf(one)) - ORDER.indexOf(stateOf(other))
        || LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level));
      if (view.body !== body) draw(body, view);
      view.redraw();
    },
  });
}

function draw(body, view) {
  view.body = body;
  const { parts, redraw } = filterable(view, "Search threads", (accepts) => {
    const some = view.threads.filter(({ name, level, last_summary: last }) =>
      accepts(`${name} ${level} ${last?.message ?? ""}`));
    return {
      text: ofAll(some.length, view.threads.length, "thread"),
      content: listCard(threadTable(some, view)),
      none: some.length === 0 && (view.threads.length ? "No thread matches." : "This node has no periodic threads."),
    };
  });
  const words = para("periodic-words");
  view.redraw = () => {
    setText(words, summary(view.threads));
    redraw();
  };
  replace(body, words, parts, para("muted", "Read every 5 s. A thread is late that has not run for three of its "
    + "intervals; a late one of critical or high importance makes the node degraded."));
}

function summary(threads) {
  const late = threads.filter((thread) => stateOf(thread) === "late");
  const failing = threads.filter((thread) => stateOf(thread) === "failing");
  const names = (some) => some.map(({ name }) => name).join(", ");
  if (late.length) return `${count(late.length, "thread")} late: ${names(late)}.`;
  if (failing.length) return `${count(failing.length, "thread")} failed the last time: ${names(failing)}.`;
  return threads.length ? "All that run are in time." : "";
}

function stateOf({ is_running, is_active, total_runs, last_summary }) {
  if (!is_running) return "off";
  if (!total_runs) return "waiting";
  if (!is_active) return "late";
  return last_summary?.success === false ? "failing" : "running";
}

function threadTable(threads, { key }) {
  const { element, body, row } = table("Periodic threads", [
    ["State", "col-state"], ["Thread", "col-key"], ["Importance", "col-level-word"], ["Every", "col-short num"],
    ["Last run", "col-last"], ["Runs", "col-short num"], ["Failed", "col-short num"], ["What it said", "col-said"],
  ], "periodic");
  append(body, threads.map((thread) => row([
    mark(...STATES[stateOf(thread)]),
    [data(thread.name), stateOf(thread) === "late" && el("a",
      { class: "to-stack", href: nodeHref(key, "threads", { q: thread.name }) }, "Where it stands")],
    span("chip", thread.level),
    quantity("duration", thread.interval),
    lastRun(thread),
    number(thread.total_runs),
    el("span", { class: thread.failed_runs ? "problem" : "muted", title: thread.success_rate === null ? null
      : `${percent(thread.success_rate / 100)} of the runs succeeded` }, number(thread.failed_runs)),
    said(thread.last_summary),
  ], { dataset: { thread: thread.name, state: stateOf(thread) } })));
  return element;
}

/** When it ran last, and how much of the time until it is late has gone. */
function lastRun(thread) {
  const { last_run_ago: passed, last_run_time: at, interval } = thread;
  if (passed === null || !at) return span("muted", thread.is_running ? "not yet" : "never");
  const share = Math.min(1, passed / (LATE_INTERVALS * interval));
  const meter = el("meter", {
    class: "gauge", value: share, max: 1, low: 0.45, high: 0.99, optimum: 0, "aria-hidden": "true",
  });
  // The node's own clock says how long ago: ours may differ.
  return div("last-run", el("span", { title: quantity("clock", at).title }, `${duration(passed)} ago`),
    thread.is_running && meter);
}

function said(summary) {
  if (!summary) return span("muted", "–");
  const extra = Object.entries(summary.extra_info ?? {}).map(([key, value]) => `${key}: ${value}`).join("\n");
  return div("", summary.success === false && mark("bad", "bad", "Failed"), " ",
    data(summary.message || "nothing", { title: extra || null, class: summary.message ? "" : "muted" }),
    summary.duration_ms > 0 && span("muted", ` in ${duration(summary.duration_ms / 1000)}`));
}
