// SPDX-License-Identifier: Apache-2.0
// What a worker would get, and why: one that has asked, or one that is described, by the rules in force or as edited.

import { request, requestJson } from "../api.js";
import { div, el, replace } from "../dom.js";
import { ago } from "../format.js";
import { explain, panel, sentence } from "../panel.js";
import { looseJson } from "../parse.js";
import { replaceQuery } from "../router.js";
import { readDraft, rulesToSend } from "../rules-work.js";
import { settingsFinder } from "../rules.js";
import { AS_TYPED, failureTitle, notice, select } from "../widgets.js";
import { previewResult } from "./configuration-explain.js";

const RELEASES = ["0.5.6", "0.5.2", "0.5.0", "0.4.6", "0.4.3", "0.3.14", "0.3.13"];
const DESCRIBED = "described";
const MOST_OPTIONS = 500;

export function mount(root, context) {
  const { memory } = context;
  memory.described ??= { app_id: "", env: "", config: "", client: "" };
  memory.version ??= RELEASES[0];
  const given = context.route().query.client;
  if (given) memory.who = given;
  const view = { context, memory, work: context.store.get().rules };
  return panel(root, context, {
    thing: "who has asked", load: (signal) => requestJson("api/config/clients", { signal }),
    render(body, { clients }) {
      Object.assign(view, { clients, signal: context.signal });
      draw(view, body);
    },
  });
}

function draw(view, body) {
  const { memory, clients, work } = view;
  const known = clients.some(({ client_id }) => client_id === memory.who);
  if (!known && memory.who !== DESCRIBED) memory.who = clients[0]?.client_id ?? DESCRIBED;
  view.place = el("div", { class: "preview-result", "aria-live": "polite" });
  view.described = div("preview-described");
  const again = () => ask(view);
  const workers = [[DESCRIBED, "A worker described here"], ...offered(view).map(clientOption)];
  const who = select("Worker", workers, memory.who, (id) => {
    memory.who = id;
    drawDescribed(view);
    again();
  }, { id: "preview-who" });
  memory.rules = work.unsaved ? memory.rules ?? "edited" : "force";
  const rules = select("Rules", [["force", "The rules in force"],
    ...(work.unsaved ? [["edited", "The rules as edited, not saved"]] : [])], memory.rules, (chosen) => {
    memory.rules = chosen;
    again();
  }, { id: "preview-rules" });
  const releases = RELEASES.map((one) => [one, `LMCache ${one}`]);
  const release = select("LMCache release", releases, memory.version, (chosen) => {
    memory.version = chosen;
    again();
  }, { id: "preview-release" });
  replace(body, div("card preview-ask",
    labelled("Worker", who), labelled("Rules", rules), labelled("Release", release), view.described), view.place);
  drawDescribed(view);
  again();
}

function labelled(text, control) {
  return div("field", el("label", { for: control.id }, text), control);
}

/** The last ones to ask, and the one that is chosen, however long ago that was. */
function offered({ clients, memory }) {
  return clients.filter(({ client_id }, at) => at < MOST_OPTIONS || client_id === memory.who);
}

function clientOption({ client_id, app_id, instance, fetched_at }) {
  return [client_id, `${app_id || "no app_id"} · ${instance}, asked ${ago(fetched_at)}`.slice(0, 160)];
}

/** The form for a worker that has not asked yet; what is typed is asked for at once. */
function drawDescribed(view) {
  const { memory: { described, who } } = view;
  let timer = 0;
  const field = (name, label, placeholder, lines = 0) => {
    const typed = () => {
      described[name] = input.value;
      clearTimeout(timer);
      timer = setTimeout(() => ask(view), 400);
    };
    const input = el(lines ? "textarea" : "input", {
      id: `preview-${name}`, placeholder, rows: lines || null, value: described[name], ...AS_TYPED,
      on: { input: typed },
    });
    return labelled(label, input);
  };
  replace(view.described, who === DESCRIBED && [
    field("app_id", "Application (app_id)", "chat"), field("client", "Address", "10.0.0.7"),
    field("env", "Environment, a line each", "POD_NAME=vllm-h100-13", 3),
    field("config", "Settings that it has itself, a line each", "chunk_size: 256", 3),
  ]);
}

/** The worker as the server is asked about it. Raises Error for a line that is not understood. */
function question({ memory, work, find }) {
  const asked = { lmcache_version: memory.version };
  if (memory.rules === "edited" && work.unsaved) {
    asked.rules = { rules: rulesToSend(work.drafts.map((draft) => readDraft(draft, find).rule)) };
  }
  if (memory.who !== DESCRIBED) return { ...asked, client_id: memory.who };
  const { app_id, env, config, client } = memory.described;
  return {
    ...asked, app_id: app_id.trim(), client: client.trim(), env: linesOf(env, "="),
    current_config: Object.fromEntries(Object.entries(linesOf(config, ":")).map(([key, text]) => [key, valueOf(text)])),
  };
}

function linesOf(text, mark) {
  return Object.fromEntries(text.split("\n").filter((line) => line.trim()).map((line) => {
    const at = line.search(/[=:]/);
    if (at < 1) throw new Error(`“${line.slice(0, 80)}” is not “name${mark}value”.`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

function valueOf(text) {
  try {
    return looseJson(text);
  } catch {
    return text;
  }
}

async function ask(view) {
  const { memory, place, context } = view;
  view.control?.abort();
  const control = new AbortController();
  view.control = control;
  context.signal.addEventListener("abort", () => control.abort(), { signal: control.signal });
  replaceQuery({ view: "preview", client: memory.who === DESCRIBED ? null : memory.who });
  place.setAttribute("aria-busy", "true");
  try {
    view.find ??= settingsFinder((await requestJson("api/config/catalogue", { signal: control.signal })).keys);
    const body = question(view);
    const { text } = await request("api/config/preview", { method: "POST", body, signal: control.signal });
    replace(place, previewResult(looseJson(text), { find: view.find, isEdited: memory.rules === "edited" }));
  } catch (error) {
    if (control.signal.aborted) return;
    replace(place, refusal(error, () => ask(view)));
  }
  if (!control.signal.aborted) place.removeAttribute("aria-busy");
}

function refusal(error, again) {
  if (!error.kind) return notice("info", "This cannot be asked yet", error.message);
  if (error.status === 400) return notice("info", "This cannot be asked yet", sentence(error.message));
  if (error.status === 404) return notice("info", "This worker is not kept any more", sentence(error.message));
  return error.kind === "http" ? explain(error, "the preview", null, again)
    : notice("bad", failureTitle(error, "No preview"), error.message);
}
