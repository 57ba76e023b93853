// SPDX-License-Identifier: Apache-2.0
// Somebody else has changed the rules while these were edited: both sides, and what is to become of them.

import { div, el, para, replace, span } from "../dom.js";
import { clock, count } from "../format.js";
import { merged, touched } from "../rules-merge.js";
import { putRules, readWork } from "../rules-work.js";
import { button, data, dialog, icon, notice, select } from "../widgets.js";
import { diffLines } from "./configuration-diff.js";

const DEEDS = { added: "added it", changed: "changed it", removed: "took it out" };

/** Show what the others did and what is edited here; `theirs` is the server's document of the rules in force now. */
export function openConflict(view, theirs) {
  const { work } = view;
  const mine = readWork(work, view.find).rules;
  const base = work.base.rules;
  const rows = touched(base, mine, theirs.rules);
  const clashes = rows.filter(({ clash }) => clash);
  const choices = new Map(clashes.map(({ name }) => [name, "mine"]));
  const put = (rules, title, text) => () => {
    const before = { base: work.base, drafts: work.drafts, open: work.open };
    view.newest = theirs;
    putRules(work, theirs, rules(), view.find);
    view.redraw();
    sayDone(view, title, text, before);
  };
  const all = rows.length === 0 ? para("muted", "Both sides have the same rules now.")
    : el("ol", { class: "diff clashes" }, rows.map((row) => sides(row, choices)));
  dialog("The rules were changed meanwhile", [
    para("", theirs.author ? data(theirs.author) : "Somebody", ` put revision ${theirs.revision} in force`,
      theirs.at ? ` at ${clock(theirs.at)}` : "", theirs.message ? [": ", data(`“${theirs.message}”`)] : ".",
      ` You edit revision ${work.base.revision}.`),
    para("muted", clashes.length ? `${count(clashes.length, "rule was", "rules were")} changed by both; choose below. `
      : "Nobody changed what the other did: both go together. ",
    "Whichever way you take, it goes to the editor first, and nothing is in force until you save."),
    div("diff-scroll", all),
  ], [
    { text: "Later" },
    { text: "Take theirs", run: put(() => theirs.rules, "Theirs is shown", "What you had edited is set aside.") },
    { text: "Keep mine", run: put(() => mine, "Yours is shown", "Saving it takes back what the others did.") },
    {
      text: "Put both together", style: "primary",
      run: put(() => merged(base, mine, theirs.rules, choices), "Both are put together", "Look at it, then save."),
    },
  ], { style: "wide conflict" });
}

/** One rule with what each side did to it; a clash has a choice. */
function sides({ name, before, mine, theirs, my, their, clash }, choices) {
  const shown = div("clash-sides");
  const draw = () => replace(shown,
    their && div("", el("h4", {}, "They"), before || theirs ? diffLines(before, theirs) : null),
    my && div("", el("h4", {}, "You"), diffLines(before, mine)));
  draw();
  const options = [["mine", "Take yours"], ["theirs", "Take theirs"]];
  return el("li", { class: "card", dataset: { rule: name }, "data-clash": clash ? "" : null },
    div("diff-head", data(name), span("muted", [
      their && `they ${DEEDS[their]}`, my && `you ${DEEDS[my]}`].filter(Boolean).join(", ")), span("spring"),
    clash && span("state state-warn", icon("warn"), "Both"),
    clash && select(`Whose ${name}`, options, "mine", (chosen) => choices.set(name, chosen))), shown);
}

function sayDone(view, title, text, before) {
  const back = () => {
    Object.assign(view.work, before);
    replace(view.said);
    view.redraw();
    view.search.focus();
  };
  replace(view.said, notice("info", title, text,
    button([icon("undo"), "Back to what I had"], back, { class: "small" })));
  view.said.scrollIntoView({ block: "nearest" });
}
