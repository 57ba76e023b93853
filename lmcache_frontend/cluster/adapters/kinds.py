# SPDX-License-Identifier: Apache-2.0
"""What nodes can be, and what asking them gives. Values and the words that they are spoken of with.

Source: the endpoints of LMCache 0.3.4 to 0.5.6. In-process nodes only ever gained paths; MP servers changed theirs
four times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from lmcache_frontend.http1.fetch import Answer

# Asks for a target (None: with the usual time limit in seconds). Raises FrontendError where no answer comes.
Ask = Callable[[str, float | None], Answer]
Release = tuple[int, int, int]

_match_release = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(?!\d)|(?!\.?\d))").match


class Kind(Enum):
    """What a node is."""

    WORKER = "worker"
    SCHEDULER = "scheduler"
    MP = "mp"
    COORDINATOR = "coordinator"
    CONTROLLER = "controller"
    FRONTEND = "frontend"
    UNKNOWN = "unknown"


class Paths(Enum):
    """Which paths a node has; the value says whose they are."""

    IN_PROCESS = "an in-process node"
    MP_BARE = "an MP server of LMCache 0.3.13 or 0.3.14"
    MP_HEALTHCHECK = "an MP server of LMCache 0.3.15"
    MP_API_STATUS = "an MP server of LMCache 0.4.1 to 0.4.4"
    MP_CONF = "an MP server of LMCache 0.4.5 to 0.5.0"
    MP_CONFIG = "an MP server of LMCache since 0.5.1"
    COORDINATOR = "a coordinator"
    CONTROLLER = "a controller"
    CONTROLLER_POST = "a controller of LMCache up to 0.3.9"
    FRONTEND = "a frontend"
    NONE = "something that is not LMCache's"


class Identity(NamedTuple):
    """What a node said it is; ``role`` is worker, scheduler or empty, ``version`` is as the node writes it."""

    kind: Kind
    role: str
    version: str | None
    instance: str | None
    paths: Paths


UNKNOWN = Identity(Kind.UNKNOWN, "", None, None, Paths.NONE)


class State(Enum):
    """How a reading went."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


class Reading(NamedTuple):
    """What came of asking; ``data`` is strict JSON, ``reason`` is in words."""

    state: State
    reason: str | None
    data: Any = None


class Excuse(NamedTuple):
    """An answer that is an error in form only: its status, words that its body holds, and what it means."""

    status: int
    fragment: str
    meaning: str


class Offer(NamedTuple):
    """Where an item is read, how its text is converted (ValueError where it cannot be), and since which release.

    ``missing`` is what a 404 means, where that is more than that the node does not offer the path; ``by_lines`` that
    the good lines of a text count although others are broken.
    """

    target: str
    convert: Callable[[str], Any]
    since: Release | None = None
    missing: str | None = None
    excuses: tuple[Excuse, ...] = ()
    by_lines: bool = False

    @property
    def path(self) -> str:
        """Give the target without its query."""
        return self.target.partition("?")[0]


# An item that is not there has, at most, the reason why.
Offers = Mapping[str, Offer | str]


def release_of(version: str | None) -> Release | None:
    """Give the numbers that a version begins with, None where it begins otherwise (``NA-...``)."""
    match = _match_release(version or "")
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def in_words(release: Release) -> str:
    """Give a release as people write it."""
    return ".".join(map(str, release))


def lacks(version: str | None, offer: Offer) -> str | None:
    """Say in words that the version is too old for the offer; None where it is not, or may not be."""
    release = release_of(version)
    if release is None or offer.since is None or release >= offer.since:
        return None
    return f"LMCache {in_words(release)} has no {offer.path} (since {in_words(offer.since)})"
