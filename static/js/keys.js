// SPDX-License-Identifier: Apache-2.0
// Keys for the whole page: `/` to search, `g` and a letter to go somewhere, `p` to pause, `?` for help.

import { navigate } from "./router.js";

const PLACES = { f: "fleet", c: "configuration", m: "manage", o: "compare" };
const NEXT_KEY_MS = 1500;

/** Listen for keys; nothing is taken from fields, nor from what is held with Ctrl, Alt or Meta. */
export function startKeys(store) {
  let went_at = -Infinity;
  const press = {
    "/": searchField,
    "p": () => store.setPaused(!store.get().paused),
    "?": openHelp,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    const isSecond = performance.now() - went_at < NEXT_KEY_MS;
    went_at = !isSecond && event.key === "g" ? performance.now() : -Infinity;
    if (document.querySelector("dialog[open]")) return;
    const act = isSecond ? goTo(event.key, store) : press[event.key];
    if (!act || act() === false) return;
    event.preventDefault();
  });
  document.getElementById("help").addEventListener("click", openHelp);
}

function goTo(key, store) {
  if (key === "n") return async () => (await import("./jump.js")).openJump(store);
  return PLACES[key] && (() => navigate(PLACES[key]));
}

/** Bring the keyboard to the search field of the view; false if it has none. */
function searchField() {
  const fields = [...document.querySelectorAll("main input[type=search]")];
  const field = fields.find((input) => input.checkVisibility());
  field?.focus();
  field?.select();
  return Boolean(field);
}

async function openHelp() {
  (await import("./jump.js")).openHelp();
}

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}
