# SPDX-License-Identifier: Apache-2.0
"""What the checks of ``doctor`` look at, and what they give. Values only; they are read in `doctor_reading`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lmcache_frontend.cluster.adapters.kinds import Release, release_of

CRITICAL, WARNING, NOTICE = "critical", "warning", "notice"
SEVERITIES = (CRITICAL, WARNING, NOTICE)
IN_PROCESS = ("worker", "scheduler")
GIB = 1024**3
Values = Mapping[str, Any]
# Names that LMCache makes itself, for each process anew, where no instance was named (0.3.9 to 0.3.11, since 0.4.3).
_MADE_NAME = re.compile(r"(lmcache_instance|lmcacheengineconfig)_[0-9a-f]{32}")
_NODE_NAME = re.compile(r"(?P<instance>.+)_(?P<place>scheduler|worker(?P<rank>\d+))")
_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|localhost|::1|\[::1\]")
_ANY_ADDRESS = ("0.0.0.0", "::", "[::]")


class Finding(NamedTuple):
    """Something that is wrong: how badly, where (None for the whole fleet), what was seen and what to do about it.

    ``code`` is one word for the kind of finding, whatever the texts say.
    """

    severity: str
    node: str | None
    code: str
    seen: str
    advice: str


class Unchecked(NamedTuple):
    """What could not be looked at."""

    node: str
    item: str
    reason: str


class NodeFacts(NamedTuple):
    """A node and what it said; what is None was not said.

    ``metrics`` are its samples, ``{family: [(labels, value), ...]}``, read twice where that is possible; ``conf`` is
    flat for nodes in an engine and in sections for MP servers, ``infinite`` are the keys whose value is no number.
    """

    name: str
    address: str
    level: str
    reasons: tuple[str, ...] = ()
    kind: str = "unknown"
    version: str | None = None
    proxy: str = ""
    conf: Values | None = None
    infinite: tuple[str, ...] = ()
    meta: Values | None = None
    inference: Values | None = None
    status: Values | None = None
    environment: Values | None = None
    freeze: Values | None = None
    bypass: Values | None = None
    metrics: tuple[Mapping[str, Sequence[tuple[Mapping[str, str], float]]], ...] = ()
    failures_per_s: float = 0.0

    @property
    def short_name(self) -> str:
        """Give the name without the proxy before it."""
        return self.name.rpartition("/")[2]

    @property
    def release(self) -> Release | None:
        """Give the numbers of its version."""
        return release_of(self.version)

    @property
    def is_reached(self) -> bool:
        """Say whether it answers at all."""
        return self.level != "unreachable"

    @property
    def is_socket(self) -> bool:
        """Say whether it is reached at a Unix socket."""
        return "/" in self.address

    @property
    def host(self) -> str:
        """Give the host of its address, empty for a socket."""
        return "" if self.is_socket else self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int | None:
        """Give the port of its address, None for a socket."""
        text = self.address.rpartition(":")[2]
        return int(text) if not self.is_socket and text.isascii() and text.isdigit() else None

    @property
    def is_on_loopback(self) -> bool:
        """Say whether its address is one that only its own machine reaches."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def is_at_any_address(self) -> bool:
        """Say whether its address is one to listen on, and not one to be reached at."""
        return self.host in _ANY_ADDRESS

    @property
    def instance(self) -> str | None:
        """Give the instance that it says it is of, also one that LMCache made up."""
        value = (self.conf or {}).get("lmcache_instance_id")
        return value if isinstance(value, str) else None

    def setting(self, key: str) -> Any:
        """Give a value of its configuration, None where it is not known."""
        return (self.conf or {}).get(key)

    def total(self, *families: str) -> float | None:
        """Give the sum of the first of these families that its metrics have."""
        for family in families:
            if self.metrics and family in self.metrics[0]:
                return math.fsum(value for _, value in self.metrics[0][family])
        return None


class FleetFacts(NamedTuple):
    """All nodes that are looked at, and what is known of them together, in the shape of ``/api/fleet/drift``.

    ``rules`` is how many rules for remote configuration the frontend serves; ``now`` is in seconds since the epoch.
    """

    nodes: tuple[NodeFacts, ...]
    drift: Values | None = None
    rules: int = 0
    now: float = 0.0


def is_made_up(instance: str) -> bool:
    """Say whether LMCache made this name of an instance itself."""
    return _MADE_NAME.fullmatch(instance) is not None


def place_in(name: str) -> tuple[str, str] | None:
    """Part a name as LMCache forms them into instance and place, ``scheduler`` or ``worker0``; None for others."""
    match = _NODE_NAME.fullmatch(name)
    return (match["instance"], match["place"]) if match else None


def number_in(values: Values | None, *path: str) -> float | None:
    """Give a finite number from within sections, None where there is none."""
    value: Any = values
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def chunk_size_of(node: NodeFacts) -> float | None:
    """Give the tokens of a chunk."""
    places = (("chunk_size",), ("mp", "chunk_size"))
    known = [number_in(node.conf, *place) for place in places]
    known += [number_in(values, "chunk_size") for values in (node.status, node.meta)]
    return next((value for value in known if value), None)


def by_instance(nodes: Sequence[NodeFacts]) -> Iterator[tuple[str, list[NodeFacts]]]:
    """Yield the nodes of each instance."""
    groups: dict[str, list[NodeFacts]] = {}
    for node in nodes:
        if node.instance:
            groups.setdefault(node.instance, []).append(node)
    yield from groups.items()
