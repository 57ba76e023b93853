# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, NotImplementedHere
from lmcache_frontend.http1 import heads
from lmcache_frontend.http1.framing import (
    CHUNKED,
    UNTIL_CLOSE,
    ChunkDecoder,
    request_body_length,
    response_body_length,
)


def request(lines: str, minor: int = 1) -> heads.RequestHead:
    return heads.parse_request(f"POST / HTTP/1.{minor}\r\nHost: n\r\n{lines}\r\n".encode())


def response(lines: str, status: int = 200, minor: int = 1) -> heads.ResponseHead:
    return heads.parse_response(f"HTTP/1.{minor} {status} OK\r\n{lines}\r\n".encode())


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ("", 0),
        ("Content-Length: 0\r\n", 0),
        ("Content-Length: 42\r\n", 42),
        ("Content-Length: 42, 42\r\n", 42),
        ("Content-Length: 42\r\nContent-Length: 42\r\n", 42),
        ("Transfer-Encoding: Chunked\r\n", CHUNKED),
    ],
)
def test_length_of_a_request(lines: str, length: int) -> None:
    assert request_body_length(request(lines)) == length


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", BadRequest, "differing"),
        ("Content-Length: 5, 6\r\n", BadRequest, "differing"),
        ("Content-Length: -1\r\n", BadRequest, "'-1'"),
        ("Content-Length: +1\r\n", BadRequest, "number of bytes"),
        ("Content-Length: 1_0\r\n", BadRequest, "number of bytes"),
        ("Content-Length: \r\n", BadRequest, "number of bytes"),
        ("Content-Length: 9999999999999999999\r\n", BadRequest, "number of bytes"),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BadRequest, "both"),
        ("Transfer-Encoding: chunked, chunked\r\n", BadRequest, "more than once"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BadRequest, "more than once"),
        ("Transfer-Encoding: chunked, gzip\r\n", BadRequest, "not the last"),
        ("Transfer-Encoding:\r\n", BadRequest, "empty"),
        ("Transfer-Encoding: gzip, chunked\r\n", NotImplementedHere, "only 'chunked'"),
        ("Transfer-Encoding: identity\r\n", NotImplementedHere, "only 'chunked'"),
        ("Transfer-Encoding: xchunked\r\n", NotImplementedHere, "only 'chunked'"),
        ("Transfer-Encoding: chunked;q=1\r\n", NotImplementedHere, "only 'chunked'"),
    ],
)
def test_a_request_with_doubtful_framing_is_refused(lines: str, error: type[FrontendError], says: str) -> None:
    with pytest.raises(error, match=says):
        request_body_length(request(lines))


def test_http_1_0_requests_have_no_codings() -> None:
    with pytest.raises(BadRequest, match="HTTP/1.0"):
        request_body_length(request("Transfer-Encoding: chunked\r\n", minor=0))


@pytest.mark.parametrize(
    ("method", "status", "lines", "length"),
    [
        ("GET", 200, "", UNTIL_CLOSE),
        ("GET", 200, "Content-Length: 7\r\n", 7),
        ("GET", 200, "Transfer-Encoding: chunked\r\n", CHUNKED),
        ("HEAD", 200, "Content-Length: 7\r\n", 0),
        ("HEAD", 200, "Transfer-Encoding: chunked\r\n", 0),
        ("GET", 204, "", 0),
        ("GET", 304, "Content-Length: 7\r\n", 0),
        ("GET", 103, "", 0),
    ],
)
def test_length_of_a_response(method: str, status: int, lines: str, length: int) -> None:
    assert response_body_length(method, response(lines, status)) == length


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5, 6\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: five\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ],
)
def test_a_response_with_doubtful_framing_is_the_nodes_fault(lines: str) -> None:
    with pytest.raises(BadGateway):
        response_body_length("GET", response(lines))


def test_http_1_0_responses_have_no_codings() -> None:
    with pytest.raises(BadGateway):
        response_body_length("GET", response("Transfer-Encoding: chunked\r\n", minor=0))


BODY = b'4;name="v"\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\nNEXT'


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_chunks_are_decoded_however_they_are_cut(step: int) -> None:
    decoder = ChunkDecoder(BadRequest)
    payload = bytearray()
    position = 0
    while not decoder.finished:
        for piece in decoder.feed(BODY[position : position + step]):
            payload += piece
        position += step
    assert payload == b"Wikipedia"
    assert decoder.leftover + BODY[position:] == b"NEXT"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"x\r\n", "bad chunk size"),
        (b"-1\r\n", "bad chunk size"),
        (b"0x4\r\n", "bad chunk size"),
        (b"\r\n", "bad chunk size"),
        (b" 4\r\n", "bad chunk size"),
        (b"fffffffffffffffff\r\n", "bad chunk size"),
        (b"4\n", "bare LF"),
        (b"4\r\nWikiX\r\n", "past its size"),
        (b"4\r\nWiki\n", "bare LF"),
        (b"0\r\nbad trailer\r\n", "malformed trailer"),
        (b"0\r\nX : y\r\n", "malformed trailer"),
        (b"4;\0\r\n", "bad chunk size"),
        (b"4;" + b"a" * 5000, "line of over"),
        (b"0\r\n" + b"X: y\r\n" * 201, "too many trailer"),
    ],
)
def test_malformed_chunks_are_refused(raw: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        list(ChunkDecoder(BadRequest).feed(raw))
