# SPDX-License-Identifier: Apache-2.0
"""One change on many nodes: begin it, follow it, stop it, and list the recent ones.

Answers are lines of JSON as they come: ``{"id", "nodes"}``, a line a node, and ``{"summary"}`` where it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lmcache_frontend.access.rules import READS_SECRETS
from lmcache_frontend.actions.engine import Record
from lmcache_frontend.actions.ledger import Progress
from lmcache_frontend.actions.outcomes import Line
from lmcache_frontend.audit.deeds import Deed
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.auditing import recording
from lmcache_frontend.routes.metrics import query_of
from lmcache_frontend.routes.services import Services, actor, read_json, respond_json

CONTENT_TYPE = "application/x-ndjson"
LIVENESS_CHECK_S = 1.0
_FIELDS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"), ("X-Content-Type-Options", "nosniff"))


def begin(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Begin an action and tell of it until it has ended; it goes on where nobody listens any more.

    Raises: BadRequest, NotFound, Conflict, ServiceUnavailable.
    """
    progress = services.actions().start(read_json(exchange), _record(exchange, services))
    exchange.respond_pieces(200, _pieces(exchange, services, progress), CONTENT_TYPE, _FIELDS)


def show(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Give the lines of an action so far, with ``?follow=1`` those to come as well.

    Raises: NotFound.
    """
    progress = services.actions().find(parameters["action"])
    if query_of(exchange).get("follow", ["0"])[-1] not in ("", "0", "false"):
        exchange.respond_pieces(200, _pieces(exchange, services, progress), CONTENT_TYPE, _FIELDS)
        return
    lines, has_ended = progress.follow(0, 0.0)
    documents = [_head(progress), *map(_line, lines), *([_end(progress)] if has_ended else [])]
    exchange.respond(200, b"".join(map(_encoded, documents)), CONTENT_TYPE, _FIELDS)


def stop(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Let an action begin no further node, and say how far it came.

    Raises: NotFound.
    """
    with recording(exchange, services, "stop action", parameters["action"]):
        progress = services.actions().stop(parameters["action"])
    respond_json(exchange, progress.document)


def recent(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """List the recent actions, the newest first."""
    respond_json(exchange, {"actions": services.actions().recent()})


def _record(exchange: Exchange, services: Services) -> Record:
    who, address = actor(exchange, services)

    def record(node: str, what: str, outcome: str, detail: str) -> None:
        services.state.audit.record(Deed(who, address, what, node, outcome, detail))

    return record


def _pieces(exchange: Exchange, services: Services, progress: Progress) -> Iterator[bytes]:
    yield _encoded(_head(progress))
    position = 0
    while True:
        lines, has_ended = progress.follow(position, LIVENESS_CHECK_S)
        if not services.gate.still_passes(exchange, READS_SECRETS):
            return
        position += len(lines)
        if lines:
            yield b"".join(_encoded(_line(line)) for line in lines)
        if has_ended:
            yield _encoded(_end(progress))
            return
        if not lines and exchange.stream.peer_is_gone():
            return


def _head(progress: Progress) -> dict[str, Any]:
    return {"id": progress.id, "nodes": progress.title.total}


def _line(line: Line) -> dict[str, Any]:
    document = {
        "node": line.node,
        "outcome": line.outcome,
        "status": line.status,
        "detail": line.detail,
        "seconds": line.seconds,
    }
    return document if line.keys is None else {**document, "keys": line.keys}


def _end(progress: Progress) -> dict[str, Any]:
    return {"summary": progress.summary}


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"
