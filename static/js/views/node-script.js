// SPDX-License-Identifier: Apache-2.0
// A Python script to be run in the node's own process, and what it gave.

import { lockNote, needing } from "../access.js";
import { exchange } from "../api.js";
import { confirmed } from "../confirming.js";
import { copyButton } from "../copying.js";
import { div, el, para, replace, span } from "../dom.js";
import { bytes, duration, flatten } from "../format.js";
import { nodePath } from "../nodes.js";
import { NotOffered, panel, readItem, tryTo } from "../panel.js";
import { nodeHref } from "../router.js";
import { button, data, failedChange, notice } from "../widgets.js";

const SWITCH = "run_script_api_enabled";
const IMPORTS = "script_allowed_imports";
const EXAMPLE = "# What `result` holds at the end is the answer. There are `app`, the node's HTTP application, and of\n"
  + "# Python's own names print, str, int, float, list, dict, tuple and set; what is printed goes to its log.\n"
  + 'result = "\\n".join([route.path for route in app.routes])\n';

export function mount(root, context) {
  const view = { context, script: EXAMPLE, name: "script.py", answer: null };
  const shown = panel(root, context, {
    thing: "whether scripts may run",
    async load(signal) {
      if (context.kind === "frontend") throw new NotOffered("A frontend runs no scripts.");
      return readSwitch(context, signal);
    },
    render: (body, found) => draw(body, view, found),
  });
  view.again = () => shown.update();
  return shown;
}

/** `{enabled, imports}`; null where the node does not say, as those before 0.5.6, where scripts always run. */
async function readSwitch(context, signal) {
  try {
    const { values } = await readItem(context, "conf", signal);
    const flat = new Map(flatten(values).map(([key, value]) => [key.replace(/^mp\./, ""), value]));
    return { enabled: flat.get(SWITCH) ?? null, imports: flat.get(IMPORTS) ?? [] };
  } catch (error) {
    if (error.kind === "aborted") throw error;
    return { enabled: null, imports: [] };
  }
}

function draw(body, view, { enabled, imports }) {
  const { context } = view;
  const area = el("textarea", {
    class: "code", rows: 12, spellcheck: "false", autocomplete: "off", "aria-label": "Script", value: view.script,
    on: { input: () => { view.script = area.value; } },
  });
  const file = el("input", {
    type: "file", accept: ".py,text/x-python", class: "unseen", "aria-label": "Script file", tabindex: "-1",
    on: { change: () => takeFile(view, file, area) },
  });
  const run = button("Run on this node …", () => send(view, run, said),
    { class: "primary", disabled: enabled === false, ...needing() });
  const said = div("script-answer");
  said.setAttribute("role", "status");
  replace(body,
    lockNote("You cannot run scripts"),
    enabled === false && off(view),
    para("muted", "The script runs inside the process of the node, beside the cache it serves: one that hangs or fails "
      + "badly takes the node with it. ", imports?.length ? ["It may import ", data([imports].flat().join(", ")), "."]
      : "It may import nothing."),
    div("drop", area),
    div("inline", button("Open a file …", () => file.click(), { class: "small" }), file,
      span("tally", data(view.name)), span("spring"), run),
    said);
  takeDrops(view, body, area);
  if (view.answer) replace(said, view.answer);
}

/** Say that scripts are off, and on nodes that can be set while they run, offer to switch them on. */
function off({ context, again }) {
  if (context.kind === "mp") {
    return notice("info", "This node has scripts switched off",
      `An MP server takes ${SWITCH} only when it starts: --run-script-api-enabled on its command line.`);
  }
  const place = div("script-off");
  const switchOn = async () => {
    const ok = await confirmed({
      title: "Let this node run scripts?", verb: "Switch it on", style: "primary",
      text: [data(context.key), `${SWITCH} becomes true until the node restarts, or somebody sets it back. Whoever can `
        + "reach the node's port can then run code in its process."],
    });
    if (!ok) return;
    const { line, said } = await tryTo(context, "conf", { values: { [SWITCH]: true } });
    if (line?.outcome === "done") again();
    else place.append(said);
  };
  place.append(notice("info", "This node has scripts switched off",
    `${SWITCH} is false, as it is by default. It can be set while the node runs.`,
    div("inline",
      button("Switch it on …", switchOn, { class: "small", ...needing() }),
      el("a", { href: nodeHref(context.key, "config", { q: SWITCH }) }, "See it in Config"))));
  return place;
}

async function takeFile(view, { files }, area) {
  const [file] = files;
  if (!file) return;
  view.name = file.name;
  view.script = area.value = await file.text();
  document.querySelector(".panel .tally bdi").textContent = file.name;
}

function takeDrops(view, body, area) {
  body.ondragover = (event) => event.preventDefault();
  body.ondrop = (event) => {
    event.preventDefault();
    takeFile(view, event.dataTransfer, area);
  };
}

async function send(view, run, said) {
  const { context, script, name } = view;
  const lines = script.trim().split("\n").length;
  if (!script.trim()) return void replace(said, notice("warn", "There is nothing to run", null));
  const ok = await confirmed({
    title: "Run this script?", verb: "Run it", style: "danger",
    text: [data(context.key), `${lines} line${lines === 1 ? "" : "s"}, ${bytes(new Blob([script]).size)}.`],
  });
  if (!ok) return;
  run.disabled = true;
  replace(said, para("loading", "Running …"));
  const form = new FormData();
  form.append("script", new Blob([script], { type: "text/x-python" }), name);
  let words;
  try {
    const request = { method: "POST", body: form, signal: context.signal };
    words = answerOf(await exchange(nodePath(context.key, "run_script"), request));
  } catch (error) {
    if (error.kind === "aborted") return;
    words = failedChange(error, "The script was not run");
  }
  run.disabled = false;
  view.answer = words;
  replace(said, words);
}

function answerOf({ status, text, whole_ms: took }) {
  const time = span("tally", `after ${duration(took / 1000)}`);
  if (status === 404 && /disabled/.test(text)) return notice("info", "This node has scripts switched off", text);
  if (status === 404) return notice("info", "This node does not run scripts", text);
  if (status === 401 || status === 403) return notice("info", "You may not run scripts", text);
  const head = status === 200 ? notice("ok", "The script has run", null, time)
    : notice("bad", `The script failed (${status})`, null, time);
  return div("", head, el("pre", { class: "raw" }, data(text || "(nothing)")),
    div("inline", copyButton("Copy the answer", () => text)));
}
