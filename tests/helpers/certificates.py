# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, valid for 100 years but for one, and the two ends of TLS with the standard library's own.

All but ``self_signed.pem`` are signed by ``authority.pem``, and are for localhost and 127.0.0.1, ``server.pem`` for ::1
and node.test too, unless their names say other. A file holds key and certificate where it is not called otherwise.
"""

from __future__ import annotations

import json
import socket
import ssl
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from tests.helpers.talking import Reply

FOLDER = Path(__file__).resolve().parents[1] / "data" / "tls"


def path_of(name: str) -> str:
    """Give the path of one of the files."""
    path = FOLDER / f"{name}.pem"
    assert path.is_file()
    return str(path)


def serving(name: str = "server", *, client_ca: bool = False) -> ssl.SSLContext:
    """Give a context to serve with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path_of(name))
    if client_ca:
        context.load_verify_locations(path_of("authority"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def trusting(certificate: str = "") -> ssl.SSLContext:
    """Give a context to connect with, with a certificate of one's own or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path_of("authority"))
    if certificate:
        context.load_cert_chain(path_of(certificate))
    return context


def connected(port: int, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """Connect to a port that speaks TLS."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return (context or trusting()).wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


def ask_securely(
    port: int,
    method: str,
    target: str,
    body: Any = None,
    fields: dict[str, str] | None = None,
    *,
    context: ssl.SSLContext | None = None,
) -> Reply:
    """Send one request over TLS; a body that is no bytes goes as JSON."""
    connection = HTTPSConnection("localhost", port, timeout=10, context=context or trusting())
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, target, data, fields or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()
