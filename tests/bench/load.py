# SPDX-License-Identifier: Apache-2.0
"""Put load on a target: wrk for requests, a plain reader for large bodies.

Leaves what the figures mean to `rows`.
"""

from __future__ import annotations

import socket
import subprocess
import time
from typing import NamedTuple

from tests.bench.parsing import WrkReport, parse_wrk
from tests.bench.processes import HOST, MeasureError

WRK = "wrk"
_TIMEOUT_S = 2
_READ_TIMEOUT_S = 30.0
_READ_BYTES = 256 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024


class BodyReport(NamedTuple):
    """How much body came in how much time."""

    bodies: int
    body_bytes: int
    elapsed_s: float


def run_wrk(url: str, connections: int, seconds: float) -> WrkReport:
    """Load one address over keep-alive connections from one thread; an answer later than 2 s is a time-out.

    Raises: MeasureError when wrk fails or not one good answer came.
    """
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", f"--timeout={_TIMEOUT_S}s"]
    finished = subprocess.run([WRK, *options, url], capture_output=True, text=True, check=False)
    try:
        report = parse_wrk(finished.stdout)
    except ValueError as exc:
        said = (finished.stderr or finished.stdout).strip()[:200]
        raise MeasureError(f"wrk on {url} gave no report: {said or exc}") from exc
    if report.requests <= report.bad_statuses:
        raise MeasureError(f"{url}: no good answer among {report.requests}")
    return report


def read_bodies(port: int, path: str, expected_bytes: int, seconds: float) -> BodyReport:
    """GET a large body again and again over one connection until the time is up (at least once).

    Raises: MeasureError when a body is not `expected_bytes` long; OSError.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    buffer = memoryview(bytearray(_READ_BYTES))
    bodies = 0
    with socket.create_connection((HOST, port), timeout=_READ_TIMEOUT_S) as connection:
        start = time.perf_counter()
        while bodies == 0 or time.perf_counter() - start < seconds:
            connection.sendall(request)
            length, early = _read_head(connection)
            if length != expected_bytes:
                raise MeasureError(f"{path} on port {port} promised {length} bytes, expected {expected_bytes}")
            _discard(connection, length - early, buffer)
            bodies += 1
        return BodyReport(bodies, bodies * expected_bytes, time.perf_counter() - start)


def _read_head(connection: socket.socket) -> tuple[int, int]:
    """Read up to the end of the head; return the promised length and how many bytes of the body came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(4096)
        if not more or len(received) > _HEAD_LIMIT_BYTES:
            raise MeasureError(f"expected the head of an answer, got {received[:80]!r}")
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if " 200 " not in status_line or "content-length" not in fields:
        raise MeasureError(f"expected 200 with Content-Length, got {status_line!r}")
    return int(fields["content-length"]), len(body)


def _discard(connection: socket.socket, left_bytes: int, buffer: memoryview) -> None:
    while left_bytes > 0:
        got = connection.recv_into(buffer, min(left_bytes, len(buffer)))
        if not got:
            raise MeasureError(f"the connection ended {left_bytes} bytes before the end of the body")
        left_bytes -= got
