// SPDX-License-Identifier: Apache-2.0
// Text to the clipboard, with a word of what came of it, also where the browser gives no clipboard to plain HTTP.

import { el, setText, span } from "./dom.js";
import { icon } from "./widgets.js";

const SAID_MS = 2500;

/** A button that copies what `textOf()` gives when it is pressed. */
export function copyButton(words, textOf, attributes = {}) {
  const text = span("", words);
  let timer = 0;
  const press = async () => {
    const ok = await copyText(textOf());
    setText(text, ok ? "Copied" : "Could not copy");
    clearTimeout(timer);
    timer = setTimeout(() => setText(text, words), SAID_MS);
  };
  return el("button", { type: "button", class: "small", "aria-live": "polite", ...attributes, on: { click: press } },
    icon("copy"), text);
}

/** Put a text on the clipboard; says whether that worked. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** The old way, which plain HTTP has as well: select the text in a field, and copy what is selected. */
function copySelected(text) {
  const before = document.activeElement;
  const field = el("textarea", { class: "unseen", "aria-hidden": "true", value: text });
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    before?.focus();
  }
}
