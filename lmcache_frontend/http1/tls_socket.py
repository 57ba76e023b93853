# SPDX-License-Identifier: Apache-2.0
"""A connected socket that speaks TLS, with the few methods of a plain one that streams use.

The cipher works on bytes in memory, and the plain socket below is waited at as ever: its time-outs in the kernel hold
for TLS as well, and one thread may send while another receives, which two of OpenSSL's own calls may not. What trusts
whom is said by contexts, which are `tls`'s.

Source: RFC 8446 section 6.1 (each side tells that it ends), RFC 9112 section 9.8.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import ssl
import threading
import time
from typing import Any

from lmcache_frontend.http1.streams import timeval

SEALED_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024
_match_method = re.compile(rb"[A-Z]{3,10} ").match
_NO_TLS = frozenset({"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
_TOO_OLD = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW"})
_UNTRUSTED = frozenset({2, 19, 20, 21})
_OTHER_NAME = frozenset({62, 63, 64})
_VERIFICATION = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself and not trusted here",
}
_REASONS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a client certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it has no client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate",
}


class SpeaksPlainHttp(OSError):
    """The client spoke HTTP to a port that speaks TLS."""


class TlsSocket:
    """A plain socket and the cipher over it."""

    __slots__ = (
        "_ahead",
        "_incoming",
        "_is_broken",
        "_is_shut",
        "_lock",
        "_outgoing",
        "_promised",
        "_raw",
        "_sending",
        "_tls",
        "_unsent",
        "family",
    )

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """Take over a connected socket; ``server_name`` is whom a client expects, a server has none."""
        self._raw = raw
        self.family = raw.family
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        self._tls = context.wrap_bio(self._incoming, self._outgoing, is_server, server_name)
        # For the cipher, which takes no two calls at once, and for the order in which sealed bytes are sent.
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._ahead = b""
        self._unsent, self._promised = b"", 0
        self._is_shut = self._is_broken = False

    def shake_hands(self, timeout_s: float) -> None:
        """Agree on keys and check certificates, within so long.

        Raises: TimeoutError; SpeaksPlainHttp; OSError, whose ``strerror`` says what is wrong.
        """
        deadline_s = time.monotonic() + timeout_s
        self._raw.setblocking(True)
        first = b""
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError as exc:
                if _match_method(first):
                    raise SpeaksPlainHttp(errno.EPROTO, "a request in plain HTTP") from exc
                with contextlib.suppress(OSError):
                    self._flush()
                raise _in_words(exc) from exc
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._raw.setsockopt(socket.SOL_SOCKET, option, timeval(remaining_s))
            try:
                received = self._fill()
            except BlockingIOError as exc:
                raise TimeoutError from exc
            first = first or received[:12]

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive as a plain socket does; of flags MSG_PEEK with MSG_DONTWAIT, and MSG_WAITALL, are known.

        Raises: OSError, where the connection ended without TLS's own end too.
        """
        if self._is_shut:
            return self._raw.recv(size, flags)
        if flags & socket.MSG_PEEK:
            while not self._ahead:
                data = self._opened(PIECE_BYTES)
                if data == b"":
                    return b""
                if data is None:
                    self._fill(socket.MSG_DONTWAIT)
                else:
                    self._ahead = data
            return self._ahead[:size]
        if flags & socket.MSG_WAITALL:
            return self._gathered(size)
        while (data := self._opened(size)) is None:
            self._fill()
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """Fill the buffer with what is there, waiting only where nothing is; give the number of bytes."""
        if self._ahead or self._is_shut:
            data = self.recv(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        filled = 0
        while filled < len(buffer):
            size = self._open_into(buffer[filled:])
            if size:
                filled += size
            elif filled or size == 0:
                return filled
            else:
                self._fill()
        return filled

    def sendall(self, data: bytes | memoryview) -> None:
        """Send everything.

        Raises: OSError.
        """
        view = memoryview(data)
        with self._sending:
            for first in range(0, len(view), PIECE_BYTES):
                self._raw.sendall(self._sealed(view[first : first + PIECE_BYTES]))

    def send(self, data: bytes | memoryview) -> int:
        """Send some and give how many bytes; after 0 the same data must be given again.

        What is sealed once must be sent as it is, though the socket may not have room for all of it at once.
        """
        with self._sending:
            if not self._unsent:
                piece = memoryview(data)[:PIECE_BYTES]
                self._unsent, self._promised = self._sealed(piece), len(piece)
            self._unsent = self._unsent[self._raw.send(self._unsent) :]
            return 0 if self._unsent else self._promised

    def shutdown(self, how: int) -> None:
        """End one way or both; with the sending end the other side is told so as TLS has it."""
        if how == socket.SHUT_WR:
            self._say_goodbye()
        if how != socket.SHUT_RD:
            self._is_shut = True
        self._raw.shutdown(how)

    def close(self) -> None:
        """Close the socket, telling the other side, so that it can tell an end from a break."""
        if self._raw.fileno() >= 0 and not self._is_shut and not self._is_broken:
            self._say_goodbye()
        self._raw.close()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the plain socket; one that is to be reset at its end says no goodbye."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._is_broken = True
        self._raw.setsockopt(level, option, value)

    def setblocking(self, flag: bool) -> None:
        """Let the plain socket wait, or not."""
        self._raw.setblocking(flag)

    def fileno(self) -> int:
        """Give the descriptor of the plain socket, negative once it is closed."""
        return self._raw.fileno()

    def getsockname(self) -> Any:
        """Give our own address."""
        return self._raw.getsockname()

    def _opened(self, size: int) -> bytes | None:
        """Give what can be had without receiving, None where more must be received, empty at the end."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        with self._lock:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLError as exc:
                raise _in_words(exc) from exc

    def _open_into(self, buffer: memoryview) -> int | None:
        """Do as `_opened`, of one record, into a buffer."""
        with self._lock:
            try:
                return int(self._tls.read(len(buffer), buffer))
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLError as exc:
                raise _in_words(exc) from exc

    def _gathered(self, size: int) -> bytes:
        """Give so many bytes, fewer at the end and where the time-out passes; what came is not lost."""
        found = bytearray(self.recv(size))
        while 0 < len(found) < size:
            try:
                data = self.recv(size - len(found))
            except OSError:
                # A break is seen again by whoever receives next.
                break
            if not data:
                break
            found += data
        return bytes(found)

    def _fill(self, flags: int = 0) -> bytes:
        """Receive sealed bytes, and send what the cipher has to say to them; give them."""
        if self._outgoing.pending and self._sending.acquire(blocking=False):
            # Somebody who sends just now would do it with what comes next.
            try:
                self._raw.sendall(self._taken())
            finally:
                self._sending.release()
        data = self._raw.recv(SEALED_BYTES, flags)
        if not data:
            # The cipher is not told, as it would complain to the other side, who may still be listening.
            raise ConnectionResetError(errno.ECONNRESET, "the connection ended without the end that TLS has")
        with self._lock:
            self._incoming.write(data)
        return data

    def _sealed(self, piece: memoryview) -> bytes:
        with self._lock:
            try:
                if piece:
                    self._tls.write(piece)
                return self._outgoing.read()
            except ssl.SSLError as exc:
                raise _in_words(exc) from exc

    def _taken(self) -> bytes:
        with self._lock:
            return self._outgoing.read()

    def _flush(self) -> None:
        if self._outgoing.pending:
            with self._sending:
                self._raw.sendall(self._taken())

    def _say_goodbye(self) -> None:
        """Tell the other side that nothing more comes, unless somebody is sending or there is no room."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            with self._lock, contextlib.suppress(ssl.SSLError, ValueError):
                self._tls.unwrap()
            with contextlib.suppress(OSError):
                self._raw.send(self._taken(), socket.MSG_DONTWAIT)
        finally:
            self._sending.release()


def _in_words(exc: ssl.SSLError) -> OSError:
    """Give what OpenSSL refuses as an `OSError` whose ``strerror`` a person can read."""
    return OSError(errno.EPROTO, words_for(exc))


def words_for(exc: ssl.SSLError) -> str:
    """Say what is wrong with the other side's TLS."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        code = exc.verify_code
        if code in _UNTRUSTED:
            return "its certificate is signed by an authority that is not trusted here"
        if code in _OTHER_NAME:
            return f"its certificate is for another name: {exc.verify_message}"
        return _VERIFICATION.get(code) or f"its certificate is refused: {exc.verify_message}"
    # One that was raised by hand has none.
    reason = getattr(exc, "reason", None) or ""
    if reason in _NO_TLS:
        return "it does not speak TLS"
    if reason in _TOO_OLD:
        return "it speaks no TLS of version 1.2 or newer"
    return _REASONS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower() or 'for no reason given'}"
