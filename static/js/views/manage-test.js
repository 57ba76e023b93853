// SPDX-License-Identifier: Apache-2.0
// Testing a connection: what answers at an address, how long it takes, and what is to be done where nothing does.

import { requestJson } from "../api.js";
import { append, div, el, para, replace, span } from "../dom.js";
import { count, duration } from "../format.js";
import { KIND_NAMES } from "../nodes.js";
import { sentence } from "../panel.js";
import { data, dialog, failedChange, notice, table } from "../widgets.js";

const PATH = "api/connection-test";
// Each of the few questions has some seconds.
const TIMEOUT_S = 60;
const ADVICE = [
  [/refused/i, "Nothing listens there. Does the process run, and was its API switched on "
    + "(internal_api_server_enabled)? From 0.5.6 on it listens on 127.0.0.1 alone unless it is told otherwise."],
  [/no such file/i, "There is no such socket on the machine of this frontend."],
  [/permission/i, "This frontend may not open that socket."],
  [/within|timed out|timeout/i, "A firewall or another network may be between, or the process hangs."],
  [/resolve/i, "The name is not known on the machine of this frontend."],
  [/no route|unreachable/i, "There is no way to that network from the machine of this frontend."],
];

/** Ask what answers; `entry` is `{node}`, or the fields of one that is not there yet. Raises ApiError. */
export function testConnection(entry, signal) {
  return requestJson(PATH, { method: "POST", body: entry, signal, timeout_s: TIMEOUT_S });
}

/** Test the connection to an entry of the list, in a dialog. */
export function openTest(entry) {
  const control = new AbortController();
  const place = div("test-said");
  place.setAttribute("role", "status");
  const again = () => {
    showTest(place, { node: entry.key }, entry.isProxy, control.signal);
    return false;
  };
  dialog("Test the connection", [para("", data(entry.name), " ", span("muted", entry.address)), place],
    [{ text: "Test again", run: again }, { text: "Close", style: "primary" }],
    { style: "wide", closed: () => control.abort() });
  again();
}

/** Test, and show in `place` how that goes and what came of it. */
export async function showTest(place, entry, isProxy, signal) {
  replace(place, para("muted", "Asking …"));
  try {
    const result = await testConnection(entry, signal);
    replace(place, verdict(result, isProxy), questions(result));
  } catch (error) {
    if (error.kind !== "aborted") replace(place, failedChange(error, "That cannot be tested"));
  }
}

function verdict(result, isProxy) {
  const [tone, title, ...text] = judged(result, isProxy);
  const known = result.known_as.length > 0
    && para("", "At the same address already: ", result.known_as.slice(0, 5).map((name) => [data(name), " "]));
  return notice(tone, title, null, [text.filter(Boolean).map((one) => el("p", {}, one)), known]);
}

function judged(result, isProxy) {
  const { reached, reason, address, kind, version, instance, nodes, asked } = result;
  if (!reached) {
    return ["bad", `Nothing answers at ${address}`, sentence(reason ?? "no answer"),
      ADVICE.find(([pattern]) => pattern.test(reason ?? ""))?.[1]];
  }
  const first_s = asked.find(({ status }) => status)?.seconds ?? 0;
  const what = `${KIND_NAMES[kind] ?? kind}${version ? `, version ${version}` : ""}`;
  const took = `It answered the first question in ${duration(first_s)}.`;
  if (reason) return ["warn", "It answers, but not to everything", sentence(reason)];
  if (kind === "unknown") {
    return ["warn", "Something answers, but it is not LMCache",
      "Is this the port of another service, such as the engine's own API?"];
  }
  if (isProxy && kind !== "frontend") {
    return ["warn", `This is no frontend: ${what}`, "Add it as a node, not as a proxy."];
  }
  if (!isProxy && kind === "frontend") {
    return ["warn", "This is another frontend", "Add it as a proxy: then the nodes behind it are shown too."];
  }
  const more = kind === "frontend" ? `It knows ${count(nodes ?? 0, "node")}.` : instance && `Instance ${instance}.`;
  return ["ok", what, more ? `${took} ${more}` : took];
}

function questions({ asked }) {
  const columns = [["Question", "col-key"], ["Answer", "col-state"], ["Time", "num"]];
  const { element, body, row } = table("Questions", columns);
  append(body, asked.map(({ target, status, seconds, reason }) => row([
    data(`GET ${target}`), status ? `status ${status}` : data(reason ?? "no answer"), duration(seconds),
  ])));
  return el("details", { class: "test-questions" }, el("summary", {}, `${count(asked.length, "question")} asked`),
    div("card flush", element));
}
