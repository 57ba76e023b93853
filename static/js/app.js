// SPDX-License-Identifier: Apache-2.0
// The shell of the page: header, theme, and the one view that is open.

import { el, replace, setAttribute, setText } from "./dom.js";
import { startPolling, whenBack } from "./poll.js";
import { startRouter } from "./router.js";
import { anyUnsaved, createStore } from "./store.js";
import { button, notice } from "./widgets.js";

const store = createStore();
const main = document.getElementById("main");
let open = { route: null, view: null, turn: 0 };

applyTheme(store.get().theme);
const poll = startPolling(store);
store.subscribe(drawShell);
drawShell(store.get());

document.getElementById("skip").addEventListener("click", () => main.focus());
const theme = document.getElementById("theme");
theme.value = store.get().theme;
theme.addEventListener("change", () => store.setTheme(theme.value));

addEventListener("beforeunload", (event) => { if (anyUnsaved(store.get())) event.preventDefault(); });

startRouter(go);

/** Open the view of a route; the same view of the same node is only told of the change. */
async function go(route) {
  markPlace(route.place);
  const same = open.route?.place === "node" && route.place === "node" && open.route.name === route.name;
  if (open.view && same) return open.view.update(route);
  const first = open.route === null;
  const turn = open.turn + 1;
  open.view?.unmount();
  open = { route, view: null, turn };
  try {
    const { mount } = await load(route.place);
    if (open.turn !== turn) return;
    replace(main);
    scrollTo(0, 0);
    open.view = mount(main, { store, poll, route, title: setTitle });
    if (!first) main.focus({ preventScroll: true });
  } catch (error) {
    if (open.turn !== turn) return;
    console.error(error);
    replace(main, notice("bad", "This page could not be loaded", error.message,
      button("Try again", () => go(route), { class: "small" })));
    const stop = whenBack(store, { kind: "gone" }, () => go(route));
    open = { route: {}, view: { unmount: stop }, turn };
    poll.now();
  }
}

function load(place) {
  return place === "missing" ? { mount: mountMissing } : import(`./views/${place}.js`);
}

function mountMissing(root, { title }) {
  title("No such page");
  replace(root, notice("warn", "There is no such page", null, el("a", { href: "#/" }, "To the fleet")));
  return { update() {}, unmount() {} };
}

function setTitle(text) {
  document.title = `${text.slice(0, 80)} · LMCache`;
}

function markPlace(place) {
  for (const link of document.querySelectorAll("[data-place]")) {
    setAttribute(link, "aria-current", link.dataset.place === place ? "page" : null);
  }
}

function drawShell({ link, whoami, fleet, theme: chosen }) {
  applyTheme(chosen);
  const states = { null: ["waiting", "Connecting"], true: ["up", "Live"], false: ["down", "No connection"] };
  const [state, text] = states[link.up];
  const [mark, outage, banner, role] = ["link", "outage", "banner", "role"].map((id) => document.getElementById(id));
  mark.dataset.link = state;
  setText(mark.lastChild, text);
  outage.hidden = state !== "down";
  const since = new Date(link.since).toLocaleTimeString("en-GB");
  setText(outage, outage.hidden ? ""
    : `The frontend has not answered since ${since}. What you see may be out of date; trying again every 2 s.`);
  banner.hidden = !fleet.store_fault;
  setText(banner, fleet.store_fault ? `Nothing can be kept: ${fleet.store_fault}` : "");
  role.hidden = !whoami;
  if (whoami) {
    setText(role, whoami.read_only ? "read-only" : whoami.role);
    role.title = `You are ${whoami.role} here (${whoami.how}). Frontend ${whoami.version}.`;
  }
}

function applyTheme(chosen) {
  setAttribute(document.documentElement, "data-theme", chosen === "system" ? null : chosen);
}
