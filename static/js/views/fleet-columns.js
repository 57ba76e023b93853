// SPDX-License-Identifier: Apache-2.0
// The columns of the node list: what each shows, by what it sorts, and how wide it is.

import { el, replace, setAttribute, span } from "../dom.js";
import { bytes, number, percent } from "../format.js";
import { isNotAsked, KIND_NAMES, LOCAL } from "../nodes.js";
import { nodeHref } from "../router.js";
import { makeSparkline, sparkline } from "../spark.js";
import { data, icon, LEVEL_ORDER, levelMark, quantity } from "../widgets.js";

const ABSENT = {
  no_traffic: ["–", "no traffic"], unsupported: ["", "not told by nodes of this kind"], ok: ["", "not known"],
  stale: ["", "not known"],
};

/** The value of a figure, or null. */
export function valueOf(node, name) {
  const value = node.figures[name]?.value;
  return typeof value === "number" ? value : null;
}

/** How a node is: its level, or `unknown` while it has not been asked. */
export function levelOf(node) {
  return isNotAsked(node) ? "unknown" : node.level;
}

/**
 * All columns. `order` says which go first where room is short (the smallest stay), `least_px` how much room one needs.
 * `sort(node, worst)` gives what it is sorted by, null for what comes last; `show(cell, node, view)` fills a cell.
 * `shape` says what the cell depends on beside the node.
 */
export const COLUMNS = [
  {
    id: "state", title: "State", width: "8.6rem", least_px: 116, order: 0,
    sort: (node, worst) => Math.min(LEVEL_ORDER.indexOf(levelOf(node)), worst.has(node.key) ? SICK : Infinity),
    show: (cell, node) =>
      redone(cell, `${levelOf(node)} ${node.reasons}`, () => levelMark(levelOf(node), node.reasons)),
  },
  {
    id: "name", title: "Name", width: "minmax(11rem, 4fr)", least_px: 270, order: 0,
    sort: (node) => node.key, shape: ({ key }, { worst }) => worst.get(key), show: showName,
  },
  word("kind", "Kind", "6.6rem", 5, (node) => KIND_NAMES[node.kind] ?? "–"),
  word("role", "Role", "6rem", 14, (node) => node.role || "–"),
  word("version", "Version", "minmax(7.9rem, 1fr)", 6, (node) => node.version ?? "–"),
  word("proxy", "Proxy", "8rem", 20, (node) => (node.proxy === LOCAL ? "This frontend" : node.proxy)),
  word("instance", "Instance", "8rem", 21, (node) => node.instance ?? "–"),
  word("address", "Address", "minmax(9rem, 1fr)", 22, (node) => node.address),
  figure("lookup_hit_rate", "Hit rate", "percent", 1, "Hit"),
  figure("lookup_hit_rate_l1", "L1 hits", "percent", 23),
  figure("lookup_hit_rate_l2", "L2 hits", "percent", 24),
  figure("tokens_hit_per_s", "Tokens hit", "rate", 2, "Tokens"),
  figure("tokens_requested_per_s", "Tokens asked", "rate", 25),
  figure("tokens_stored_per_s", "Tokens stored", "rate", 26),
  {
    id: "cpu_fill", title: "Fill", tip: "CPU tier of a worker, L1 of an MP server", width: "8.5rem", least_px: 116,
    order: 3, sort: (node) => valueOf(node, "cpu_fill"), show: showFill,
  },
  figure("evictions_per_s", "Evictions", "rate", 4),
  figure("failures_per_s", "Failures", "rate", 9),
  figure("retrieve_speed_p50", "Retrieve p50", "rate", 27),
  {
    id: "seen", title: "Seen", tip: "when it answered last", width: "5.5rem", least_px: 74, order: 10, numeric: true,
    sort: (node) => -(node.last_seen ?? 0), show: showSeen,
    shape: (node, { now }) => (node.level === "unreachable" ? Math.floor(now / 5) : "now"),
  },
  {
    id: "spark", title: "Trend", tip: "the figure of the strip, over the same time", width: "8rem", least_px: 112,
    order: 7,
    shape: (node, { history }) => history.stamp, show: showSpark,
  },
];

// A node that says it is well, but with which something is wrong, comes before those that are well.
const SICK = LEVEL_ORDER.indexOf("serving") - 0.5;
const byId = new Map(COLUMNS.map((column) => [column.id, column]));
// What the cards of a narrow screen have room for.
const FOLDED = ["state", "name", "kind", "version", "lookup_hit_rate", "tokens_hit_per_s", "cpu_fill"];
const USUAL = [
  "state", "name", "kind", "role", "version", "lookup_hit_rate", "tokens_hit_per_s", "cpu_fill", "evictions_per_s",
  "failures_per_s", "seen", "spark",
];
const GAP_PX = 14;

/** A column by its id, or undefined. */
export function columnOf(id) {
  return byId.get(id);
}

/** The columns to show in `width_px` (0: in cards): those chosen, or else the usual ones that there is room for. */
export function columnsFor(chosen, width_px) {
  if (!width_px) return COLUMNS.filter(({ id }) => FOLDED.includes(id));
  const ids = chosen.filter((id) => byId.has(id));
  if (ids.length) return COLUMNS.filter(({ id }) => id === "name" || ids.includes(id));
  const usual = USUAL.map((id) => byId.get(id));
  const kept = [...usual];
  const room = () => kept.reduce((sum, { least_px }) => sum + least_px + GAP_PX, 48);
  const dispensable = usual.filter(({ order }) => order > 0).sort((a, b) => b.order - a.order);
  for (const column of dispensable) {
    if (room() <= width_px) break;
    kept.splice(kept.indexOf(column), 1);
  }
  return kept;
}

function word(id, title, width, order, textOf) {
  const least_px = id === "version" ? 112 : 90;
  return {
    id, title, width, order, least_px,
    sort: (node) => textOf(node),
    show: (cell, node) => redone(cell, textOf(node), (text) => data(text, { title: text.slice(0, 300) })),
  };
}

function figure(name, title, unit, order, short = title) {
  return {
    id: name, title, short, width: "6rem", least_px: 84, order, numeric: true,
    sort: (node) => valueOf(node, name),
    show: (cell, node) => showFigure(cell, node.figures[name], unit),
  };
}

function showFigure(cell, figure, unit) {
  const value = figure?.value;
  cell.classList.toggle("old", figure?.state === "stale");
  if (typeof value !== "number") {
    const [text, why] = ABSENT[figure?.state] ?? ABSENT.unsupported;
    setAttribute(cell, "title", why);
    return replace(cell, text && span("absent", text));
  }
  setAttribute(cell, "title", figure.state === "stale" ? "of the last time it answered" : null);
  return replace(cell, value === 0 ? span("absent", unit === "percent" ? "0 %" : "0") : quantity(unit, value));
}

function showName(cell, node, { worst }) {
  const why = (node.level !== "healthy" && node.reasons.join("; ")) || (worst.get(node.key) ?? "");
  redone(cell, `${node.key}\n${why}`, () => [
    el("a", { class: "node-link", href: nodeHref(node.key), tabindex: "-1", draggable: "false" },
      data(node.name, { title: node.name.slice(0, 300) })),
    // Its state is said with a sign already; what else is wrong with it needs one.
    why && why === worst.get(node.key) && el("span", { class: "row-sign" }, icon("degraded")),
    why && data(why.slice(0, 300), { class: "row-why", title: why.slice(0, 500) }),
  ]);
}

/** Fill a cell anew only where it shows something else: what has the keyboard or is being clicked stays there. */
function redone(cell, shape, make) {
  if (cell.shape === shape) return;
  cell.shape = shape;
  replace(cell, make(shape));
}

function showFill(cell, node) {
  const fill = valueOf(node, "cpu_fill");
  const used = valueOf(node, "cpu_used_bytes");
  cell.classList.toggle("old", node.figures.cpu_fill?.state === "stale");
  if (fill === null) {
    setAttribute(cell, "title", used === null ? "no tier of its own" : `${number(used)} bytes`);
    return replace(cell, used === null ? "" : span("", bytes(used)));
  }
  const watermark = valueOf(node, "l1_watermark");
  setAttribute(cell, "title", `${bytes(used ?? 0)} of ${bytes(valueOf(node, "cpu_capacity_bytes") ?? 0)}${
    watermark === null ? "" : `, evicts from ${percent(watermark)} on`}`);
  return replace(cell, fillBar(fill, watermark), span("fill-text", percent(Math.min(1, fill))));
}

/** A bar for a share 0..1, with a mark where eviction begins; the words beside it carry the meaning. */
export function fillBar(share, watermark = null) {
  const bar = span("fill", span("fill-part"), watermark !== null && span("fill-mark"));
  bar.style.setProperty("--share", String(Math.min(1, Math.max(0, share))));
  if (watermark !== null) bar.style.setProperty("--mark", String(watermark));
  bar.setAttribute("aria-hidden", "true");
  return bar;
}

function showSeen(cell, node) {
  if (!node.last_seen) return replace(cell, span("absent", "never"));
  return replace(cell, node.level === "unreachable"
    ? quantity("ago", node.last_seen) : quantity("clock", node.last_seen, { class: "absent" }));
}

function showSpark(cell, node, { history }) {
  const values = history.rows.get(node.key);
  if (!values?.some((value) => value !== null)) return replace(cell);
  const line = cell.firstChild ?? cell.appendChild(makeSparkline("row-spark"));
  return sparkline(line, values.slice(-history.worth), { max: history.top });
}
