// SPDX-License-Identifier: Apache-2.0
// What is about to be changed in a node's configuration, before and after; sending it, and the node's answer by key.

import { append, div, el, para, replace, span } from "../dom.js";
import { count, number } from "../format.js";
import { masked } from "../masking.js";
import { act } from "../panel.js";
import { sendable, words } from "../settings.js";
import { button, data, dialog, failedChange, icon, notice, table } from "../widgets.js";

/** Show what would be sent; `readAgain()` reads what the node holds, `take(view, rows)` puts it into the view. */
export function openReview(view, readAgain, take) {
  const { draft: { values }, byKey, context } = view;
  const list = div("diff-list");
  const said = el("div", { role: "status" });
  const send = async () => {
    box.element.querySelector(".primary").disabled = true;
    replace(said, para("loading", "Sending …"));
    const outcome = await save(view, new Map([...values].filter(([key]) => byKey.has(key))), readAgain, take);
    box.close();
    if (context.signal.aborted) return true;
    replace(view.said, outcome);
    view.redraw();
    if (document.activeElement === document.body) view.rest();
    return true;
  };
  const redraw = () => {
    const known = [...values].filter(([key]) => byKey.has(key));
    if (known.length === 0) return void box?.close();
    replace(list, diffTable(known, byKey, (key) => {
      values.delete(key);
      view.redraw();
      redraw();
    }));
  };
  let box = null;
  redraw();
  box = dialog("Change the configuration?", [
    data(context.key), list,
    para("muted", "The node takes it at once and keeps it until it restarts. LMCache accepts any key while it runs, "
      + "but reads many of them only when it starts: of those, nothing changes but what is shown here."), said,
  ], [{ text: "Cancel" }, { text: "Send to the node", style: "primary", run: send }], { style: "wide" });
}

function diffTable(known, byKey, drop) {
  const { element, body, row } = table("Changes", [
    ["Key", "col-key"], ["Now", "col-value"], ["New", "col-value"], ["Leave out", "col-actions"]], "diff");
  append(body, known.map(([key, value]) => row([
    [data(key), el("small", { class: "meaning" }, byKey.get(key).meaning)],
    el("del", {}, data(words(masked(key, byKey.get(key).value)))),
    el("ins", {}, data(words(masked(key, value)))),
    button(icon("bad"), () => drop(key), { class: "bare", "aria-label": `Leave out ${key}`, title: "Leave out" }),
  ])));
  return element;
}

/** Send the changes, then read everything back: what the node answers and what it holds may differ. Gives words. */
async function save(view, sent, readAgain, take) {
  const { context } = view;
  let said;
  try {
    said = readAnswers(view, sent, await act(context, "conf", { values: sendable(sent) }));
  } catch (error) {
    return failedChange(error, "Saving failed");
  }
  try {
    take(view, await readAgain());
    return said;
  } catch (error) {
    return [said, notice("warn", "The configuration could not be read back", error.message)];
  }
}

/** Keep what the node says of each key; what it refused stays to be saved. Gives the whole in words. */
function readAnswers(view, sent, { outcome, detail, keys }) {
  const { values, sent: sentBefore } = view.draft;
  view.answers = new Map();
  if (!keys) return notice("bad", outcome === "unsupported" ? "This node cannot be set" : "Saving failed", detail);
  for (const [key, value] of sent) {
    const { value: held, error } = keys[key] ?? { error: "the node says nothing about it" };
    if (error !== undefined) {
      view.answers.set(key, { mark: "bad", text: `refused: ${error}` });
      continue;
    }
    view.answers.set(key, { mark: "ok", text: `updated to ${words(masked(key, held))}` });
    sentBefore.set(key, Date.now());
    // While the answer was on its way, the value may have been changed again.
    if (values.get(key) === value) values.delete(key);
  }
  const bad = [...view.answers].filter(([, { mark }]) => mark === "bad");
  const good = view.answers.size - bad.length;
  if (bad.length === 0) return notice("ok", `${count(good, "value")} updated`, detail);
  return notice("bad", `${count(bad.length, "value")} refused, ${number(good)} updated`,
    div("", bad.map(([key, { text }]) => div("", data(key), span("", `: ${text}`)))));
}
