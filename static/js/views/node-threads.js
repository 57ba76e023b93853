// SPDX-License-Identifier: Apache-2.0
// Threads of a node: their stacks, those that are the same together, and what has moved since an earlier capture.

import { append, div, el, para, replace, span } from "../dom.js";
import { clock, count, duration, number } from "../format.js";
import { nodePath } from "../nodes.js";
import { panel, readItem } from "../panel.js";
import { activityOf, compare, grouped, isStandard, stackText, tellingFrame } from "../stacks.js";
import { button, data, filterable, icon, mark, ofAll, select } from "../widgets.js";
import { copyButton } from "../copying.js";

const CAPTURES_KEPT = 6;
const ACTIVITIES = {
  works: ["ok", "play", "At work"],
  rests: ["calm", "wait", "Waiting"],
  answers: ["calm", "info", "Answering this"],
  stopped: ["bad", "unreachable", "Not running"],
};
const CHANGES = {
  stuck: ["warn", "warn", "Not moved", "at work, and still at the very same line"],
  moved: ["ok", "next", "Moved", "somewhere else now"],
  waiting: ["calm", "wait", "Waiting still", "waiting where they waited"],
  new: ["ok", "up", "New", "not there before"],
};

export function mount(root, context) {
  const { q: filter = "" } = context.route().query;
  const view = { context, captures: [], base: null, together: true, only: null, open: new Set(), filter };
  const shown = panel(root, context, {
    thing: "threads",
    load: async (signal) => ({ ...await readItem(context, "threads", signal), at: Date.now() / 1000 }),
    render(body, capture) {
      view.base = view.captures.at(-1) ?? null;
      view.captures = [...view.captures, capture].slice(-CAPTURES_KEPT);
      draw(body, view, () => shown.update());
    },
  });
  return shown;
}

function draw(body, view, again) {
  const { threads, total } = view.captures.at(-1);
  const place = div("compared");
  const { parts, redraw } = filterable(view, "Filter by name, function, file or source", (accepts, filter) => {
    const found = view.base && compare(view.base.threads, threads);
    if (!found?.counts[view.only]) view.only = null;
    const isWanted = (thread) => !view.only || found.of.get(thread) === view.only;
    const some = threads.filter((thread) => isWanted(thread) && accepts(textOf(thread)));
    const groups = view.together ? grouped(some, found?.of) : some.map((thread) => grouped([thread], found?.of)[0]);
    replace(place, comparison(view, found, () => redraw()));
    return {
      text: filter || view.only ? ofAll(some.length, total, "thread") : summary(threads, total),
      content: div("threads", groups.map((group) => groupItem(group, view, found?.was ?? new Map()))),
      none: some.length === 0 && "No thread matches.",
    };
  },
  select("Threads with the same stack", [["together", "Same stacks together"], ["each", "One by one"]],
    view.together ? "together" : "each", (value) => { view.together = value === "together"; redraw(); }),
  el("a", { class: "button", href: nodePath(view.context.key, "threads"), target: "_blank", rel: "noopener" },
    "Raw text", icon("out")),
  button([icon("refresh"), "Capture again"], again, { class: "primary" }));
  view.clear = () => { view.only = null; };
  const held = document.activeElement?.textContent === "Capture again";
  replace(body, parts[0], place, parts[1]);
  if (held) parts[0].querySelector("button.primary").focus();
}

function textOf({ name, frames }) {
  return [name, ...frames.map((frame) => `${frame.function} ${frame.file} ${frame.source}`)].join(" ");
}

function summary(threads, total) {
  const counts = new Map();
  for (const thread of threads) counts.set(activityOf(thread), (counts.get(activityOf(thread)) ?? 0) + 1);
  const words = Object.keys(ACTIVITIES).filter((activity) => counts.has(activity))
    .map((activity) => `${number(counts.get(activity))} ${ACTIVITIES[activity][2].toLowerCase()}`);
  return `${count(total, "thread")}: ${words.join(", ")}`;
}

/** What has come of the threads since the capture that is compared with; each count shows just those. */
function comparison(view, found, redraw) {
  const now = view.captures.at(-1);
  if (!found) {
    return para("muted hint", "Capture again to see what is stuck: a thread that is at work, and at the very same line "
      + "in both captures, is marked.");
  }
  const choose = (value) => {
    view.base = view.captures[Number(value)];
    redraw();
  };
  const earlier = view.captures.slice(0, -1).map((capture, index) => [
    String(index), `${clock(capture.at)}, ${duration(now.at - capture.at)} earlier`]).reverse();
  const toggle = (change) => {
    const [tone, shape, word, meaning] = CHANGES[change];
    const press = () => {
      view.only = view.only === change ? null : change;
      redraw();
    };
    return button(mark(tone, shape, `${number(found.counts[change])} ${word.toLowerCase()}`), press,
      { class: "small", "aria-pressed": String(view.only === change), title: meaning });
  };
  const verdict = found.counts.stuck
    ? `${count(found.counts.stuck, "thread")} at work ${found.counts.stuck === 1 ? "has" : "have"} not moved.`
    : "No thread at work stood still.";
  return div("card captures", el("strong", {}, verdict),
    el("label", { class: "inline" }, span("tally", "Compared with"),
      select("Capture to compare with", earlier, String(view.captures.indexOf(view.base)), choose)),
    span("spring"),
    div("inline", Object.keys(CHANGES).filter((change) => found.counts[change]).map(toggle),
      found.counts.ended > 0 && span("tally", `${number(found.counts.ended)} ended`)));
}

function groupItem({ key, threads, activity, change }, view, was) {
  const [first] = threads;
  const id = view.together ? key : `${first.ident ?? first.name}`;
  const at = tellingFrame(first);
  const item = el("details", {
    class: "card thread", open: view.open.has(id), dataset: { activity, change },
    on: { toggle: () => unfold(item, id, view) },
  },
  el("summary", {},
    span("thread-names", threads.length > 1 && span("thread-count", `${threads.length} ×`),
      threads.slice(0, 3).map(({ name }) => data(name, { class: "thread-name" })),
      threads.length > 3 && span("muted", `and ${threads.length - 3} more`)),
    span("thread-marks", mark(...ACTIVITIES[activity]),
      change && change !== "waiting" && mark(...CHANGES[change].slice(0, 3), CHANGES[change][3])),
    span("thread-at", at ? [data(at.function, { class: "frame-function" }),
      data(` ${shortFile(at.file)}:${at.line ?? "?"}`)] : first.note ?? "no frames")));
  item.fill = () => append(item, stackOf(threads, was));
  if (item.open) unfold(item, id, view);
  return item;
}

/** A stack is made when it is first seen: a busy node has hundreds. */
function unfold(item, id, view) {
  if (item.open) view.open.add(id);
  else view.open.delete(id);
  if (item.open && item.fill) {
    item.fill();
    item.fill = null;
  }
}

function stackOf(threads, was) {
  const [first] = threads;
  const who = threads.map((thread) => el("li", {}, data(thread.name, { class: "thread-name" }),
    span("muted", [thread.class, thread.daemon && "daemon", thread.ident && `ident ${thread.ident}`, thread.state,
      was.has(thread) && `was in ${placeOf(was.get(thread))}`].filter(Boolean).join(" · "))));
  return div("thread-stack",
    el("ul", { class: "thread-ids" }, who),
    first.frames.length > 0 && el("ol", { class: "frames" }, first.frames.map(frameItem)),
    first.note && para("muted", first.note),
    div("inline", copyButton("Copy stack", () => threads.map(stackText).join("\n\n"))));
}

function frameItem(frame) {
  return el("li", { class: isStandard(frame.file) ? "frame-standard" : "" },
    data(frame.function, { class: "frame-function" }), " ",
    data(`${frame.file}:${frame.line ?? "?"}`, { class: "frame-file" }),
    frame.repeated > 0 && span("chip", `repeated ${number(frame.repeated)} more times`),
    frame.source && el("code", {}, data(frame.source)));
}

function placeOf(thread) {
  const at = tellingFrame(thread);
  return at ? `${at.function}, ${shortFile(at.file)}:${at.line ?? "?"}` : "no frame";
}

function shortFile(path) {
  return path.split("/").slice(-2).join("/");
}
