// SPDX-License-Identifier: Apache-2.0
// Overview of a node: its main figures in words, their course, and what an MP server says of its parts.

import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { inProcessFigures, mpFigures, upFor } from "../figures.js";
import { clock, duration } from "../format.js";
import { isInProcess } from "../nodes.js";
import { explain, NotOffered, panel, readItem, readNode } from "../panel.js";
import { parseMetrics } from "../parse.js";
import { replaceQuery } from "../router.js";
import { data, notice } from "../widgets.js";
import { nodeCharts, rangeChoice, rangeOf, readSeries } from "./node-charts.js";
import { mpParts, periodicPart } from "./node-parts.js";

const EVERY_MS = 10_000;
const PASSING = new Set(["gone", "timeout", "broken"]);

export function mount(root, context) {
  if (context.kind === "frontend") return mountFrontend(root);
  const view = { context, range: rangeOf(context.route().query.range)[0], meta: null };
  build(view);
  const tab = panel(root, context, {
    thing: "its state",
    every_ms: EVERY_MS,
    load: (signal) => load(view, signal).catch((error) => {
      // What is on the page stays; that the frontend is gone is said above it.
      if (!PASSING.has(error.kind) || !view.element.isConnected) throw error;
      return null;
    }),
    render(body, parts) {
      if (body.firstChild !== view.element) replace(body, view.element);
      if (parts) draw(view, parts);
    },
  });
  const show = (range) => {
    view.range = range;
    replace(view.choice, rangeChoice(range, choose));
  };
  const choose = (range) => {
    replaceQuery({ ...context.route().query, range: range === rangeOf()[0] ? null : range });
    show(range);
    view.choice.querySelector("[aria-pressed=true]").focus();
    tab.update();
  };
  show(view.range);
  return {
    ...tab,
    routed(route) {
      const range = rangeOf(route.query.range)[0];
      if (range === view.range) return;
      show(range);
      tab.update();
    },
    unmount() {
      tab.unmount();
      view.charts.destroy();
    },
  };
}

function mountFrontend(root) {
  replace(root, notice("info", "This is another frontend",
    "It has no cache. The nodes behind it are in the fleet list."));
  return { update() {}, unmount() {} };
}

function build(view) {
  view.charts = nodeCharts(view.context.kind);
  view.tiles = el("section", { class: "figures", "aria-label": "Figures since the node started" });
  view.said = div("overview-said");
  view.facts = el("dl", { class: "facts overview-facts" });
  view.choice = div("overview-choice");
  view.head = div("overview-head", el("h2", {}, "Over time"), para("muted"), span("spring"), view.choice);
  view.parts = div("cards");
  view.element = div("overview", view.said, view.facts, view.tiles, view.head, view.charts.element, view.parts);
}

/** Everything the page shows, each part as `{value}` or `{error}`. Raises ApiError where there is no history. */
async function load({ context, range, meta }, signal) {
  const isMp = context.kind === "mp";
  const item = (name, wanted = true) => (wanted ? settle(readItem(context, name, signal)) : {});
  const metrics = settle(readNode(context, "metrics", signal).then(parseMetrics));
  const [series, ...parts] = await Promise.all([
    readSeries(context, range, signal), metrics, item("periodic"), item("status", isMp), item("quota", isMp),
    item("meta", !meta && isInProcess(context.kind)),
  ]);
  return { series, metrics: parts[0], periodic: parts[1], status: parts[2], quota: parts[3], meta: parts[4] };
}

function settle(promise) {
  return promise.then((value) => ({ value }), (error) => ({ error }));
}

function draw(view, { series, metrics, periodic, status, quota, meta }) {
  const { context } = view;
  view.meta ??= meta.value ?? null;
  const known = context.state()?.figures ?? {};
  const failed = metrics.error?.kind !== "aborted" && metrics.error;
  replace(view.said, failed && explain(failed, "its metrics", null, context.refresh));
  drawFacts(view.facts, factsOf(context.kind, view.meta, metrics.value));
  const list = metrics.value ? figuresOf(context.kind, metrics.value, status.value, known) : [];
  view.tiles.hidden = list.length === 0;
  keyed(view.tiles, list, ({ title }) => title, { make: makeTile, update: drawTile });
  const count = view.charts.update(series, known);
  setText(view.head.children[1], count ? originOf(series) : "");
  view.choice.hidden = count === 0;
  const sections = [
    ...(context.kind === "mp" ? mpParts(status, quota, context.key) : []),
    !(periodic.error instanceof NotOffered) && periodicPart(periodic, context.key),
  ].filter(Boolean);
  keyed(view.parts, sections, ({ id }) => id, {
    make: ({ id }) => el("section", { class: "card", id: `part-${id}` }),
    update(element, { shape, content }) {
      if (element.shape === shape) return;
      element.shape = shape;
      replace(element, content());
    },
  });
}

/** Where the values come from, or since when there are any, if that is later than asked for. */
function originOf({ source, start, step_s, series }) {
  if (source === "prometheus") return "from Prometheus";
  const all = Object.values(series);
  const first = all[0].findIndex((_none, index) => all.some((values) => values[index] !== null));
  return first > all[0].length / 10 ? `known since ${clock(start + first * step_s)}` : "";
}

function figuresOf(kind, families, status, known) {
  if (kind === "mp") return mpFigures(families, status);
  return inProcessFigures(families, kind, known.cpu_capacity_bytes?.value ?? null);
}

function factsOf(kind, meta, families) {
  const up_s = families ? upFor(families, Date.now() / 1000) : null;
  const model = meta?.served_model_name ?? meta?.model_name ?? modelOf(families);
  const isWorker = kind === "worker" && typeof meta?.worker_id === "number";
  return [
    model && ["Model", String(model)],
    isWorker && ["Worker", `rank ${meta.worker_id}, world size ${meta.world_size}`],
    up_s !== null && ["Running for", duration(Math.floor(up_s))],
  ].filter(Boolean);
}

function drawFacts(list, facts) {
  list.hidden = facts.length === 0;
  keyed(list, facts, ([term]) => term, {
    make: ([term]) => el("div", {}, el("dt", {}, term), el("dd", {}, data(""))),
    update: (element, [, value]) => setText(element.lastChild.firstChild, value),
  });
}

function modelOf(families) {
  const family = families?.find((item) => item.name.startsWith("lmcache:") && item.samples.length);
  return family?.samples[0].labels.model_name;
}

function makeTile({ title }) {
  const bar = el("span", { class: "bar-track", "aria-hidden": "true" }, span("bar-fill"));
  return div("figure", el("h3", {}, title), el("p"), bar, para("figure-text"));
}

function drawTile(tile, { value, text, share, none = "no traffic yet" }) {
  const [, said, bar, words] = tile.children;
  said.className = value === null ? "figure-none" : "figure-value";
  setText(said, value ?? none);
  bar.hidden = share === undefined;
  bar.firstChild.style.setProperty("width", `${Math.min(100, Math.max(0, (share ?? 0) * 100))}%`);
  setText(words, text);
}
