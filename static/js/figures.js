// SPDX-License-Identifier: Apache-2.0
// The main figures of a node out of its metrics, in words. Pure.
// Metric names as of LMCache 0.5.6; what a release does not have is left out.
// A figure is `{title, value, text, share}`; with `value` null, `none` says in its place why there is none yet.

import { bytes, count, number, percent } from "./format.js";

/** Seconds since the process started, by the given clock (seconds since the epoch), or null. */
export function upFor(families, now_s) {
  const started = reader(families, "")("process_start_time_seconds");
  return started ? Math.max(0, now_s - started) : null;
}

/** Figures of an in-process node. `capacity_bytes` is the size of its CPU tier, null if it is not known. */
export function inProcessFigures(families, kind, capacity_bytes) {
  const of = reader(families, "lmcache:");
  if (of("num_lookup_requests_total") === null) return [];
  const lookups = rate("Hit rate", of("num_lookup_hits_total"), of("num_lookup_tokens_total"), "looked up");
  if (kind === "scheduler") return schedulerFigures(of, lookups);
  return [
    lookups,
    rate("Retrieved", of("num_hit_tokens_total"), of("num_requested_tokens_total"), "asked for"),
    fill("CPU tier", of("local_cache_usage"), capacity_bytes),
    plain("Tokens stored", of("num_stored_tokens_total"), "evicted ones included"),
    evictions(of("local_cpu_evict_keys_count_total"), of("local_cpu_evict_failed_count_total"), "key"),
    requests(of("num_lookup_requests_total"), of("num_retrieve_requests_total"), of("num_store_requests_total")),
    tier("Disk tier", of("local_storage_usage")),
    tier("Remote tier", of("remote_cache_usage")),
  ].filter(Boolean);
}

/** Figures of an MP server out of its metrics and, if it could be read, its `/status`. */
export function mpFigures(families, status) {
  const of = reader(families, "lmcache_mp_");
  const managers = l1Managers(status);
  const total = (field) => managers.reduce((sum, item) => sum + (Number(item[field]) || 0), 0);
  return [
    rate("Hit rate", of("lookup_hit_tokens_total"), of("lookup_requested_tokens_total"), "looked up"),
    managers
      ? fill("L1 cache", total("memory_used_bytes"), total("memory_total_bytes"))
      : fill("L1 cache", of("l1_memory_usage_bytes"), null),
    managers && plain("Objects in L1", total("total_object_count"),
      `${number(total("read_locked_count"))} locked for reading, ${number(total("write_locked_count"))} for writing`),
    evictions(of("l1_evicted_chunks_total") ?? 0, null, "chunk"),
    requests(of("lookups_requests_total"), of("num_finished_retrieves_total"), of("num_finished_stores_total")),
    plain("L1 chunks read", of("l1_read_chunks_total"), `${count(of("l1_write_chunks_total") ?? 0, "chunk")} written`),
    tier("L2 cache", of("l2_usage_bytes")),
  ].filter(Boolean);
}

/** Schedulers have no cache; what they can count is how often the same chunks are asked for. */
function schedulerFigures(of, lookups) {
  const chunks = of("chunk_statistics_enabled") ? of("chunk_statistics_total_chunks") : null;
  return [
    lookups.value ? lookups : { ...lookups, none: "at the workers", text: "Workers do the lookups and count them." },
    chunks !== null && reuse(chunks, of("chunk_statistics_unique_chunks"), of("chunk_statistics_reuse_rate")),
    chunks !== null && plain("Requests", of("chunk_statistics_total_requests"), "seen by the chunk statistics"),
    plain("Unfinished requests", of("scheduler_unfinished_requests_count"), "at the moment"),
  ].filter(Boolean);
}

/** A function from a sample's name to the sum over all its label sets, or null if there is none. */
function reader(families, prefix) {
  const totals = new Map();
  for (const family of families) {
    for (const { name, value } of family.samples) totals.set(name, (totals.get(name) ?? 0) + value);
  }
  return (name) => totals.get(prefix + name) ?? null;
}

function reuse(chunks, different, share) {
  const text = `${number(chunks)} chunks seen, ${number(different)} different`;
  return { title: "Chunk reuse", value: chunks ? percent(share) : null, share: chunks ? share : undefined, text };
}

function rate(title, hit, asked, verb) {
  if (!asked) return { title, value: null, text: `No tokens were ${verb} since it started.` };
  const share = (hit ?? 0) / asked;
  return { title, value: percent(share), share, text: `${number(hit ?? 0)} of ${number(asked)} tokens ${verb}` };
}

function fill(title, used, capacity) {
  if (used === null || !capacity) return plain(title, used, "in use; its size could not be read", bytes);
  const share = used / capacity;
  return { title, value: bytes(used), share, text: `in use of ${bytes(capacity)} (${percent(share)})` };
}

function evictions(items, failed, noun) {
  const text = items ? `${noun}s evicted` : `no ${noun} was evicted`;
  return plain("Evictions", items, failed ? `${text}, ${number(failed)} failed` : text);
}

function requests(lookups, retrieves, stores) {
  const title = "Lookups";
  if (!lookups && !retrieves && !stores) return { title, value: null, text: "No requests since it started." };
  return plain(title, lookups ?? 0, `${count(retrieves ?? 0, "retrieve")}, ${count(stores ?? 0, "store")}`);
}

function tier(title, used) {
  return used ? plain(title, used, "in use", bytes) : null;
}

function plain(title, value, text, show = number) {
  return value === null ? null : { title, value: show(value), text };
}

function l1Managers(status) {
  const storage = status?.storage_manager;
  const managers = storage?.l1_managers ? Object.values(storage.l1_managers) : [storage?.l1_manager];
  return managers.length && managers.every(Boolean) ? managers : null;
}
