// SPDX-License-Identifier: Apache-2.0
// What is shown while there are no nodes: the ways to add some, with commands for this very server, and the demo.

import { signInButton } from "../access.js";
import { copyButton } from "../copying.js";
import { div, el, para } from "../dom.js";
import { notice } from "../widgets.js";

const NODE = '{"name": "worker0", "host": "10.0.0.7", "port": 7000}';
const PLUGIN = `internal_api_server_enabled: true
internal_api_server_port_start: 6999
internal_api_server_socket_path_prefix: "/tmp/lmcache_internal_api_server/socket"
runtime_plugin_locations: ["/path/to/scheduler_lmc_frontend_plugin.py"]
extra_config:
  plugin.frontend.port: 8080`;

/** `whyNot` says why this reader may not add nodes on the page, if so; `page` is the address of this page. */
export function emptyFleet(whyNot, page = new URL(".", location.href)) {
  const port = page.port || (page.protocol === "https:" ? "443" : "80");
  return el("section", { class: "empty" },
    el("h2", {}, "No nodes yet"),
    para("", "Every LMCache process serves a small internal HTTP API. Tell this frontend where, in one of ",
      whyNot ? "two" : "three", " ways:"),
    el("ol", { class: "ways" },
      !whyNot && way("On this page, or over HTTP", "Nodes added while it runs are kept, and outlive a restart.",
        div("inline", el("a", { class: "button primary", href: "#/manage?add=node" }, "Add a node"),
          el("a", { class: "button", href: "#/manage?add=proxy" }, "Add another frontend")),
        command(`curl ${page}api/nodes -d '${NODE}'`)),
      way("When it starts", "Name them on the command line, or in a JSON file with the same list: it is read again "
        + "whenever it changes. The port is a number or the path of a Unix socket.",
      command(`python3 -m lmcache_frontend --port ${port} --nodes '[${NODE}]'`),
      command(`python3 -m lmcache_frontend --port ${port} --config nodes.json`)),
      way("Started by LMCache itself", "With these settings the scheduler of an engine starts a frontend that knows "
        + "all processes of that engine.", command(PLUGIN))),
    whyNot && notice("info", "Nodes cannot be added on this page", whyNot, signInButton()),
    el("section", { class: "card empty-more" },
      el("h3", {}, "Only looking? Start the demo"),
      para("", "It brings simulated nodes, here one sick among fifty, and needs nothing else. It listens beside this."),
      command(`python3 -m lmcache_frontend --demo 50 --demo-fault frozen --port ${beside(port)}`)),
    el("section", { class: "card empty-more" },
      el("h3", {}, "Is the API of your nodes on?"),
      para("", "In an engine it is off unless it is asked for; the scheduler then listens on port 6999, worker 0 on "
        + "7000, worker 1 on 7001 and so on. An MP server serves it on port 8080 (",
      el("code", {}, "--http-port"), ")."),
      command("export LMCACHE_INTERNAL_API_SERVER_ENABLED=true LMCACHE_INTERNAL_API_SERVER_HOST=0.0.0.0")));
}

function beside(port) {
  return Number(port) < 1024 ? 8001 : Math.min(65535, Number(port) + 1);
}

function way(title, text, ...how) {
  return el("li", { class: "card" }, el("h3", {}, title), el("p", {}, text), how);
}

function command(text) {
  return div("command", el("pre", { tabindex: "0" }, text),
    copyButton("Copy", () => text, { "aria-label": "Copy the command" }));
}
