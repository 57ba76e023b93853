// SPDX-License-Identifier: Apache-2.0
// The row of figures of the whole fleet: each a number, where it comes from, and its course.

import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { bytes, count, number, percent, rate, tokens } from "../format.js";
import { makeSparkline, sparkline } from "../spark.js";
import { LEVEL_ORDER, levelText } from "../widgets.js";
import { fillBar, valueOf } from "./fleet-columns.js";
import { stepsWorth } from "./fleet-history.js";
import { levelsOf } from "./fleet-rows.js";

const UP = new Set(["healthy", "serving", "degraded", "answering"]);

/** Draw the figures into `root`. `series` are those of `readTotals`, or null; `filterBy(term)` narrows the list. */
export function drawFigures(root, fleet, series, filterBy) {
  const tiles = [
    nodesTile(fleet, filterBy), hitTile(fleet), tokensTile(fleet), fillTile(fleet), evictionsTile(fleet),
    failuresTile(fleet),
  ];
  const worth = series && stepsWorth(Object.values(series.series), series.series.cpu_fill.length);
  keyed(root, tiles, ({ id }) => id, {
    make: makeTile,
    update: (tile, spec) => drawTile(tile, spec, series?.series[spec.id]?.slice(-worth)),
  });
}

function makeTile({ id, title }) {
  const line = id === "nodes" ? null : makeSparkline("tile-spark");
  const tile = el("section", { class: "stat tile", "aria-label": title },
    el("h2", {}, title), para("stat-value"), div("stat-extra"), para("stat-text"), line);
  const [, value, extra, text] = tile.children;
  return Object.assign(tile, { value, extra, text, line });
}

function drawTile(tile, { value, unit = "", exact, text, mark = "", extra, top, explain }, values) {
  tile.dataset.mark = mark;
  const shape = `${value}|${unit}`;
  if (tile.shape !== shape) {
    tile.shape = shape;
    replace(tile.value, value, unit && span("unit", unit));
  }
  tile.value.title = exact ?? "";
  tile.title = explain ?? "";
  setText(tile.text, text);
  extra?.(tile.extra);
  if (tile.line) sparkline(tile.line, values ?? [], { max: top ?? null });
}

/** A total as `{value, state}`; what the fleet does not have is null. */
function total({ totals }, name) {
  const { value = null, state = "unsupported" } = totals[name] ?? {};
  return { value: typeof value === "number" ? value : null, state };
}

const WHY_NONE = { no_traffic: "no traffic", unsupported: "not told by these nodes", stale: "of an earlier time" };

function nodesTile({ nodes }, filterBy) {
  const levels = levelsOf(nodes);
  const up = nodes.filter((node) => UP.has(node.level)).length;
  const unreachable = levels.get("unreachable") ?? 0;
  return {
    id: "nodes", title: "Nodes up", value: number(up), unit: `of ${number(nodes.length)}`,
    mark: unreachable ? "bad" : "", text: "", extra: (root) => drawLevels(root, levels, nodes.length, filterBy),
  };
}

/** A bar in parts, and a button for each level, which shows those nodes. */
function drawLevels(root, levels, all, filterBy) {
  const shape = [...levels].sort().join(" ");
  if (root.shape === shape) return;
  root.shape = shape;
  const there = [...LEVEL_ORDER].reverse().filter((level) => levels.get(level));
  const bar = span("levels-bar", there.map((level) => {
    const part = span(`levels-part level-${level}`);
    part.style.setProperty("flex-grow", String(levels.get(level) / all));
    return part;
  }));
  bar.setAttribute("aria-hidden", "true");
  replace(root, bar, div("levels", there.map((level) => el("button", {
    type: "button", class: "level-count", title: `Show these nodes, or all again: state:${level}`,
    on: { click: () => filterBy(`state:${level}`) },
  }, span(`swatch level-${level}`), `${number(levels.get(level))} ${levelText(level).toLowerCase()}`))));
}

function hitTile(fleet) {
  const now = total(fleet, "lookup_hit_rate");
  const ever = total(fleet, "lookup_hit_rate_total");
  const [one, two] = ["lookup_hit_rate_l1", "lookup_hit_rate_l2"].map((name) => total(fleet, name).value);
  const parts = [
    one !== null && `L1 ${percent(one)}`, two !== null && `L2 ${percent(two)}`,
  ].filter(Boolean);
  return {
    ...shown("lookup_hit_rate", "Lookup hit rate", now, percent), top: 1,
    text: parts.join(" · ") || "of the last minute",
    explain: "Of the tokens that were looked up in the last minute, the share that was found"
      + `${ever.value === null ? "" : `; since the nodes started, ${percent(ever.value)}`}. `
      + "L1 and L2 are the tiers of MP servers.",
  };
}

function tokensTile(fleet) {
  const asked = total(fleet, "tokens_requested_per_s").value;
  return {
    ...shown("tokens_hit_per_s", "Tokens hit", total(fleet, "tokens_hit_per_s"), tokens, "/s"),
    text: asked === null ? "" : `of ${rate(asked)} asked for`,
    explain: "Tokens a second that came out of the cache and were not computed again, over the last minute.",
  };
}

function fillTile(fleet) {
  const [fill, used, capacity] = ["fill", "used_bytes", "capacity_bytes"].map((name) => total(fleet, `cpu_${name}`));
  const marks = new Set(fleet.nodes.map((node) => valueOf(node, "l1_watermark")).filter((value) => value !== null));
  const watermark = marks.size === 1 ? [...marks][0] : null;
  return {
    ...shown("cpu_fill", "CPU tier and L1", fill, percent), top: 1,
    text: used.value !== null && capacity.value !== null ? `${bytes(used.value)} of ${bytes(capacity.value)}` : "",
    exact: used.value === null ? null : `${number(used.value)} of ${number(capacity.value ?? 0)} bytes`,
    extra(root) {
      if (fill.value === null) return replace(root);
      const shape = `${fill.value} ${watermark}`;
      if (root.shape !== shape) replace(root, fillBar(fill.value, watermark));
      root.shape = shape;
      return undefined;
    },
    explain: `Memory in use of the CPU tiers of workers and the L1 of MP servers.${
      watermark === null ? "" : ` L1 evicts from ${percent(watermark)} on, where the mark is.`}`,
  };
}

function evictionsTile(fleet) {
  const ever = total(fleet, "evictions_total").value;
  return {
    ...shown("evictions_per_s", "Evictions", total(fleet, "evictions_per_s"), tokens, "/s"),
    text: ever === null ? "" : `${tokens(ever)} since start`,
    explain: "Chunks a second that had to go for others, over the last minute.",
  };
}

function failuresTile(fleet) {
  const now = total(fleet, "failures_per_s");
  const ever = total(fleet, "failures_total").value;
  const failing = fleet.nodes.filter((node) => valueOf(node, "failures_per_s")).length;
  return {
    ...shown("failures_per_s", "Failures", now, tokens, "/s"), mark: now.value ? "bad" : "",
    text: failing ? `on ${count(failing, "node")}` : `${ever ? `none now, ${tokens(ever)}` : "none"} since start`,
    explain: "Failed evictions, gets, puts, allocations, reads and prefetches, and pins that timed out.",
  };
}

/** What a tile shows of a figure; where it has no value, the reason stands in its place. */
function shown(id, title, { value, state }, short, unit = "") {
  if (value === null) return { id, title, value: "–", unit: WHY_NONE[state] ?? "not known", exact: null };
  const words = state === "stale" ? `${unit} earlier` : unit;
  return { id, title, value: short(value), unit: words, exact: number(value) };
}
