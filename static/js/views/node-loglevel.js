// SPDX-License-Identifier: Apache-2.0
// Log levels of a node: a list with search, and a level to set on each logger or on any by name.

import { el, keyed, para, replace, setText, span } from "../dom.js";
import { panel, readNode } from "../panel.js";
import { parseLoggers } from "../parse.js";
import { whyNot } from "../store.js";
import { data, filterable, listCard, notice, ofAll, select, table } from "../widgets.js";

const LEVELS = ["NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

export function mount(root, context) {
  const view = { said: new Map(), loggers: [], context };
  return panel(root, context, {
    thing: "log levels",
    load: async (signal) => parseLoggers(await readNode(context, "loglevel", signal)),
    render(body, loggers) {
      view.loggers = loggers;
      draw(body, view);
    },
  });
}

function draw(body, view) {
  view.reason = whyNot(view.context.store.get());
  const { element, body: rows, row } = table("Loggers", [
    ["Logger", "col-key"], ["Level", "col-level"], ["Answer", "col-text"],
  ]);
  const card = listCard(element);
  const { parts, redraw } = filterable(view, "Search loggers", (accepts) => {
    const some = view.loggers.filter((logger) => accepts(`${logger.name} ${logger.level}`));
    keyed(rows, some, (logger) => logger.name, {
      make: (logger) => loggerRow(row, logger, view),
      update: (line, logger) => line.refresh(logger),
    });
    const none = some.length === 0 && (view.loggers.length ? "No logger matches." : "There is no logger.");
    return { text: ofAll(some.length, view.loggers.length, "logger"), content: card, none };
  }, anyLogger(view));
  view.redraw = redraw;
  replace(body,
    view.reason && notice("info", "Log levels cannot be changed", view.reason), parts[0],
    para("muted", "The level is the logger's own; NOTSET means that it follows its parent. Handlers are set as well."),
    parts[1]);
}

/** Set the level of a logger that the list does not name, such as `root`. */
function anyLogger(view) {
  const disabled = Boolean(view.reason);
  const name = el("input", { placeholder: "root", "aria-label": "Any logger by name", size: "16", disabled });
  const level = select("Level for that logger", pairs(LEVELS), "INFO", () => {}, { disabled });
  const said = el("span", { class: "said", role: "status" });
  return levelForm([span("tally", "Any logger"), name, level, el("button", { disabled }, "Set"), said],
    said, () => setLevel(view, name.value.trim() || "root", level.value));
}

/** One row; `refresh(logger)` brings it up to date without losing the reader's place. */
function loggerRow(row, logger, view) {
  const said = el("span", { class: "said", role: "status" });
  const place = el("div");
  const line = row([data(logger.name), place, said]);
  let level = null;
  line.refresh = (next) => {
    say(said, view.said.get(next.name));
    if (next.level === level) return;
    level = next.level;
    const held = place.contains(document.activeElement);
    replace(place, ownLevel(next, view, said));
    if (held) place.querySelector("select").focus();
  };
  return line;
}

/** A level that is not one of the usual words ("Level 5", a custom name) stays in its own list. */
function ownLevel({ name, level }, view, said) {
  const set = el("button", { class: "small", disabled: true }, "Set");
  const box = select(`Level of ${name}`, pairs(LEVELS.includes(level) ? LEVELS : [level, ...LEVELS]), level,
    (value) => { set.disabled = value === level; }, { disabled: Boolean(view.reason), class: "level" });
  return levelForm([box, set], said, () => setLevel(view, name, box.value));
}

function levelForm(content, said, send) {
  const submit = async (event) => {
    event.preventDefault();
    say(said, { text: "Setting …", mark: "" });
    say(said, await send());
  };
  return el("form", { class: "inline", on: { submit } }, content);
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
  const query = new URLSearchParams({ logger_name: name, level });
  const { context } = view;
  let answer;
  try {
    const text = (await readNode(context, `loglevel?${query}`, context.signal)).trim();
    answer = { text, mark: text.startsWith("Set ") ? "ok" : "bad" };
  } catch (error) {
    if (error.kind === "aborted") return { text: "", mark: "" };
    answer = { text: error.message, mark: "bad" };
  }
  try {
    if (answer.mark === "ok") view.loggers = parseLoggers(await readNode(context, "loglevel", context.signal));
  } catch (error) {
    if (error.kind === "aborted") return { text: "", mark: "" };
    answer.text += `. The levels could not be read back: ${error.message}`;
  }
  view.said.set(name, answer);
  view.redraw();
  return answer;
}
