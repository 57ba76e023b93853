// SPDX-License-Identifier: Apache-2.0
// Stacks of threads: what a thread is at, which have the same stack, and what moved between two captures. Pure.

// Where Python threads rest when they have nothing to do.
const RESTS = new Set([
  "wait", "acquire", "select", "poll", "accept", "sleep", "recv", "recv_into", "recv_multipart", "recvfrom", "readinto",
  "join", "_wait_for_tstate_lock", "acquire_read", "epoll_wait", "wait_for", "run_in_executor", "get",
]);
const REST_CALL = /\b(?:wait|acquire|select|poll|accept|sleep|recv\w*|join|epoll|dequeue)\(/;
const ANSWERS = /thread_api\.py$/;

/** What a thread is at: `rests` (it waits), `works`, `answers` (it is the one that gave this capture) or `stopped`. */
export function activityOf({ state, frames }) {
  const last = frames.at(-1);
  if (state !== "started" || !last) return state === "started" ? "rests" : "stopped";
  if (ANSWERS.test(last.file)) return "answers";
  return RESTS.has(last.function) || REST_CALL.test(last.source) ? "rests" : "works";
}

/** What makes two stacks the same: each frame's file, line and function. */
export function stackKey({ state, frames, note }) {
  if (!frames.length) return `${state} ${note}`;
  return frames.map(({ file, line, function: name }) => `${file}:${line}:${name}`).join("\n");
}

/** The frame that tells most: the innermost that is not of Python's own library. */
export function tellingFrame({ frames }) {
  return frames.findLast(({ file }) => !isStandard(file)) ?? frames.at(-1);
}

/** Whether a file is Python's own. */
export function isStandard(file) {
  return file.startsWith("<frozen") || (/\/python3(\.\d+)?\//.test(file) && !/\/(site|dist)-packages\//.test(file));
}

/**
 * Compare a capture with an earlier one: `{of: Map(thread -> change), was: Map(thread -> thread), counts}`. A change is
 * `new`, `moved` (another stack), `waiting` (the same stack, at rest) or `stuck` (the same stack, though at work).
 */
export function compare(before, threads) {
  const known = new Map(before.map((thread) => [idOf(thread), thread]));
  const of = new Map();
  const was = new Map();
  const counts = { stuck: 0, moved: 0, waiting: 0, new: 0, ended: 0 };
  for (const thread of threads) {
    const old = known.get(idOf(thread));
    known.delete(idOf(thread));
    const change = changeOf(old, thread);
    of.set(thread, change);
    if (change === "moved") was.set(thread, old);
    counts[change] += 1;
  }
  counts.ended = known.size;
  return { of, was, counts };
}

/** Threads by identical stack, those at work first, then the larger groups: `[{key, threads, activity, change}]`. */
export function grouped(threads, change = new Map()) {
  const groups = new Map();
  for (const thread of threads) {
    const activity = activityOf(thread);
    const key = `${change.get(thread) ?? ""} ${stackKey(thread)}`;
    if (!groups.has(key)) groups.set(key, { key, threads: [], activity, change: change.get(thread) ?? null });
    groups.get(key).threads.push(thread);
  }
  const size = ({ threads: some }) => some.length;
  return [...groups.values()].sort((one, other) => rank(one) - rank(other) || size(other) - size(one));
}

/** The stack as Python writes it. */
export function stackText(thread) {
  const lines = thread.frames.flatMap(({ file, line, function: name, source }) => [
    `  File "${file}", line ${line}, in ${name}`, ...(source ? source.split("\n").map((text) => `    ${text}`) : []),
  ]);
  return [`Thread ${thread.name} (${thread.state}${thread.daemon ? ", daemon" : ""})`, ...lines].join("\n");
}

function changeOf(old, thread) {
  if (!old) return "new";
  if (stackKey(old) !== stackKey(thread)) return "moved";
  // Who answered both times was called both times.
  return activityOf(thread) === "works" ? "stuck" : "waiting";
}

function idOf({ ident, name }) {
  return ident ?? name;
}

const RANKS = { works: 1, stopped: 2, answers: 3, rests: 4 };

function rank({ activity, change }) {
  return change === "stuck" ? 0 : RANKS[activity];
}
