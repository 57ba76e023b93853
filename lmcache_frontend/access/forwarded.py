# SPDX-License-Identifier: Apache-2.0
"""What reverse proxies say of the client behind them; believed of ``--trusted-proxy`` alone. Pure.

``X-Forwarded-For`` is read from its end, where the nearest proxy wrote: the first address that is no trusted proxy's is
the client's. ``Forwarded`` is not read: a proxy that writes the one passes the other on as the client wrote it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_split_hop = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5})").fullmatch


class Forwarded(NamedTuple):
    """The client's address, empty where no proxy told it, the host that it asked for, and whether it did so by TLS."""

    address: str
    host: str
    is_secure: bool


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks that are known to be well formed."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_within(address: str, networks: Collection[Network]) -> bool:
    """Say whether an address, of IPv4 in its own form, is in one of some networks; text that is none is in none."""
    return bool(networks) and network_of(address, networks) is not None


def network_of(address: str, networks: Iterable[Network]) -> Network | None:
    """Give the first of some networks that an address is in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return next((network for network in networks if parsed in network), None)


def read_forwarded(fields: dict[str, str], trusted: Collection[Network]) -> Forwarded:
    """Read the fields of a request that came from a trusted proxy."""
    address = ""
    hops = [hop.strip(" \t") for hop in fields.get("x-forwarded-for", "").split(",")]
    for hop in reversed([hop for hop in hops if hop]):
        address = plain_hop(hop)
        if not is_within(address, trusted):
            break
    return Forwarded(
        address, _nearest(fields, "x-forwarded-host"), _nearest(fields, "x-forwarded-proto").lower() == "https"
    )


def plain_hop(hop: str) -> str:
    """Give the address in an element of ``X-Forwarded-For`` without a port, ``unknown`` where there is none."""
    match = _split_hop(hop)
    try:
        parsed = ipaddress.ip_address((match[1] or match[2] if match else hop).partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _nearest(fields: dict[str, str], name: str) -> str:
    return fields.get(name, "").rpartition(",")[2].strip(" \t")
