# SPDX-License-Identifier: Apache-2.0
"""Which user owns the other end of a loopback TCP connection, from Linux's table of sockets.

Source: proc_net_tcp in the kernel's documentation. Addresses there are hexadecimal words in the machine's byte order.
"""

from __future__ import annotations

import ipaddress
import struct
import sys
from collections.abc import Iterable

_ESTABLISHED = "01"


def can_look_up() -> bool:
    """Say whether this system has such a table."""
    return sys.platform == "linux"


def owner_of_peer(own: tuple[str, int], peer: tuple[str, int]) -> int | None:
    """Give the user id that owns the peer's socket of a connection within this machine; None if there is none.

    Only an established connection counts: the kernel shows one whose owner has closed it as root's.
    """
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{name}", encoding="ascii") as table:
                uid = find_owner(table, own=own, peer=peer)
        except OSError:
            continue
        if uid is not None:
            return uid
    return None


def user_name(uid: int) -> str:
    """Give a user's name, or the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def find_owner(table: Iterable[str], *, own: tuple[str, int], peer: tuple[str, int]) -> int | None:
    """Find the socket in the lines of such a table whose local end is ``peer`` and whose remote end is ``own``."""
    wanted = {(local, remote) for local, remote in zip(_spellings(peer), _spellings(own), strict=True)}
    for line in table:
        columns = line.split()
        if len(columns) > 7 and (columns[1], columns[2]) in wanted and columns[3] == _ESTABLISHED:
            return int(columns[7])
    return None


def _spellings(end: tuple[str, int]) -> list[str]:
    """Give an address as the IPv4 and the IPv6 table write it."""
    address = ipaddress.ip_address(end[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return [_hexadecimal(address.packed, end[1])]
        address = address.ipv4_mapped
    mapped = b"\0" * 10 + b"\xff\xff" + address.packed
    return [_hexadecimal(address.packed, end[1]), _hexadecimal(mapped, end[1])]


def _hexadecimal(packed: bytes, port: int) -> str:
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
