// SPDX-License-Identifier: Apache-2.0
// The audit trail: who changed what, and what came of it. Any place can show it.

import { requestJson } from "../api.js";
import { append, div, replace, span } from "../dom.js";
import { panel } from "../panel.js";
import { replaceQuery } from "../router.js";
import { button, data, failedChange, filterable, listCard, mark, ofAll, quantity, select, table } from "../widgets.js";

const PAGE = 200;
const COLUMNS = [
  ["When", "col-asked"], ["Who", "col-name"], ["What", "col-what"], ["On", "col-target"], ["Outcome", "col-outcome"],
  ["More", "col-text"],
];
const TONES = {
  done: ["ok", "ok"], refused: ["bad", "bad"], failed: ["bad", "bad"], denied: ["bad", "bad"],
};
const FILTERS = [["who", "Who"], ["what", "What"], ["outcome", "Outcome"]];

/** Show the trail; `query` is what the address keeps beside the filters. */
export function mountAudit(root, context, query = {}) {
  const asked = context.route().query;
  const chosen = Object.fromEntries(FILTERS.map(([name]) => [name, asked[name] ?? ""]));
  const memory = { filter: asked.q ?? "", chosen };
  const view = { context, memory, query };
  return panel(root, context, {
    thing: "the audit trail", load: (signal) => readPage(null, signal),
    render(body, entries) {
      Object.assign(view, { entries, isAll: entries.length < PAGE });
      draw(view, body);
    },
  });
}

async function readPage(before, signal) {
  const from = before === null ? "" : `&before=${before}`;
  return (await requestJson(`api/audit?limit=${PAGE}${from}`, { signal })).entries;
}

function draw(view, body) {
  const { memory } = view;
  view.more = div("inline");
  view.said = div("");
  const choose = (name) => (value) => {
    memory.chosen[name] = value;
    redraw();
  };
  const boxes = FILTERS.map(([name, words]) => [
    name, select(words, optionsOf(view, name, words), memory.chosen[name], choose(name))]);
  memory.clear = () => { for (const [name, box] of boxes) memory.chosen[name] = box.value = ""; };
  const { parts, redraw } = filterable(memory, "Search the trail", (accepts) => drawTable(view, accepts));
  parts[0].firstChild.after(...boxes.map(([, box]) => box));
  replace(body, parts, view.said, view.more);
  drawMore(view, body);
}

function optionsOf({ entries, memory }, name, words) {
  const kindOf = name === "what" ? verbOf : (entry) => entry[name];
  const found = [...new Set([...entries.map(kindOf), memory.chosen[name]])].filter(Boolean).sort();
  return [["", `${words}: all`], ...found.map((one) => [one, one.slice(0, 60)])];
}

/** What was done without its numbers, so that it can be chosen: `roll back rules to revision`. */
function verbOf({ what }) {
  return what.replace(/\s*\d+$/, "");
}

function drawTable(view, accepts) {
  const { entries, memory: { chosen, filter } } = view;
  const isChosen = (name, value) => !chosen[name] || chosen[name] === value;
  const some = entries.filter((entry) => isChosen("who", entry.who) && isChosen("what", verbOf(entry))
    && isChosen("outcome", entry.outcome) && accepts(Object.values(entry).join(" ")));
  replaceQuery({ ...view.query, q: filter, ...chosen });
  const { element, body, row } = table("Audit trail", COLUMNS, "audit");
  append(body, some.map(({ at, who, address, what, target, outcome, detail }) => row([
    quantity("ago", at), [data(who || "somebody"), address && span("muted", " from ", data(address))], data(what),
    data(target), mark(...TONES[outcome] ?? ["calm", "info"], outcome), data(detail),
  ])));
  return {
    text: ofAll(some.length, entries.length, "entry", "entries"), content: listCard(element),
    none: some.length === 0 && (entries.length ? "No entry matches."
      : "Nothing was changed through this frontend in the last 90 days."),
  };
}

function drawMore(view, body) {
  const older = async () => {
    try {
      const page = await readPage(view.entries.at(-1).at, view.context.signal);
      Object.assign(view, { entries: [...view.entries, ...page], isAll: page.length < PAGE });
      draw(view, body);
    } catch (error) {
      if (error.kind !== "aborted") replace(view.said, failedChange(error, "Older entries could not be read"));
    }
  };
  replace(view.more, !view.isAll && button("Older entries", older));
}
