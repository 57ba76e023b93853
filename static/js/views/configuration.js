// SPDX-License-Identifier: Apache-2.0
// Remote configuration: what workers fetch when they start. The frame of its parts, each loaded when it is opened.

import { div, el, para, replace, setAttribute, span } from "../dom.js";
import { copyButton } from "../copying.js";
import { whenBack } from "../feed.js";
import { placeHref } from "../router.js";
import { button, icon, notice } from "../widgets.js";

const PARTS = [
  ["rules", "Rules"], ["preview", "Preview"], ["revisions", "Revisions"], ["clients", "Clients"], ["audit", "Audit"],
];

export function mount(root, { store, feed, route, title, navigate }) {
  title("Configuration");
  const page = { store, feed, navigate, route, part: partOf(route), panel: null, control: null, memory: new Map() };
  page.tabs = PARTS.map(([id, text]) => el("a", {
    role: "tab", id: `tab-${id}`, href: partHref(id), "aria-controls": "panel",
  }, text));
  page.root = el("section", { id: "panel", class: "panel", role: "tabpanel", tabindex: "0" });
  const keydown = (event) => keys(event, page.tabs);
  replace(root, head(page),
    el("div", { class: "tabs", role: "tablist", "aria-label": "Parts", on: { keydown } }, page.tabs), page.root);
  const markUnsaved = () => {
    const marks = [page.tabs[0], document.querySelector("[data-place=configuration]")];
    for (const link of marks) setAttribute(link, "data-unsaved", store.get().rules.unsaved);
  };
  const stop = store.subscribe(markUnsaved);
  markUnsaved();
  openPart(page, page.part);
  return {
    update(next) {
      page.route = next;
      if (partOf(next) !== page.part) openPart(page, partOf(next));
      else page.panel?.routed?.(next);
    },
    unmount() {
      stop();
      closePart(page);
    },
  };
}

/** The address of a part of the configuration. */
export function partHref(id, query = {}) {
  return placeHref("configuration", { view: id === "rules" ? null : id, ...query });
}

/** Where workers ask for their configuration. */
export function configAddress() {
  return new URL("config", location.href.split("#")[0]).href;
}

function partOf({ query }) {
  return PARTS.some(([id]) => id === query.view) ? query.view : "rules";
}

function head(page) {
  return div("page-head", div("config-title",
    el("h1", {}, "Remote configuration"),
    para("muted", "What LMCache workers fetch when they start, from ", el("code", {}, configAddress()), " ",
      copyButton("Copy the address", configAddress))),
  span("spring"),
  button([icon("refresh"), "Refresh"], () => page.panel?.update(), { title: "Read again what is shown here" }));
}

async function openPart(page, id) {
  closePart(page);
  page.part = id;
  for (const tab of page.tabs) {
    const selected = tab.id === `tab-${id}`;
    setAttribute(tab, "aria-selected", String(selected));
    setAttribute(tab, "tabindex", selected ? "0" : "-1");
  }
  setAttribute(page.root, "aria-labelledby", `tab-${id}`);
  const control = new AbortController();
  page.control = control;
  replace(page.root, para("loading", "Loading …"));
  try {
    const { mount: mountPart } = await import(`./configuration-${id}.js`);
    if (!control.signal.aborted) page.panel = mountPart(page.root, contextOf(page, id, control.signal));
  } catch (error) {
    if (control.signal.aborted) return;
    // A module that does not come is told of by the browser itself.
    if (!/import/.test(error.message)) console.error(error);
    replace(page.root, notice("bad", "This part of the page could not be loaded", error.message,
      button("Try again", () => openPart(page, id), { class: "small" })));
    control.signal.addEventListener("abort", whenBack(page.store, { kind: "gone" }, () => openPart(page, id)));
    page.feed.now();
  }
}

/** What a part is given; `memory` outlives a look at another part. */
function contextOf(page, id, signal) {
  const { store, feed, navigate, memory } = page;
  if (!memory.has(id)) memory.set(id, {});
  return { store, feed, navigate, signal, memory: memory.get(id), route: () => page.route };
}

function closePart(page) {
  page.control?.abort();
  page.panel?.unmount();
  page.panel = null;
}

/** Left, Right, Home and End move between tabs and Space opens one, as the tab pattern asks. */
function keys(event, tabs) {
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1, " ": at }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  tab.focus();
  tab.click();
}
