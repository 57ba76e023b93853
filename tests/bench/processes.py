# SPDX-License-Identifier: Apache-2.0
"""Start, watch and end the processes of the benchmark, each by its process id.

Leaves what to start to `stand` and what the texts under /proc mean to `parsing`. Linux only.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.bench.parsing import MemoryUse, parse_cpu_ticks, parse_memory

HOST = "127.0.0.1"
_START_LIMIT_S = 15.0
_END_LIMIT_S = 5.0
_POLL_S = 0.001


class MeasureError(Exception):
    """Something that had to run did not, so there is nothing to compare."""


class Command(NamedTuple):
    """A server to start: what to run, where, and which path shows on `port` that it answers."""

    name: str
    arguments: Sequence[str]
    port: int
    first_path: str
    directory: Path
    environment: Mapping[str, str] | None = None


class Running(NamedTuple):
    """A started server that has answered; `start_s` is the time from the start to that first answer."""

    name: str
    pid: int
    port: int
    start_s: float


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def service_environment(state_home: Path) -> dict[str, str]:
    """Give the variables that our service is started with: ours, without what would make its start another one's.

    Without its modules compiled a start would be one that nobody has twice.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LMCACHE_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**environment, "XDG_STATE_HOME": str(state_home)}


@contextmanager
def started(command: Command, log_directory: Path) -> Iterator[Running]:
    """Start a server, wait for its first answer, and end it and its children when the block is left.

    Raises: MeasureError with the end of its output if it ends early or does not answer in time.
    """
    log_path = log_directory / f"{command.name}-{command.port}.log"
    with log_path.open("wb") as log:
        start = time.perf_counter()
        # A session of its own keeps Ctrl-C at the terminal from ending the servers before we do.
        process = subprocess.Popen(
            command.arguments,
            cwd=command.directory,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for_answer(process, command, log_path)
            yield Running(command.name, process.pid, command.port, time.perf_counter() - start)
        finally:
            _end(process)


def fetch(port: int, path: str) -> tuple[int, bytes]:
    """GET one path on loopback and return its status and body.

    Raises: OSError, http.client.HTTPException.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=_END_LIMIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cpu_s(pid: int) -> float:
    """Return the processor time a process and its children have used, in seconds (in steps of a clock tick)."""
    ticks = sum(parse_cpu_ticks(Path(f"/proc/{each}/stat").read_text()) for each in family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> MemoryUse:
    """Return the resident memory of a process and its children together."""
    uses = [parse_memory(Path(f"/proc/{each}/status").read_text()) for each in family(pid)]
    return MemoryUse(sum(use.resident_bytes for use in uses), sum(use.peak_bytes for use in uses))


def forget_peak(pid: int) -> None:
    """Let the highest resident memory of a process and its children count from now (proc(5), clear_refs)."""
    for each in family(pid):
        Path(f"/proc/{each}/clear_refs").write_text("5")


def family(pid: int) -> list[int]:
    """Return a process id followed by those of all its descendants."""
    members = [pid]
    for member in members:
        for listing in Path(f"/proc/{member}/task").glob("*/children"):
            # A thread may end between the listing and the reading.
            with suppress(OSError):
                members.extend(int(child) for child in listing.read_text().split())
    return members


def _wait_for_answer(process: subprocess.Popen[bytes], command: Command, log_path: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    problem = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status, _ = fetch(command.port, command.first_path)
        except (OSError, http.client.HTTPException) as exc:
            problem = str(exc) or type(exc).__name__
            time.sleep(_POLL_S)
            continue
        if status == http.client.OK:
            return
        problem = f"{command.first_path} answered {status}, expected 200"
        time.sleep(_POLL_S)
    if process.poll() is not None:
        problem = f"ended with status {process.returncode}"
    last_lines = " | ".join(log_path.read_text(errors="replace").strip().splitlines()[-3:])
    raise MeasureError(f"{command.name} did not start: {problem}. Its last output: {last_lines or 'none'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    members = family(process.pid)
    process.terminate()
    try:
        process.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()
