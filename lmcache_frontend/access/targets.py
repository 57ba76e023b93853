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

# AWS over IPv6, Alibaba Cloud, Azure's wire server; the usual 169.254.169.254 is link-local.
_METADATA = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_allowed(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a target, ``host:port`` or a socket path, matches a pattern of ``--allow-target``."""
    wanted = name.lower()
    return any(wanted == pattern.lower() or fnmatchcase(wanted, pattern.lower()) for pattern in patterns)


def check_address(address: str, port: int, patterns: Iterable[str]) -> None:
    """Refuse a link-local or metadata address.

    Raises: Forbidden, naming the flag.
    """
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if _is_guarded(address) and not is_allowed(target, patterns):
        raise Forbidden(f"{target} is a link-local or metadata address; --allow-target {target} allows it")


def socket_is_open_to_operators(real_path: str, real_directory: str) -> bool:
    """Say whether an unregistered socket lies under the socket directory; both paths with links resolved."""
    return isabs(real_directory) and commonpath((real_path, real_directory)) == real_directory


def _is_guarded(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif parsed in _NAT64:
            parsed = ipaddress.IPv4Address(parsed.packed[-4:])
    return parsed.is_link_local or str(parsed) in _METADATA
