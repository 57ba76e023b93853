// SPDX-License-Identifier: Apache-2.0
// The rules: in their order, each to be opened and edited, and checked by the server while one types.

import { lockNote, needing, whyNot } from "../access.js";
import { request, requestJson } from "../api.js";
import { confirmed } from "../confirming.js";
import { div, el, para, replace, setAttribute, setText, span } from "../dom.js";
import { count, matcher } from "../format.js";
import { panel, sentence } from "../panel.js";
import { adopt, noteUnsaved, readDraft, readWork } from "../rules-work.js";
import { draftOf, isSame, parseRules, settingsFinder } from "../rules.js";
import { AS_TYPED, button, icon, notice, ofAll } from "../widgets.js";
import { partHref } from "./configuration.js";
import { check, countsOf, fieldOf, saidOf, slotOf } from "./configuration-check.js";
import { openConflict } from "./configuration-conflict.js";
import { orderBy } from "./configuration-order.js";
import { completions, saidLines } from "./configuration-parts.js";
import { openReview } from "./configuration-review.js";
import { ruleCard } from "./configuration-rule.js";
import { openText } from "./configuration-text.js";

const LOOK_AGAIN_MS = 15000;
const TYPING_MS = 400;
const FRESH = { name: "", description: "", enabled: true, deny: false, match: {}, items: [] };

export function mount(root, context) {
  const { store } = context;
  const view = {
    context, work: store.get().rules, cards: new Map(), slots: new Map(), fields: new Map(), filter: "",
    findings: new Map(), problems: new Map(), newest: null, timer: 0,
    read: (draft) => readDraft(draft, view.find), counts: (draft) => countsOf(view, draft),
    changeOf: (draft) => changeOf(view, draft), isFiltered: () => view.filter.trim() !== "",
    slot: (id) => slotOf(view, id), field: (id, field) => fieldOf(view, id, field),
    changed: (draft) => changed(view, draft), drawSaid: () => drawSaid(view), redraw: () => draw(view),
  };
  const shown = panel(root, context, {
    thing: "the rules", every_ms: LOOK_AGAIN_MS,
    load: (signal) => readAll(view, signal), render: (body, document) => take(view, body, document),
  });
  view.readAgain = shown.update;
  return {
    update: shown.update,
    unmount() {
      clearTimeout(view.timer);
      view.checking?.abort();
      shown.unmount();
    },
  };
}

/** Read the rules in force, and once what settings there are. */
async function readAll(view, signal) {
  try {
    const [{ text }, catalogue] = await Promise.all([
      request("api/config/rules", { signal }), view.catalogue ?? requestJson("api/config/catalogue", { signal })]);
    view.catalogue = catalogue;
    view.find ??= settingsFinder(catalogue.keys);
    return parseRules(text);
  } catch (error) {
    // Who edits goes on: the header says that the frontend is gone, and saving will say so too.
    if (view.newest && error.kind !== "aborted" && ![401, 403].includes(error.status)) return view.newest;
    throw error;
  }
}

/** Take what the server has now: it replaces what is shown, unless that is being edited. */
function take(view, body, document) {
  const { work } = view;
  const isOther = !work.base || !isSame([work.base.revision, work.base.rules], [document.revision, document.rules]);
  const shape = JSON.stringify(document.read_only);
  const taken = isOther && !work.unsaved;
  view.newest = document;
  if (taken) adopt(work, document, view.find);
  if (taken || shape !== view.shape || body !== view.body) {
    Object.assign(view, { body, shape });
    draw(view);
  }
  drawLate(view);
}

function draw(view) {
  const { work, body, newest } = view;
  const isFile = /^the rules come from the file/.test(newest.read_only ?? "");
  view.mayEdit = !isFile;
  Object.assign(view, {
    list: el("ol", { class: "rules" }), said: view.said ?? el("div", { role: "status" }), late: div("late"),
    live: el("div", { class: "unseen", "aria-live": "assertive" }), bar: div("unsaved"), tally: span("tally"),
    cards: new Map(), slots: new Map(), fields: new Map(), nothing: div("nothing-here"),
  });
  const search = el("input", {
    type: "search", class: "search", placeholder: "Search rules and settings",
    "aria-label": "Search rules and settings", value: view.filter, ...AS_TYPED,
    on: { input() { view.filter = search.value; drawFilter(view); } },
  });
  view.search = search;
  replace(body,
    isFile && notice("info", "These rules come from a file", sentence(newest.read_only)),
    !isFile && newest.read_only && notice("warn", "Rules cannot be saved at the moment", sentence(newest.read_only)),
    !isFile && lockNote("You cannot change the rules"),
    view.late, view.said,
    div("tools", search, view.tally, span("spring"),
      button([icon("copy"), "As text"], () => openText(view), { "aria-haspopup": "dialog" }),
      view.mayEdit && button("Add a rule", () => addRule(view), { class: "primary", ...needing() })),
    para("muted hint", "Taken in this order: for each setting, the last rule that is for a worker wins. ",
      view.mayEdit && "Drag ⠿ or use the arrow keys on it to change the order."),
    view.nothing, view.list, view.bar, view.live, completions(view.catalogue.keys));
  drawList(view);
  checkSoon(view, 0);
}

/** Ask the server what is to be said of the rules; it tells those who may change them. */
function checkSoon(view, after_ms) {
  clearTimeout(view.timer);
  if (whyNot(view.context.store.get())) return;
  view.timer = setTimeout(() => check(view, () => drawSaid(view)), after_ms);
}

function drawList(view) {
  const order = orderBy(view, () => changed(view));
  const acts = { ...order, remove: (draft) => removeRule(view, draft), duplicate: (draft) => addRule(view, draft) };
  view.cards = new Map(view.work.drafts.map((draft) => [draft.id, ruleCard(view, draft, acts)]));
  replace(view.list, [...view.cards.values()].map(({ element }) => element));
  replace(view.nothing, view.work.drafts.length === 0 && notice("info", "There are no rules",
    "Workers that ask get nothing, and keep their own configuration. A rule says whom it is for and what it sets."));
  drawFilter(view);
  drawSaid(view);
}

function drawFilter(view) {
  const accepts = matcher(view.filter);
  let some = 0;
  for (const draft of view.work.drafts) {
    const { element } = view.cards.get(draft.id);
    element.hidden = !accepts(`${draft.name} ${element.textContent} ${JSON.stringify(
      draft.conditions)} ${draft.items.map(({ key }) => key).join(" ")}`);
    some += element.hidden ? 0 : 1;
  }
  setText(view.tally, ofAll(some, view.work.drafts.length, "rule"));
  for (const { update } of view.cards.values()) update();
}

function addRule(view, like = null) {
  const { work } = view;
  const names = new Set(work.drafts.map(({ name }) => name));
  const rule = like ? view.read(like).rule : FRESH;
  const first = like ? `${like.name} (copy)` : "new rule";
  let name = first;
  for (let next = 2; names.has(name); next += 1) name = `${first} ${next}`;
  const draft = draftOf({ ...rule, name }, view.find);
  work.drafts.splice(like ? work.drafts.indexOf(like) + 1 : work.drafts.length, 0, draft);
  work.open.add(draft.id);
  view.filter = view.search.value = "";
  drawList(view);
  changed(view, draft);
  const field = view.fields.get(`${draft.id}:name`);
  field.focus();
  field.select();
  field.scrollIntoView({ block: "center" });
}

/** Take a rule out at once; until it is saved it can be put back. */
function removeRule(view, draft) {
  const { work } = view;
  const at = work.drafts.indexOf(draft);
  work.drafts.splice(at, 1);
  const back = () => {
    work.drafts.splice(Math.min(at, work.drafts.length), 0, draft);
    replace(view.said);
    drawList(view);
    changed(view);
    view.cards.get(draft.id).fold.focus();
  };
  drawList(view);
  changed(view);
  const undo = button([icon("undo"), "Put it back"], back, { class: "small" });
  const words = `“${draft.name}” was taken out of the list. Nothing is saved yet.`;
  replace(view.said, div("undo-bar", span("", words), undo));
  undo.focus();
}

/** Note that a rule (or the list) was edited: say what is wrong, and ask the server soon. */
function changed(view, draft = null) {
  if (draft) draft.read = null;
  drawSaid(view);
  checkSoon(view, TYPING_MS);
}

function changeOf(view, draft) {
  const before = view.work.base.rules.find(({ name }) => name === draft.name);
  if (!before) return "new";
  return isSame(before, view.read(draft).rule) ? null : "changed";
}

/** Put what is said of each part where the part is, and the whole into the bar. */
function drawSaid(view) {
  const now = readWork(view.work, view.find);
  view.problems = now.problems;
  view.changes = noteUnsaved(view.work, now);
  for (const [id, slot] of view.slots) {
    const said = saidOf(view, id);
    const shape = JSON.stringify(said);
    if (slot.shape === shape) continue;
    slot.shape = shape;
    replace(slot, saidLines(said));
    const field = view.fields.get(id);
    if (field) setAttribute(field, "aria-invalid", said.some(({ severity }) => severity === "error") ? "true" : null);
  }
  for (const { update } of view.cards.values()) update();
  drawBar(view);
  // The mark at the tab is drawn from the store.
  view.context.store.set({});
}

function drawBar(view) {
  const { work, changes, mayEdit } = view;
  const wrong = work.drafts.filter((draft) => view.counts(draft).errors > 0);
  const shape = JSON.stringify([work.unsaved, changes, wrong.map(({ id }) => id), mayEdit]);
  if (view.bar.shape === shape) return;
  view.bar.shape = shape;
  const show = () => {
    const [draft] = wrong;
    if (!work.open.has(draft.id)) view.cards.get(draft.id).fold.click();
    const bad = view.cards.get(draft.id).element.querySelector("[aria-invalid], .state-bad");
    bad?.focus();
    bad?.scrollIntoView({ block: "center" });
  };
  const discard = async () => {
    const text = "The rules are shown again as they are in force. What you have edited is gone.";
    if (!await confirmed({ title: "Discard what is not saved?", text, verb: "Discard" })) return;
    adopt(work, view.newest, view.find);
    draw(view);
    view.search.focus();
  };
  replace(view.bar, mayEdit && work.unsaved && [
    el("strong", {}, changes ? `${count(changes, "change")} not saved` : "Not saved"),
    wrong.length ? span("state-bad",
      `${count(wrong.length, "rule has an error", "rules have errors")} to be mended first`)
      : span("muted", "Nothing is in force until you have looked at it once more."),
    wrong.length > 0 && button("Show", show, { class: "small" }), span("spring"),
    el("a", { href: partHref("preview"), class: "button" }, "Try on a worker"),
    button("Discard", discard),
    button("Review and save", () => openReview(view),
      { class: "primary", disabled: wrong.length > 0, ...needing() }),
  ]);
}

/** Say that others have changed the rules while these were edited. */
function drawLate(view) {
  const { work, newest } = view;
  const isLate = work.unsaved && work.base.revision !== newest.revision;
  const shape = isLate ? String(newest.revision) : "";
  if (view.late.shape === shape) return;
  view.late.shape = shape;
  replace(view.late, isLate && notice("warn",
    `The rules were changed meanwhile${newest.author ? ` by ${newest.author}` : ""}`,
    `They are at revision ${newest.revision}${newest.message ? ` (“${newest.message}”)` : ""}, and you edit ${
      work.base.revision}. Nothing of yours is lost.`,
    button("Look, and put both together", () => openConflict(view, newest), { class: "small" })));
}
