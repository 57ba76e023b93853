// SPDX-License-Identifier: Apache-2.0
// The head of a node's page: how it is and why, who it is, and where else to look.

import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { KIND_NAMES, LOCAL, nodePath } from "../nodes.js";
import { sentence } from "../panel.js";
import { placeOf } from "../problems.js";
import { compareHref, nodeHref, placeHref } from "../router.js";
import { data, icon, levelMark, notice, quantity } from "../widgets.js";

const LEVEL_WORDS = {
  healthy: "It answers, serves, and finds nothing wrong with itself.",
  serving: "It answers and serves; it does not say more about its health.",
  unknown: "It is being asked for the first time.",
};

/** Make the head of a page; `draw({entry, state, problems, key})` brings it up to date. */
export function makeHead(actions) {
  const parts = {
    crumbs: div("crumbs", el("a", { href: "#/" }, "Fleet"), icon("next"), el("span")),
    name: el("h1"),
    level: span("node-level"),
    why: para("node-why"),
    since: span("muted node-since"),
    problems: el("ul", { class: "node-problems" }),
    facts: el("dl", { class: "node-facts" }),
    links: el("nav", { class: "node-links", "aria-label": "Elsewhere" }),
    missing: el("div"),
  };
  const head = div("node-head", parts.crumbs,
    div("node-title", parts.name, parts.level, parts.since, span("spring"), actions),
    parts.why, parts.problems, div("node-identity", parts.facts, parts.links), parts.missing);
  return { element: head, draw: (now) => draw(parts, now, actions) };
}

function draw(parts, { key, entry, state, problems, unlisted, several }, actions) {
  const { level, reasons, level_since: since, version, kind, instance, labels } = state ?? {};
  const shape = JSON.stringify([key, entry, unlisted, several.length, problems,
    level, reasons, since, version, kind, instance, labels]);
  drawSeen(parts, state);
  if (parts.shape === shape) return;
  parts.shape = shape;
  setText(parts.name, entry?.name ?? key);
  parts.crumbs.hidden = actions.hidden = unlisted;
  replace(parts.crumbs.lastChild, data(entry?.proxy && entry.proxy !== LOCAL ? entry.proxy : "This frontend"));
  replace(parts.missing, unlisted && missing(several));
  replace(parts.level, !unlisted && (entry?.isProxy ? span("chip", "Proxy") : levelMark(state?.level ?? "unknown")));
  const why = unlisted || entry?.isProxy ? "" : whyText(state);
  replace(parts.why, why, " ", why && whereTo(problems));
  parts.why.hidden = !why;
  parts.why.dataset.level = state?.level ?? "unknown";
  drawProblems(parts.problems, problems.filter(({ code }) => !SAID.has(code)));
  replace(parts.facts, !unlisted && factsOf(entry, state).map(([term, value]) => value
    && el("div", {}, el("dt", {}, term), el("dd", {}, value))));
  replace(parts.links, !unlisted && linksOf(key, entry, state));
}

// What is said by the level and its reasons already.
const SAID = new Set(["unreachable", "answering", "degraded"]);

/** How long it has been so, and when it last answered; the time goes on while nothing else changes. */
function drawSeen({ since }, state) {
  if (!state || state.level === "unknown") return void replace(since);
  const isGone = state.level === "unreachable";
  const at = isGone ? state.last_seen : state.level_since;
  const shape = `${state.level} ${Math.floor(Date.now() / 10_000)} ${at}`;
  if (since.shape === shape) return;
  since.shape = shape;
  if (isGone && !at) replace(since, "never answered since this frontend started");
  else if (isGone) replace(since, "answered last ", quantity("ago", at));
  else replace(since, at && ["for ", quantity("duration", Math.max(1, Math.floor(Date.now() / 1000 - at)))]);
}

function whyText(state) {
  if (!state) return "";
  const reasons = state.level === "unknown" ? [] : state.reasons;
  return reasons.length ? sentence(reasons.join("; ")) : LEVEL_WORDS[state.level] ?? "";
}

function drawProblems(list, problems) {
  list.hidden = problems.length === 0;
  keyed(list, problems, ({ code, text }) => `${code} ${text}`, {
    make: (problem) => {
      const place = placeOf(problem);
      return el("li", { dataset: { severity: problem.severity } },
        icon(problem.severity === "notice" ? "info" : "degraded"), data(sentence(problem.text)),
        place.tab !== "overview" && el("a", { href: place.href }, place.text));
    },
    update() {},
  });
}

/** Where that is looked into which the level and its reasons say. */
function whereTo(problems) {
  const place = problems.filter(({ code }) => SAID.has(code)).map(placeOf).find(({ tab }) => tab !== "overview");
  return place && el("a", { href: place.href }, place.text);
}

function factsOf(entry, state) {
  const labels = Object.entries(state?.labels ?? {});
  return [
    ["Kind", entry?.isProxy ? "Frontend" : KIND_NAMES[state?.kind]],
    ["LMCache", state?.version && data(state.version)],
    ["Instance", state?.instance && el("a", { href: placeHref("fleet", { q: `instance:${state.instance}` }) },
      data(state.instance))],
    ["Address", entry?.address && data(entry.address, { class: "mono" })],
    ["Labels", labels.length > 0 && labels.map(([name, value]) => span("chip", data(`${name}=${value}`)))],
  ];
}

function linksOf(key, entry, state) {
  const own = /^(?!unix:)[^/]+:\d+$/.test(entry?.address ?? "") && entry.proxy === LOCAL;
  return [
    !entry?.isProxy && el("a", { href: compareHref([key]) }, "Compare"),
    el("a", { href: placeHref("manage", { q: entry?.name }) }, "Manage"),
    el("a", { href: nodeHref(key, "console") }, "Console"),
    el("a", { href: nodePath(key, "metrics"), target: "_blank", rel: "noopener" }, "Raw metrics", icon("out")),
    own && el("a", {
      href: `http://${entry.address}/${state?.kind === "frontend" || entry.isProxy ? "" : "docs"}`,
      target: "_blank", rel: "noopener noreferrer",
      title: "At the node's own address, which your browser must be able to reach",
    }, entry.isProxy ? "Its own page" : "Its API", icon("out")),
  ];
}

/** What is said in place of a node: that there is none of that name, or which ones there are. */
function missing(several) {
  if (several.length === 0) {
    return notice("warn", "No such node", "It is not in the list. It may have been removed or renamed.",
      el("a", { href: "#/" }, "To the fleet"));
  }
  return notice("warn", "Several nodes have this name", "Choose the one that you mean:",
    several.map((node) => el("a", { href: nodeHref(node.key) }, data(`${node.proxy}/${node.name}`))));
}
