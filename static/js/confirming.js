// SPDX-License-Identifier: Apache-2.0
// Asking before something is done that cannot be undone.

import { div, el, para } from "./dom.js";
import { AS_TYPED, data, dialog } from "./widgets.js";

/**
 * Ask whether to do something; true if so. `text` are paragraphs, `verb` stands on the button. With `typed` that text
 * has to be typed first, so that nobody empties the wrong node.
 */
export function confirmed({ title, text, verb, typed = null, style = "danger" }) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = { text: verb, style, run: () => { answer = field === null || field.value === typed; return answer; } };
    const check = () => { go.disabled = field.value !== typed; };
    const field = typed === null ? null : el("input", {
      id: "typed", "aria-describedby": "typed-what", ...AS_TYPED,
      on: { input: check, keydown: (event) => { if (event.key === "Enter" && !go.disabled) go.click(); } },
    });
    const { element } = dialog(title, [
      [text].flat().map((part) => (typeof part === "string" ? para("", part) : part)),
      field && div("field", el("label", { for: "typed", id: "typed-what" }, "To go on, type ", data(typed)), field),
    ], [{ text: "Cancel" }, yes], { closed: () => resolve(answer) });
    const go = element.querySelector(".dialog-buttons button:last-child");
    if (!field) return;
    check();
    field.focus();
  });
}
