// SPDX-License-Identifier: Apache-2.0
// The menu in the bar: who the reader is taken for, what that allows and why, and signing in and out.

import { request } from "./api.js";
import { append, div, el, para, replace, setAttribute } from "./dom.js";
import { confirmed } from "./confirming.js";
import { anyUnsaved } from "./store.js";
import { button, data, notice } from "./widgets.js";

/** Why somebody has the role that `api/whoami` says, in words. */
export function wordsOfHow({ how, name, role }) {
  if (how === "local") return ["You come from the frontend's own machine, as ", data(name), "."];
  if (how === "network") return ["You come from the ", data(name), ", whose clients are operators."];
  if (how === "session" || how === "token") return ["You have signed in with the token ", data(name), "."];
  if (role === "operator") return "Everybody is an operator here (--anonymous operator).";
  return role === "none" ? "Whoever has no token sees nothing here (--anonymous none)."
    : "You have not signed in. Who comes from elsewhere may look.";
}

/** What a reader may do, in words: `[may, words]`. */
export function rightsOf({ role, read_only: isReadOnly }) {
  return [
    [role !== "none", "See the fleet and its nodes"],
    [role === "operator", "See secrets, and the audit trail"],
    [role === "operator" && !isReadOnly, isReadOnly ? "Change nodes and rules: nobody may, it is read-only"
      : "Change nodes and rules"],
  ];
}

/** Open the menu below `opener`, or close it. */
export function toggleWho(store, opener) {
  const known = document.getElementById("who-menu");
  if (known) return void known.hidePopover();
  const menu = el("div", {
    id: "who-menu", class: "who-menu", popover: "auto", role: "dialog", "aria-label": "Who you are here",
    on: {
      toggle({ newState }) {
        setAttribute(opener, "aria-expanded", String(newState === "open"));
        if (newState !== "closed") return;
        stop();
        const held = menu.contains(document.activeElement) || document.activeElement === document.body;
        menu.remove();
        if (held) opener.focus();
      },
    },
  });
  const draw = () => drawMenu(store, menu);
  const stop = store.subscribe(draw);
  document.body.append(menu);
  draw();
  menu.style.setProperty("top", `${document.querySelector(".bar").getBoundingClientRect().bottom + 4}px`);
  menu.showPopover();
  menu.querySelector("button")?.focus();
}

function drawMenu(store, menu) {
  const { whoami } = store.get();
  const shape = JSON.stringify(whoami);
  if (!whoami || menu.shape === shape) return;
  menu.shape = shape;
  const isHome = whoami.how === "local" || whoami.how === "network";
  replace(menu,
    el("h2", {}, { none: "Not signed in", viewer: "Viewer", operator: "Operator" }[whoami.role]),
    para("", wordsOfHow(whoami)),
    el("ul", { class: "rights" }, rightsOf(whoami).map(([may, words]) => el("li", { dataset: { may: String(may) } },
      el("span", { class: "unseen" }, may ? "You may: " : "You may not: "), words))),
    para("muted", whoami.tls ? "The connection is encrypted." : isHome ? null : "The connection is not encrypted."),
    append(div("inline"), buttonsOf(store, menu, whoami)),
    para("muted who-version", `Frontend ${whoami.version}`));
}

function buttonsOf(store, menu, whoami) {
  const signIn = (words) => button(words, () => {
    menu.hidePopover();
    document.dispatchEvent(new Event("sign-in"));
  }, { class: "primary" });
  return [
    whoami.sign_in && signIn(whoami.how === "session" ? "Sign in as somebody else" : "Sign in"),
    !whoami.sign_in && whoami.role !== "operator" && signIn("How to become an operator"),
    whoami.how === "session" && button("Sign out", () => signOut(store, menu)),
  ];
}

/** End the session. The page is loaded anew, so that nothing stays in it that was for who was signed in. */
async function signOut(store, menu) {
  menu.hidePopover();
  const ask = { title: "Sign out?", verb: "Sign out", text: "What you have changed and not saved is lost." };
  if (anyUnsaved(store.get()) && !await confirmed(ask)) return;
  try {
    await request("api/session", { method: "DELETE", quiet: true });
  } catch (error) {
    const { dialog } = await import("./widgets.js");
    dialog("Sign out", notice("bad", "You are still signed in", error.message));
    return;
  }
  store.set({ drafts: new Map(), rules: { unsaved: false } });
  location.reload();
}
