# SPDX-License-Identifier: Apache-2.0
"""What to ask a node whose figures are odd, and what it then says: why it is slow, stores nothing or finds nothing.

A node is asked more than usual only while there is reason to. What is odd, is decided here; that it is a problem, in
`health`. All I/O goes through the function that is passed in.

Source: LMCache 0.5.6, ``vllm/{freeze,hot_cache,bypass}_api.py`` and ``common/loglevel_api.py``; older releases lack
some of these paths, and then have nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmcache_frontend.cluster.adapters.answers import hear, one_line
from lmcache_frontend.cluster.adapters.kinds import Ask, Identity, Kind, State
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.fleet.counters import Counters
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, OK, Figure

# An answer to a request for metrics takes some milliseconds; on a busy machine, tenths of a second.
SLOW_S = 2.0
_TRAFFIC = ("lookups", "retrieves", "stores", "tokens_requested", "tokens_stored")
_SHOWN = 3


def is_slow(scrape_seconds: float | None) -> bool:
    """Tell whether a node took too long to give its metrics."""
    return scrape_seconds is not None and scrape_seconds >= SLOW_S


def is_odd(kind: str, figures: Mapping[str, Figure]) -> bool:
    """Tell whether a worker stores nothing though lookups miss, or finds nothing at all."""
    if kind != Kind.WORKER.value or not _now(figures, "lookups_per_s"):
        return False
    hit_rate, stores = _now(figures, "lookup_hit_rate"), _now(figures, "stores_per_s")
    return hit_rate is not None and (hit_rate == 0 or (hit_rate < 1 and stores == 0))


def idle_since(
    figures: Mapping[str, Figure], window: Sequence[Counters], before: float | None, now: float
) -> float | None:
    """Give since when a node has had no traffic, None where it has some or does not count it.

    ``window`` holds its last readings, ``before`` is what this gave the time before; in seconds since the epoch.
    """
    states = {figure.state for name in _TRAFFIC if (figure := figures.get(f"{name}_per_s")) is not None}
    if NO_TRAFFIC not in states or OK in states:
        return None
    if not any(_now(figures, f"{name}_total") for name in _TRAFFIC):
        started = window[-1].gauge("started")
        return now if started is None else min(started, now)
    if len(window) < 2:
        return before
    return now - (window[-1].at - window[0].at) if before is None else before


def examine(identity: Identity, ask: Ask, *, slow: bool, odd: bool) -> tuple[str, ...]:
    """Ask a node what its operators have set that would explain it, and give that in words; never fails."""
    remarks = [*(_switched_off(ask) if odd else ()), *(_talkative(identity, ask) if slow else ())]
    return tuple(remarks)


def _switched_off(ask: Ask) -> list[str]:
    found = []
    if _member(ask, "/freeze/status", "freeze") is True:
        found.append("it is frozen")
    if _member(ask, "/hot_cache/status", "hot_cache") is False:
        found.append("its hot cache is off")
    bypassed = _member(ask, "/bypass/list", "bypassed_backends")
    names = [one_line(name, 40) for name in bypassed if isinstance(name, str)] if isinstance(bypassed, list) else []
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        found.append(f"{', '.join(names[:_SHOWN])}{more} {'is' if len(names) == 1 else 'are'} bypassed")
    return found


def _talkative(identity: Identity, ask: Ask) -> list[str]:
    reading = read(identity, "loggers", ask)
    if reading.state is not State.OK:
        return []
    names = [one["name"] for one in reading.data["loggers"] if one["level"] == "DEBUG"]
    own = sorted((name for name in names if name.partition(".")[0] == "lmcache"), key=len)
    if not own:
        return []
    first = one_line(own[0], 60)
    if len(own) == 1:
        return [f"the logger {first} is at DEBUG"]
    return [f"the loggers {first} and {len(own) - 1} more are at DEBUG"]


def _member(ask: Ask, target: str, name: str) -> object:
    try:
        heard = hear(ask(target, None))
    except FrontendError:
        return None
    return heard.members.get(name) if heard.status == 200 else None


def _now(figures: Mapping[str, Figure], name: str) -> float | None:
    figure = figures.get(name)
    return figure.value if figure is not None and figure.state == OK else None
