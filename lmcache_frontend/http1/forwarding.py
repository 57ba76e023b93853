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
    "accept-ch",
    "alt-svc",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-login",
    "strict-transport-security",
}
_GUARDS = (("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox"))
_PLAIN_OPTIONS = frozenset({"close", "keep-alive"})
_LOCATIONS = ("location", "content-location")
_match_authority = re.compile(r"(?:https?:)?//+([^/]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_match_idle_scheme = re.compile(r"https?:(?!//)", re.IGNORECASE).match
_match_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match
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
            (name, value) for name, value in fields if name.lower() != "set-cookie" or _cookie_name(value) != own_cookie
        ]
    fields += _GUARDS
    return fields


def interim_fields(response: heads.ResponseHead) -> heads.Fields:
    """Give the fields of an interim (1xx) response to pass on; cookies are for the final one to set."""
    dropped = _dropped(_RESPONSE_DROPPED | {"set-cookie"}, response.combined)
    dropped |= {name for name in response.combined if name.startswith("access-control-")}
    return [field for field in response.fields if field[0].lower() not in dropped]


def relative_location(location: str, *, host: str, target: str) -> str:
    """Rewrite an address on the node itself as one relative to the ``target`` that was asked for.

    Relative, so that it holds under any sub-path that a reverse proxy may put before us, and read as browsers do, so
    that none leads from this node's part of our origin to another. An address of another host is given back as it is.
    """
    address, rest = _split_reference(location)
    match = _match_authority(address)
    if match is not None and match[1].lower() != host.lower():
        return location
    path = address if match is None else match[2] or "/"
    if match is None and _match_scheme(address):
        return location
    asked = target.partition("?")[0]
    if not path.startswith("/"):
        if not path or not _has_dots(path):
            return location
        path = asked[: asked.rfind("/") + 1] + path
    relative = "../" * (asked.count("/") - 1) + _without_dots(path).lstrip("/") + rest
    # An empty reference would mean the same page, and a first segment with a colon would read as a scheme.
    return relative if _match_plain_segment(relative) else "./" + relative


def _split_reference(location: str) -> tuple[str, str]:
    """Split an address at its query or fragment; what browsers take for slashes, and do not see, is made so before."""
    text = location.replace("\t", "")
    if scheme := _match_idle_scheme(text.replace("\\", "/")):
        # To browsers what follows is relative all the same.
        text = text[scheme.end() :]
    end = min((place for place in (text.find("?"), text.find("#")) if place >= 0), default=len(text))
    return text[:end].replace("\\", "/"), text[end:]


def _has_dots(path: str) -> bool:
    return any(segment.lower().replace("%2e", ".") == ".." for segment in path.split("/"))


def _without_dots(path: str) -> str:
    """Take dot segments out of a path (RFC 3986 section 5.2.4); a dot may be percent-encoded."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    if segments[-1].lower().replace("%2e", ".") in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


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


def _cookie_name(set_cookie: str) -> str:
    """Give the name that a cookie has when it comes back: one without a name is sent as its value alone."""
    name, _, value = set_cookie.partition(";")[0].partition("=")
    return name.strip(" \t") or value.partition("=")[0].strip(" \t")


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
