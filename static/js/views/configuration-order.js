// SPDX-License-Identifier: Apache-2.0
// The order of rules, changed by pointer or by keys. The others move around the one that is moved, so that it keeps the
// keyboard and the pointer.

import { setText } from "../dom.js";

const EDGE_PX = 70;
const SCROLL_PX = 14;

/** Ways to move a rule in `view.list`: `{startDrag, moveKeys}`; `done()` is called when the order has changed. */
export function orderBy(view, done) {
  return {
    moveKeys(event, draft) {
      const { drafts } = view.work;
      const at = drafts.indexOf(draft);
      const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: drafts.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (to < 0 || to >= drafts.length || to === at) {
        return say(view, `${draft.name} is ${at === 0 ? "first" : "last"}`);
      }
      moveTo(view, draft, to);
      say(view, `${draft.name} is now ${to + 1} of ${drafts.length}`);
      view.cards.get(draft.id).handle.scrollIntoView({ block: "nearest" });
      done();
    },
    startDrag(event, draft) {
      if (event.button === 0) drag(view, event, draft, done);
    },
  };
}

function drag(view, event, draft, done) {
  const { handle, element } = view.cards.get(draft.id);
  const began = view.work.drafts.indexOf(draft);
  const stop = new AbortController();
  const { signal } = stop;
  const finish = () => {
    stop.abort();
    element.classList.remove("dragged");
    const at = view.work.drafts.indexOf(draft);
    if (at === began) return;
    say(view, `${draft.name} is now ${at + 1} of ${view.work.drafts.length}`);
    done();
  };
  const back = () => {
    moveTo(view, draft, began);
    finish();
  };
  handle.setPointerCapture(event.pointerId);
  element.classList.add("dragged");
  handle.addEventListener("pointermove", ({ clientY }) => follow(view, draft, clientY), { signal });
  handle.addEventListener("pointerup", finish, { signal });
  handle.addEventListener("pointercancel", back, { signal });
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape") back(); }, { signal });
}

/** Bring the rule to where the pointer is, and the page along at its edges. */
function follow(view, draft, y) {
  const { element } = view.cards.get(draft.id);
  const { drafts } = view.work;
  const middle = (other) => other.getBoundingClientRect().top + other.offsetHeight / 2;
  for (let turn = 0; turn < drafts.length; turn += 1) {
    const { previousElementSibling: above, nextElementSibling: below } = element;
    if (above && y < middle(above)) moveTo(view, draft, drafts.indexOf(draft) - 1);
    else if (below && y > middle(below)) moveTo(view, draft, drafts.indexOf(draft) + 1);
    else break;
  }
  if (y < EDGE_PX) scrollBy(0, -SCROLL_PX);
  else if (y > innerHeight - EDGE_PX) scrollBy(0, SCROLL_PX);
}

function moveTo(view, draft, to) {
  const { drafts } = view.work;
  const { element } = view.cards.get(draft.id);
  for (let at = drafts.indexOf(draft); at !== to; at += Math.sign(to - at)) {
    if (to < at) element.after(element.previousElementSibling);
    else element.before(element.nextElementSibling);
  }
  drafts.splice(drafts.indexOf(draft), 1);
  drafts.splice(to, 0, draft);
  for (const { update } of view.cards.values()) update();
}

function say(view, text) {
  setText(view.live, text);
}
