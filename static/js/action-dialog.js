// SPDX-License-Identifier: Apache-2.0
// The dialog of an action: its arguments, what it would do, and how it goes, node by node.

import { ACTIONS, describeNodes } from "./action-forms.js";
import { runAction } from "./actions.js";
import { request } from "./api.js";
import { div, el, keyed, replace, setAttribute, setText, span } from "./dom.js";
import { count, duration, number } from "./format.js";
import { nodeHref } from "./router.js";
import { AS_TYPED, button, data, failedChange, mark } from "./widgets.js";

const OUTCOMES = {
  failed: ["bad", "bad", "Failed"], unsupported: ["calm", "info", "Not offered"], skipped: ["calm", "wait", "Skipped"],
  planned: ["calm", "next", "Planned"], done: ["ok", "ok", "Done"],
};
const ORDER = Object.keys(OUTCOMES);

/**
 * Open the dialog for `action` on the nodes `keys`; `arguments` are what the form begins with. `closed(lines)` comes
 * last, with what was told of each node.
 */
export function openAction({ feed }, { keys, action, arguments: given = {}, closed = () => {} }) {
  const spec = ACTIONS[action];
  const control = new AbortController();
  const state = { keys, action, spec, feed, control, id: null, lines: [], running: false };
  state.body = div("action-body");
  state.element = el("dialog", {
    class: "dialog wide", "aria-labelledby": "action-title", on: {
      close() {
        control.abort();
        state.element.remove();
        state.before?.focus?.({ preventScroll: true });
        closed(state.lines);
      },
    },
  }, div("dialog-body", el("h2", { id: "action-title" }, spec.title), state.body));
  state.before = document.activeElement;
  ask(state, given);
  document.body.append(state.element);
  state.element.showModal();
  // The first field, not the first button, is what one came for.
  state.body.querySelector("input, select, textarea")?.focus();
}

/** Show the form. */
function ask(state, given) {
  const { spec, keys, body, element } = state;
  const form = spec.form(given);
  const many = keys.length > 1;
  const canary = el("input", { type: "checkbox", id: "action-canary" });
  const most = el("input", { type: "number", min: "1", id: "action-most", class: "short", placeholder: "never" });
  const word = el("input", { type: "text", id: "action-word", required: true, pattern: spec.confirm, ...AS_TYPED });
  const said = el("p", { class: "problem", role: "alert" });
  const go = (dry_run) => {
    try {
      setText(said, "");
      carryOut(state, {
        action: state.action, nodes: state.keys, arguments: form.read(), dry_run,
        ...(many && canary.checked && { canary: true }),
        ...(many && most.value && { max_failures: Number(most.value) }),
      });
    } catch (error) {
      setText(said, error.message);
    }
  };
  const submit = (event) => {
    event.preventDefault();
    go(false);
  };
  const who = el("p", {}, el("strong", {}, `On ${count(keys.length, "node")}: `), data(""));
  describeNodes(who.lastChild, keys);
  replace(body, el("form", { on: { submit } }, who, el("p", { class: "muted" }, spec.text), form.parts,
    many && div("action-how", el("label", { class: "choice" }, canary, "One node first; the others if that went well"),
      el("label", { class: "choice" }, "Stop after this many failures ", most)),
    spec.confirm && div("field",
      el("label", { for: "action-word" }, "To confirm, type ", el("code", {}, spec.confirm)), word),
    said, div("dialog-buttons", button("Cancel", () => element.close()),
      button("What would be sent", () => go(true)),
      el("button", { class: spec.confirm ? "danger" : "primary" }, spec.verb))));
}

/** Run the action and show how it goes. */
async function carryOut(state, body) {
  const { element, control, feed } = state;
  Object.assign(state, { lines: [], running: true, id: null, total: state.keys.length, dry: body.dry_run });
  state.bar = el("progress", { max: state.total, value: 0, "aria-label": "Nodes done" });
  state.counts = el("p", { class: "action-counts", role: "status" });
  state.list = el("ol", { class: "action-lines" });
  state.said = el("div", { role: "alert" });
  state.buttons = div("dialog-buttons");
  replace(state.body, state.bar, state.counts, state.said, state.list, state.buttons);
  drawButtons(state, body);
  state.buttons.querySelector("button")?.focus();
  try {
    await runAction(body, (line) => hear(state, line), { signal: control.signal });
  } catch (error) {
    if (control.signal.aborted) return;
    replace(state.said, failedChange(error, "That was refused"));
  }
  state.running = false;
  drawProgress(state);
  drawButtons(state, body);
  if (element.contains(document.activeElement) || document.activeElement === document.body) {
    state.buttons.lastChild.focus();
  }
  if (!body.dry_run) feed?.now();
}

function hear(state, line) {
  if (line.id) Object.assign(state, { id: line.id, total: line.nodes });
  else state.lines.push(line);
  if (state.due) return;
  state.due = true;
  requestAnimationFrame(() => {
    state.due = false;
    drawProgress(state);
  });
}

function drawProgress({ lines, total, bar, counts, list, running, dry }) {
  setAttribute(bar, "max", Math.max(1, total));
  setAttribute(bar, "value", lines.length);
  bar.hidden = !running;
  const of = (outcome) => lines.filter((line) => line.outcome === outcome).length;
  const told = [...ORDER].reverse().filter(of).map((outcome) =>
    span(`action-count`, mark(OUTCOMES[outcome][0], OUTCOMES[outcome][1],
      `${number(of(outcome))} ${OUTCOMES[outcome][2].toLowerCase()}`)));
  replace(counts, running ? `${number(lines.length)} of ${count(total, "node")} … `
    : dry ? "This would be sent; nothing was changed. " : "", told);
  const ordered = [...lines].sort((a, b) => ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome));
  keyed(list, ordered, ({ node }) => node, { make: makeLine, update: () => {} });
}

function makeLine({ node, outcome, detail, seconds, status }) {
  const [tone, shape, word] = OUTCOMES[outcome] ?? OUTCOMES.failed;
  const facts = [status && `status ${status}`, seconds && duration(seconds)].filter(Boolean).join(", ");
  return el("li", { class: "action-line", dataset: { node, outcome } },
    mark(tone, shape, word), el("a", { href: nodeHref(node) }, data(node)),
    el("span", { class: "action-detail", title: facts }, data(String(detail ?? "").slice(0, 2000))));
}

function drawButtons(state, body) {
  const { buttons, element, running, dry, lines } = state;
  const failed = lines.filter(({ outcome }) => outcome === "failed").map(({ node }) => node);
  const stop = button("Stop", async () => {
    stop.disabled = true;
    // One that has ended meanwhile cannot be stopped, which is just as well.
    if (state.id) await request(`api/fleet/actions/${state.id}`, { method: "DELETE" }).catch(() => {});
  });
  const goOn = el("p", { class: "tally" }, "Closing this does not stop it.");
  const back = button("Back", () => ask(state, body.arguments));
  const again = () => {
    state.keys = failed;
    carryOut(state, { ...body, nodes: failed, dry_run: false });
  };
  replace(buttons, running && [goOn, span("spring"), stop], !running && (dry || !lines.length) && back,
    !running && !dry && failed.length > 0 && button(`Again on ${count(failed.length, "failed node")}`, again),
    button("Close", () => element.close(), { class: "primary" }));
}
