# SPDX-License-Identifier: Apache-2.0
"""One request and the answer to it, as the handlers of a server see them.

Source: RFC 9110 sections 5.6.7 (dates), 6.6.1 (``Date``) and 10.1.1 (``Expect``), RFC 9112 section 7.1 (chunks).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from lmcache_frontend.errors import BadRequest, ContentTooLarge, ExpectationFailed, FrontendError, RequestTimeout
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.streams import Body, Stream

BODY_LIMIT_BYTES = 1024 * 1024


class Exchange:
    """One request and the answer to it."""

    __slots__ = ("body", "close_after", "peer", "request", "started", "status", "stream")

    def __init__(self, request: heads.RequestHead, stream: Stream, peer: Any, length: int) -> None:
        """Take a parsed head, the client's stream and address, and the length of the body that follows."""
        self.request = request
        self.stream = stream
        self.peer = peer
        self.started = False
        self.status = 0
        self.close_after = not heads.is_persistent(request)
        expects = request.combined.get("expect")
        if expects is not None and expects.lower() != "100-continue":
            raise ExpectationFailed(f"Expect is {expects[:40]!r}, expected '100-continue'")
        waits = expects is not None and request.minor_version > 0
        self.body = Body(stream, length, BadRequest, before_first=self._go_on if waits else None)

    def read_body(self, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
        """Read the whole body.

        Raises: ContentTooLarge, BadRequest, RequestTimeout, PeerClosed.
        """
        if self.body.length > limit_bytes:
            raise ContentTooLarge(f"body of {self.body.length} bytes, at most {limit_bytes} are taken")
        parts = bytearray()
        try:
            for piece in self.body.pieces(large=False):
                parts += piece
                if len(parts) > limit_bytes:
                    raise ContentTooLarge(f"body of over {limit_bytes} bytes")
        except TimeoutError as exc:
            raise RequestTimeout("the request body stopped coming") from exc
        return bytes(parts)

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        fields: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Send a whole response; for HEAD, 204 and 304 without its body."""
        has_body = status >= 200 and status not in (204, 304)
        if not self.body.finished:
            self.close_after = True
        answer = [("Date", http_date(time.time()))]
        if has_body:
            answer += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        answer += fields
        answer += self.persistence_fields()
        self.started = True
        self.status = status
        head = heads.render_response(status, answer)
        self.stream.send(head + body if has_body and self.request.method != "HEAD" else head)

    def respond_pieces(
        self, status: int, pieces: Iterable[bytes], content_type: str, fields: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Send a response piece by piece as the pieces come, without knowing their length before."""
        chunked = self.request.minor_version > 0
        if not chunked or not self.body.finished:
            self.close_after = True
        answer = [("Date", http_date(time.time())), ("Content-Type", content_type), *fields]
        if chunked:
            answer.append(("Transfer-Encoding", "chunked"))
        answer += self.persistence_fields()
        self.started = True
        self.status = status
        self.stream.send(heads.render_response(status, answer))
        if self.request.method == "HEAD":
            return
        for piece in pieces:
            if piece:
                self.stream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.stream.send(b"0\r\n\r\n")

    def persistence_fields(self) -> tuple[tuple[str, str], ...]:
        """Give the ``Connection`` field that tells the client what becomes of the connection."""
        if self.close_after:
            return (("Connection", "close"),)
        return () if self.request.minor_version else (("Connection", "keep-alive"),)

    def _go_on(self) -> None:
        self.stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def http_date(now: float) -> str:
    """Give a time (seconds since the epoch) as an IMF-fixdate of RFC 9110 section 5.6.7."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(now)
    return f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} GMT"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def error_body(exc: FrontendError) -> bytes:
    """Give the JSON that stands for an error."""
    return json.dumps({"detail": str(exc)}).encode()
