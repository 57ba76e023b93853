// SPDX-License-Identifier: Apache-2.0
// The shell of the page: header, theme, keyboard, and the one view that is open.

import { startAccess } from "./access.js";
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
startAccess(store);
startShell(store);
startKeys(store);
document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("beforeunload", (event) => { if (anyUnsaved(store.get())) event.preventDefault(); });
const invitation = takeInvitation();
startRouter(go);
store.subscribe(watchDoor);
if (invitation) tellInvitation(invitation);

/** Open the view of a route; the same view (and the same node) is only told of the change. */
async function go(route) {
  markPlace(route.place);
  if (open.door) return void (open.route = route);
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

/** Where nobody may see anything without a token, ask for it in place of the view; then go where it was meant to. */
async function watchDoor({ whoami, fleet }) {
  const isShut = whoami?.role === "none" && fleet.state !== "ready";
  if (isShut === Boolean(open.door)) return;
  const { route } = open;
  if (!isShut) {
    open = { route: null, view: null, turn: open.turn + 1 };
    return void go(route);
  }
  open.view?.unmount();
  open = { route, view: null, turn: open.turn + 1, door: true };
  setTitle("Sign in");
  const { mountDoor } = await import("./sign-in.js");
  if (open.door) mountDoor(main, store);
}

/** What the address says of a sign-in by invitation that failed, taken out of it: `[why, seconds]`. */
function takeInvitation() {
  const [, why, wait_s] = /^#\/\?sign-in=(wrong|wait|none)(?:&seconds=(\d{1,5}))?$/.exec(location.hash) ?? [];
  if (why) history.replaceState(null, "", "#/");
  return why && [why, wait_s];
}

async function tellInvitation([why, wait_s]) {
  const { FAILURES, openSignIn } = await import("./sign-in.js");
  await whoamiKnown();
  openSignIn(store, { said: FAILURES[why](wait_s ?? 60) });
}

function whoamiKnown() {
  return new Promise((resolve) => {
    const stop = store.subscribe(({ whoami }) => {
      if (!whoami) return;
      stop();
      resolve();
    });
  });
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
