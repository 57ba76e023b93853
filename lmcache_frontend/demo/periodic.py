# SPDX-License-Identifier: Apache-2.0
"""The periodic threads of a simulated node, as ``/periodic-threads`` tells of them: figures of the time alone. Pure.

Source: LMCache 0.5.6, ``periodic_thread.py`` and ``common/periodic_thread_api.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from lmcache_frontend.demo.answers import Answer, Request, compact

LEVELS = ("critical", "high", "medium", "low")

_FASTEST_S = 0.005
# A thread that stands still last ran so long ago.
_LATE_AFTER_S = 1200.0


class PeriodicThread(NamedTuple):
    """A thread that does something every ``interval_s``; one that was never started is not running."""

    name: str
    level: str
    interval_s: float
    message: str
    extra: tuple[tuple[str, str], ...] = ()
    first_after_s: float = 0.0
    running: bool = True


IN_PROCESS = (
    PeriodicThread(
        "PinMonitor-thread",
        "critical",
        30,
        "Checked 0 objects, 0 timeouts, 0 force unpinned",
        (("pinned_count", "0"), ("timeout_count", "0"), ("force_unpin_count", "0")),
    ),
    PeriodicThread(
        "health-monitor-thread",
        "low",
        30.0,
        "No active health checks to monitor, thread not started",
        (("total_checks", "0"), ("active_checks", "0"), ("skipped", "true")),
        running=False,
    ),
)
MULTIPROCESS = (
    PeriodicThread(
        "SessionManager-cleanup-thread-7f0c1c1708d0",
        "medium",
        60.0,
        "Removed 0 expired sessions",
        (("removed_sessions", "0"),),
    ),
    PeriodicThread("DeviceHostFuncDispatcher", "high", _FASTEST_S, "dispatched=0"),
    PeriodicThread("lmcache-mp-worker-reaper", "medium", 30.0, "reaped=0"),
    PeriodicThread("lmcache-usage-continuous", "low", 600.0, "", first_after_s=600.0),
    PeriodicThread("lmcache-usage-l2", "low", 600.0, "", first_after_s=600.0),
    PeriodicThread("lmcache-usage-l1", "low", 600.0, "", first_after_s=600.0),
)


class Watch(NamedTuple):
    """The threads of a node at a time; the node started at ``started_at``, those named in ``late`` stand still."""

    threads: Sequence[PeriodicThread]
    started_at: float
    now: float
    late: Sequence[str] = ()


def describe(thread: PeriodicThread, watch: Watch) -> dict[str, Any]:
    """Give what a node tells of a thread."""
    is_late = thread.name in watch.late
    until = watch.now - max(_LATE_AFTER_S, 3 * thread.interval_s) if is_late else watch.now
    elapsed_s = until - watch.started_at - thread.first_after_s
    runs = int(elapsed_s / thread.interval_s) + 1 if thread.running and elapsed_s >= 0 else 0
    last_run_at = watch.started_at + thread.first_after_s + (runs - 1) * thread.interval_s if runs else 0.0
    summary: dict[str, Any] | None = None
    if runs or not thread.running:
        summary = {
            "timestamp": last_run_at,
            "duration_ms": 0.03 + runs % 7 / 100 if runs else 0.0,
            "success": True,
            "message": thread.message,
            "extra_info": dict(thread.extra),
        }
    return {
        "name": thread.name,
        "level": thread.level,
        "interval": thread.interval_s,
        "init_wait": thread.first_after_s,
        "is_running": thread.running,
        "is_active": thread.running and not is_late,
        "last_run_time": last_run_at,
        "last_run_ago": watch.now - last_run_at if runs else None,
        "total_runs": runs,
        "failed_runs": 0,
        "success_rate": 100.0 if runs else None,
        "last_summary": summary,
    }


def summarise(watch: Watch) -> dict[str, Any]:
    """Count threads by level."""
    by_level = {}
    for level in LEVELS:
        those = [thread for thread in watch.threads if thread.level == level]
        by_level[level] = {"total": len(those), "running": _running(those), "active": _running(those, watch.late)}
    return {
        "total_count": len(watch.threads),
        "running_count": _running(watch.threads),
        "active_count": _running(watch.threads, watch.late),
        "by_level": by_level,
    }


def _running(threads: Sequence[PeriodicThread], late: Sequence[str] = ()) -> int:
    return sum(thread.running and thread.name not in late for thread in threads)


def answer_list(watch: Watch, request: Request) -> Answer:
    """Answer ``/periodic-threads``; the summary ignores the filters."""
    level = request.text("level")
    running_only, active_only = request.boolean("running_only"), request.boolean("active_only")
    if level and level.lower() not in LEVELS:
        return compact({"error": f"Invalid level: {level}. Valid values: {', '.join(LEVELS)}"}, 400)
    shown = [describe(thread, watch) for thread in watch.threads]
    if level:
        shown = [one for one in shown if one["level"] == level.lower()]
    if running_only:
        shown = [one for one in shown if one["is_running"]]
    if active_only:
        shown = [one for one in shown if one["is_active"]]
    return compact({"summary": summarise(watch), "threads": shown})


def answer_one(watch: Watch, request: Request) -> Answer:
    """Answer ``/periodic-threads/{thread_name}``."""
    name = request.variables["thread_name"]
    for thread in watch.threads:
        if thread.name == name:
            return compact(describe(thread, watch))
    return compact({"error": f"Thread not found: {name}"}, 404)


def answer_health(watch: Watch) -> Answer:
    """Answer ``/periodic-threads-health``, which counts running critical and high threads."""
    shown = ("name", "level", "last_run_ago", "interval")
    late = [
        {name: described[name] for name in shown}
        for thread in watch.threads
        if thread.name in watch.late and (described := describe(thread, watch))
    ]
    return compact({"healthy": not late, "unhealthy_count": len(late), "unhealthy_threads": late})
