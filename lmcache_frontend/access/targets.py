# SPDX-License-Identifier: Apache-2.0
"""Which addresses may be connected to. Registered nodes are everybody's; this is about the others.

Link-local addresses and the ones where clouds serve machine credentials are never connected to, unless a pattern of
``--allow-target`` names them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from fnmatch import fnmatchcase
from os.path import commonpath, isabs

from lmcache_frontend.errors import Forbidden

# AWS (instances, and pods of EKS), Google Cloud, Oracle Cloud and Scaleway over IPv6, Alibaba Cloud, Azure's wire
# server, Oracle Cloud; the usual 169.254.169.254 is link-local.
_METADATA = frozenset(
    {"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"}
    | {"100.100.100.200", "168.63.129.16", "192.0.0.192"}
)
# IPv6 networks whose last 32 bits are an IPv4 address that is reached by them: NAT64, its local form, IPv4-compatible
# and IPv4-translated addresses.
_EMBEDDING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))


def is_address_allowed(host: str, address: str, port: int, patterns: Iterable[str]) -> bool:
    """Say whether a TCP target matches a pattern; ``host`` is what was asked for, ``address`` what it resolved to.

    A pattern made of numbers is about the address alone: a name that only looks like one could resolve to anything.
    """
    return any(
        _matches(_with_port(address if _is_numeric(pattern) else host, port), pattern)
        for pattern in patterns
        if not pattern.startswith("/")
    )


def is_socket_allowed(real_path: str, patterns: Iterable[str]) -> bool:
    """Say whether a socket, by its path with links resolved, matches a pattern."""
    return any(real_path == pattern or fnmatchcase(real_path, pattern) for pattern in patterns if pattern[:1] == "/")


def check_address(address: str, port: int, patterns: Iterable[str]) -> None:
    """Refuse a link-local or metadata address.

    Raises: Forbidden, naming the flag.
    """
    target = _with_port(address, port)
    if _is_guarded(address) and not is_address_allowed(address, address, port, patterns):
        raise Forbidden(f"{target} is a link-local or metadata address; --allow-target {target} allows it")


def socket_is_open_to_operators(real_path: str, real_directory: str) -> bool:
    """Say whether an unregistered socket lies under the socket directory; both paths with links resolved."""
    return isabs(real_directory) and commonpath((real_path, real_directory)) == real_directory


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _matches(name: str, pattern: str) -> bool:
    return name.lower() == pattern.lower() or fnmatchcase(name.lower(), pattern.lower())


def _is_numeric(pattern: str) -> bool:
    host = pattern.rpartition(":")[0]
    return not any(character.isalpha() for character in host) or pattern.startswith("[")


def _is_guarded(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return any(form.is_link_local or str(form) in _METADATA for form in (parsed, *_within(parsed)))


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Give the IPv4 addresses that an IPv6 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _EMBEDDING):
        found.append(ipaddress.IPv4Address(address.packed[-4:]))
    return [form for form in found if form is not None]
