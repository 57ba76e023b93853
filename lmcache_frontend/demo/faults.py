# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a simulated node, so that it can be found, explained and, where LMCache allows it, mended.

Each fault is one that a real node has: the figures follow from it. Those that an operator has made can be undone
through the node's own endpoints; for the others a real node would have to be restarted, and so would this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from lmcache_frontend.demo.inprocess.state import LOCAL_CPU, InProcessState
from lmcache_frontend.demo.multiprocess.node import MultiprocessState
from lmcache_frontend.demo.node import DOWN, LATE_THREAD, SLOW, STALE_METRICS, STRANGER, Node
from lmcache_frontend.demo.simulation import Load
from lmcache_frontend.errors import UsageError

OLD_VERSION = "old-version"
# A node that is the only one of its kind in a state has been so for a while.
_RAN_FOR_S = 3600.0
_SMALL_TIER_CHUNKS = 16
_DRIFTED = {"min_retrieve_tokens": 8192}
_ANY = ("worker", "scheduler", "mp")


class Fault(NamedTuple):
    """A kind of fault: on which kinds of node it can be, what it does to the load, and to the node once it is made."""

    kinds: tuple[str, ...] = _ANY
    of_load: Callable[[Load], Load] = lambda load: load
    of_node: Callable[[Node], None] = lambda node: None


def _freeze(node: Node) -> None:
    assert isinstance(node, InProcessState)
    node.engine.switches.frozen = True


def _bypass(node: Node) -> None:
    assert isinstance(node, InProcessState)
    node.bypassed.append(LOCAL_CPU)
    node.engine.switches.bypassed = True


def _drift(node: Node) -> None:
    assert isinstance(node, InProcessState)
    node.settings |= _DRIFTED
    node.engine.switches.min_retrieve_tokens = _DRIFTED["min_retrieve_tokens"]


def _talk(node: Node) -> None:
    node.log_levels["lmcache"] = "DEBUG"


def _ran_for_long(node: Node) -> None:
    assert isinstance(node, (InProcessState, MultiprocessState))
    node.engine.started_at -= _RAN_FOR_S


def _idle(load: Load) -> Load:
    return load._replace(rate_per_s=1e-9, warm_up_requests=0)


def _small(load: Load) -> Load:
    return load._replace(capacity_chunks=_SMALL_TIER_CHUNKS)


FAULTS: Mapping[str, Fault] = {
    DOWN: Fault(),
    SLOW: Fault(of_node=_talk),
    STRANGER: Fault(),
    "frozen": Fault(("worker",), of_node=_freeze),
    "bypassed": Fault(("worker",), of_node=_bypass),
    "drift": Fault(("worker",), of_node=_drift),
    OLD_VERSION: Fault(("worker", "scheduler")),
    "full-tier": Fault(("worker", "mp"), of_load=_small),
    LATE_THREAD: Fault(of_node=_ran_for_long),
    "no-traffic": Fault(("worker", "mp"), of_load=_idle, of_node=_ran_for_long),
    STALE_METRICS: Fault(),
}


def place_faults(wanted: Sequence[str], kinds: Mapping[str, str]) -> dict[str, str]:
    """Give ``{node: fault}`` for texts like ``frozen`` and ``frozen:demo_worker3``, one on a node at most.

    ``kinds`` is ``{node: kind}`` of all nodes in order. Where no node is named it is a worker that the fault's name
    decides on, so that the same words give the same demo.
    Raises: UsageError.
    """
    placed: dict[str, str] = {}
    parts = [text.partition(":") for text in wanted]
    for kind, _, wanted_name in sorted(parts, key=lambda part: not part[2]):
        fault = FAULTS.get(kind)
        if fault is None:
            raise UsageError(f"--demo-fault is {kind[:40]!a}, expected one of {', '.join(FAULTS)}")
        free = [one for one, of in kinds.items() if of in fault.kinds and one not in placed]
        name = wanted_name or _somewhere(kind, free)
        if name not in kinds:
            some = ", ".join(list(kinds)[:3])
            raise UsageError(f"--demo-fault names the node {name[:40]!a}, expected one of the demo, as {some} ...")
        if kinds[name] not in fault.kinds:
            raise UsageError(f"--demo-fault {kind} can be on a {' or '.join(fault.kinds)}, and {name} is none")
        if name in placed:
            raise UsageError(f"--demo-fault puts {placed[name]} and {kind} on {name}, expected one of them")
        placed[name] = kind
    return placed


def _somewhere(kind: str, names: Sequence[str]) -> str:
    """Choose a worker, else any node.

    Raises: UsageError where there is none.
    """
    workers = [name for name in names if "_worker" in name] or names
    if not workers:
        raise UsageError(f"--demo-fault {kind} finds no node left to be on, expected --demo with more nodes")
    return workers[crc32(kind.encode()) % len(workers)]
