# SPDX-License-Identifier: Apache-2.0
"""Where the entries may lead that people and programs send over HTTP; those of flags and files are trusted.

An address in numbers is refused at once, in whichever notation; a name is looked at each time that it is connected to.
"""

from __future__ import annotations

import os
import socket

from lmcache_frontend.access import targets
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node
from lmcache_frontend.errors import Conflict, Forbidden
from lmcache_frontend.settings import Settings


def checked(node: Node, settings: Settings) -> Node:
    """Give a node back whose address may be connected to.

    Raises: Forbidden, naming the flag.
    """
    endpoint = node.endpoint
    if node.proxy != LOCAL_PROXY:
        # Its address is the business of the frontend that it is behind.
        return node
    if endpoint.port:
        for address in _numeric(endpoint.host, endpoint.port):
            targets.check_address(address, endpoint.port, settings.allow_target)
        return node
    real_path, directory = os.path.realpath(endpoint.host), os.path.realpath(settings.socket_dir)
    if not targets.socket_is_open_to_operators(real_path, directory) and not targets.is_socket_allowed(
        real_path, settings.allow_target
    ):
        raise Forbidden(f"{endpoint} lies outside {directory}; --allow-target {real_path} allows it")
    return node


def require_no_files(node: Node | None) -> None:
    """Refuse to replace an entry over HTTP that names files of this machine: they would be lost, or sent elsewhere.

    Raises: Conflict.
    """
    if node is None:
        return
    tls = node.endpoint.tls
    if node.endpoint.token_file or (tls is not None and (tls.ca or tls.certificate)):
        raise Conflict(f"the entry of {node.name!r} names files of this machine; change it where it is configured")


def _numeric(host: str, port: int) -> list[str]:
    """Give the address that a host is in some notation of numbers; none for a name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]) for entry in found]
