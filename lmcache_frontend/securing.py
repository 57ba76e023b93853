# SPDX-License-Identifier: Apache-2.0
"""Where TLS is spoken, by the settings: with clients where there is a certificate, with nodes where their entries say.

What speaks it is `http1.tls`'s, which is imported once it is needed.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from lmcache_frontend.errors import UsageError
from lmcache_frontend.http1.client import Endpoint
from lmcache_frontend.http1.server import Secure
from lmcache_frontend.http1.streams import Wire
from lmcache_frontend.settings import Settings

if TYPE_CHECKING:
    from lmcache_frontend.http1.tls import ClientTls, ServerTls


class Tls:
    """TLS with clients and with nodes."""

    def __init__(self, settings: Settings) -> None:
        """Read the server's files, where there are any.

        Raises: UsageError where files are named that do nothing; StartError, naming the file and what is wrong with it.
        """
        self._server: ServerTls | None = None
        self._nodes: ClientTls | None = None
        if settings.tls_cert is not None:
            from lmcache_frontend.http1.tls import Files, ServerTls

            self._server = ServerTls(Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca))
        elif settings.tls_key is not None or settings.tls_client_ca is not None:
            raise UsageError("--tls-key and --tls-client-ca do nothing without --tls-cert")

    @property
    def secure(self) -> Secure | None:
        """Give what makes clients' connections secure, None where plain HTTP is spoken."""
        return None if self._server is None else self._server.shake_hands

    def secure_to_node(self, sock: socket.socket, endpoint: Endpoint, timeout_s: float) -> Wire:
        """Make a connection to a node secure.

        Raises: BadGateway, TimeoutError, OSError.
        """
        if self._nodes is None:
            from lmcache_frontend.http1.tls import ClientTls

            self._nodes = ClientTls()
        return self._nodes.shake_hands(sock, endpoint, timeout_s)

    def reload(self) -> None:
        """Read all files again, those for nodes when they are next needed."""
        self._nodes = None
        if self._server is not None:
            self._server.reload()
