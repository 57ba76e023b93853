# SPDX-License-Identifier: Apache-2.0
"""Machines of a network, as far as their network stacks go: Linux network namespaces, joined by cables (veth).

Source: ip-netns(8), veth(4), setns(2). Needs root.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from tests.helpers.parts import missing, program

T = TypeVar("T")
_NEW_NETWORK = 0x4000_0000
STOP_S = 20.0


class Network:
    """Namespaces and what runs in them; ended by `network`."""

    def __init__(self, cleanup: ExitStack) -> None:
        """Take what is to undo everything."""
        self._cleanup = cleanup
        self._links = 0

    def machine(self, name: str) -> str:
        """Make a machine with a loopback, and give the name of its namespace."""
        namespace = f"lmcache-frontend-{os.getpid()}-{name}"
        _ip("netns", "add", namespace)
        self._cleanup.callback(_ip, "netns", "delete", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def join(self, one: str, one_address: str, other: str, other_address: str) -> None:
        """Lay a cable between two machines; addresses are as ``10.0.0.1/24``."""
        self._links += 1
        ends = [f"lmf{os.getpid()}{side}{self._links}"[-15:] for side in "ab"]
        _ip("-n", one, "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", other)
        for namespace, end, address in ((one, ends[0], one_address), (other, ends[1], other_address)):
            _ip("-n", namespace, "address", "add", address, "dev", end)
            _ip("-n", namespace, "link", "set", end, "up")

    def keep(self, context: AbstractContextManager[T]) -> T:
        """Enter what is to last as long as the network."""
        return self._cleanup.enter_context(context)

    def run(self, namespace: str, *words: str, output: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program on a machine; it is ended at the end of the network."""
        with output.open("ab") as written:
            process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *words],
                stdout=written,
                stderr=written,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self._cleanup.callback(_end, process)
        return process


@contextmanager
def network() -> Iterator[Network]:
    """Give a network without machines; skip, or fail in CI, where none can be made."""
    program("ip", "iproute2")
    tried = subprocess.run(["ip", "netns", "add", f"lmcache-frontend-{os.getpid()}-try"], capture_output=True)
    if tried.returncode:
        missing(f"no network namespaces can be made here: {tried.stderr.decode().strip()}")
    _ip("netns", "delete", f"lmcache-frontend-{os.getpid()}-try")
    with ExitStack() as cleanup:
        yield Network(cleanup)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread connect and listen on a machine; sockets stay where they were made."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        _enter(libc, there.fileno())
        try:
            yield
        finally:
            _enter(libc, home.fileno())


def set_kernel(namespace: str, name: str, value: str) -> None:
    """Set a value under ``/proc/sys/net`` of a machine."""
    with inside(namespace):
        Path("/proc/sys/net", name).write_text(value)


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> None:
    done = subprocess.run([shutil.which("ip") or "ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it started, first gently."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_S)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(STOP_S)
