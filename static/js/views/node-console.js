// SPDX-License-Identifier: Apache-2.0
// Any request to a node: what is sent, what comes back and how long it took, and what was sent before.

import { lockNote, needing, setNeeds } from "../access.js";
import { exchange } from "../api.js";
import { copyButton } from "../copying.js";
import { div, el, para, replace, setText, span } from "../dom.js";
import { bytes, clock, count, duration } from "../format.js";
import { isInProcess, nodePath } from "../nodes.js";
import { AS_TYPED, button, data, failedChange, notice, select } from "../widgets.js";
import { curlText, formatted, pathsOf, readFields } from "../requests.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const HISTORY_KEPT = 30;
const SHOWN_CHARACTERS = 300_000;

export function mount(root, context) {
  const draft = context.store.draft(context.key);
  draft.history ??= [];
  const { path = "/version" } = context.route().query;
  const request = { method: "GET", path: `/${path.replace(/^\/+/, "")}`, fields: "", body: "" };
  const view = { context, history: draft.history, request, shown: null };
  const submit = (event) => {
    event.preventDefault();
    send(view, parts);
  };
  const parts = {
    form: el("form", { class: "card console-form", on: { submit } }),
    answer: div("console-answer"),
    history: el("section", { class: "card console-history", "aria-label": "History" }),
  };
  parts.answer.setAttribute("role", "status");
  replace(root, div("panel-body", lockNote("You can read, not change"),
    div("console", div("console-main", parts.form, parts.answer), parts.history)));
  drawForm(view, parts);
  drawHistory(view, parts);
  replace(parts.answer, suggestions(view, parts));
  // Refreshing may read again, but does not change anything once more.
  const again = () => { if (["GET", "HEAD"].includes(view.request.method)) send(view, parts); };
  return { update: again, unmount() {} };
}

function drawForm(view, parts) {
  const { request, context } = view;
  const needsBody = () => !["GET", "HEAD"].includes(request.method);
  const go = el("button", { class: "primary", ...(needsBody() && needing()) }, "Send");
  const method = select("Method", METHODS.map((name) => [name, name]), request.method, (value) => {
    request.method = value;
    body.hidden = !needsBody() && !request.body;
    setNeeds(go, needsBody() ? "change" : null);
  }, { class: "console-method" });
  const paths = el("datalist", { id: "console-paths" }, pathsOf(context.kind, isInProcess(context.kind))
    .map((path) => el("option", { value: path })));
  const path = el("input", {
    type: "text", class: "console-path", "aria-label": "Path and query", list: "console-paths", required: true,
    value: request.path, ...AS_TYPED, on: { input: () => { request.path = path.value; } },
  });
  const area = (label, name, rows, placeholder) => {
    const input = () => { request[name] = field.value; };
    const keydown = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) parts.form.requestSubmit();
    };
    const field = el("textarea", { rows, placeholder, value: request[name], ...AS_TYPED, on: { input, keydown } });
    return el("label", { class: "field" }, span("tally", label), field);
  };
  const body = area("Body", "body", 5, "");
  body.hidden = !needsBody() && !request.body;
  replace(parts.form,
    div("console-line", method, path, go, paths),
    el("details", { class: "console-more", open: Boolean(request.fields) }, el("summary", {}, "Header fields"),
      area("One a line, Name: value", "fields", 3, "Accept: application/json")),
    body,
    div("inline", copyButton("Copy as curl", () => curlText(location.href, nodePath(context.key, ""), request)),
      span("tally", "Ctrl and Enter sends from a field")));
}

/** Something to begin with, while nothing has been sent. */
function suggestions(view, parts) {
  const { kind } = view.context;
  const use = (path) => {
    view.request = { ...view.request, method: "GET", path };
    drawForm(view, parts);
    send(view, parts);
  };
  return div("console-try",
    para("muted", "Any request can be sent to the node, and changes need an operator. Reading is harmless:"),
    div("inline", pathsOf(kind, isInProcess(kind))
      .map((path) => button(path, () => use(path), { class: "small mono" }))));
}

async function send(view, parts) {
  const { context, history } = view;
  const request = { ...view.request };
  const path = request.path.trim().replace(/^\/+/, "");
  const { fields, problem } = readFields(request.fields);
  if (problem) return void replace(parts.answer, notice("warn", "A header field cannot be read", problem));
  const mine = (view.turn = (view.turn ?? 0) + 1);
  replace(parts.answer, para("loading", "Waiting for the answer …"));
  const sent = { ...request, path: `/${path}`, at: Date.now() / 1000 };
  try {
    const isBare = ["GET", "HEAD"].includes(request.method);
    const body = isBare || request.body === "" ? undefined : request.body;
    if (body !== undefined && !Object.keys(fields).some((name) => name.toLowerCase() === "content-type")) {
      fields["Content-Type"] = /^\s*[[{]/.test(body) ? "application/json" : "text/plain";
    }
    const options = { method: request.method, fields, body, signal: context.signal };
    sent.answer = await exchange(nodePath(context.key, path), options);
  } catch (error) {
    if (error.kind === "aborted") return;
    sent.error = error;
  }
  history.unshift(sent);
  history.length = Math.min(history.length, HISTORY_KEPT);
  if (mine === view.turn) show(view, parts, sent);
  drawHistory(view, parts);
}

function show(view, parts, sent) {
  view.shown = sent;
  replace(parts.answer, sent.error ? failedChange(sent.error, "No answer came") : answerCard(sent));
}

function statusText(status, reason) {
  return status === 0 ? "Redirected" : `${status} ${reason || WORDS[status] || ""}`;
}

function answerCard({ method, path, answer }) {
  const { status, reason, text, fields, relayed } = answer;
  const pretty = formatted(text);
  const pre = el("pre", { class: "raw", tabindex: "0", "aria-label": "Body of the answer" });
  const showBody = (isRaw) => {
    const whole = isRaw ? text : pretty ?? text;
    setText(pre, whole.slice(0, SHOWN_CHARACTERS) || "(no body)");
    const more = whole.length - SHOWN_CHARACTERS;
    if (more > 0) pre.append(`\n… ${count(more, "more character")}`);
  };
  showBody(false);
  const forms = [["pretty", "Pretty"], ["raw", "As it came"]];
  const form = pretty !== null && pretty !== text
    && select("Form of the body", forms, "pretty", (value) => showBody(value === "raw"));
  const tone = status === 0 ? "warn" : status < 300 ? "ok" : status < 400 ? "warn" : "bad";
  return el("section", { class: "card answer", dataset: { tone } },
    div("answer-head", el("strong", { class: "answer-status" }, statusText(status, reason)),
      span("tally", `${method} `, data(path)),
      span("spring"),
      el("span", { class: "tally", title: "Until the head, and until the end" },
        `${duration(answer.first_ms / 1000)}, ${duration(answer.whole_ms / 1000)} in all`),
      span("tally", bytes(new Blob([text]).size))),
    !relayed && status >= 400 && para("muted", "This is the frontend's own answer, not the node's."),
    el("details", { class: "console-more" }, el("summary", {}, count(fields.length, "header field")),
      el("dl", { class: "answer-fields" },
        fields.map(([name, value]) => [el("dt", {}, name), el("dd", {}, data(value))]))),
    pre,
    div("inline", form, copyButton("Copy the body", () => (pretty ?? text)), download(path, text)));
}

// HTTP/1.1 gives the words, but not every way to a browser keeps them.
const WORDS = {
  200: "OK", 202: "Accepted", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
  405: "Method Not Allowed", 409: "Conflict", 422: "Unprocessable Content", 500: "Internal Server Error",
  502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
};

function download(path, text) {
  const name = path.split("?")[0].split("/").filter(Boolean).join("-") || "answer";
  const save = () => {
    const href = URL.createObjectURL(new Blob([text]));
    const link = el("a", { href, download: `${name}.txt` });
    link.click();
    URL.revokeObjectURL(href);
  };
  return button("Download", save, { class: "small" });
}

function drawHistory(view, parts) {
  const { history } = view;
  const again = (sent) => {
    view.request = { method: sent.method, path: sent.path, fields: sent.fields, body: sent.body };
    drawForm(view, parts);
    show(view, parts, sent);
    parts.form.querySelector(".console-path").focus();
  };
  const forget = () => {
    history.length = 0;
    drawHistory(view, parts);
  };
  replace(parts.history, div("inline", el("h2", {}, "History"), span("spring"),
    history.length > 0 && button("Forget", forget, { class: "small bare" })),
  history.length === 0 ? para("muted", "What you send is listed here until the page is closed. Nothing of it is kept.")
    : el("ol", {}, history.map((sent) => el("li", {}, button([
      historyStatus(sent), span("history-what", el("b", {}, sent.method), " ", data(sent.path)),
      span("tally", clock(sent.at)),
    ], () => again(sent), { class: "bare history-item" })))));
}

function historyStatus({ error, answer }) {
  const isBad = error || answer.status >= 400;
  return span(`history-status ${isBad ? "problem" : ""}`, error ? "–" : String(answer.status || "→"));
}
