// SPDX-License-Identifier: Apache-2.0
// Log levels of a node: every logger with a level to choose, to confirm, and to take back.

import { lockNote, needing } from "../access.js";
import { div, el, keyed, para, replace, setText, span } from "../dom.js";
import { count } from "../format.js";
import { panel, readItem, tryTo } from "../panel.js";
import { AS_TYPED, button, data, filterable, icon, listCard, ofAll, select, table } from "../widgets.js";

const LEVELS = ["NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const SHOWN = [["all", "All levels"], ["changed", "Changed here"], ...LEVELS.map((level) => [level, level])];

export function mount(root, context) {
  const draft = context.store.draft(context.key);
  // What was changed here: name to the level that it had; kept while the page is open, so that it can be undone.
  draft.levels ??= new Map();
  const view = {
    context, loggers: [], said: new Map(), chosen: new Map(), changed: draft.levels, only: "all", filter: "",
  };
  return panel(root, context, {
    thing: "log levels",
    load: (signal) => readItem(context, "loggers", signal),
    render(body, { loggers }) {
      view.loggers = loggers;
      draw(body, view);
    },
  });
}

function draw(body, view) {
  const { element, body: rows, row } = table("Loggers", [
    ["Logger", "col-key"], ["Level", "col-level"], ["What came of it", "col-text"],
  ], "loggers");
  const only = select("Which levels", SHOWN, view.only, (value) => {
    view.only = value;
    view.redraw();
  });
  const { parts, redraw } = filterable(view, "Search loggers", (accepts) => {
    const some = view.loggers.filter(({ name, level }) => accepts(`${name} ${level}`) && isShown(view, name, level));
    keyed(rows, some, (logger) => logger.name, {
      make: (logger) => loggerRow(row, logger, view),
      update: (line, logger) => line.refresh(logger),
    });
    return {
      text: ofAll(some.length, view.loggers.length, "logger"),
      content: listCard(element),
      none: some.length === 0 && "No logger matches.",
    };
  }, anyLogger(view));
  view.clear = () => { view.only = only.value = "all"; };
  parts[0].firstChild.after(only);
  view.bar = div("undo-bar");
  view.redraw = () => {
    redraw();
    replace(view.bar, undoBar(view));
  };
  replace(body,
    lockNote("Log levels cannot be changed"),
    parts[0],
    view.bar,
    parts[1],
    para("muted", "The level is the logger's own. NOTSET means that it follows its parent, which is named beside it. "
      + "A level is set on the logger and on its handlers, at once, and lasts until the node restarts."));
  view.redraw();
}

function isShown({ only, changed }, name, level) {
  return only === "all" || (only === "changed" ? changed.has(name) : level === only);
}

/** Say what was changed here and offer to take all of it back. */
function undoBar(view) {
  const open = [...view.changed].filter(([name, before]) => levelOf(view, name) !== before);
  if (open.length === 0) return null;
  const undo = async () => {
    for (const [name, before] of open) await setLevel(view, name, before);
  };
  return [icon("info"), el("span", {}, `${count(open.length, "level")} changed here since the page was opened`),
    span("spring"), button([icon("undo"), "Undo all"], undo, { class: "small", ...needing() })];
}

/** Set the level of a logger that the list does not name, such as `root`. */
function anyLogger(view) {
  const name = el("input", {
    placeholder: "root", "aria-label": "Any logger by name", size: "14", ...needing(), ...AS_TYPED,
  });
  const level = select("Level for that logger", pairs(LEVELS), "INFO", () => {}, needing());
  const said = el("span", { class: "said", role: "status" });
  const submit = async (event) => {
    event.preventDefault();
    say(said, { text: "Setting …", mark: "" });
    say(said, await setLevel(view, name.value.trim() || "root", level.value));
  };
  return el("form", { class: "inline", on: { submit } },
    span("tally", "Any logger"), name, level, el("button", needing(), "Set"), said);
}

/** One row; `refresh(logger)` brings it up to date without losing the reader's place. */
function loggerRow(row, logger, view) {
  const said = el("span", { class: "said", role: "status" });
  const before = span("");
  const undo = button([icon("undo"), before], () => setLevel(view, logger.name, view.changed.get(logger.name)),
    { class: "small bare", "aria-label": `Undo the level of ${logger.name}`, ...needing() });
  const follows = span("muted follows");
  const place = el("div", { class: "inline" });
  const line = row([data(logger.name), place, said], { dataset: { logger: logger.name } });
  let level = null;
  line.refresh = (next) => {
    say(said, view.said.get(next.name));
    undo.hidden = !view.changed.has(next.name) || view.changed.get(next.name) === next.level
      || !LEVELS.includes(view.changed.get(next.name));
    setText(before, `Back to ${view.changed.get(next.name)}`);
    setText(follows, next.level === "NOTSET" ? followed(view, next.name) : "");
    line.classList.toggle("edited", view.chosen.has(next.name));
    if (next.level === level) return;
    level = next.level;
    const held = place.contains(document.activeElement);
    replace(place, ownLevel(next, view, line), undo, follows);
    if (held) place.querySelector("select").focus();
  };
  return line;
}

/** The level of a logger, and once another is chosen, whether it is to be set. */
function ownLevel({ name, level }, view, line) {
  const choices = LEVELS.includes(level) ? LEVELS : [level, ...LEVELS];
  const choose = (value) => {
    if (value === level) view.chosen.delete(name);
    else view.chosen.set(name, value);
    confirm.hidden = value === level;
    line.classList.toggle("edited", value !== level);
  };
  const box = select(`Level of ${name}`, pairs(choices), view.chosen.get(name) ?? level, choose,
    { class: "level", dataset: { level }, ...needing() });
  const cancel = () => {
    box.value = level;
    choose(level);
    box.focus();
  };
  const confirm = span("inline", el("button", { class: "small primary", ...needing() }, "Set"),
    button("Cancel", cancel, { class: "small" }));
  confirm.hidden = !view.chosen.has(name);
  const submit = (event) => {
    event.preventDefault();
    setLevel(view, name, box.value);
  };
  const keydown = (event) => { if (event.key === "Escape") cancel(); };
  return el("form", { class: "inline", on: { submit, keydown } }, box, confirm);
}

/** The nearest logger above that has a level of its own. */
function followed({ loggers }, name) {
  for (let at = name.lastIndexOf("."); at > 0; at = name.lastIndexOf(".", at - 1)) {
    const parent = loggers.find((logger) => logger.name === name.slice(0, at));
    if (parent && parent.level !== "NOTSET") return `follows ${parent.name}: ${parent.level}`;
  }
  return "follows root";
}

function levelOf({ loggers }, name) {
  return loggers.find((logger) => logger.name === name)?.level;
}

function pairs(words) {
  return words.map((word) => [word, word]);
}

function say(said, answer) {
  setText(said, answer?.text ?? "");
  said.dataset.mark = answer?.mark ?? "";
}

/** Set a level, read the list back, and give what the node said. */
async function setLevel(view, name, level) {
  const { context } = view;
  const before = levelOf(view, name);
  view.said.set(name, { text: "Setting …", mark: "" });
  view.redraw();
  const { line, said } = await tryTo(context, "loglevel", { logger: name, level });
  const ok = line?.outcome === "done";
  const answer = { text: line?.detail ?? said.textContent, mark: ok ? "ok" : "bad" };
  view.said.set(name, answer);
  if (ok) {
    view.chosen.delete(name);
    if (!view.changed.has(name) && before !== undefined) view.changed.set(name, before);
    else if (view.changed.get(name) === level) view.changed.delete(name);
    try {
      view.loggers = (await readItem(context, "loggers", context.signal)).loggers;
    } catch (error) {
      if (error.kind === "aborted") return answer;
      answer.text += `. The levels could not be read back: ${error.message}`;
    }
  }
  if (!context.signal.aborted) view.redraw();
  return answer;
}
