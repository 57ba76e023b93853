// SPDX-License-Identifier: Apache-2.0
// What there is to look at, in words, the worst first. What many nodes have is said once, and can be unfolded.

import { append, div, el, keyed, replace, setAttribute, setText, span } from "../dom.js";
import { number } from "../format.js";
import { placeOf } from "../problems.js";
import { compareHref, nodeHref, placeHref } from "../router.js";
import { button, data, icon, mark, quantity } from "../widgets.js";

const SEVERITIES = {
  critical: ["bad", "unreachable", "Critical"],
  warning: ["warn", "degraded", "Warning"],
  notice: ["calm", "info", "Notice"],
};
const ALONE = 3;
const NAMES_SHOWN = 200;

/** Make the panel; `draw(fleet)` shows what the fleet has. `filterBy(term)` narrows the list of nodes. */
export function problemsCard(filterBy) {
  const list = el("ol", { class: "problems" });
  const total = span("muted");
  const none = el("p", { class: "problems-none" }, mark("ok", "healthy", "Nothing to look at"));
  const element = el("section", { class: "card problems-card", "aria-label": "Problems" },
    el("header", { class: "card-head" }, el("h2", {}, "Problems"), total),
    div("problems-box", none, list));
  // It scrolls, so the keyboard must get there.
  Object.assign(element.lastChild, { tabIndex: 0, role: "group", ariaLabel: "Problems, the worst first" });
  const unfolded = new Set();
  let drawn = null;
  const draw = ({ problems, nodes }) => {
    if (drawn === problems) return;
    drawn = problems;
    const groups = grouped(problems);
    none.hidden = groups.length > 0 || !nodes.length;
    element.classList.toggle("no-problems", groups.length === 0);
    setText(total, counted(problems));
    keyed(list, groups, ({ id }) => id, {
      make: (group) => makeItem(group, unfolded, filterBy),
      update: (item, group) => item.show(group),
    });
  };
  return { element, draw };
}

/** The codes of the problems that each node has: `Map(key -> Set)`. */
export function problemsByNode(problems) {
  const codes = new Map();
  for (const { node, nodes = [], code } of problems) {
    for (const key of node === null ? nodes : [node, ...nodes]) {
      if (!codes.has(key)) codes.set(key, new Set());
      codes.get(key).add(code);
    }
  }
  return codes;
}

/** What is worst of each node, in words, but for mere notices: `Map(key -> text)`. */
export function worstByNode(problems) {
  const worst = new Map();
  for (const { node, text, severity } of problems) {
    if (node !== null && severity !== "notice" && !worst.has(node)) worst.set(node, text);
  }
  return worst;
}

/** Problems of one kind that more than a few nodes have become one. */
function grouped(problems) {
  const kinds = new Map();
  for (const problem of problems) {
    const id = `${problem.severity} ${problem.code}`;
    if (!kinds.has(id)) kinds.set(id, []);
    kinds.get(id).push(problem);
  }
  return [...kinds].flatMap(([id, members]) => (members.length > ALONE && members.every(({ node }) => node !== null)
    ? [{ id, members }]
    : members.map((one) => ({ id: `${id} ${one.node} ${one.node === null ? one.text : ""}`, members: [one] }))));
}

function counted(problems) {
  const of = (severity) => problems.filter((problem) => problem.severity === severity).length;
  return [["critical", "critical"], ["warning", "warnings"], ["notice", "notices"]]
    .map(([severity, words]) => [of(severity), words]).filter(([n]) => n)
    .map(([n, words]) => `${number(n)} ${n === 1 ? words.replace(/s$/, "") : words}`).join(", ");
}

function makeItem({ id }, unfolded, filterBy) {
  const [sign, text, since, more] = [
    span("problem-sign"), div("problem-text"), span("problem-since"), el("ul", { class: "problem-nodes" }),
  ];
  const item = el("li", { class: "problem-item" }, sign, text, since, more);
  const fold = button(icon("next"), () => {
    if (!unfolded.delete(id)) unfolded.add(id);
    item.show(item.group);
  }, { class: "bare unfold-problem", "aria-label": "The nodes" });
  item.show = (group) => {
    item.group = group;
    const [first] = group.members;
    const open = unfolded.has(id);
    replace(since, quantity("ago", Math.min(...group.members.map((problem) => problem.since))));
    const shape = JSON.stringify([open, group.members.map(({ node, text: words }) => [node, words])]);
    if (item.shape === shape) return;
    const hadFocus = item.contains(document.activeElement) && document.activeElement === fold;
    item.shape = shape;
    item.className = `problem-item problem-${first.severity}`;
    const [tone, shapeName, word] = SEVERITIES[first.severity] ?? SEVERITIES.notice;
    replace(sign, mark(tone, shapeName, span("unseen", word), word));
    const many = group.members.length > 1;
    setAttribute(fold, "aria-expanded", String(open));
    replace(text, many ? manyNodes(group, fold, filterBy) : oneProblem(first));
    more.hidden = !many || !open;
    replace(more, !more.hidden && listed(group.members));
    if (hadFocus) fold.focus();
  };
  return item;
}

function oneProblem(problem) {
  const { node, nodes = [], text, code } = problem;
  const isOfVersions = code === "versions";
  const href = node !== null && (isOfVersions ? nodeHref(node) : placeOf(problem).href);
  return [
    node !== null && el("a", { class: "problem-node", href }, data(node)), " ",
    span("problem-words", text), " ",
    (node === null || isOfVersions) && placeLink(code, nodes),
  ];
}

function manyNodes({ members }, fold, filterBy) {
  const [{ code, text }] = members;
  return [
    fold, button(`${number(members.length)} nodes`, () => filterBy(`problem:${code}`),
      { class: "linklike problem-node", title: "Show these nodes in the list, or all again" }), ": ",
    span("problem-words", wordsOf(text)),
  ];
}

/** What a problem of many nodes is called: up to where it speaks of one node. */
function wordsOf(text) {
  return text.replace(/ \([^)]*\)/g, "").replace(/^it is /, "").split(/: |, (?:with|while) /)[0];
}

function listed(members) {
  const items = members.slice(0, NAMES_SHOWN).map((problem) =>
    el("li", {}, el("a", { href: placeOf(problem).href }, data(problem.node)), " ", span("muted", problem.text)));
  return append(el("div"), items, members.length > NAMES_SHOWN
    && el("li", { class: "muted" }, `and ${number(members.length - NAMES_SHOWN)} more`));
}

function placeLink(code, nodes) {
  if (nodes.length > 1) return el("a", { href: compareHref(nodes) }, "Compare them");
  if (code === "versions") return el("a", { href: placeHref("fleet", { group: "version" }) }, "Group by version");
  return code.startsWith("drift") && el("a", { href: placeHref("compare") }, "Where they differ");
}
