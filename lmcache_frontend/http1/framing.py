# SPDX-License-Identifier: Apache-2.0
"""How long a message's body is, and the chunked transfer coding. Pure: no sockets, no clock.

A body length is a number of bytes, or `CHUNKED`, or `UNTIL_CLOSE`. Whatever two parsers could read differently is
refused, since a proxy that guesses can be made to see another request than the node does (request smuggling).

Source: RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, NotImplementedHere
from lmcache_frontend.http1.heads import FIELD_LIMIT, HEAD_LIMIT_BYTES, RequestHead, ResponseHead

CHUNKED = -1
UNTIL_CLOSE = -2
CHUNK_LINE_LIMIT_BYTES = 4096

_match_length = re.compile(r"[0-9]{1,18}").fullmatch
_match_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch
_match_trailer = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch


def request_body_length(head: RequestHead) -> int:
    """Give the body length of a request: 0 where neither framing field is there.

    Raises: BadRequest, NotImplementedHere.
    """
    coding = head.combined.get("transfer-encoding")
    length = head.combined.get("content-length")
    if coding is None:
        return 0 if length is None else _content_length(length, BadRequest)
    if length is not None:
        raise BadRequest("both Content-Length and Transfer-Encoding, expected one of them")
    if head.minor_version == 0:
        raise BadRequest("Transfer-Encoding in an HTTP/1.0 request, expected Content-Length")
    _check_codings(coding, bad=BadRequest, unknown=NotImplementedHere)
    return CHUNKED


def response_body_length(method: str, head: ResponseHead) -> int:
    """Give the body length of a node's response to a request with this method.

    Raises: BadGateway.
    """
    coding = head.combined.get("transfer-encoding")
    length = head.combined.get("content-length")
    if coding is not None:
        if length is not None:
            raise BadGateway("the node answered with both Content-Length and Transfer-Encoding")
        if head.minor_version == 0:
            raise BadGateway("the node answered with Transfer-Encoding in HTTP/1.0")
        _check_codings(coding, bad=BadGateway, unknown=BadGateway)
    declared = CHUNKED if coding is not None else UNTIL_CLOSE
    if length is not None:
        declared = _content_length(length, BadGateway)
    if method == "HEAD" or head.status in (204, 304) or head.status < 200:
        return 0
    return declared


def _content_length(value: str, error: type[FrontendError]) -> int:
    if _match_length(value):
        return int(value)
    values = {part.strip(" \t") for part in value.split(",")}
    if len(values) > 1:
        raise error(f"differing Content-Length values {_shown(value)}, expected one")
    (single,) = values
    if not _match_length(single):
        raise error(f"Content-Length is {_shown(single)}, expected a number of bytes")
    return int(single)


def _check_codings(value: str, *, bad: type[FrontendError], unknown: type[FrontendError]) -> None:
    codings = [part.strip(" \t").lower() for part in value.split(",")]
    if codings == ["chunked"]:
        return
    if codings.count("chunked") > 1:
        raise bad(f"Transfer-Encoding is {_shown(value)}: 'chunked' more than once")
    if "chunked" in codings[:-1]:
        raise bad(f"Transfer-Encoding is {_shown(value)}: 'chunked' is not the last coding")
    if codings == [""]:
        raise bad("Transfer-Encoding is empty, expected 'chunked'")
    raise unknown(f"Transfer-Encoding is {_shown(value)}, only 'chunked' is understood")


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


class _State(Enum):
    SIZE = "a chunk size"
    DATA = "chunk data"
    DATA_END = "the line end after chunk data"
    TRAILER = "a trailer field"
    END = "nothing"


class ChunkDecoder:
    """Takes the bytes of a chunked body as they come and gives the payload; trailers are checked and dropped."""

    __slots__ = ("_error", "_line", "_remaining", "_state", "_trailer_bytes", "_trailers", "leftover")

    def __init__(self, error: type[FrontendError]) -> None:
        """Take the class of error to raise: the client's fault or the node's."""
        self._error = error
        self._state = _State.SIZE
        self._line = b""
        self._remaining = 0
        self._trailers = 0
        self._trailer_bytes = 0
        self.leftover = b""

    @property
    def finished(self) -> bool:
        """Say whether the body has ended; what came after it is in ``leftover``."""
        return self._state is _State.END

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Yield the payload in the next bytes, as views of them."""
        view = memoryview(data)
        position = 0
        while position < len(data) and self._state is not _State.END:
            if self._state is _State.DATA:
                piece = view[position : position + self._remaining]
                position += len(piece)
                self._remaining -= len(piece)
                if not self._remaining:
                    self._state = _State.DATA_END
                yield piece
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self._check_line_length()
                return
            self._line += data[position : end + 1]
            position = end + 1
            self._check_line_length()
            line, self._line = self._line, b""
            self._take_line(line)
        if self._state is _State.END:
            self.leftover = data[position:]

    def _check_line_length(self) -> None:
        if len(self._line) > CHUNK_LINE_LIMIT_BYTES:
            raise self._error(f"line of over {CHUNK_LINE_LIMIT_BYTES} bytes where {self._state.value} was expected")

    def _take_line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise self._error(f"bare LF where {self._state.value} was expected")
        text = line[:-2]
        if self._state is _State.SIZE:
            match = _match_chunk_line(text)
            if match is None:
                raise self._error("bad chunk size, expected a hexadecimal number")
            self._remaining = int(match[1], 16)
            self._state = _State.DATA if self._remaining else _State.TRAILER
        elif self._state is _State.DATA_END:
            if text:
                raise self._error("chunk data runs past its size")
            self._state = _State.SIZE
        elif not text:
            self._state = _State.END
        else:
            self._take_trailer(text)

    def _take_trailer(self, text: bytes) -> None:
        self._trailers += 1
        self._trailer_bytes += len(text)
        if self._trailers > FIELD_LIMIT or self._trailer_bytes > HEAD_LIMIT_BYTES:
            raise self._error("too many trailer fields")
        if not _match_trailer(text):
            raise self._error("malformed trailer field")
