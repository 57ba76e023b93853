// SPDX-License-Identifier: Apache-2.0
// The header: how the page is connected and how old its data is, pause, who the reader is, and colours.

import { endedLine } from "./access.js";
import { replace, setAttribute, setText, span } from "./dom.js";
import { STALE_INTERVALS } from "./feed.js";
import { clock, duration, utc } from "./format.js";
import { loadStyle } from "./styles.js";
import { icon } from "./widgets.js";

const TICK_MS = 1000;

/** Draw the header now, on every change, and each second for the age of the data. */
export function startShell(store) {
  const part = (id) => document.getElementById(id);
  const parts = Object.fromEntries(
    ["link", "link-text", "link-said", "outage", "banner", "ended", "role", "pause", "theme"]
      .map((id) => [id, part(id)]));
  applyTheme(store.get().theme);
  parts.theme.value = store.get().theme;
  parts.theme.addEventListener("change", () => store.setTheme(parts.theme.value));
  parts.pause.addEventListener("click", () => store.setPaused(!store.get().paused));
  parts.role.addEventListener("click", async () => {
    const [{ toggleWho }] = await Promise.all([import("./who.js"), loadStyle("access")]);
    toggleWho(store, parts.role);
  });
  const redraw = () => draw(parts, store);
  store.subscribe(redraw);
  redraw();
  setInterval(() => { if (!document.hidden) redraw(); }, TICK_MS);
}

function draw(parts, store) {
  const { link, whoami, ended, fleet, theme, paused } = store.get();
  applyTheme(theme);
  const [state, text] = linkState(store);
  // Said aloud is what changes, not each second of age.
  if (parts.link.dataset.link !== state) setText(parts["link-said"], text);
  parts.link.dataset.link = state;
  setText(parts["link-text"], text);
  parts.link.title = fleet.taken_at ? `These figures are of ${clock(fleet.taken_at)} (${utc(fleet.taken_at)})${
    link.how === "poll" ? ". The page asks for them, as events cannot be had." : ""}` : "";
  parts.outage.hidden = link.up !== false;
  setText(parts.outage, parts.outage.hidden ? ""
    : `The frontend has not answered since ${clock(link.since / 1000)}. `
      + "What you see may be out of date; trying again every 2 s.");
  parts.banner.hidden = !fleet.store_fault;
  setText(parts.banner, fleet.store_fault ? `Nothing can be kept: ${fleet.store_fault}` : "");
  drawPause(parts.pause, paused);
  drawEnded(parts.ended, ended);
  drawRole(parts.role, whoami);
}

function drawEnded(place, ended) {
  if (place.hidden === !ended) return;
  place.hidden = !ended;
  replace(place, ended && endedLine());
}

/** Who the reader is: the role, and the name where somebody has signed in. */
function drawRole(place, whoami) {
  place.hidden = !whoami;
  const shape = JSON.stringify(whoami);
  if (!whoami || place.dataset.shape === shape) return;
  place.dataset.shape = shape;
  const role = whoami.role === "none" ? "not signed in" : whoami.role;
  const hasName = whoami.how === "session" || whoami.how === "token";
  replace(place, span("role-name", whoami.read_only ? "read-only" : role),
    hasName && span("role-name role-who muted", whoami.name), icon("next"));
  place.title = `You are ${role} here. Press for what that allows.`;
}

/** `[mark, words]`: what is shown may be old because nothing came, or because the reader wants it so. */
function linkState(store) {
  const { link, whoami, fleet, paused } = store.get();
  if (whoami?.role === "none") return ["stale", "Not signed in"];
  if (link.up === null) return ["waiting", "Connecting"];
  const age_s = (Date.now() - fleet.received_at) / 1000;
  const old = fleet.received_at ? duration(Math.floor(age_s)) : "";
  if (paused && fleet.received_at) return ["paused", `Paused, ${old} old`];
  if (link.up === false) return ["down", old ? `No connection, ${old} old` : "No connection"];
  const isStale = fleet.received_at && age_s > STALE_INTERVALS * fleet.interval_s;
  document.documentElement.toggleAttribute("data-stale", Boolean(isStale));
  return isStale ? ["stale", `Data is ${old} old`] : ["up", "Live"];
}

function drawPause(button, paused) {
  const shape = String(paused);
  if (button.dataset.paused === shape) return;
  button.dataset.paused = shape;
  setAttribute(button, "aria-pressed", shape);
  button.title = paused ? "Show what is new again (p)" : "Keep what is shown as it is (p)";
  replace(button, icon(paused ? "play" : "pause"));
}

function applyTheme(chosen) {
  const theme = chosen === "system" ? null : chosen;
  const root = document.documentElement;
  // Charts watch the attribute and are drawn anew each time that it is set.
  if (root.getAttribute("data-theme") !== theme) setAttribute(root, "data-theme", theme);
}
