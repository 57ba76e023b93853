# SPDX-License-Identifier: Apache-2.0
"""Rewrite heads on their way through a gateway, in both directions. Pure: heads in, fields out.

Hop-by-hop fields go, provenance is added, repeated fields stay separate, and a node's redirect to itself stays under
the proxy path.

Source: RFC 9110 sections 7.6 (forwarding) and 10.2.2 (Location), RFC 3986 section 5, RFC 9112 section 6.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lmcache_frontend.errors import LoopDetected
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.framing import CHUNKED

PSEUDONYM = "lmcache_frontend"
MAX_HOPS = 8

_REQUEST_DROPPED = heads.HOP_BY_HOP | {"host", "content-length", "expect", "via", "x-forwarded-for"}
_RESPONSE_DROPPED = heads.HOP_BY_HOP | {
    "content-length",
    "x-content-type-options",
    # These act on a whole origin, which is ours and not the node's.
    "alt-svc",
    "clear-site-data",
    "public-key-pins",
    "service-worker-allowed",
    "strict-transport-security",
}
_GUARDS = (("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox"))
_PLAIN_OPTIONS = frozenset({"close", "keep-alive"})
_LOCATIONS = ("location", "content-location")
_match_own_address = re.compile(r"(?:https?:)?//([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_match_plain_segment = re.compile(r"[^:/?#]+(?:[/?#].*)?", re.DOTALL).fullmatch


class Own(NamedTuple):
    """Which of a client's credentials are ours and not the node's: a cookie by its name, and ``Authorization``."""

    cookie: str = ""
    authorization: bool = False


def request_fields(
    request: heads.RequestHead, *, host: str, body_length: int, client_host: str, own: Own, scheme: str = "http"
) -> heads.Fields:
    """Give the fields to send to the node that listens as ``host``, for a client who spoke such a scheme with us.

    Raises: LoopDetected where the request came through too many of our kind already.
    """
    combined = request.combined
    dropped = _dropped(_REQUEST_DROPPED, combined)
    if own.authorization:
        dropped = dropped | {"authorization"}
    fields = [("Host", host)]
    fields += [field for field in request.fields if field[0].lower() not in dropped]
    if own.cookie and "cookie" in combined:
        fields = _without_own_cookie(fields, own.cookie)
    if body_length == CHUNKED:
        fields.append(("Transfer-Encoding", "chunked"))
    elif body_length or "content-length" in combined:
        fields.append(("Content-Length", str(body_length)))
    return fields + _provenance(request, client_host, scheme)


def response_fields(response: heads.ResponseHead, *, host: str, target: str, own_cookie: str) -> heads.Fields:
    """Give the fields to send to the client, framing left out, for a node asked for ``target`` as ``host``."""
    combined = response.combined
    dropped = _dropped(_RESPONSE_DROPPED, combined)
    fields = [field for field in response.fields if field[0].lower() not in dropped]
    if any(name.startswith("access-control-") for name in combined):
        # There is no CORS here: what a node would show to other sites' pages stays unseen by them.
        fields = [field for field in fields if not field[0].lower().startswith("access-control-")]
    if "location" in combined or "content-location" in combined:
        fields = [
            (name, relative_location(value, host=host, target=target) if name.lower() in _LOCATIONS else value)
            for name, value in fields
        ]
    if own_cookie and "set-cookie" in combined:
        fields = [
            (name, value)
            for name, value in fields
            if name.lower() != "set-cookie" or value.partition("=")[0].strip(" \t") != own_cookie
        ]
    fields += _GUARDS
    return fields


def interim_fields(response: heads.ResponseHead) -> heads.Fields:
    """Give the fields of an interim (1xx) response to pass on."""
    dropped = _RESPONSE_DROPPED | {name for name in response.combined if name.startswith("access-control-")}
    return [field for field in response.fields if field[0].lower() not in dropped]


def relative_location(location: str, *, host: str, target: str) -> str:
    """Rewrite an address on the node itself as one relative to the ``target`` that was asked for.

    Relative, so that it holds under any sub-path that a reverse proxy may put before us. An address of another host,
    and a reference that is relative already, are given back as they are.
    """
    path = location
    match = _match_own_address(location)
    if match is not None:
        if match[1].lower() != host.lower():
            return location
        path = match[2] if match[2].startswith("/") else "/" + match[2]
    if not path.startswith("/"):
        return location
    depth = target.partition("?")[0].count("/") - 1
    relative = "../" * depth + path.lstrip("/")
    # An empty reference would mean the same page, and a first segment with a colon would read as a scheme.
    return relative if _match_plain_segment(relative) else "./" + relative


def _dropped(always: frozenset[str], combined: dict[str, str]) -> frozenset[str]:
    """Add the fields that ``Connection`` names to those that always go."""
    if "connection" not in combined:
        return always
    named = heads.connection_options(combined["connection"])
    return always if named <= _PLAIN_OPTIONS else always | named


def _provenance(request: heads.RequestHead, client_host: str, scheme: str) -> heads.Fields:
    """Give the fields that tell the node, and any proxy behind it, which way the request came."""
    combined = request.combined
    via = combined.get("via")
    if via is not None and via.count(PSEUDONYM) >= MAX_HOPS:
        raise LoopDetected(f"the request came through {MAX_HOPS} frontends already: do two of them list each other?")
    hop = f"1.{request.minor_version} {PSEUDONYM}"
    earlier = combined.get("x-forwarded-for")
    fields = [
        ("Via", hop if via is None else f"{via}, {hop}"),
        ("X-Forwarded-For", client_host if earlier is None else f"{earlier}, {client_host}"),
    ]
    if "x-forwarded-proto" not in combined:
        fields.append(("X-Forwarded-Proto", scheme))
    if "x-forwarded-host" not in combined and request.host:
        fields.append(("X-Forwarded-Host", request.host))
    return fields


def _without_own_cookie(fields: heads.Fields, own_cookie: str) -> heads.Fields:
    kept: heads.Fields = []
    for name, value in fields:
        if name.lower() == "cookie":
            pairs = [pair.strip(" \t") for pair in value.split(";")]
            others = "; ".join(pair for pair in pairs if pair.partition("=")[0].strip(" \t") != own_cookie)
            if others:
                kept.append((name, others))
        else:
            kept.append((name, value))
    return kept
