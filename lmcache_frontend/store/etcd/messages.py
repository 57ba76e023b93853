# SPDX-License-Identifier: Apache-2.0
"""What etcd's JSON gateway takes and gives: bytes in base64, 64-bit numbers as texts, zeros left out. Pure.

Source: rpc.proto of etcd 3.4, and https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lmcache_frontend.errors import ServiceUnavailable
from lmcache_frontend.store.keys import Span
from lmcache_frontend.store.protocol import Entry, Event, Operation, Put


@contextmanager
def understood(where: str) -> Iterator[None]:
    """Enclose what reads answers, since something else than etcd may have given them.

    Raises: ServiceUnavailable in place of what a wrong shape brings.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise ServiceUnavailable(f"{where} did not answer as the JSON gateway of etcd 3.4 or later does") from exc


def as_text(data: bytes) -> str:
    """Give bytes as the gateway takes them."""
    return b64encode(data).decode("ascii")


def range_request(span: Span, *, limit: int | None = None, backwards: bool = False) -> dict[str, Any]:
    """Ask for the entries of a span."""
    request: dict[str, Any] = {"key": as_text(span.start), "range_end": as_text(span.end), "sort_target": "KEY"}
    request["sort_order"] = "DESCEND" if backwards else "ASCEND"
    if limit is not None:
        request["limit"] = limit
    return request


def count_request(span: Span) -> dict[str, Any]:
    """Ask how many entries a span has; the answer bears the revision too."""
    return {"key": as_text(span.start), "range_end": as_text(span.end), "count_only": True}


def transaction_request(
    operations: Sequence[Operation], names: Sequence[bytes], leases: Mapping[str, int]
) -> dict[str, Any]:
    """Ask for all operations, or else for what is at their keys; ``names`` are the keys as etcd has them."""
    keys = [as_text(name) for name in names]
    compare = [
        {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(operation.expect_revision)}
        for key, operation in zip(keys, operations, strict=True)
        if operation.expect_revision is not None
    ]
    success = [_change(operation, key, leases) for key, operation in zip(keys, operations, strict=True)]
    return {"compare": compare, "success": success, "failure": [{"request_range": {"key": key}} for key in keys]}


def watch_request(span: Span, since: int) -> dict[str, Any]:
    """Ask for the changes of a span after a revision."""
    create = {
        "key": as_text(span.start),
        "range_end": as_text(span.end),
        "start_revision": str(since + 1),
        "fragment": True,
    }
    return {"create_request": create}


def revision_of(reply: Mapping[str, Any]) -> int:
    """Give the revision that a reply was made at."""
    return int(reply["header"]["revision"])


def read_entries(reply: Mapping[str, Any], prefix: str) -> list[Entry]:
    """Read the entries of a range; their keys lose the prefix."""
    return [
        Entry(_read_key(kv, prefix), b64decode(kv.get("value", "")), int(kv["mod_revision"]))
        for kv in reply.get("kvs", ())
    ]


def read_found(reply: Mapping[str, Any], prefix: str) -> list[Entry | None]:
    """Read what a transaction that failed found at each of its keys."""
    found = [read_entries(part["response_range"], prefix) for part in reply.get("responses", ())]
    return [entries[0] if entries else None for entries in found]


def read_events(events: Iterable[Mapping[str, Any]], prefix: str) -> list[Event]:
    """Read the events of a watch."""
    return [
        Event(
            _read_key(event["kv"], prefix),
            None if event.get("type") == "DELETE" else b64decode(event["kv"].get("value", "")),
            int(event["kv"]["mod_revision"]),
        )
        for event in events
    ]


def replaced(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the key-value objects that a transaction wrote over or deleted."""
    found: list[Mapping[str, Any]] = []
    for part in reply.get("responses", ()):
        if "response_put" in part:
            found.extend([part["response_put"]["prev_kv"]] if "prev_kv" in part["response_put"] else [])
        else:
            found.extend(part["response_delete_range"].get("prev_kvs", ()))
    return found


def _change(operation: Operation, key: str, leases: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(operation, Put):
        return {"request_delete_range": {"key": key, "prev_kv": True}}
    put = {"key": key, "value": as_text(operation.value), "prev_kv": True}
    if operation.key in leases:
        put["lease"] = str(leases[operation.key])
    return {"request_put": put}


def _read_key(kv: Mapping[str, Any], prefix: str) -> str:
    # Somebody else's key need not be Unicode.
    return b64decode(kv["key"]).decode("utf-8", "replace").removeprefix(prefix)
