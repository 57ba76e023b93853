// SPDX-License-Identifier: Apache-2.0
// Threads of a node: a summary, a filter by name, and the stack of each on demand.

import { div, el, para, replace, span } from "../dom.js";
import { count, number } from "../format.js";
import { panel, readNode } from "../panel.js";
import { parseThreads } from "../parse.js";
import { button, data, filterable, ofAll } from "../widgets.js";

export function mount(root, context) {
  const memory = { open: new Set() };
  return panel(root, context, {
    thing: "threads",
    load: async (signal) => parseThreads(await readNode(context, "threads", signal)),
    render(body, { threads, total }) {
      const all = (value) => body.querySelectorAll("details").forEach((item) => { item.open = value; });
      const { parts } = filterable(memory, "Filter by thread name", (accepts, filter) => {
        const some = threads.filter((thread) => accepts(thread.name));
        return {
          text: filter ? ofAll(some.length, total, "thread") : summary(threads, total),
          content: div("threads", some.map((thread) => threadItem(thread, memory.open))),
          none: filter && some.length === 0 && "No thread matches.",
        };
      }, button("Open all", () => all(true)), button("Close all", () => all(false)));
      replace(body, parts);
    },
  });
}

function summary(threads, total) {
  const states = new Map();
  for (const { state } of threads) states.set(state, (states.get(state) ?? 0) + 1);
  const daemons = threads.filter((thread) => thread.daemon).length;
  const words = [...states].map(([state, n]) => `${number(n)} ${state}`);
  return `${count(total, "thread")}: ${[...words, `${number(daemons)} daemon`].join(", ")}`;
}

function threadItem(thread, open) {
  const id = thread.ident || thread.title;
  const last = thread.frames.at(-1);
  const item = el("details", {
    class: "card thread",
    open: open.has(id),
    on: { toggle: () => (item.open ? open.add(id) : open.delete(id)) },
  },
  el("summary", {},
    data(thread.name, { class: "thread-name" }),
    span("thread-state", thread.state, thread.daemon && " · daemon"),
    span("thread-at", last ? data(`${last.function} · ${shortFile(last.file)}:${last.line}`) : thread.note)),
  para("muted thread-ids", thread.class && data(thread.class), thread.ident && ` · ident ${thread.ident}`),
  el("ol", { class: "frames" }, thread.frames.map(frameItem)));
  return item;
}

function frameItem(frame) {
  return el("li", {},
    data(frame.function, { class: "frame-function" }), " ",
    data(`${frame.file}:${frame.line}`, { class: "frame-file" }),
    frame.source && el("code", {}, data(frame.source)));
}

function shortFile(path) {
  return path.split("/").slice(-2).join("/");
}
