// SPDX-License-Identifier: Apache-2.0
// Reads what nodes say of themselves for a comparison: a few questions at a time, each asked once until told again.

import { NotOffered, readItem, readNode } from "./panel.js";

// Browsers allow six connections, one of which may hold the events.
const AT_ONCE = 4;
// What fails on a node that answers may be a fault that stays.
const TRIES = 5;
const PYTHON = /^python_info\{[^}\n]*\bversion="([^"\n]*)"/m;

/**
 * Make a reader; `changed()` is called when an answer has come. `want(keys, items)` asks for what is not known yet,
 * `again()` lets everything be asked once more, and `retry(key)` a few times what a node could not say (true if there
 * is such a thing), `rest(key)` forgets how often that was; what is known stays. `setInClear(on)` says whether what is
 * secret is read as it is.
 * `answer(key, item)` is undefined until it is there, then `{data, read_at}`, or `{reason, absent, forbidden}`, where
 * `absent` says that such a node has none.
 */
export function makeReader(store, changed) {
  const reader = {
    store, changed, control: new AbortController(), answers: new Map(), tries: new Map(), asked: new Set(),
    waiting: [], busy: 0, inClear: false,
  };
  return {
    want: (keys, items) => want(reader, keys, items),
    again() {
      reader.asked.clear();
      reader.waiting.length = 0;
    },
    retry: (key) => retry(reader, key),
    setInClear(on) {
      reader.inClear = on;
      reader.asked.clear();
    },
    rest: (key) => reader.tries.delete(key),
    answer: (key, item) => reader.answers.get(idOf(key, item)),
    isReading: () => reader.busy > 0 || reader.waiting.length > 0,
    stop: () => reader.control.abort(),
  };
}

function retry({ answers, asked, tries }, key) {
  const tried = tries.get(key) ?? 0;
  const failed = [...answers].filter(([id, { reason, absent, forbidden }]) =>
    reason && !absent && !forbidden && id.endsWith(` ${key}`) && asked.has(id));
  if (!failed.length || tried >= TRIES) return false;
  tries.set(key, tried + 1);
  for (const [id] of failed) asked.delete(id);
  return true;
}

function want(reader, keys, items) {
  for (const item of items) {
    for (const key of keys) {
      const id = idOf(key, item);
      if (reader.asked.has(id)) continue;
      reader.asked.add(id);
      reader.waiting.push([key, item]);
    }
  }
  next(reader);
}

function next(reader) {
  while (reader.busy < AT_ONCE && reader.waiting.length) {
    reader.busy += 1;
    read(reader, ...reader.waiting.shift());
  }
}

async function read(reader, key, item) {
  const answer = await tell(() => ask(reader, key, item));
  reader.busy -= 1;
  if (reader.control.signal.aborted) return;
  reader.answers.set(idOf(key, item), { ...answer, read_at: Date.now() / 1000 });
  next(reader);
  reader.changed();
}

function idOf(key, item) {
  return `${item} ${key}`;
}

async function tell(give) {
  try {
    return { data: await give() };
  } catch (error) {
    return { reason: error.message, absent: error instanceof NotOffered, forbidden: [401, 403].includes(error.status) };
  }
}

/** Read one item; the release of Python stands among the metrics alone. */
async function ask({ store, control: { signal }, inClear }, key, item) {
  if (item !== "python") return readItem({ key }, item, signal, { reveal: inClear && item !== "loggers" });
  const node = store.get().fleet.byKey.get(key);
  // The others' answers say of a silent node that it is; this question would leave a line in the console each time.
  if (node?.level === "unreachable") throw new Error("unreachable");
  const text = await readNode({ key, node }, "metrics", signal);
  return PYTHON.exec(text)?.[1] ?? null;
}
