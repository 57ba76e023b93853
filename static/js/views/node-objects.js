// SPDX-License-Identifier: Apache-2.0
// The objects in the L2 of an MP server, a page at a time, and the removal of some.

import { needing } from "../access.js";
import { append, div, el, para, replace } from "../dom.js";
import { count } from "../format.js";
import { button, data, listCard, select, table } from "../widgets.js";
import { card, changer, readJson } from "./node-backends.js";

const PAGE_SIZE = 50;
const KEY_PARTS = ["chunk_hash_hex", "model_name", "kv_rank", "object_group_id", "cache_salt"];

/** The card of the objects; they are read when somebody asks for them, since there may be millions. */
export function objectsCard(view, adapters) {
  const list = { adapter: adapters[0]?.type_name ?? null, chosen: new Map(), token: null, place: div("") };
  if (!adapters.length) {
    return card(view, "objects", "Objects",
      para("muted", "There is no L2 adapter, and objects in L1 are not listed by LMCache."));
  }
  const names = [...new Set(adapters.map(({ type_name: name }) => name))];
  const which = names.length > 1 && select("Adapter", names.map((name) => [name, name]), list.adapter,
    (value) => { list.adapter = value; });
  const read = button("List the first objects", () => readPage(view, list, null), { class: "small" });
  return card(view, "objects", "Objects", [list.place], [which, read]);
}

async function readPage(view, list, token) {
  const query = new URLSearchParams({ tier: "l2", adapter: list.adapter, page_size: String(PAGE_SIZE) });
  if (token) query.set("page_token", token);
  replace(list.place, para("loading", "Reading objects …"));
  try {
    const page = await readJson(view.context, `cache/objects?${query}`, view.context.signal);
    drawPage(view, list, page);
  } catch (error) {
    if (error.kind === "aborted") return;
    const isOld = error.status === 404;
    replace(list.place, para("problem",
      isOld ? "This server does not list its objects here: LMCache has it from 0.5.1 on." : error.message));
  }
}

function drawPage(view, list, { entries = [], next_page_token: next }) {
  list.chosen.clear();
  const { element, body, row } = table("Objects", [
    ["Remove", "col-short"], ["Chunk", "col-key"], ["Model", "col-text"], ["Rank", "col-short num"],
    ["Salt", "col-text"]]);
  append(body, entries.map((entry, index) => row([
    el("input", {
      type: "checkbox", "aria-label": `Choose ${entry.chunk_hash_hex}`, ...needing(),
      on: { change: ({ target }) => (target.checked ? list.chosen.set(index, entry) : list.chosen.delete(index)) },
    }),
    data(entry.chunk_hash_hex ?? ""), data(entry.model_name ?? ""), String(entry.kv_rank ?? ""),
    data(entry.cache_salt ?? "")])));
  const ask = {
    title: "Remove objects?", verb: "Remove them", typed: view.context.node?.name ?? view.context.key,
    get text() { return [`${count(list.chosen.size, "object")} of L2 will be gone for all servers that share it.`]; },
  };
  const remove = changer(view, "objects", "Remove those chosen …", "request", () => ({
    method: "DELETE", path: "/cache/objects", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      keys: [...list.chosen.values()].map(keyOf), tier: "l2", force: false, adapter: list.adapter,
    }),
  }), { ask, style: "danger-quiet" });
  replace(list.place,
    entries.length ? listCard(element) : para("none", "There are no objects."),
    div("inline", entries.length > 0 && remove,
      next && button("Next page", () => readPage(view, list, next), { class: "small" })));
}

function keyOf(entry) {
  return Object.fromEntries(KEY_PARTS.filter((part) => part in entry).map((part) => [part, entry[part]]));
}
