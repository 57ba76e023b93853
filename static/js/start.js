// SPDX-License-Identifier: Apache-2.0
// The first that runs: asks for the fleet, which every place shows something of, while the rest is still being loaded.

import { requestJson } from "./api.js";

/** The figures of each node that are asked for; those of the whole fleet come all. */
export const FIGURES = [
  "lookup_hit_rate", "lookup_hit_rate_total", "lookup_hit_rate_l1", "lookup_hit_rate_l2", "retrieve_hit_share",
  "tokens_requested_per_s", "tokens_hit_per_s", "tokens_stored_per_s", "lookups_per_s", "retrieve_speed_p50",
  "retrieve_time_p95_s", "cpu_used_bytes", "cpu_capacity_bytes", "cpu_fill", "l1_watermark", "disk_used_bytes",
  "remote_used_bytes", "evictions_per_s", "failures_per_s",
];
const QUERY = `?figures=${FIGURES.join(",")}`;
const READ_S = 15;

let first = null;
if (!document.hidden) {
  first = readFleet();
  // Whoever takes it hears of what went wrong.
  first.catch(() => {});
}

/** Read the fleet: `api/fleet`. What was asked for at the start is given once. */
export function readFleet(options) {
  const asked = first;
  first = null;
  return asked ?? requestJson(`api/fleet${QUERY}`, { timeout_s: READ_S, ...options });
}

/** The address of the stream of what changes after a snapshot. */
export function eventsPath(snapshot) {
  return `api/fleet/events${QUERY}&since=${snapshot}`;
}
