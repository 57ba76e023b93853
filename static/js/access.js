// SPDX-License-Identifier: Apache-2.0
// What the reader may do. A control that needs more stays in its place, disabled, and says why; who can sign in is
// asked to, and what was asked for then goes on. What holds now is written at the page's root, for those that draw.

import { REFUSED, requestJson } from "./api.js";
import { append, div, el, replace, setAttribute, setText } from "./dom.js";
import { button, notice } from "./widgets.js";

/** The event at `document` that says that the reader is somebody else now; who reads again adds to `detail.waits`. */
export const ROLE_CHANGED = "role-changed";

const NEEDS = ["change", "secrets"];
const ROOT = document.documentElement;
// The keys with which a control that has the keyboard is used.
const USES = new Set(["Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp",
  "PageDown"]);
const READ_S = 15;
const BUBBLE_GAP_PX = 6;
// So long whoever has signed in waits for the page to be read anew.
const OTHERS_MS = 5000;

/** Why this reader may not `change` things, or see `secrets`, or null; also until the server has said who it is. */
export function whyNot({ whoami }, need = "change") {
  if (!whoami) return null;
  if (need === "change" && whoami.read_only) {
    return "This frontend is read-only: it was started so that nothing can be changed through it.";
  }
  if (whoami.role === "operator") return null;
  const said = whoami.role === "none" ? "Nobody is signed in here."
    : need === "change" ? "You are a viewer here: you can read, but changes need an operator."
      : "You are a viewer here: secrets are shown to operators only.";
  return `${said} ${whoami.sign_in ? "Sign in with an operator's token for that."
    : "Open this page on the machine the frontend runs on, for instance through ssh -L."}`;
}

/** The attributes of a control (or of what holds several) that changes something, or shows `secrets`. */
export function needing(need = "change") {
  return { "data-needs": need, ...(isLocked(need) ? lockOf(need) : {}) };
}

/** Say of a control anew what it needs, null for nothing. */
export function setNeeds(control, need) {
  setAttribute(control, "data-needs", need);
  applyLock(control);
}

/** Lock the controls within an element that bears `needing()`, where the reader may not use them. */
export function guarded(element) {
  applyLock(element);
  return element;
}

/** A notice that is there while the reader may change nothing (or see no `secrets`): a title, why, and what helps. */
export function lockNote(title, need = "change") {
  const note = el("div", { class: "lock-note", "data-note": need, dataset: { title } });
  drawNote(note);
  return note;
}

/** A button that opens the dialog to sign in, there while that would help. */
export function signInButton() {
  return button("Sign in", () => document.dispatchEvent(new Event("sign-in")), { class: "small sign-in-button" });
}

/** Ask the server who the reader is, and take what it says. */
export async function readWhoami(store, signal) {
  // An older frontend does not say who we are, and then nothing is known.
  const whoami = await requestJson("api/whoami", { signal, timeout_s: READ_S }).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });
  const before = store.get().whoami;
  if (JSON.stringify(whoami) === JSON.stringify(before)) return whoami;
  const hasEnded = before?.how === "session" && whoami?.how !== "session";
  const isHigher = whoami?.role === "operator" || whoami?.how === "session";
  store.set({ whoami, ended: hasEnded || (store.get().ended && !isHigher) });
  apply(store);
  if (before && idOf(before) !== idOf(whoami)) await tellOthers();
  return whoami;
}

/** What a reader may do, as a text to compare. */
export function idOf(whoami) {
  return whoami ? `${whoami.role} ${whoami.how} ${whoami.name} ${whoami.read_only}` : "";
}

/** Begin to lock what the reader may not use, to say why, and to offer signing in. */
export function startAccess(store) {
  const reasons = NEEDS.map((need) => el("p", { id: `why-${need}`, hidden: true }));
  const bubble = el("div", { class: "why", popover: "manual", "aria-hidden": "true" });
  append(document.body, reasons, bubble);
  const asked = (control) => useLocked(store, control, bubble);
  guardUse(asked, bubble);
  explainOnTheWay(bubble);
  document.addEventListener("sign-in", () => signIn(store, "Sign in"));
  document.addEventListener(REFUSED, ({ detail }) => { detail.again = afterRefusal(store, detail); });
  store.subscribe(() => apply(store));
  apply(store);
}

/** Open the dialog to sign in; true once that has worked. */
export async function signIn(store, title) {
  const { openSignIn } = await import("./sign-in.js");
  return openSignIn(store, { title });
}

function isLocked(need) {
  return ROOT.hasAttribute(`data-no-${need}`);
}

function lockOf(need) {
  return { "aria-disabled": "true", "aria-describedby": `why-${need}` };
}

/** Write what holds into the page, where it is something else than before. */
function apply(store) {
  const { whoami } = store.get();
  setAttribute(ROOT, "data-can-sign-in", whoami?.sign_in ? "" : null);
  for (const need of NEEDS) {
    const reason = whyNot({ whoami }, need) ?? "";
    const place = document.getElementById(`why-${need}`);
    if (!place || place.textContent === reason) continue;
    setText(place, reason);
    setAttribute(ROOT, `data-no-${need}`, reason ? "" : null);
    for (const control of document.querySelectorAll(`[data-needs="${need}"]`)) applyLock(control);
    for (const note of document.querySelectorAll(`[data-note="${need}"]`)) drawNote(note);
  }
}

function applyLock(element) {
  const need = element.dataset.needs;
  const locked = Boolean(need) && isLocked(need);
  const isControl = element.matches("a, button, input, select, textarea");
  const controls = isControl ? [element] : element.querySelectorAll("a, button, input, select, textarea");
  for (const control of controls) {
    if (!locked && !control.hasAttribute("aria-disabled")) continue;
    const described = control.getAttribute("aria-describedby");
    const isOurs = NEEDS.some((one) => described === `why-${one}`);
    setAttribute(control, "aria-disabled", locked ? "true" : null);
    // What else describes a control is about what it holds, and stays.
    if (locked && !described) setAttribute(control, "aria-describedby", `why-${need}`);
    if (!locked && isOurs) control.removeAttribute("aria-describedby");
    if (control.matches("textarea, input:not([type=checkbox], [type=radio], [type=file])")) control.readOnly = locked;
  }
}

function drawNote(note) {
  const { note: need, title } = note.dataset;
  const reason = document.getElementById(`why-${need}`)?.textContent;
  replace(note, reason && notice("info", title, reason, signInButton()));
}

function lockedAt(target) {
  const control = target.closest?.("[data-needs]");
  if (!control || !isLocked(control.dataset.needs)) return null;
  return control.matches("a, button, input, select, textarea") ? control
    : target.closest("a, button, input, select, textarea, label");
}

/** Keep what is locked from being used, in whichever way. */
function guardUse(asked, bubble) {
  const stop = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  const block = (event) => {
    const control = lockedAt(event.target);
    if (control) stop(event);
    return control;
  };
  const on = (type, listener) => document.addEventListener(type, listener, { capture: true });
  on("click", (event) => {
    const control = block(event);
    if (control) asked(control);
  });
  on("pointerdown", (event) => { if (lockedAt(event.target)) event.stopImmediatePropagation(); });
  on("mousedown", (event) => {
    if (lockedAt(event.target)?.tagName === "SELECT") block(event).focus();
  });
  on("keydown", (event) => {
    if (event.key === "Escape") bubble.hidePopover();
    if (!lockedAt(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const types = event.target.tagName === "SELECT" && event.key.length === 1;
    if (!types && !USES.has(event.key)) return;
    if (event.target.matches("input, textarea") && event.key !== "Enter" && event.key !== " ") return;
    const control = block(event);
    if (event.key === "Enter" || event.key === " ") asked(control);
  });
  on("submit", (event) => {
    const control = event.target.querySelector("button[data-needs]:not([type=button])");
    if (control && lockedAt(control)) {
      stop(event);
      asked(control);
    }
  });
}

/** Show the reason at a control that the pointer or the keyboard comes to. */
function explainOnTheWay(bubble) {
  const come = ({ target }) => {
    const control = lockedAt(target);
    if (control) showWhy(bubble, control);
    else bubble.hidePopover();
  };
  document.addEventListener("focusin", come);
  document.addEventListener("pointerover", come);
  document.addEventListener("focusout", () => bubble.hidePopover());
  addEventListener("scroll", () => bubble.hidePopover(), { capture: true, passive: true });
}

function showWhy(bubble, control) {
  const { needs } = control.closest("[data-needs]").dataset;
  setText(bubble, document.getElementById(`why-${needs}`).textContent);
  bubble.showPopover();
  const [box, own] = [control.getBoundingClientRect(), bubble.getBoundingClientRect()];
  const below = box.bottom + BUBBLE_GAP_PX;
  const top = below + own.height < innerHeight ? below : box.top - own.height - BUBBLE_GAP_PX;
  const left = Math.max(BUBBLE_GAP_PX, Math.min(box.left, innerWidth - own.width - BUBBLE_GAP_PX));
  bubble.style.setProperty("top", `${Math.max(BUBBLE_GAP_PX, top)}px`);
  bubble.style.setProperty("left", `${left}px`);
}

/** A locked control was to be used: offer to sign in where that helps, and go on with it. */
async function useLocked(store, control, bubble) {
  const { needs } = control.closest("[data-needs]").dataset;
  const { whoami } = store.get();
  if (!whoami?.sign_in || (needs === "change" && whoami.read_only)) return showWhy(bubble, control);
  bubble.hidePopover();
  const name = nameOf(control);
  if (!await signIn(store, `Sign in to do this: ${name.slice(0, 60)}`) || whyNot(store.get(), needs)) return undefined;
  // What was read anew may have been drawn anew.
  const now = control.isConnected ? control
    : [...document.querySelectorAll(control.tagName)].find((one) => nameOf(one) === name);
  now?.focus();
  if (now?.matches("a, button, input[type=checkbox]")) now.click();
  return undefined;
}

function nameOf(control) {
  return (control.ariaLabel || control.labels?.[0]?.textContent || control.textContent).trim();
}

/** The server has refused something: it may take the reader for somebody else by now. True to ask once more. */
async function afterRefusal(store, { isAsked }) {
  const whoami = await readWhoami(store).catch(() => null);
  if (!isAsked || !whoami?.sign_in || whoami.role === "operator") return false;
  return signIn(store, "Sign in to do this");
}

/** Let those that show something read it again, and wait for them. */
async function tellOthers() {
  const detail = { waits: [] };
  document.dispatchEvent(new CustomEvent(ROLE_CHANGED, { detail }));
  const isLate = new Promise((resolve) => setTimeout(resolve, OTHERS_MS));
  await Promise.race([Promise.allSettled(detail.waits), isLate]);
}

/** A line for the head of the page once a session has ended by itself. */
export function endedLine() {
  return div("ended-line", "Your session has ended. What you have not saved is still here. ", signInButton());
}
