// SPDX-License-Identifier: Apache-2.0
// What is about to be put in force: the differences, what is to be said of them, and the message that stays with them.

import { request, requestJson } from "../api.js";
import { div, el, para, replace, span } from "../dom.js";
import { looseJson } from "../parse.js";
import { adopt, readWork, rulesToSend } from "../rules-work.js";
import { changesOf, touched } from "../rules-merge.js";
import { parseRules } from "../rules.js";
import { data, dialog, failedChange, notice } from "../widgets.js";
import { partHref } from "./configuration.js";
import { openConflict } from "./configuration-conflict.js";
import { diffList } from "./configuration-diff.js";

/** Show what would be changed, and save it once that is meant. */
export function openReview(view) {
  const { work } = view;
  const { rules } = readWork(work, view.find);
  const said = el("div", { role: "alert" });
  const message = el("input", {
    type: "text", id: "edit-message", maxlength: "2000", value: work.message ?? "", autocomplete: "off",
    placeholder: "Why, in a line: it stays with the revision",
    on: { input: () => { work.message = message.value; }, keydown(event) { if (event.key === "Enter") go().click(); } },
  });
  const save = async (close) => {
    go().disabled = true;
    replace(said, para("loading", "Saving …"));
    try {
      const body = { rules: rulesToSend(rules), expected_revision: work.base.revision, message: message.value };
      const outcome = await requestJson("api/config/rules", { method: "PUT", body });
      close();
      await saved(view, outcome, rules);
    } catch (error) {
      if (error.status === 409 && "diff" in (looseJson(error.answer.text) ?? {})) {
        close();
        openConflict(view, await newest(view, error));
        return true;
      }
      replace(said, failedChange(error, "The rules were not saved"));
      go().disabled = false;
    }
    return false;
  };
  const box = dialog("Put these rules in force?", [
    div("diff-scroll", diffList(localDifferences(work.base.rules, rules))), findingsOf(view),
    div("field", el("label", { for: "edit-message" }, "Message"), message),
    para("muted", "Workers get them when they start next. Those that run keep what they have."), said,
  ], [{ text: "Cancel" }, { text: "Save", style: "primary", run: save }], { style: "wide" });
  const go = () => box.element.querySelector(".dialog-buttons .primary");
  message.focus();
}

/** The differences of what is edited from what it was made from, in the server's form. */
export function localDifferences(before, after) {
  const { moved } = changesOf(before, after);
  const placeOf = (rules, name) => rules.findIndex((rule) => rule.name === name);
  const found = touched(before, after, before).map(({ name, before: old, mine, my }) => (
    { op: my, rule: name, before: old ?? null, after: mine ?? null }));
  if (!moved) return found;
  const kept = after.filter(({ name }) => placeOf(before, name) >= 0).map(({ name }) => name);
  const former = before.filter(({ name }) => kept.includes(name)).map(({ name }) => name);
  for (const name of movedOf(former, kept)) {
    found.push({ op: "moved", rule: name, before: placeOf(before, name), after: placeOf(after, name) });
  }
  return found;
}

/** The names that have to be moved to get from one order to the other: all but a longest row that kept its order. */
function movedOf(former, now) {
  const places = now.map((name) => former.indexOf(name));
  const best = places.map(() => ({ length: 1, before: -1 }));
  for (const [at, place] of places.entries()) {
    for (let earlier = 0; earlier < at; earlier += 1) {
      if (places[earlier] < place && best[earlier].length >= best[at].length) {
        best[at] = { length: best[earlier].length + 1, before: earlier };
      }
    }
  }
  let at = best.reduce((top, { length }, here) => (length > best[top].length ? here : top), 0);
  const kept = new Set();
  for (; at >= 0; at = best[at].before) kept.add(now[at]);
  return now.filter((name) => !kept.has(name));
}

function findingsOf({ findings }) {
  const said = [...findings.values()].flat();
  if (said.length === 0) return null;
  return notice("warn", "To be said of them", el("ul", { class: "findings" }, said.map(({ rule, key, text }) =>
    el("li", {}, data(rule), ", ", data(key), `: ${text}`))));
}

/** Read the rules that somebody else has put in force, with who and why. */
async function newest(view, error) {
  try {
    return parseRules((await request("api/config/rules")).text);
  } catch {
    return { ...view.newest, ...looseJson(error.answer.text) };
  }
}

async function saved(view, outcome, rules) {
  const { work } = view;
  work.message = "";
  view.newest = { ...view.newest, rules, revision: outcome.revision };
  adopt(work, view.newest, view.find);
  replace(view.said, notice("ok", outcome.changed ? `Revision ${outcome.revision} is in force` : "Nothing has changed",
    outcome.changed && "Workers get it when they start next.",
    span("inline", el("a", { href: partHref("clients", { would: "change" }) }, "Who would get something else now"),
      el("a", { href: partHref("revisions") }, "History"))));
  view.redraw();
  view.search.focus({ preventScroll: true });
  view.said.scrollIntoView({ block: "nearest" });
  view.readAgain();
}
