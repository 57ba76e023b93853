// SPDX-License-Identifier: Apache-2.0
// Configuration of a node: a table with search; on in-process nodes values can be changed while the node runs.
// What is changed but not saved is kept in the store, as the node's draft.

import { div, el, replace, span } from "../dom.js";
import { count, flatten, number, show } from "../format.js";
import { askNode, panel, readFirst, readNode } from "../panel.js";
import { looseJson } from "../parse.js";
import { whyNot } from "../store.js";
import { button, data, failedChange, filterablePairs, icon, notice } from "../widgets.js";
import { editor, postBody } from "./node-config-edit.js";

export function mount(root, context) {
  const isMp = context.kind === "mp";
  const reason = isMp ? null : whyNot(context.store.get());
  const mayEdit = !isMp && !reason;
  const view = { context, conf: {}, draft: context.store.draft(context.key), answers: new Map(), mayEdit };
  return panel(root, context, {
    thing: "configuration",
    async load(signal) {
      return looseJson(await readFirst(context, isMp ? ["config", "conf"] : ["conf"], signal));
    },
    render(body, conf) {
      takeConf(view, isMp ? Object.fromEntries(flatten(conf)) : conf);
      view.said = el("div", { role: "status" });
      view.unsaved = div("unsaved");
      const { parts, redraw } = filterablePairs(view, "Search keys and values", "key", () => Object.entries(view.conf),
        { cell: (value, key) => cell(value, key, view) });
      view.redraw = () => {
        redraw();
        markEdits(view, parts[1]);
      };
      // The keyboard goes here where the button that it was on is gone.
      view.rest = () => parts[0].firstChild.focus();
      parts[0].firstChild.addEventListener("input", () => markEdits(view, parts[1]));
      replace(body,
        isMp && notice("info", "Read-only",
          "An MP server takes its configuration from its command line. This is what it runs with, with dotted keys."),
        reason && notice("info", "The configuration cannot be changed", reason),
        parts[0], view.said, parts[1], view.unsaved);
      view.redraw();
    },
  });
}

/** Take what the node holds now; what was to be changed to just that is changed already. */
function takeConf(view, conf) {
  view.conf = conf;
  for (const [key, value] of view.draft.values) {
    if (key in conf && show(conf[key]) === show(value)) view.draft.values.delete(key);
  }
}

function markEdits(view, list) {
  for (const row of list.querySelectorAll("tr[data-key]")) {
    row.classList.toggle("edited", view.draft.values.has(row.dataset.key));
  }
  replace(view.unsaved, view.mayEdit && unsavedBar(view));
  // The mark at the tab is drawn from the store.
  view.context.store.set({});
}

function cell(value, key, view) {
  const { draft: { values, open }, mayEdit } = view;
  if (mayEdit && open?.key === key) return openEditor(value, key, view);
  const answer = view.answers.get(key);
  return div("conf-value",
    value === null ? span("muted", "null") : data(show(value)),
    values.has(key) && span("change", icon("next"), data(show(values.get(key))), el("em", {}, "not saved")),
    answer && el("span", { class: "said", dataset: { mark: answer.mark } }, answer.text),
    mayEdit && button(icon("edit"), () => refocus(view, opened(value, key, values), key),
      { class: "bare", "aria-label": `Edit ${key}` }));
}

/** The field of a key as it is when it is opened: `text` follows what is typed, `was` does not. */
function opened(value, key, values) {
  const text = show(values.has(key) ? values.get(key) : value);
  return { key, text, was: text };
}

function openEditor(current, key, view) {
  const { draft: { values, open }, context: { store } } = view;
  return editor(key, current, open.text, {
    typed(text) {
      open.text = text;
      store.set({});
    },
    keep(value) {
      if (show(value) === show(current)) values.delete(key);
      else values.set(key, value);
      refocus(view, null, key);
    },
    stop: () => refocus(view, null, key),
  });
}

/** Open the field `open` (or close the one that is open) and put the keyboard in the row of `key`. */
function refocus(view, open, key) {
  view.draft.open = open;
  view.redraw();
  for (const row of document.querySelectorAll("tr[data-key]")) {
    if (row.dataset.key !== key) continue;
    const control = row.querySelector("input, select, button");
    control?.focus();
    control?.select?.();
  }
}

function unsavedBar(view) {
  const { values } = view.draft;
  if (values.size === 0) return null;
  const discard = () => {
    values.clear();
    view.redraw();
    view.rest();
  };
  return [
    el("strong", {}, `${count(values.size, "change")} not saved`),
    span("muted", "They take effect at once and last until the node restarts."),
    span("spring"),
    button("Discard", discard),
    button("Save to the node", () => save(view), { class: "primary" }),
  ];
}

/** Send the changes; if that worked read everything back: what the node answers and what it holds may differ. */
async function save(view) {
  if (view.saving) return;
  view.saving = true;
  const said = await send(view, new Map(view.draft.values));
  view.saving = false;
  if (view.context.signal.aborted) return;
  replace(view.said, said);
  view.redraw();
  if (document.activeElement === document.body) view.rest();
}

async function send(view, sent) {
  const { context } = view;
  const { signal } = context;
  let said;
  try {
    said = readAnswers(view, sent, await post(context, sent));
  } catch (error) {
    return failedChange(error, "Saving failed");
  }
  try {
    takeConf(view, looseJson(await readNode(context, "conf", signal)));
    return said;
  } catch (error) {
    return [said, notice("warn", "The configuration could not be read back", error.message)];
  }
}

/** Send values; where the node refuses all of them, it says why of each key as it does where it refuses some. */
async function post(context, sent) {
  try {
    const options = { method: "POST", body: postBody(sent), signal: context.signal };
    return looseJson((await askNode(context, "conf", options)).text);
  } catch (error) {
    const answer = error.kind === "http" && error.status === 400 ? readErrors(error.answer.text) : null;
    if (!answer) throw error;
    return answer;
  }
}

function readErrors(text) {
  try {
    const answer = looseJson(text);
    return answer?.errors ? answer : null;
  } catch {
    return null;
  }
}

/** Keep what the node says of each key; what it refused stays to be saved. Gives the whole in words. */
function readAnswers(view, sent, { updated = {}, errors = {} }) {
  const { values } = view.draft;
  view.answers = new Map();
  for (const [key, value] of sent) {
    const ok = key in updated && !(key in errors);
    view.answers.set(key, ok
      ? { mark: "ok", text: `updated to ${show(updated[key])}` }
      : { mark: "bad", text: `refused: ${errors[key] ?? "the node says nothing about it"}` });
    // While the answer was on its way, the value may have been changed again.
    if (ok && values.get(key) === value) values.delete(key);
  }
  const bad = [...view.answers].filter(([, { mark }]) => mark === "bad");
  const good = view.answers.size - bad.length;
  if (bad.length === 0) return notice("ok", `${count(good, "value")} updated`);
  return notice("bad", `${count(bad.length, "value")} refused, ${number(good)} updated`,
    bad.map(([key, { text }]) => `${key}: ${text}`).join("; "));
}
