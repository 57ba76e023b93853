// SPDX-License-Identifier: Apache-2.0
// The history of the rules: who changed what, any two compared, and the way back.

import { lockNote, needing } from "../access.js";
import { request, requestJson } from "../api.js";
import { div, el, para, replace, setAttribute, span } from "../dom.js";
import { count } from "../format.js";
import { panel, sentence } from "../panel.js";
import { looseJson } from "../parse.js";
import { replaceQuery } from "../router.js";
import { button, data, dialog, failedChange, icon, mark, notice, quantity, select } from "../widgets.js";
import { diffList } from "./configuration-diff.js";

const PAGE = 30;
const FIRST = {
  revision: 0, parent: null, at: null, author: "", message: "What there was before the first edit", changes: 0,
};

export function mount(root, context) {
  const { query } = context.route();
  const view = { context, open: new Set(), from: query.from ?? null, to: query.to ?? null };
  const shown = panel(root, context, {
    thing: "the history",
    async load(signal) {
      const [rules, page] = await Promise.all([readLoose("api/config/rules", signal), readPage(null, signal)]);
      return { rules, page };
    },
    render(body, { rules, page }) {
      Object.assign(view, { rules, revisions: page, isAll: page.length < PAGE });
      draw(view, body);
    },
  });
  view.readAgain = shown.update;
  return shown;
}

async function readLoose(path, signal) {
  return looseJson((await request(path, { signal })).text);
}

async function readPage(before, signal) {
  const from = before === null ? "" : `&before=${before}`;
  return (await requestJson(`api/config/revisions?limit=${PAGE}${from}`, { signal })).revisions;
}

function draw(view, body) {
  const { rules, revisions } = view;
  const isFile = revisions.length === 0 && /^the rules come from the file/.test(rules.read_only ?? "");
  view.said ??= el("div", { role: "status" });
  if (isFile) {
    return replace(body, notice("info", "There is no history here",
      `${sentence(rules.read_only)} Its history is where the file is kept.`));
  }
  view.list = el("ol", { class: "revisions" });
  view.more = div("inline");
  replace(body, view.said,
    lockNote("You cannot go back to a revision"),
    comparison(view), view.list, view.more);
  drawList(view);
}

function drawList(view) {
  const all = view.isAll ? [...view.revisions, FIRST] : view.revisions;
  replace(view.list, all.map((revision) => revisionItem(view, revision)));
  replace(view.more, !view.isAll && button("Older revisions", () => readMore(view)));
}

async function readMore(view) {
  try {
    const page = await readPage(view.revisions.at(-1).revision, view.context.signal);
    Object.assign(view, { revisions: [...view.revisions, ...page], isAll: page.length < PAGE });
    drawList(view);
  } catch (error) {
    if (error.kind !== "aborted") replace(view.said, failedChange(error, "The older revisions could not be read"));
  }
}

function revisionItem(view, one) {
  const { revision, parent, at, author, message, changes } = one;
  const isCurrent = revision === view.rules.revision;
  const shown = div("revision-diff");
  const fold = el("button", { type: "button", class: "unfold", on: { click: () => toggle() } },
    icon("next"), el("strong", {}, `Revision ${revision}`));
  const toggle = (isOpen = !view.open.has(revision)) => {
    view.open[isOpen ? "add" : "delete"](revision);
    setAttribute(fold, "aria-expanded", String(isOpen));
    if (isOpen) showDiff(view, shown, parent ?? 0, revision);
    else replace(shown);
  };
  const back = () => openRollback(view, one);
  if (revision) toggle(view.open.has(revision));
  return el("li", { class: "card revision", dataset: { revision } },
    div("revision-head", revision ? fold : el("strong", {}, "Revision 0"), isCurrent && mark("ok", "ok", "in force"),
      at !== null && quantity("ago", at), author && span("muted", "by ", data(author)),
      revision > 0 && span("muted", count(changes, "change")), span("spring"),
      !isCurrent && button([icon("undo"), "Go back to this"], back,
        { class: "small", "aria-label": `Go back to revision ${revision}`, ...needing() })),
    message && para("revision-message", data(message)), shown);
}

async function showDiff(view, place, from, to) {
  replace(place, para("loading", "Reading …"));
  try {
    replace(place, diffList((await readLoose(`api/config/revisions/${from}/diff?to=${to}`, view.context.signal)).diff));
  } catch (error) {
    if (error.kind !== "aborted") replace(place, notice("bad", "The differences could not be read", error.message));
  }
}

/** Any two revisions side by side; the address keeps which. */
function comparison(view) {
  const numbers = [...view.revisions.map(({ revision }) => revision), ...(view.isAll ? [0] : [])].map(String);
  for (const wanted of [view.from, view.to]) {
    if (/^\d+$/.test(wanted ?? "") && !numbers.includes(wanted)) numbers.push(wanted);
  }
  const options = numbers.map((one) => [one, one === String(view.rules.revision) ? `${one} (in force)` : one]);
  const place = div("revision-compared");
  const look = () => {
    const ready = view.from !== null && view.to !== null && view.from !== view.to;
    replaceQuery({ view: "revisions", from: view.from, to: view.to });
    if (ready) showDiff(view, place, view.from, view.to);
    else replace(place);
  };
  const choose = (name) => (value) => {
    view[name] = value || null;
    look();
  };
  const none = [["", "–"]];
  if (view.from && view.to) look();
  return numbers.length < 2 ? null : div("card", div("inline", span("muted", "Compare revision"),
    select("From revision", [...none, ...options], view.from ?? "", choose("from")), span("muted", "with"),
    select("To revision", [...none, ...options], view.to ?? "", choose("to"))), place);
}

/** Show what going back would change, and do it once that is meant. */
function openRollback(view, { revision, message: former }) {
  const current = view.rules.revision;
  const place = div("diff-scroll");
  const said = el("div", { role: "alert" });
  const message = el("input", {
    type: "text", id: "rollback-message", maxlength: "2000", autocomplete: "off",
    placeholder: `Roll back to revision ${revision}`,
  });
  const go = async (close) => {
    replace(said, para("loading", "Saving …"));
    try {
      const body = { to: revision, expected_revision: current, message: message.value.trim() };
      const outcome = await requestJson("api/config/rollback", { method: "POST", body });
      close();
      const title = outcome.changed ? `Revision ${outcome.revision} is in force` : "Nothing has changed";
      replace(view.said, notice("ok", title,
        outcome.changed ? `It has the rules of revision ${revision}.` : "The rules in force are the same."));
      view.readAgain();
    } catch (error) {
      const title = error.status === 409 ? "The rules were changed meanwhile" : "That was refused";
      replace(said, failedChange(error, title));
    }
    return false;
  };
  dialog(`Go back to revision ${revision}?`, [
    former && para("muted", data(former)),
    para("", "It becomes a new revision; nothing of the history is lost. What changes:"), place,
    view.context.store.get().rules.unsaved && notice("warn", "You have edits that are not saved",
      "They stay in the editor, and are made from the revision of before."),
    div("field", el("label", { for: "rollback-message" }, "Message"), message), said,
  ], [{ text: "Cancel" }, { text: "Go back to it", style: "primary", run: go }], { style: "wide" });
  showDiff(view, place, current, revision);
}
