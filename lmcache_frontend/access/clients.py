# SPDX-License-Identifier: Apache-2.0
"""Which clients are local, and whether a browser asks for another site.

A reverse proxy on this machine connects from loopback too, and must not make the world an operator: so a local client
also shows a loopback ``Host``, no forwarding field, and a socket owned by root, ourselves or a person.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

from lmcache_frontend.access.rules import READ_METHODS, Need, Role
from lmcache_frontend.errors import Forbidden, MisdirectedRequest

FIRST_LOGIN_UID = 1000
NOBODY_UID = 65534
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_INTERNAL_SUFFIXES = (".localhost", ".local", ".internal", ".svc", ".cluster.local", ".lan")
_HOST_EXEMPT = frozenset({"/metrics", "/api/sd", "/livez", "/readyz", "/health", "/config"})
_FORWARDING = frozenset(
    {"forwarded", "via", "x-real-ip"}
    # What content networks and load balancers tell, some of them nothing else.
    | {"cdn-loop", "cf-connecting-ip", "client-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip"}
    | {"x-envoy-external-address", "x-original-forwarded-for"}
)
_OF_BROWSERS = frozenset({"accept-language", "origin", "referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"})
_split_authority = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._~%!$&'()*+,;=-]+))(?::([0-9]{0,5}))?").fullmatch
_split_page = re.compile(r"(https?)://([^/?#\s]+)(?:[/?#].*)?", re.IGNORECASE).fullmatch


class Client(NamedTuple):
    """What is known of who sent a request; header fields by their lower-case names.

    ``owner`` looks up the user that owns the peer's socket: a user id, None where it cannot be told; it is asked only
    when the answer depends on it. It is None itself on systems without such a look-up. ``address`` is the client's own
    behind trusted proxies, and ``host`` what it asked them for; ``is_secure`` says whether it speaks TLS.
    """

    peer_host: str
    http_minor_version: int
    host: str
    fields: dict[str, str]
    own_uid: int
    owner: Callable[[], int | None] | None
    address: str = ""
    is_secure: bool = False


def check_page(client: Client, method: str, need: Need) -> None:
    """Refuse what a browser asks for on behalf of another site: changes, and what only operators read.

    Raises: Forbidden.
    """
    if need.changes:
        check_same_origin(client, method)
    elif need.role > Role.VIEWER and client.fields.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Forbidden("a page of another site asks for what only operators read")


def is_forwarded(fields: dict[str, str]) -> bool:
    """Say whether a proxy passed a request on and said so."""
    return any(name in _FORWARDING or name.startswith("x-forwarded-") for name in fields)


def why_not_local(client: Client) -> str:
    """Say why a client does not count as local; empty where it does."""
    if plain_address(client.peer_host) not in _LOOPBACK:
        return f"you come from {client.peer_host or 'somewhere unknown'}"
    if client.http_minor_version == 0:
        return "you speak HTTP/1.0, as reverse proxies do"
    if host_name(client.host) not in _LOOPBACK_HOSTS:
        return "you ask for a host other than localhost"
    if is_forwarded(client.fields):
        return "the request was forwarded by a proxy"
    if client.owner is not None:
        uid = client.owner()
        if uid is None:
            return "the owner of your connection cannot be told"
        if uid not in (0, client.own_uid) and (uid < FIRST_LOGIN_UID or uid == NOBODY_UID):
            return f"your connection belongs to the system user {uid}, as a reverse proxy's does"
    return ""


def host_matters(path: str, fields: dict[str, str]) -> bool:
    """Say whether a request is answered only for a ``Host`` of ours; machines ask for some paths by service names.

    A browser is no such machine: it may ask for a page that is of the same origin by name alone. Pages can change what
    a browser calls itself, but not take the language away that it asks for.
    """
    return path not in _HOST_EXEMPT or is_browser(fields)


def is_browser(fields: dict[str, str]) -> bool:
    """Say whether a request bears something that browsers send by themselves, and no tool does unasked."""
    if "mozilla/" in fields.get("user-agent", "").lower():
        return True
    return not _OF_BROWSERS.isdisjoint(fields)


def check_host(host: str, *, allowed: frozenset[str], own_names: Callable[[], frozenset[str]]) -> None:
    """Refuse a host name that a hostile page could have pointed at us (DNS rebinding).

    Raises: MisdirectedRequest, naming the flag that allows it.
    """
    name = host_name(host)
    if name is None:
        if host:
            raise MisdirectedRequest("Host is malformed, expected a name or an address with an optional port")
        return
    if "." not in name or name.endswith(_INTERNAL_SUFFIXES) or name in allowed:
        return
    if _is_address(name) or name in own_names():
        return
    raise MisdirectedRequest(
        f"this server does not answer for the host {name[:80]!r}; --allow-host {name[:80]} allows it"
    )


def check_same_origin(client: Client, method: str) -> None:
    """Refuse a change that a browser asks for on behalf of another site.

    Raises: Forbidden.
    """
    origin = client.fields.get("origin")
    referer = client.fields.get("referer")
    site = client.fields.get("sec-fetch-site")
    for name, value in (("Origin", origin), ("Referer", referer)):
        if value is not None and not _is_own_page(value, client.host):
            raise Forbidden(
                f"a change asked for by a page of another site: {name} is not this server, which was asked for as "
                f"{client.host[:80]!r}; a reverse proxy has to pass Host on as it came"
            )
    if site is not None and site != "same-origin":
        raise Forbidden(f"a change asked for by a page of another site: Sec-Fetch-Site is {site[:20]!r}")
    if method in READ_METHODS and _is_led(client.fields):
        raise Forbidden("a GET that changes something, by going to its address: a redirect may lead there")
    unproven = origin is None and referer is None and site is None
    if unproven and method in READ_METHODS and is_browser(client.fields):
        raise Forbidden("a GET that changes something, from a browser that does not say which page asked for it")


def _is_led(fields: dict[str, str]) -> bool:
    """Say whether a browser goes to an address, as it also does by a redirect of a node that our page links to."""
    return fields.get("sec-fetch-mode") == "navigate" or "upgrade-insecure-requests" in fields


def host_name(host: str) -> str | None:
    """Give the lower-case name or address in a ``Host`` field, without brackets and port; None if it is malformed."""
    match = _split_authority(host)
    return (match[1] or match[2]).lower().removesuffix(".") if match else None


def plain_address(address: str) -> str:
    """Give an IP address without a zone, an IPv4 one in its own form where it is mapped into IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _is_own_page(address: str, own_host: str) -> bool:
    """Say whether an ``Origin`` or ``Referer`` is of this server.

    Behind a proxy that speaks TLS for us our own scheme cannot be known: a Host without a port is at either default.
    """
    page = _split_page(address)
    authority = _split_authority(page[2]) if page else None
    own = _split_authority(own_host)
    if page is None or authority is None or own is None or host_name(page[2]) != host_name(own_host):
        return False
    port = authority[3] or ("443" if page[1].lower() == "https" else "80")
    return port == own[3] if own[3] else port in ("80", "443")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
