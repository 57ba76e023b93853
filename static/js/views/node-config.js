// SPDX-License-Identifier: Apache-2.0
// Configuration of a node: a table with search; on in-process nodes values can be changed while the node runs.

import { div, el, replace, span } from "../dom.js";
import { count, flatten, number, show } from "../format.js";
import { panel, readFirst, readNode } from "../panel.js";
import { request } from "../api.js";
import { nodePath } from "../nodes.js";
import { looseJson } from "../parse.js";
import { whyNot } from "../store.js";
import { button, data, filterablePairs, icon, notice } from "../widgets.js";
import { editor, postBody } from "./node-config-edit.js";

export function mount(root, context) {
  const isMp = context.kind === "mp";
  const reason = isMp ? null : whyNot(context.store.get());
  const view = { context, conf: {}, edits: new Map(), answers: new Map(), open: null, mayEdit: !isMp && !reason };
  return panel(root, {
    thing: "configuration",
    async load(signal) {
      return looseJson(await readFirst(context, isMp ? ["config", "conf"] : ["conf"], signal));
    },
    render(body, conf) {
      view.conf = isMp ? Object.fromEntries(flatten(conf)) : conf;
      view.said = el("div", { role: "status" });
      view.unsaved = div("unsaved");
      const { parts, redraw } = filterablePairs(view, "Search keys and values", "key", () => Object.entries(view.conf),
        { cell: (value, key) => cell(value, key, view) });
      view.redraw = () => {
        redraw();
        markEdits(view, parts[1]);
      };
      replace(body,
        isMp && notice("info", "Read-only",
          "An MP server takes its configuration from its command line. This is what it runs with, with dotted keys."),
        reason && notice("info", "The configuration cannot be changed", reason),
        parts[0], view.said, parts[1], view.unsaved);
      view.redraw();
    },
  });
}

function markEdits(view, list) {
  for (const row of list.querySelectorAll("tr[data-key]")) {
    row.classList.toggle("edited", view.edits.has(row.dataset.key));
  }
  replace(view.unsaved, unsavedBar(view));
}

function cell(value, key, view) {
  if (view.open === key) return openEditor(value, key, view);
  const answer = view.answers.get(key);
  return div("conf-value",
    value === null ? span("muted", "null") : data(show(value)),
    view.edits.has(key) && span("change", icon("next"), data(show(view.edits.get(key))), el("em", {}, "not saved")),
    answer && el("span", { class: "said", dataset: { mark: answer.mark } }, answer.text),
    view.mayEdit && button(icon("edit"), () => refocus(view, key, key),
      { class: "bare", "aria-label": `Edit ${key}` }));
}

function openEditor(current, key, view) {
  return editor(key, current, view.edits.has(key) ? view.edits.get(key) : current, {
    keep(value) {
      if (show(value) === show(current)) view.edits.delete(key);
      else view.edits.set(key, value);
      refocus(view, null, key);
    },
    stop: () => refocus(view, null, key),
  });
}

/** Open the editor of `open` (or close it) and put the keyboard in the row of `key`. */
function refocus(view, open, key) {
  view.open = open;
  view.redraw();
  for (const row of document.querySelectorAll("tr[data-key]")) {
    if (row.dataset.key !== key) continue;
    const control = row.querySelector("input, select, button");
    control?.focus();
    control?.select?.();
  }
}

function unsavedBar(view) {
  if (view.edits.size === 0) return null;
  return [
    el("strong", {}, `${count(view.edits.size, "change")} not saved`),
    span("muted", "They take effect at once and last until the node restarts."),
    span("spring"),
    button("Discard", () => { view.edits.clear(); view.redraw(); }),
    button("Save to the node", () => save(view), { class: "primary" }),
  ];
}

/** Send the changes, then read everything back: what the node answers and what it holds may differ. */
async function save(view) {
  const { context: { key, signal }, edits } = view;
  let said;
  try {
    const { text } = await request(nodePath(key, "conf"), { method: "POST", body: postBody(edits), signal });
    said = readAnswers(view, looseJson(text));
  } catch (error) {
    said = notice("bad", "Saving failed", error.message);
  }
  try {
    view.conf = looseJson(await readNode(view.context, "conf", signal));
  } catch (error) {
    said = notice("bad", "The configuration could not be read back", error.message);
  }
  if (signal.aborted) return;
  replace(view.said, said);
  view.redraw();
}

/** Keep what the node says of each key; what it refused stays as an edit. Gives the whole in words. */
function readAnswers(view, { updated = {}, errors = {} }) {
  view.answers = new Map();
  for (const key of [...view.edits.keys()]) {
    const ok = key in updated && !(key in errors);
    view.answers.set(key, ok
      ? { mark: "ok", text: `updated to ${show(updated[key])}` }
      : { mark: "bad", text: `refused: ${errors[key] ?? "the node says nothing about it"}` });
    if (ok) view.edits.delete(key);
  }
  const bad = [...view.answers].filter(([, { mark }]) => mark === "bad");
  const good = view.answers.size - bad.length;
  if (bad.length === 0) return notice("ok", `${count(good, "value")} updated`);
  return notice("bad", `${count(bad.length, "value")} refused, ${number(good)} updated`,
    bad.map(([key, { text }]) => `${key}: ${text}`).join("; "));
}
