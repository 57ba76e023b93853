// SPDX-License-Identifier: Apache-2.0
// The answer for one worker, explained: by setting with the rule that won, and by rule why it is not for it.

import { append, div, el, para, span } from "../dom.js";
import { count, show } from "../format.js";
import { masked } from "../masking.js";
import { sentence } from "../panel.js";
import { data, listCard, mark, notice, table } from "../widgets.js";
import { saidLines } from "./configuration-parts.js";

const COLUMNS = [
  ["Setting", "col-key"], ["The worker's own", "col-given"], ["It gets", "col-given"],
  ["It will run with", "col-given"], ["Why", "col-text"],
];

/** Show a preview as the server gives it. */
export function previewResult(answer, { find, isEdited }) {
  const { configs, denied_by, explain, unmatched, doubts, result, findings = [] } = answer;
  return [
    headline(answer, isEdited),
    doubts.length > 0 && notice("info", "Some rules hang on what is not kept of this worker",
      "They are left out here. A worker that is described can say what it has."),
    findings.length > 0 && notice("warn", "To be said of these rules", div("", saidLines(
      findings.map(({ rule, key, severity, text }) => ({ severity, text: `${rule}, ${key}: ${text}` }))))),
    configs.length > 0 && settingsTable(result, explain, find),
    rulesList(explain, unmatched, doubts, denied_by),
  ];
}

function headline({ configs, denied_by, result }, isEdited) {
  const by = isEdited ? "by the rules as edited" : "by the rules in force";
  if (denied_by) {
    return notice("bad", "It gets no configuration", ["The rule ", data(denied_by),
      ` denies it, ${by}. It gets status 403 and keeps its own configuration.`]);
  }
  if (configs.length === 0) return notice("info", "It gets nothing", `No rule sets anything for it, ${by}.`);
  const changed = result.filter((row) => row.changed).length;
  const words = configs.length === 1 ? "It changes"
    : changed === 1 ? "One of them changes" : `${changed} of them change`;
  return notice("ok", `It gets ${count(configs.length, "setting")}, ${by}`,
    changed ? `${words} what it would run with.` : "That is what it would run with anyway.");
}

function settingsTable(result, explain, find) {
  const reasons = new Map(explain.map((one) => [one.key, one]));
  const { element, body, row } = table("Settings that it gets", COLUMNS, "preview-settings");
  append(body, result.map(({ key, current, remote, override, result: held, changed, why }) => row([
    [data(key), el("small", { class: "meaning" }, find(key).meaning)],
    valueText(key, current),
    [valueText(key, remote), !override && span("muted", " only where it sets nothing")],
    [valueText(key, held), changed && span("chip chip-changed", "changes")],
    [div("", whyText(why, reasons.get(key))), lostText(key, reasons.get(key))],
  ], { dataset: { key }, class: changed ? "changed" : "" })));
  return listCard(element);
}

function valueText(key, value) {
  return value === null || value === undefined ? span("muted", "null") : data(show(masked(key, value)));
}

function whyText(why, reason) {
  if (!reason) return sentence(why);
  const { merged, rule: winner } = reason;
  const by = merged ? ["put together from ", merged.map(({ rule }, index) => [index > 0 && ", ", data(rule)])]
    : ["by ", data(winner)];
  return [by, why && why !== "set" ? `: ${why}` : ""];
}

function lostText(key, reason) {
  if (!reason?.lost.length) return null;
  return div("lost", reason.lost.map(({ rule, value }) =>
    div("", data(rule), " said ", data(show(masked(key, value)).slice(0, 200)), ", a later rule wins")));
}

/** All rules that had a say or had none, with the reason. */
function rulesList(explain, unmatched, doubts, denied_by) {
  const won = new Map();
  const note = (rule, key, words) => won.set(rule, [...won.get(rule) ?? [], [key, words]]);
  for (const { key, rule, lost, merged } of explain) {
    for (const one of merged ?? [{ rule }]) note(one.rule, key, "");
    for (const one of lost) note(one.rule, key, " (a later rule wins)");
  }
  const lines = [
    denied_by && ruleLine(mark("bad", "bad", "Denies"), denied_by, "this worker"),
    ...[...won].map(([rule, keys]) => ruleLine(mark("ok", "ok", "Is for it"), rule,
      keys.map(([key, words], index) => [index > 0 && ", ", data(key), words]))),
    ...doubts.map(({ rule, why }) => ruleLine(mark("warn", "wait", "Not known"), rule, why)),
    ...unmatched.map(({ rule, why }) => ruleLine(mark("calm", "next", "Is not for it"), rule, why)),
  ];
  return el("section", { class: "card" }, el("h2", {}, "Rule by rule"),
    lines.some(Boolean) ? el("ul", { class: "rule-lines" }, lines) : para("muted", "No rule sets anything."));
}

function ruleLine(how, rule, words) {
  return el("li", {}, how, data(rule), span("muted", words));
}
