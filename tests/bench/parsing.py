# SPDX-License-Identifier: Apache-2.0
"""Read what wrk prints and what Linux says about a process; pure.

Leaves running and opening to `load` and `processes`. Sources: the report of wrk 4.1 with `--latency`, and proc(5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SECONDS_OF_UNIT = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SOCKET_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


class WrkReport(NamedTuple):
    """One run of wrk; `socket_errors` counts failed connects, reads and writes, time-outs stand apart."""

    requests: int
    requests_per_s: float
    p50_s: float
    p99_s: float
    socket_errors: int
    timeouts: int
    bad_statuses: int


class MemoryUse(NamedTuple):
    """Resident memory of one process: now, and at its highest since the peak was last forgotten."""

    resident_bytes: int
    peak_bytes: int


def parse_duration_s(text: str) -> float:
    """Turn a duration as wrk writes it (`58.00us`, `1.20ms`, `2.01s`) into seconds.

    Raises: ValueError.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected a duration such as 1.20ms, got {text!r}")
    return float(found[1]) * _SECONDS_OF_UNIT[found[2]]


def parse_wrk(text: str) -> WrkReport:
    """Read the report of `wrk --latency`.

    Raises: ValueError when a line that every complete report has is missing.
    """
    errors = _SOCKET_ERRORS.search(text)
    connects, reads, writes, timeouts = (int(count) for count in errors.groups()) if errors else (0, 0, 0, 0)
    bad_statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return WrkReport(
        requests=int(_needed(r"(\d+) requests in ", text)),
        requests_per_s=float(_needed(r"Requests/sec:\s+(\d+(?:\.\d+)?)", text)),
        p50_s=parse_duration_s(_needed(r"^\s+50%\s+(\S+)", text)),
        p99_s=parse_duration_s(_needed(r"^\s+99%\s+(\S+)", text)),
        socket_errors=connects + reads + writes,
        timeouts=timeouts,
        bad_statuses=int(bad_statuses[1]) if bad_statuses else 0,
    )


def parse_memory(status: str) -> MemoryUse:
    """Read VmRSS and VmHWM out of the text of `/proc/PID/status`.

    Raises: ValueError, also for a process that has ended (it has no such lines).
    """
    return MemoryUse(
        resident_bytes=int(_needed(r"^VmRSS:\s+(\d+) kB$", status)) * 1024,
        peak_bytes=int(_needed(r"^VmHWM:\s+(\d+) kB$", status)) * 1024,
    )


def parse_cpu_ticks(stat: str) -> int:
    """Add up user and system time in the text of `/proc/PID/stat`, in clock ticks.

    Raises: ValueError.
    """
    # The command name stands in parentheses and may itself hold blanks and parentheses: count from the last one.
    _, closing, rest = stat.rpartition(")")
    fields = rest.split()
    if not closing or len(fields) < 13:
        raise ValueError(f"expected a line of /proc/PID/stat, got {stat[:80]!r}")
    return int(fields[11]) + int(fields[12])


def _needed(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line like {pattern!r}, got {text[:200]!r}")
    return found[1]
