// SPDX-License-Identifier: Apache-2.0
// What can be done with the nodes that are selected, in a bar at the bottom of the page.

import { needing, signInButton } from "../access.js";
import { actionDialog } from "../actions.js";
import { div, el, setText, span } from "../dom.js";
import { count } from "../format.js";
import { compareHref } from "../router.js";
import { button } from "../widgets.js";

const DIRECT = [["loglevel", "Log level"], ["conf", "Configuration"], ["freeze", "Freeze"]];
const MORE = [
  ["hot_cache", "Hot cache"], ["bypass", "Bypass a backend"], ["backend", "Backends"],
  ["metrics_reset", "Reset metrics"], ["cache_clear", "Clear the cache"], ["run_script", "Run a script"],
  ["request", "Any request"],
];

/** Make the bar of `list`; `draw(reason)` shows it where nodes are selected, and says why nothing can be changed. */
export function selectionBar(view, list) {
  const words = el("strong", { role: "status" });
  const keys = () => list.nodes.map(({ key }) => key).filter((key) => list.selected.has(key))
    .concat([...list.selected].filter((key) => !list.order.includes(key)));
  const open = (action) => actionDialog(view, { keys: keys(), action });
  const direct = DIRECT.map(([action, text]) => button(text, () => open(action), { class: "small", ...needing() }));
  const more = el("select", {
    "aria-label": "More actions", class: "small", ...needing(), on: {
      change() {
        const action = more.value;
        more.value = "";
        if (action) open(action);
      },
    },
  }, [["", "More …"], ...MORE].map(([value, text]) => el("option", { value }, text)));
  const why = span("muted bar-why");
  const whyMore = signInButton();
  const goCompare = () => view.navigate(compareHref(keys()));
  const compare = button("Compare", goCompare, { class: "small" });
  const clear = button("Clear selection", () => { list.selected.clear(); list.change({}); }, { class: "bare" });
  const element = div("selection-bar", words, div("bar-actions", direct, more, compare), why, whyMore, span("spring"),
    clear);
  element.setAttribute("role", "toolbar");
  element.setAttribute("aria-label", "Selected nodes");
  const draw = (reason) => {
    const { size } = list.selected;
    element.hidden = size === 0;
    setText(words, `${count(size, "node")} selected`);
    setText(why, !reason ? "" : reason.includes("read-only") ? "It is read-only." : "Changes need an operator.");
    whyMore.hidden = !reason;
    why.title = reason ?? "";
  };
  return { element, draw };
}
