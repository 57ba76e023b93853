# SPDX-License-Identifier: Apache-2.0
"""Message heads of HTTP/1.1: parse strictly, render exactly. Pure: bytes in, values out.

One regular expression accepts a whole head at the speed of C; only a head that it refuses is walked line by line, to
say what is wrong with it. Body framing is left to `framing`, sockets to `streams`.

Source: RFC 9110 (fields), RFC 9112 sections 2 to 5 (message syntax). Limits: 64 KiB a head is what Go's net/http and
nginx's large buffers come to in practice; 200 fields lies between Apache's 100 and what proxies in a chain add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, HeadTooLarge, UriTooLong, VersionNotSupported

HEAD_LIMIT_BYTES = 64 * 1024
TARGET_LIMIT_BYTES = 16 * 1024
FIELD_LIMIT = 200

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD_LINE = _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*"
_FIELDS = rb"((?:" + _FIELD_LINE + rb"\r\n)*)\r\n"
_REQUEST_LINE = rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.([0-9])"
_STATUS_LINE = rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?"
_match_request = re.compile(_REQUEST_LINE + rb"\r\n" + _FIELDS).fullmatch
_match_response = re.compile(_STATUS_LINE + rb"\r\n" + _FIELDS).fullmatch
_match_field_line = re.compile(_FIELD_LINE).fullmatch
_find_fields = re.compile(r"([^:]+):[ \t]*([^\r]*)\r\n").findall
_match_absolute_form = re.compile(r"https?://([^/?#]+)([^#]*)", re.IGNORECASE).fullmatch
_USUAL_OPTIONS = {value: frozenset({value.lower()}) for value in ("close", "keep-alive", "Keep-Alive")}
_REASONS = {status.value: status.phrase for status in HTTPStatus}

Fields = list[tuple[str, str]]


class RequestHead(NamedTuple):
    """A request's head: ``target`` is always in origin form (or ``*``), byte for byte as it came."""

    method: str
    target: str
    minor_version: int
    fields: Fields
    combined: dict[str, str]
    host: str

    def get(self, name: str) -> str | None:
        """Give a field's value by its lower-case name, repeated lines joined by a comma."""
        return self.combined.get(name)


class ResponseHead(NamedTuple):
    """A response's head."""

    status: int
    reason: str
    minor_version: int
    fields: Fields
    combined: dict[str, str]

    def get(self, name: str) -> str | None:
        """Give a field's value by its lower-case name, repeated lines joined by a comma."""
        return self.combined.get(name)


def parse_request(head: bytes) -> RequestHead:
    """Parse a request head, the empty line at its end included.

    Raises: BadRequest, UriTooLong, HeadTooLarge, VersionNotSupported, each saying which line is wrong and why.
    """
    match = _match_request(head)
    if match is None:
        raise _request_fault(head)
    method, target, minor_version, block = match.groups()
    if len(target) > TARGET_LIMIT_BYTES:
        raise UriTooLong(f"request target of {len(target)} bytes, at most {TARGET_LIMIT_BYTES} are taken")
    fields, combined = _split_fields(block)
    minor = 0 if minor_version == b"0" else 1
    host = combined.get("host")
    if host is None:
        if minor:
            raise BadRequest("no Host field in an HTTP/1.1 request, expected exactly one")
        host = ""
    elif "," in host and sum(name.lower() == "host" for name, _ in fields) > 1:
        raise BadRequest("more than one Host field, expected exactly one")
    text = target.decode("ascii")
    if text[0] != "/":
        text, host = _origin_form(method, text, host)
    elif "#" in text:
        raise BadRequest("'#' in the request target, expected a path and a query only")
    return RequestHead(method.decode("ascii"), text, minor, fields, combined, host)


def parse_response(head: bytes) -> ResponseHead:
    """Parse a response head, the empty line at its end included.

    Raises: BadGateway, saying which line is wrong and why.
    """
    match = _match_response(head)
    if match is None:
        raise _response_fault(head)
    minor_version, status, reason, block = match.groups()
    try:
        fields, combined = _split_fields(block)
    except HeadTooLarge as exc:
        raise BadGateway(f"answer of the node: {exc}") from exc
    return ResponseHead(
        int(status), (reason or b"").decode("latin-1"), 0 if minor_version == b"0" else 1, fields, combined
    )


def has_bare_line_feed(beginning: bytes) -> bool:
    """Say whether there is an LF without a CR before it in the beginning of a head."""
    return beginning.count(b"\n") != beginning.count(b"\r\n")


def check_beginning(beginning: bytes) -> None:
    """Refuse what can never become a request head: another protocol, such as TLS, or lines that end in LF alone.

    Raises: BadRequest.
    """
    if beginning and not re.match(_TOKEN, beginning[:1]):
        what = "a TLS handshake" if beginning[:1] == b"\x16" else "something else"
        raise BadRequest(f"expected an HTTP request, got {what}")
    if has_bare_line_feed(beginning):
        raise BadRequest("bare LF in the head, expected CR LF at the end of each line")


def render_request(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a request head; names and values must come from a parsed head or from our own code."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def render_response(status: int, fields: Iterable[tuple[str, str]], reason: str | None = None) -> bytes:
    """Write a response head; without a reason phrase the registered one is taken."""
    phrase = _REASONS.get(status, "") if reason is None else reason
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1")


def connection_options(value: str | None) -> frozenset[str]:
    """Give the lower-case options of a ``Connection`` field."""
    if value is None:
        return frozenset()
    known = _USUAL_OPTIONS.get(value)
    if known is not None:
        return known
    return frozenset(option.strip(" \t").lower() for option in value.split(",")) - {""}


def is_persistent(head: RequestHead | ResponseHead) -> bool:
    """Say whether the sender of this head keeps the connection open after the message (RFC 9112 section 9.3)."""
    value = head.combined.get("connection")
    if value is None:
        return head.minor_version > 0
    options = connection_options(value)
    if "close" in options:
        return False
    return head.minor_version > 0 or "keep-alive" in options


def _split_fields(block: bytes) -> tuple[Fields, dict[str, str]]:
    """Split a block of field lines that is known to be well formed."""
    text = block.decode("latin-1")
    fields: Fields = _find_fields(text)
    if len(fields) > FIELD_LIMIT:
        raise HeadTooLarge(f"{len(fields)} header fields, at most {FIELD_LIMIT} are taken")
    if " \r" in text or "\t\r" in text:
        fields = [(name, value.rstrip(" \t")) for name, value in fields]
    combined = {name.lower(): value for name, value in fields}
    return fields, combined if len(combined) == len(fields) else _combine(fields)


def _combine(fields: Fields) -> dict[str, str]:
    """Join the values of repeated fields, which the usual way of looking them up loses."""
    combined: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key in combined:
            combined[key] += ("; " if key == "cookie" else ", ") + value
        else:
            combined[key] = value
    return combined


def _origin_form(method: bytes, target: str, host: str) -> tuple[str, str]:
    """Turn an absolute-form target into origin form and the authority that stands in place of ``Host``."""
    if target == "*" and method == b"OPTIONS":
        return target, host
    match = _match_absolute_form(target)
    if match is None:
        raise BadRequest("request target is neither a path that begins with '/' nor an http address")
    authority, rest = match.groups()
    if "@" in authority:
        raise BadRequest("user information in the request target, expected host and port only")
    return (rest if rest.startswith("/") else "/" + rest), authority


def _request_fault(head: bytes) -> FrontendError:
    """Find out why a request head was refused."""
    line, _, rest = head.partition(b"\r\n")
    if fault := _stray_bytes(line):
        return BadRequest(f"{fault} in the request line")
    parts = line.split(b" ")
    if len(parts) != 3:
        return BadRequest(f"request line of {len(parts)} parts, expected method, target and version with single spaces")
    method, target, version = parts
    if not re.fullmatch(_TOKEN, method):
        return BadRequest("method is not a token of RFC 9110")
    if not re.fullmatch(rb"[!-~]+", target):
        return BadRequest("request target is empty or holds bytes outside printable ASCII; percent-encode them")
    if re.fullmatch(rb"HTTP/[02-9]\.[0-9]", version):
        return VersionNotSupported(f"got {version.decode('ascii')}, expected HTTP/1.1 or HTTP/1.0")
    if not re.fullmatch(rb"HTTP/1\.[0-9]", version):
        return BadRequest("version is not of the form HTTP/1.1")
    return BadRequest(_field_fault(rest))


def _response_fault(head: bytes) -> BadGateway:
    line, _, rest = head.partition(b"\r\n")
    if not re.fullmatch(_STATUS_LINE, line):
        return BadGateway("the node did not answer with an HTTP/1.1 status line")
    return BadGateway(f"answer of the node: {_field_fault(rest)}")


def _field_fault(block: bytes) -> str:
    """Say what is wrong with the first bad field line of a head."""
    for number, line in enumerate(block.split(b"\r\n"), 1):
        if not line or _match_field_line(line):
            continue
        if line[:1] in (b" ", b"\t"):
            return f"header line {number} is folded, expected one line a field"
        if fault := _stray_bytes(line):
            return f"{fault} in header line {number}"
        if b":" not in line:
            return f"header line {number} has no colon"
        if re.match(_TOKEN + rb"[ \t]+:", line):
            return f"white space before the colon in header line {number}"
        return f"the name in header line {number} is not a token of RFC 9110"
    return "the head does not end with an empty line"


def _stray_bytes(line: bytes) -> str:
    for byte, name in ((b"\r", "bare CR"), (b"\n", "bare LF"), (b"\0", "NUL")):
        if byte in line:
            return name
    return "control character" if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line) else ""
