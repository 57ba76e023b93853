// SPDX-License-Identifier: Apache-2.0
// Metrics of a node: its families with search, samples on demand, the raw text, and a download.

import { append, el, para, replace, span } from "../dom.js";
import { count, number } from "../format.js";
import { nodePath } from "../nodes.js";
import { panel, readNode } from "../panel.js";
import { parseMetrics } from "../parse.js";
import { button, data, filterable, icon, listCard, ofAll, table } from "../widgets.js";

const SAMPLES_AT_MOST = 500;

export function mount(root, context) {
  const memory = { raw: false, open: new Set() };
  return panel(root, context, {
    thing: "metrics",
    async load(signal) {
      const text = await readNode(context, "metrics", signal);
      return { text, families: parseMetrics(text).sort((a, b) => rank(a) - rank(b)) };
    },
    render(body, { text, families }) {
      const toggle = button("Raw text", () => {
        memory.raw = !memory.raw;
        toggle.setAttribute("aria-pressed", String(memory.raw));
        redraw();
      }, { "aria-pressed": String(memory.raw) });
      const href = nodePath(context.key, "metrics");
      const download = el("a", { class: "button", href, download: fileName(context.key) }, "Download");
      const { parts, redraw } = filterable(memory, "Search metrics", (accepts, filter) => {
        if (memory.raw) return rawPart(text, filter && accepts);
        const some = families.filter((family) => accepts(`${family.name} ${family.type} ${family.help}`));
        const shown = ofAll(some.length, families.length, "family", "families");
        const none = some.length === 0 && (families.length ? "No family matches." : "There is no family.");
        return { text: shown, content: familyTable(some, memory.open), none };
      }, toggle, download);
      replace(body, parts);
    },
  });
}

/** LMCache's own families first, and the times at which counters were made last. */
function rank({ name }) {
  if (name.endsWith("_created")) return 2;
  return name.startsWith("lmcache") ? 0 : 1;
}

function fileName(key) {
  return `${key.replace(/[^\w.-]+/g, "_").slice(0, 80)}-metrics.txt`;
}

/** The raw text; with a filter, only the lines that have its words. */
function rawPart(text, accepts) {
  const some = accepts ? text.split("\n").filter(accepts).join("\n") : text;
  return {
    text: count(text.length, "character"),
    content: el("pre", { class: "raw", tabindex: "0" }, some),
    none: accepts && !some && "No line matches.",
  };
}

function familyTable(families, open) {
  const { element, body, row } = table("Metric families", [
    ["Name", "col-key"], ["Type"], ["Samples", "num"], ["Help", "col-text"],
  ]);
  append(body, families.map((family) => familyRows(family, row, open)));
  return listCard(element);
}

/** The row of a family, and the one with its samples, filled when it is opened. */
function familyRows(family, row, open) {
  const more = el("tr", { class: "more", role: "row" });
  const head = button([icon("next"), data(family.name)], () => show(more.hidden), { class: "unfold" });
  const show = (wanted) => {
    if (wanted) open.add(family.name);
    else open.delete(family.name);
    more.hidden = !wanted;
    head.setAttribute("aria-expanded", String(wanted));
    replace(more, wanted && el("td", { role: "cell", colspan: "4" }, sampleList(family)));
  };
  show(open.has(family.name));
  return [row([head, family.type, samplesCell(family), data(family.help)]), more];
}

/** One plain sample is shown as its value; more of them as their number. */
function samplesCell({ samples }) {
  if (samples.length === 0) return span("muted", "none yet");
  return samples.length === 1 ? data(readable(samples[0])) : span("muted", number(samples.length));
}

function sampleList(family) {
  if (family.samples.length === 0) return para("none", "No samples: nothing has been counted since the node started.");
  const rest = family.samples.length - SAMPLES_AT_MOST;
  return [
    el("dl", { class: "samples" }, family.samples.slice(0, SAMPLES_AT_MOST).map((sample) =>
      el("div", {}, el("dt", {}, data(title(sample, family))), el("dd", { title: sample.text }, readable(sample))))),
    rest > 0 && para("muted", `${number(rest)} more are in the raw text.`),
  ];
}

function title({ name, labels }, family) {
  const shown = Object.entries(labels).map(([key, value]) => `${key}="${value}"`).join(", ");
  const suffix = name === family.name ? "" : name.slice(family.name.length);
  return `${suffix}${shown ? `{${shown}}` : suffix ? "" : "no labels"}`;
}

function readable({ value, text }) {
  if (!Number.isFinite(value)) return text;
  return Math.abs(value) >= 1e15 || (value !== 0 && Math.abs(value) < 1e-3) ? text : number(value);
}
