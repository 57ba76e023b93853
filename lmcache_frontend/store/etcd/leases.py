# SPDX-License-Identifier: Apache-2.0
"""Times to live in etcd: each key that has one has a lease of its own, revoked when the key gets another or goes.

What is not revoked, since a process or a member died just then, ends with its time. Source: the lease API of etcd 3.4.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.etcd.exchange import Refused
from lmcache_frontend.store.etcd.gateway import Gateway
from lmcache_frontend.store.protocol import Operation, Put

logger = logging.getLogger(__name__)


def grant(gateway: Gateway, ttl_s: int) -> int:
    """Give a new lease.

    Its number is chosen here, so that the request can be sent again without leaving a lease behind. etcd grants no less
    than a leader's election may take, 2 s as a rule. Raises: ServiceUnavailable.
    """
    number = 1 + secrets.randbelow(2**63 - 1)
    try:
        gateway.call("lease/grant", {"ID": str(number), "TTL": str(ttl_s)})
    except Refused as exc:
        # The answer to an earlier attempt was lost.
        if "lease already exists" not in str(exc):
            raise
    return number


def grant_all(gateway: Gateway, operations: Sequence[Operation]) -> dict[str, int]:
    """Give each key that is written with a TTL a lease: ``{key: lease}``.

    Raises: ServiceUnavailable.
    """
    leases: dict[str, int] = {}
    try:
        for operation in operations:
            if isinstance(operation, Put) and operation.ttl_s is not None:
                leases[operation.key] = grant(gateway, math.ceil(operation.ttl_s))
    except ServiceUnavailable:
        revoke(gateway, leases.values())
        raise
    return leases


def keep_alive(gateway: Gateway, lease: int) -> bool:
    """Let a lease live for its TTL again, False where it is over."""
    reply = gateway.call("lease/keepalive", {"ID": str(lease)}).document
    return int(reply.get("result", {}).get("TTL", 0)) > 0


def revoke(gateway: Gateway, leases: Iterable[int]) -> None:
    """End leases that no key needs any more; one that cannot be ended now ends by itself."""
    for lease in leases:
        try:
            gateway.call("lease/revoke", {"ID": str(lease)})
        except ServiceUnavailable as exc:
            logger.debug("a lease is left to end by itself: %s", exc)


def leases_of(replaced: Iterable[Mapping[str, Any]]) -> list[int]:
    """Give the leases of key-value objects."""
    return [int(kv["lease"]) for kv in replaced if "lease" in kv]
