// SPDX-License-Identifier: Apache-2.0
// Signing in: a token is exchanged for a session, in a dialog, or in place of the page where nobody may see it.

import { readWhoami } from "./access.js";
import { request } from "./api.js";
import { copyButton } from "./copying.js";
import { div, el, para, replace, setText } from "./dom.js";
import { loadStyle } from "./styles.js";
import { button, failureTitle, notice } from "./widgets.js";

const TOKEN_COMMANDS = ["openssl rand -hex 32 > tokens", "chmod 600 tokens",
  "python3 -m lmcache_frontend --token-file tokens"];

/** What became of a sign-in by an address, as that says it in the page's: words for each. */
export const FAILURES = {
  wrong: () => "The token in the address is not known here. It may have been replaced.",
  wait: (wait_s) => `Too many wrong tokens came from this address. Try again in ${wait_s} s.`,
  none: () => "Nobody can sign in here: no token is set up.",
};

/**
 * Ask for a token, and sign in; true once that has worked. `said` is what is to be said first. Where there is no token,
 * it tells how to make one.
 */
export async function openSignIn(store, { title = "Sign in", said = null } = {}) {
  const open = document.querySelector("dialog.sign-in");
  if (open) return open.signing;
  await loadStyle("access");
  const element = el("dialog", { class: "dialog sign-in", "aria-labelledby": "sign-in-title" });
  element.signing = new Promise((resolve) => {
    const before = document.activeElement;
    let isDone = false;
    element.addEventListener("close", () => {
      element.remove();
      if (before?.isConnected) before.focus({ preventScroll: true });
      resolve(isDone);
    });
    const done = () => {
      isDone = true;
      element.close();
    };
    replace(element, content(store, { title, said, done, cancel: () => element.close() }));
    document.body.append(element);
    element.showModal();
    element.querySelector("input, .dialog-buttons button").focus();
  });
  return element.signing;
}

/** Show in `root`, in place of a view, that nothing is shown without a token. */
export function mountDoor(root, store) {
  loadStyle("access").then(() => {
    const card = el("section", { class: "card door", "aria-labelledby": "sign-in-title" });
    replace(card, content(store, { title: "Sign in to see the fleet", done() {} }));
    replace(root, card);
    card.querySelector("input")?.focus();
  });
}

function content(store, { title, said = null, done, cancel = null }) {
  const { whoami } = store.get();
  const heading = (text) => el("h2", { id: "sign-in-title" }, text);
  const goOn = cancel && button("Close", cancel, { class: "primary" });
  if (whoami && !whoami.sign_in && whoami.role !== "operator") {
    return div("dialog-body", heading("Nobody can sign in here"), said && notice("bad", null, said),
      para("", "No token is set up. People on the machine of this frontend need none: ",
        el("code", {}, "ssh -L 8000:localhost:8000 MACHINE"), " makes that work from here. Or whoever runs it makes "
        + "a token:"), commands(), para("muted", "The token is what the file then holds; it is asked for here."),
      goOn && div("dialog-buttons", goOn));
  }
  return form(store, { heading: heading(title), said, done, cancel });
}

function commands() {
  return div("command", el("pre", { tabindex: "0" }, TOKEN_COMMANDS.join("\n")),
    copyButton("Copy", () => TOKEN_COMMANDS.join("\n"), { "aria-label": "Copy the commands" }));
}

function form(store, { heading, said, done, cancel }) {
  const field = el("input", {
    type: "password", id: "sign-in-token", required: true, autocomplete: "current-password", spellcheck: "false",
    autocapitalize: "off", "aria-describedby": "sign-in-said",
  });
  const shown = el("input", {
    type: "checkbox", on: { change: () => { field.type = shown.checked ? "text" : "password"; } },
  });
  const place = el("div", { id: "sign-in-said", role: "alert" });
  const go = el("button", { class: "primary" }, "Sign in");
  const state = { store, field, place, go, done };
  if (said) replace(place, notice("bad", null, said));
  const submit = (event) => {
    event.preventDefault();
    send(state);
  };
  const isPlain = location.protocol === "http:" && !/^(localhost|127\.0\.0\.1|\[::1\])$/.test(location.hostname);
  return el("form", { class: "dialog-body", on: { submit } }, heading,
    div("field", el("label", { for: "sign-in-token" }, "Token"), field,
      el("label", { class: "choice" }, shown, "Show it")),
    place,
    isPlain && para("muted", "This page comes over plain HTTP: whoever is between can read the token."),
    el("details", {}, el("summary", {}, "Where is the token?"),
      para("muted", "Who runs this frontend has it: in the file that --token-file names, or in "
        + "LMCACHE_FRONTEND_TOKEN. Where neither was given it has made one itself when it started: on a terminal it "
        + "has shown the address to sign in at, else its log names the file.")),
    div("dialog-buttons", cancel && button("Cancel", cancel), go));
}

async function send(state) {
  const { store, field, place, go, done } = state;
  if (go.disabled) return;
  go.disabled = true;
  replace(place, para("loading", "Signing in …"));
  try {
    await request("api/session", { method: "POST", body: { token: field.value.trim() }, quiet: true });
    const whoami = await readWhoami(store);
    if (whoami?.how !== "session") throw new Error("The browser did not keep the cookie of the session.");
    field.value = "";
    replace(place);
    done();
  } catch (error) {
    replace(place, explained(error));
    field.select();
    if (error.status === 429) return void wait(state, error.answer.wait_s || 1);
  }
  go.disabled = false;
}

function explained(error) {
  if (error.status === 401) return notice("bad", null, "This token is not known here.");
  if (error.status === 429) {
    return notice("warn", null, "Too many wrong tokens came from this address.", el("p", { class: "sign-in-wait" }));
  }
  return notice("bad", failureTitle(error, "You could not be signed in"), error.message);
}

/** Count down until it may be tried again. */
function wait({ place, go }, wait_s) {
  const until = performance.now() + wait_s * 1000;
  const words = place.querySelector(".sign-in-wait");
  words.setAttribute("aria-live", "off");
  const tick = () => {
    const left_s = Math.ceil((until - performance.now()) / 1000);
    setText(words, left_s > 0 ? `Try again in ${left_s} s.` : "You may try again now.");
    go.disabled = left_s > 0;
    if (left_s > 0 && words.isConnected) setTimeout(tick, 250);
  };
  tick();
}
