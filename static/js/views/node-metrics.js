// SPDX-License-Identifier: Apache-2.0
// Metrics of a node: its families with search, values and rates that go on, charts on demand, the raw text, a download.

import { el, keyed, para, replace, setText } from "../dom.js";
import { ago, bytes, count, duration, number, rate } from "../format.js";
import { isInProcess, nodePath } from "../nodes.js";
import { panel, readNode } from "../panel.js";
import { parseMetrics } from "../parse.js";
import { commonLabels, labelsOf, meanOf, rateOf, reading, valueOf } from "../readings.js";
import { nodeHref, parseRoute, replaceQuery } from "../router.js";
import { button, data, filterable, icon, listCard, ofAll, table } from "../widgets.js";
import { familyCharts, isInBytes, STEP_S, STEPS } from "./node-metrics-charts.js";

const SAMPLES_AT_MOST = 500;
const TIMES = /_(created|timestamp_seconds|start_time_seconds)$/;

export function mount(root, context) {
  const view = {
    raw: false, open: new Map(), readings: [], families: [], text: "", filter: parseRoute(location.hash).query.q ?? "",
  };
  const tab = panel(root, context, {
    thing: "metrics",
    every_ms: STEP_S * 1000,
    load: (signal) => readNode(context, "metrics", signal),
    hint: (error) => isInProcess(context.kind) && error.status === 500 && para("muted",
      "Where the node cannot put its counters into words, setting them to zero may help: ",
      el("a", { href: nodeHref(context.key, "backends") }, "Backends and cache")),
    render(body, text) {
      take(view, text);
      if (body.firstChild === view.tools) return view.redraw();
      build(view, context);
      replace(body, view.parts);
    },
  });
  return {
    ...tab,
    unmount() {
      tab.unmount();
      for (const more of view.open.values()) more.charts.destroy();
    },
  };
}

function take(view, text) {
  view.text = text;
  view.families = parseMetrics(text).sort((a, b) => rank(a) - rank(b));
  view.readings.push(reading(Date.now() / 1000, view.families));
  if (view.readings.length > STEPS) view.readings.shift();
}

function build(view, { key }) {
  const toggle = button("Raw text", () => {
    view.raw = !view.raw;
    view.shownText = view.text;
    toggle.setAttribute("aria-pressed", String(view.raw));
    view.redraw();
  }, { "aria-pressed": String(view.raw) });
  const href = nodePath(key, "metrics");
  const download = el("a", { class: "button", href, download: fileName(key) }, "Download");
  const { element, body, row } = table("Metric families", [
    ["Name", "col-key"], ["Type", "col-type"], ["Value", "num"], ["Rate", "num"], ["Help", "col-text"],
  ], "metrics");
  const list = { card: listCard(element), body, row };
  const { parts, redraw } = filterable(view, "Search metrics", (accepts, filter) => {
    replaceQuery({ ...parseRoute(location.hash).query, q: filter });
    return view.raw ? rawPart(view, filter && accepts) : familyPart(view, list, accepts);
  }, toggle, download);
  Object.assign(view, { parts, redraw, tools: parts[0] });
}

/** LMCache's own families first, and the times at which counters were made last. */
function rank({ name }) {
  if (name.endsWith("_created")) return 2;
  return name.startsWith("lmcache") ? 0 : 1;
}

function fileName(key) {
  return `${key.replace(/[^\w.-]+/g, "_").slice(0, 80)}-metrics.txt`;
}

/** The raw text as it was when it was asked for, so that it can be read; with a filter, the lines with its words. */
function rawPart(view, accepts) {
  const { shownText: text } = view;
  const some = accepts ? text.split("\n").filter(accepts).join("\n") : text;
  if (view.rawElement?.textContent !== some) view.rawElement = el("pre", { class: "raw", tabindex: "0" }, some);
  const none = accepts && !some && "No line matches.";
  return { text: count(text.length, "character"), content: view.rawElement, none };
}

function familyPart(view, { card, body, row }, accepts) {
  const { families, open } = view;
  const some = families.filter(({ name, type, help }) => accepts(`${name} ${type} ${help}`));
  const items = some.flatMap((family) => {
    const more = open.get(family.name);
    return [{ family, id: `row ${family.name}` }, ...(more ? [{ family, more, id: `more ${family.name}` }] : [])];
  });
  keyed(body, items, ({ id }) => id, {
    make: ({ family, more }) => more?.element ?? familyRow(view, family, row),
    update: (element, { family, more }) => (more ? drawMore(more, family, view) : drawRow(element, family, view)),
  });
  const none = some.length === 0 && (families.length ? "No family matches." : "There is no family.");
  return { text: ofAll(some.length, families.length, "family", "families"), content: card, none };
}

function familyRow(view, { name, type, help }, row) {
  const head = button([icon("next"), data(name)], () => {
    if (view.open.has(name)) {
      view.open.get(name).charts.destroy();
      view.open.delete(name);
    } else view.open.set(name, makeMore(name));
    view.redraw();
  }, { class: "unfold" });
  return row([head, type, data(""), data(""), data(help)], { dataset: { family: name } });
}

function drawRow(element, family, { open, readings }) {
  const [name, , value, grows] = element.children;
  name.firstChild.setAttribute("aria-expanded", String(open.has(family.name)));
  const { text, title = "" } = valueText(family);
  setText(value.firstChild, text);
  value.firstChild.title = title;
  const per_s = rateOf(family, readings);
  setText(grows.firstChild, per_s === null ? "" : per_s === 0 ? "0" : rate(per_s));
  grows.firstChild.title = per_s ? `${number(per_s)} a second, over the last minute` : "";
}

/** What a family comes to, in short, with the exact value for the title. */
function valueText(family) {
  const { name, type, samples } = family;
  const value = valueOf(family);
  if (samples.length === 0) return { text: "none yet" };
  if (samples.length > 1 && value === null) return { text: count(samples.length, "value") };
  if (!Number.isFinite(value)) return { text: samples[0].text };
  const exact = samples.length === 1 ? samples[0].text : String(value);
  const mean = type === "histogram" ? meanOf(family) : null;
  if (mean !== null) {
    return { text: `${number(value)}, mean ${inUnit(family, mean)}`, title: `${exact} observed, ${mean} on average` };
  }
  if (type !== "counter" && TIMES.test(name)) return { text: ago(value), title: exact };
  return { text: inUnit(family, value), title: exact };
}

/** A value in the unit that the name or the help says it has. */
function inUnit(family, value) {
  if (isInBytes(family) && value >= 0) return bytes(value);
  const isTime = /_seconds(_total)?$/.test(family.name) || /\bseconds\)?$/i.test(family.help);
  if (isTime && value >= 0) return duration(value);
  return readable({ value, text: String(Number(value.toPrecision(4))) });
}

function makeMore(name) {
  const charts = familyCharts();
  const samples = el("dl", { class: "samples" });
  const said = para("muted");
  const element = el("tr", { class: "more", role: "row", dataset: { more: name } },
    el("td", { role: "cell", colspan: "5" }, charts.element, said, samples));
  return { element, charts, samples, said };
}

function drawMore({ charts, samples, said }, family, { readings }) {
  charts.update(family, readings, (value) => inUnit(family, value));
  const common = family.samples.length > 1 ? commonLabels(family.samples) : {};
  keyed(samples, family.samples.slice(0, SAMPLES_AT_MOST), (sample) => titleOf(sample, family, common), {
    make: (sample) => el("div", {}, el("dt", {}, data(titleOf(sample, family, common))), el("dd")),
    update(element, sample) {
      setText(element.lastChild, readable(sample));
      element.lastChild.title = sample.text;
    },
  });
  const left = family.samples.length - SAMPLES_AT_MOST;
  const inCommon = labelsOf({ labels: common });
  const words = [inCommon && `All with ${inCommon}`, left > 0 && `${number(left)} more are in the raw text`];
  setText(said, family.samples.length ? words.filter(Boolean).join("; ")
    : "No samples: nothing has been counted since the node started.");
}

function titleOf(sample, family, common) {
  const shown = labelsOf(sample, common);
  const suffix = sample.name === family.name ? "" : sample.name.slice(family.name.length);
  return `${suffix}${shown ? `{${shown}}` : suffix ? "" : "no labels"}`;
}

function readable({ value, text }) {
  if (!Number.isFinite(value)) return text;
  return Math.abs(value) >= 1e15 || (value !== 0 && Math.abs(value) < 1e-3) ? text : number(value);
}
