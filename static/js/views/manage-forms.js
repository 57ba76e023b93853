// SPDX-License-Identifier: Apache-2.0
// The dialogs of node management. What the server says against a change is shown at the form.

import { div, el, replace } from "../dom.js";
import { LOCAL } from "../nodes.js";
import { AS_TYPED, button, data, failedChange, notice, select } from "../widgets.js";
import { showTest } from "./manage-test.js";

const PORT = "[1-9][0-9]{0,4}";

/**
 * Ask for name, host and port of a node or proxy. `entry` is what is edited, if anything, and `warning` what is to be
 * known of that; `send({name, host, port, proxy})` makes the change and raises ApiError if it is refused; `closed()` is
 * called last.
 */
export function entryDialog(root, { title, isProxy, entry = null, proxies, warning = null, send, closed }) {
  const input = (id, value, attributes) => el("input", { type: "text", id, value, ...AS_TYPED, ...attributes });
  const name = input("entry-name", entry?.name ?? "", { required: true });
  const host = input("entry-host", entry?.given.host ?? "",
    { placeholder: "127.0.0.1", pattern: "[^\\s\\/]+", title: "a host name or an address" });
  const port = input("entry-port", String(entry?.given.port ?? ""), {
    required: true, placeholder: isProxy ? "8000" : "7000", pattern: isProxy ? PORT : `${PORT}|\\/.+`,
    title: isProxy ? "a port number" : "a port number, or the path of a socket, which starts with a slash",
  });
  const owner = select("Proxy", proxies.map((item) => [item, item === LOCAL ? "This frontend" : item]),
    entry?.proxy ?? LOCAL, () => {}, { id: "entry-proxy", disabled: Boolean(entry) });
  // A socket needs no host.
  const check = () => { host.required = !port.value.startsWith("/"); };
  port.addEventListener("input", check);
  check();
  const typed = () => ({
    name: name.value.trim(),
    host: host.value || "localhost",
    port: /^\d+$/.test(port.value) ? Number(port.value) : port.value,
    proxy: owner.value,
  });
  openDialog(root, {
    title,
    content: [
      warning && notice("info", null, warning),
      field("Name", name), field("Host", host), field(isProxy ? "Port" : "Port or socket path", port),
      !isProxy && field("Reached through", owner), tester(isProxy, [host, port], typed),
    ],
    verb: entry ? "Save" : "Add",
    send: () => send(typed()),
    closed,
  });
}

/** A button that asks what answers at what was typed, before that is saved. */
function tester(isProxy, inputs, typed) {
  const place = el("div", { class: "test-said", role: "status" });
  const press = () => {
    if (!inputs.every((input) => input.reportValidity())) return;
    const { proxy, ...fields } = typed();
    showTest(place, { ...fields, is_proxy: isProxy, proxy_id: proxy }, isProxy);
  };
  return div("test", button("Test the connection", press, { class: "small" }), place);
}

/** Ask whether to go on with something that cannot be undone; `typed` is what has to be typed first, if anything. */
export function confirmDialog(root, { title, name, text, typed = null, verb, send }) {
  const word = typed !== null && el("input", { type: "text", id: "entry-typed", required: true, ...AS_TYPED });
  if (word) {
    const check = () => word.setCustomValidity(word.value === typed ? "" : "This is not the name.");
    word.addEventListener("input", check);
    check();
  }
  openDialog(root, {
    title,
    content: [
      el("p", {}, data(name)), [text].flat().filter(Boolean).map((part) => el("p", {}, part)),
      word && field(`To go on, type the name`, word),
    ],
    verb, style: "danger", send,
  });
}

function field(label, input) {
  return div("field", el("label", { for: input.id }, label), input);
}

/** A modal dialog with one form; it stays open while what was sent is refused. */
function openDialog(root, { title, content, verb, style = "primary", send, closed = () => {} }) {
  const said = el("div", { role: "alert" });
  const confirm = el("button", { class: style }, verb);
  const submit = async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    replace(said);
    try {
      await send();
      dialog.close();
    } catch (error) {
      if (error.kind !== "aborted") replace(said, failedChange(error, "That was refused"));
    }
    confirm.disabled = false;
  };
  const close = () => {
    dialog.remove();
    closed();
  };
  const dialog = el("dialog", { class: "dialog", "aria-labelledby": "dialog-title", on: { close } },
    el("form", { on: { submit } },
      el("h2", { id: "dialog-title" }, title), content, said,
      div("dialog-buttons", button("Cancel", () => dialog.close()), confirm)));
  replace(root, dialog);
  dialog.showModal();
}
