# SPDX-License-Identifier: Apache-2.0
"""Whom to trust and as whom to appear: contexts of TLS, made from files for the server and for each kind of node.

How bytes pass is `tls_socket`'s.

Source: RFC 8446, RFC 7301 (``http/1.1`` as the protocol that is spoken within).
"""

from __future__ import annotations

import logging
import socket
import ssl
from typing import NamedTuple

from lmcache_frontend.errors import BadGateway, StartError
from lmcache_frontend.http1.client import Endpoint, TlsOptions
from lmcache_frontend.http1.streams import Stream
from lmcache_frontend.http1.tls_socket import SpeaksPlainHttp, TlsSocket

logger = logging.getLogger(__name__)

_PLAIN_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b"
)
_PLAIN_HTTP_WORDS = b"This port speaks https and the request was in plain http; put https:// before the address.\n"


class Files(NamedTuple):
    """The files to serve TLS with; the key may be in the certificate's, clients need not have certificates."""

    certificate: str
    key: str | None = None
    client_ca: str | None = None


class ServerTls:
    """Shakes hands with clients; the files can be read again."""

    def __init__(self, files: Files) -> None:
        """Read the files.

        Raises: StartError, naming the file and what is wrong with it.
        """
        self._files = files
        self._context = server_context(files)

    def reload(self) -> None:
        """Read the files again for the connections to come; where they cannot be used, those read before stay."""
        try:
            self._context = server_context(self._files)
        except StartError as exc:
            logger.error("%s; the certificate read before stays in use", exc)

    def shake_hands(self, sock: socket.socket, peer: object, timeout_s: float) -> TlsSocket | None:
        """Make a client's connection secure; where that fails, tell it as far as that can be done, close, give None."""
        secured = TlsSocket(sock, self._context)
        try:
            secured.shake_hands(timeout_s)
            return secured
        except SpeaksPlainHttp:
            _part(sock, _PLAIN_HTTP_ANSWER % (len(_PLAIN_HTTP_WORDS), _PLAIN_HTTP_WORDS))
        except TimeoutError:
            logger.debug("client %s: no TLS handshake within %g s", peer, timeout_s)
            sock.close()
        except OSError as exc:
            logger.debug("client %s: %s", peer, exc.strerror)
            _part(sock, b"")
        return None


def _part(sock: socket.socket, last_words: bytes) -> None:
    """End a connection such that what was said last arrives."""
    try:
        stream = Stream(sock, send_timeout_s=1.0)
        stream.sock.sendall(last_words)
        stream.drain_and_close()
    except OSError:
        sock.close()


class ClientTls:
    """Shakes hands with nodes; contexts are kept, as reading what a system trusts takes its time."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._contexts: dict[TlsOptions, ssl.SSLContext] = {}

    def shake_hands(self, sock: socket.socket, endpoint: Endpoint, timeout_s: float) -> TlsSocket:
        """Make a connection to a node secure.

        Raises: BadGateway where our own files cannot be used, TimeoutError, OSError.
        """
        options = endpoint.tls
        assert options is not None
        secured = TlsSocket(sock, self.context_for(options), options.server_name)
        secured.shake_hands(timeout_s)
        return secured

    def context_for(self, options: TlsOptions) -> ssl.SSLContext:
        """Give the context to connect with; a thousand nodes with the same files have one, whatever their names.

        Raises: BadGateway.
        """
        files = options._replace(server_name="")
        context = self._contexts.get(files)
        if context is None:
            context = self._contexts[files] = client_context(options)
        return context


def server_context(files: Files) -> ssl.SSLContext:
    """Make the context to serve with.

    Raises: StartError.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_chain(context, files.certificate, files.key)
    if files.client_ca is not None:
        _load_authorities(context, files.client_ca, "--tls-client-ca")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """Make the context to connect to a node with.

    Raises: BadGateway, which names the field of the entry and not the file, as everybody may see it; the log has that.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if not options.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif options.ca:
            _load_authorities(context, options.ca, "ca")
        else:
            context.load_default_certs()
        if options.certificate:
            _load_chain(context, options.certificate, options.key or None, names=("cert", "key"))
    except StartError as exc:
        logger.warning("a node's entry: %s", exc)
        raise BadGateway("tls in the node's entry names a file that cannot be used; the log has more") from exc
    return context


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_authorities(context: ssl.SSLContext, path: str, name: str) -> None:
    _require_readable(path, name)
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, ValueError) as exc:
        raise StartError(f"{name} {path}: no certificates in PEM") from exc


class _Encrypted(Exception):
    """A private key has a passphrase, which nobody is there to type."""


def _no_passphrase() -> str:
    raise _Encrypted


def _load_chain(
    context: ssl.SSLContext, certificate: str, key: str | None, *, names: tuple[str, str] = ("--tls-cert", "--tls-key")
) -> None:
    """Load a certificate with its chain and its private key.

    Raises: StartError.
    """
    _require_readable(certificate, names[0])
    if key is not None:
        _require_readable(key, names[1])
    key_name = f"{names[0]} {certificate}" if key is None else f"{names[1]} {key}"
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Encrypted as exc:
        raise StartError(f"{key_name}: the private key has a passphrase, expected one without") from exc
    except ssl.SSLError as exc:
        if exc.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise StartError(f"{key_name}: the private key is not that of the certificate in {certificate}") from exc
        if not _has_certificate(certificate):
            raise StartError(f"{names[0]} {certificate}: no certificate in PEM") from exc
        if key is None:
            raise StartError(f"{key_name}: no private key in PEM; {names[1]} names a file of its own") from exc
        raise StartError(f"{key_name}: no private key in PEM") from exc


def _has_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _require_readable(path: str, name: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as exc:
        raise StartError(f"{name} {path}: cannot be read: {exc.strerror}") from exc
