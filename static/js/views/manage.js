// SPDX-License-Identifier: Apache-2.0
// Management: the nodes and proxies, where they come from and what is kept, and what this frontend is.

import { whyNot } from "../access.js";
import { div, el, replace } from "../dom.js";
import { forgetQuery, placeHref } from "../router.js";
import { tabs } from "../widgets.js";
import { aboutView, sourcesView } from "./manage-about.js";
import { nodesView } from "./manage-nodes.js";

const VIEWS = [
  ["nodes", "Nodes", nodesView], ["sources", "Sources and store", sourcesView], ["about", "About", aboutView],
];

export function mount(root, context) {
  const { store, feed, route, title, navigate } = context;
  const page = { context, open: null, id: null };
  page.tabs = tabs("Parts of the management", VIEWS.map(([id, text]) => [id, text]), viewOf(route),
    (id) => navigate(placeHref("manage", { view: id === "nodes" ? "" : id })));
  page.panel = el("section", { class: "panel", role: "tabpanel", tabindex: "-1" });
  title("Manage");
  feed.now();
  replace(root, div("page-head", el("h1", {}, "Manage")), page.tabs.element, page.panel);
  openView(page, route);
  if (route.query.add && !whyNot(store.get())) page.open.add?.(route.query.add === "proxy", forgetQuery);
  return {
    update(next) {
      if (viewOf(next) !== page.id) openView(page, next);
      if (next.query.add && !whyNot(store.get())) page.open.add?.(next.query.add === "proxy", forgetQuery);
    },
    unmount() {
      page.open.unmount();
    },
  };
}

function viewOf({ query }) {
  return VIEWS.some(([id]) => id === query.view) ? query.view : "nodes";
}

function openView(page, route) {
  page.open?.unmount();
  page.id = viewOf(route);
  const [, text, mountView] = VIEWS.find(([id]) => id === page.id);
  page.tabs.select(page.id);
  page.panel.setAttribute("aria-label", text);
  replace(page.panel);
  page.open = mountView(page.panel, page.context);
}
