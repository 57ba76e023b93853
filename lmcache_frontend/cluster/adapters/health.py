# SPDX-License-Identifier: Apache-2.0
"""How a node is, in depth and by one or two cheap questions, with the reasons in words.

Unreachable; answering, but nothing that is LMCache's; serving, without more to say of itself; healthy; degraded, which
is also a known node that answers something else. History and figures are left to the fleet.

Source: ``/periodic-threads-health`` (LMCache 0.3.13 and later; it counts running critical and high threads), the gauge
``lmcache:lmcache_is_healthy`` (also 0 while no health monitor was started), an MP server's ``/status``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lmcache_frontend.cluster.adapters.answers import Heard, came_back, failure_words, hear, one_line, status_words
from lmcache_frontend.cluster.adapters.inprocess import CONF_PROBE, PERIODIC_SINCE, VERSION_SINCE
from lmcache_frontend.cluster.adapters.kinds import Ask, Identity, Paths, Reading, State, in_words, release_of
from lmcache_frontend.cluster.adapters.multiprocess import SERVICE
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.exposition.parse import Family, select

UNREACHABLE, ANSWERING, SERVING, HEALTHY, DEGRADED = "unreachable", "answering", "serving", "healthy", "degraded"
REASON_LIMIT = 10
IS_HEALTHY = "lmcache:lmcache_is_healthy"

_MONITOR_THREAD = "health-monitor-thread"
_THREADS, _THREADS_HEALTH = "/periodic-threads", "/periodic-threads-health"
_ABSENT = (404, 405, 501)
_PARTS_DEPTH = 6

Families = Mapping[str, Family]


class Condition(NamedTuple):
    """A level and the reasons for it; a healthy node has none."""

    level: str
    reasons: tuple[str, ...] = ()


class Check(NamedTuple):
    """A node under examination."""

    identity: Identity
    ask: Ask
    families: Families | None

    def hear(self, target: str) -> Heard:
        """Ask the node. Raises: FrontendError."""
        return hear(self.ask(target, None))


def read_health(identity: Identity, ask: Ask, families: Families | None) -> Reading:
    """Say how a node is, as ``{"level", "reasons"}``; never fails."""
    try:
        condition = _CHECKS[identity.paths](Check(identity, ask, families))
    except FrontendError as error:
        known = identity.paths is not Paths.NONE
        condition = Condition(DEGRADED if known and came_back(error) else UNREACHABLE, (failure_words(error),))
    reasons = list(dict.fromkeys(condition.reasons))
    if len(reasons) > REASON_LIMIT:
        reasons[REASON_LIMIT - 1 :] = [f"and {len(reasons) - REASON_LIMIT + 1} more"]
    return Reading(State.OK, None, {"level": condition.level, "reasons": reasons})


def _in_process(check: Check) -> Condition:
    version = check.identity.version
    release = release_of(version)
    if release is not None and release < PERIODIC_SINCE:
        return _old_in_process(check, f"LMCache {in_words(release)} does not say how it is (since 0.3.13)")
    if _gauge_is_zero(check):
        # Zero means something only where the monitor runs, which this larger answer says as well.
        heard = check.hear(_THREADS)
        if heard.status == 200:
            return _by_thread_list(heard)
    heard = check.hear(_THREADS_HEALTH)
    if heard.status in _ABSENT and release is None:
        return _old_in_process(check, "this node does not say how it is (LMCache does since 0.3.13)")
    return _by_threads_health(heard)


def _old_in_process(check: Check, reason: str) -> Condition:
    """See that a node which has no health to tell still answers as LMCache does."""
    release = release_of(check.identity.version)
    by_version = release is not None and release >= VERSION_SINCE
    heard = check.hear("/version" if by_version else CONF_PROBE)
    if heard.status == 200 and isinstance(heard.document, str if by_version else dict):
        return Condition(SERVING, (reason,))
    return _refused("/version" if by_version else "/conf", heard)


def _gauge_is_zero(check: Check) -> bool:
    families = check.families
    if families is None:
        try:
            heard = check.hear("/metrics")
        except FrontendError:
            # The next question tells whether it was for the size of this one.
            return False
        families = select(heard.text, frozenset({IS_HEALTHY})).families if heard.status == 200 else {}
    family = families.get(IS_HEALTHY)
    return family is not None and any(sample.value == 0 for sample in family.samples)


def _by_thread_list(heard: Heard) -> Condition:
    listed = heard.members.get("threads")
    if not isinstance(listed, list):
        return _refused(_THREADS, heard)
    threads = [thread for thread in listed if isinstance(thread, dict) and thread.get("is_running") is True]
    reasons = []
    if any(thread.get("name") == _MONITOR_THREAD for thread in threads):
        reasons.append("lmcache_is_healthy is 0")
    for thread in threads:
        if thread.get("level") in ("critical", "high") and thread.get("is_active") is False:
            reasons.append(_late(thread))
    return Condition(DEGRADED, tuple(reasons)) if reasons else Condition(HEALTHY)


def _by_threads_health(heard: Heard) -> Condition:
    if heard.status != 200:
        return _refused(_THREADS_HEALTH, heard)
    members = heard.members
    if members.get("healthy") is True:
        return Condition(HEALTHY)
    if members.get("healthy") is not False:
        return _refused(_THREADS_HEALTH, heard)
    named = members.get("unhealthy_threads")
    late = [_late(thread) for thread in named if isinstance(thread, dict)] if isinstance(named, list) else []
    return Condition(DEGRADED, tuple(late) or ("some periodic thread is late",))


def _late(thread: dict[str, Any]) -> str:
    name = thread.get("name")
    return f"periodic thread {one_line(name, 80) if isinstance(name, str) else 'without a name'} is late"


def _mp(check: Check) -> Condition:
    """Judge by the status, then by the periodic threads."""
    condition = _by_status(check, "/status", "/healthcheck")
    if condition.level == ANSWERING:
        return condition
    try:
        heard = check.hear(_THREADS_HEALTH)
    except FrontendError as error:
        return Condition(DEGRADED, (*condition.reasons, f"{_THREADS_HEALTH}: {failure_words(error)}"))
    threads = Condition(HEALTHY) if heard.status in _ABSENT else _by_threads_health(heard)
    if threads.level == HEALTHY:
        return condition
    return Condition(DEGRADED, (*condition.reasons, *threads.reasons))


def _old_mp(check: Check) -> Condition:
    return _by_status(check, "/api/status", "/api/healthcheck")


def _by_status(check: Check, target: str, fallback: str) -> Condition:
    heard = check.hear(target)
    if heard.status != 200:
        by_word = _by_word(check, fallback)
        return by_word if by_word.level == DEGRADED else _refused(target, heard)
    status = heard.members
    if not status:
        return _refused(target, heard)
    reasons = tuple(f"status{place} is false" for place in _unwell(status, "", 0))
    if reasons:
        return Condition(DEGRADED, reasons)
    if status.get("is_healthy") is not True:
        return Condition(SERVING, ("status.is_healthy is missing",))
    return Condition(HEALTHY)


def _unwell(value: Any, place: str, depth: int) -> Iterator[str]:
    """Yield where a part says that it is not healthy or that its thread has ended, the whole before its parts."""
    if depth > _PARTS_DEPTH:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unwell(item, f"{place}[{index}]", depth + 1)
    if not isinstance(value, dict):
        return
    for key in ("is_healthy", "thread_alive"):
        if value.get(key) is False:
            yield f"{place}.{key}"
    for key, item in value.items():
        # From 0.5.6 on the only member of `l1_managers` is there again as `l1_manager`.
        if f"{key}s" not in value:
            yield from _unwell(item, f"{place}.{one_line(key, 40)}", depth + 1)


def _by_word(check: Check, target: str) -> Condition:
    """Judge by an answer that says ``healthy`` or gives a reason."""
    heard = check.hear(target)
    members = heard.members
    word = members.get("status")
    if heard.status == 200 and word == "healthy":
        return Condition(HEALTHY)
    if isinstance(word, str) and word:
        reason = members.get("reason")
        return Condition(DEGRADED, (f"{target}: {one_line(reason if isinstance(reason, str) and reason else word)}",))
    return _refused(target, heard)


def _refused(target: str, heard: Heard) -> Condition:
    if heard.status in (401, 403):
        # Nodes ask nobody who they are: it was a proxy before it that refused.
        return Condition(ANSWERING, (f"{target} answered {status_words(heard)}",))
    words = "something else" if heard.status == 200 else status_words(heard)
    return Condition(DEGRADED, (f"{target} answered {words}",))


def _controller(check: Check) -> Condition:
    heard = check.hear(_THREADS_HEALTH)
    if heard.status not in _ABSENT:
        return _by_threads_health(heard)
    heard = check.hear("/controller/workers")
    if heard.status == 200 and heard.members:
        return Condition(SERVING, ("this controller does not say how it is (LMCache does since 0.3.13)",))
    return _refused("/controller/workers", heard)


def _bare(target: str, expected: Callable[[Heard], bool]) -> Callable[[Check], Condition]:
    """Make the check of a node that can only say that it is there."""

    def check(examined: Check) -> Condition:
        heard = examined.hear(target)
        if expected(heard):
            return Condition(SERVING, (f"{examined.identity.paths.value} does not say how it is",))
        return _refused(target, heard)

    return check


def _is_service(heard: Heard) -> bool:
    return heard.status == 200 and heard.members.get("service") == SERVICE


def _stranger(check: Check) -> Condition:
    heard = check.hear("/version")
    return Condition(ANSWERING, (f"answers HTTP ({heard.status}), but nothing that is LMCache's",))


_CHECKS: Mapping[Paths, Callable[[Check], Condition]] = {
    Paths.IN_PROCESS: _in_process,
    Paths.MP_BARE: _bare("/", _is_service),
    Paths.MP_HEALTHCHECK: lambda check: _by_word(check, "/api/healthcheck"),
    Paths.MP_API_STATUS: _old_mp,
    Paths.MP_CONF: _mp,
    Paths.MP_CONFIG: _mp,
    Paths.COORDINATOR: lambda check: _by_word(check, "/healthz"),
    Paths.CONTROLLER: _controller,
    Paths.CONTROLLER_POST: _bare("/health", lambda heard: heard.status == 405),
    Paths.FRONTEND: lambda check: _by_word(check, "/health"),
    Paths.NONE: _stranger,
}
