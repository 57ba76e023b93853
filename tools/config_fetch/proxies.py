# SPDX-License-Identifier: Apache-2.0
"""Which proxy the environment names for an address. Pure.

LMCache asks with `requests`, which honours ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` in small or
capital letters; so they are honoured here, to take the way that the worker takes. Two things differ on purpose: a
loopback address is never asked for through a proxy, and an entry of ``no_proxy`` ends at a dot of the name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from lmcache_frontend.errors import UsageError

from ..exchange import Url, read_url


def proxy_for(url: Url, environment: Mapping[str, str]) -> Url | None:
    """Give the proxy for an address, None for the straight way.

    Raises: UsageError for a proxy that is no HTTP proxy.
    """
    if is_loopback(url.host) or _is_excepted(url, _variable("no_proxy", environment)[1]):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        variable, text = _variable(name, environment)
        if text:
            proxy = read_url(text, variable) if "://" not in text or text.lower().startswith("http://") else None
            if proxy is None:
                scheme = text.partition("://")[0]
                raise UsageError(f"{variable}: expected an http:// proxy, got {scheme}://...; --no-proxy goes straight")
            return proxy
    return None


def is_loopback(host: str) -> bool:
    """Say whether a host is this one."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return address is not None and address.is_loopback


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Give the name and the value; small letters go first."""
    for variable in (name, name.upper()):
        if environment.get(variable, "").strip():
            return variable, environment[variable].strip()
    return name, ""


def _is_excepted(url: Url, exceptions: str) -> bool:
    host = url.host.lower().rstrip(".")
    address = _address(host)
    for entry in exceptions.lower().replace(" ", ",").split(","):
        name, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        name = name.lstrip("*").strip("[].")
        if entry == "*":
            return True
        if not name or (port and port != str(url.port)):
            continue
        if host == name or host.endswith(f".{name}") or (address is not None and _is_within(address, name)):
            return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
