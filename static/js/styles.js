// SPDX-License-Identifier: Apache-2.0
// Style sheets that only a part of the page needs, loaded when it is opened.

import { el } from "./dom.js";

/** Load a style sheet of `static/css/` once; resolves also where it fails, as a page without it is better than none. */
export function loadStyle(name) {
  const href = `static/css/${name}.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    document.head.append(el("link", { rel: "stylesheet", href, on: { load: resolve, error: resolve } }));
  });
}
