// SPDX-License-Identifier: Apache-2.0
// The shell of the page: header, theme, keyboard, and the one view that is open.

import { el, replace, setAttribute } from "./dom.js";
import { startFeed, whenBack } from "./feed.js";
import { startKeys } from "./keys.js";
import { navigate, startRouter } from "./router.js";
import { startShell } from "./shell.js";
import { anyUnsaved, createStore } from "./store.js";
import { loadStyle } from "./styles.js";
import { button, notice } from "./widgets.js";

// Style sheets that only some places need; they are loaded with the place.
const STYLES = {
  fleet: ["charts", "fleet"], node: ["charts", "node"], compare: ["compare"], configuration: ["configuration"],
  manage: ["manage"],
};

const store = createStore();
const main = document.getElementById("main");
let open = { route: null, view: null, turn: 0 };

const feed = startFeed(store);
startShell(store);
startKeys(store);
document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("beforeunload", (event) => { if (anyUnsaved(store.get())) event.preventDefault(); });
startRouter(go);

/** Open the view of a route; the same view (and the same node) is only told of the change. */
async function go(route) {
  markPlace(route.place);
  const same = open.route?.place === route.place && open.route.name === route.name;
  if (open.view && same) {
    open.route = route;
    return open.view.update(route);
  }
  const first = open.route === null;
  const turn = open.turn + 1;
  open.view?.unmount();
  open = { route, view: null, turn };
  try {
    const [{ mount }] = await Promise.all([load(route.place), ...(STYLES[route.place] ?? []).map(loadStyle)]);
    if (open.turn !== turn) return;
    replace(main);
    scrollTo(0, 0);
    open.view = mount(main, { store, feed, route, title: setTitle, navigate });
    if (!first) main.focus({ preventScroll: true });
  } catch (error) {
    if (open.turn !== turn) return;
    console.error(error);
    replace(main, notice("bad", "This page could not be loaded", error.message,
      button("Try again", () => go(route), { class: "small" })));
    const stop = whenBack(store, { kind: "gone" }, () => go(route));
    open = { route: {}, view: { unmount: stop }, turn };
    feed.now();
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
