# SPDX-License-Identifier: Apache-2.0
"""Put simulated nodes on sockets: in-process nodes on Unix sockets, MP servers on loopback TCP.

One thread accepts for all nodes, and each connection has a thread while it lasts; a node itself has none. Sockets are
named as LMCache names them, ``<prefix>_<port>``. Source: LMCache 0.5.6, ``internal_api_server/utils.py``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import selectors
import socket
import stat
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from lmcache_frontend.demo.faults import FAULTS, OLD_VERSION, Fault, place_faults
from lmcache_frontend.demo.inprocess.node import InProcessNode, OldInProcessNode
from lmcache_frontend.demo.inprocess.state import Place
from lmcache_frontend.demo.multiprocess.node import MultiprocessNode
from lmcache_frontend.demo.node import DOWN, Node
from lmcache_frontend.demo.simulation import Load
from lmcache_frontend.errors import StartError
from lmcache_frontend.http1.connections import Connections
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.server import Handler, Limits, serve_connection

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

_PORT_START = 6999
_INSTANCE_NODES = 8
_SMALL_CLUSTER = 32
_BACKLOG = 128
# The same for all: a fleet that is well does not differ in its configuration.
_CAPACITY_CHUNKS = 320
_DRAIN_S = 2.0
# ``sun_path`` of Linux has 108 bytes with the closing NUL.
_LONGEST_PATH_BYTES = 107
# uvicorn, under every node, closes an idle connection after 5 s.
_LIMITS = Limits(idle_timeout_s=5.0)


class Seat(NamedTuple):
    """A node still to be made: ``kind`` is worker, scheduler or mp, ``number`` counts within its instance.

    ``worker_count`` is how many workers that instance has.
    """

    instance: str
    kind: str
    number: int
    worker_count: int

    @property
    def name(self) -> str:
        """Give the name of the node."""
        return f"{self.instance}_{self.kind}{'' if self.kind == 'scheduler' else self.number}"


class _Listener(NamedTuple):
    """A listening socket, the handler of its node, and the path to remove in the end, if it has one."""

    sock: socket.socket
    handle: Handler
    path: str | None


def seats(count: int) -> list[Seat]:
    """Give the nodes of a cluster of ``count``, by instances of eight.

    An instance of three or more begins with its scheduler, one of two or more ends with an MP server, the rest are
    workers.
    """
    result: list[Seat] = []
    for begin in range(0, count, _INSTANCE_NODES):
        instance = f"demo{begin // _INSTANCE_NODES or ''}"
        size = min(_INSTANCE_NODES, count - begin)
        schedulers, servers = int(size >= 3), int(size >= 2)
        workers = size - schedulers - servers
        result += [Seat(instance, "scheduler", 0, workers)] * schedulers
        result += [Seat(instance, "worker", number, workers) for number in range(workers)]
        result += [Seat(instance, "mp", 0, workers)] * servers
    return result


def make_node(
    seat: Seat, directory: str, load: Callable[[Seat], Load], clock: Callable[[], float], fault: str = ""
) -> Node:
    """Make the node of a seat under its load, with one of `FAULTS` if so wanted."""
    wrong = FAULTS.get(fault, Fault())
    given = wrong.of_load(load(seat))
    node: Node
    if seat.kind == "mp":
        node = MultiprocessNode(seat.name, given, clock)
    else:
        place = Place(seat.instance, seat.kind, seat.number, os.path.join(directory, seat.instance), seat.worker_count)
        node = (OldInProcessNode if fault == OLD_VERSION else InProcessNode)(place, given, clock)
    node.fault = fault
    if fault:
        # What was before the fault, was well.
        node.advance(clock())
        wrong.of_node(node)
    return node


def make_load(seat: Seat, seed: int, warm_up_requests: int) -> Load:
    """Make the load of a seat; the same seed gives the same traffic."""
    draw = random.Random(f"{seed} {seat.instance} {seat.kind} {seat.number}")
    rate_per_s = 0.5 + 0.7 * draw.random()
    load = Load(draw.getrandbits(32), rate_per_s, _CAPACITY_CHUNKS, warm_up_requests)
    if seat.kind == "mp":
        return load._replace(rate_per_s=2 * rate_per_s, capacity_chunks=2 * _CAPACITY_CHUNKS)
    return load


class DemoCluster:
    """Running simulated nodes; ``entries`` is the list to give a frontend as its nodes."""

    def __init__(self, entries: list[dict[str, Any]], listeners: list[_Listener], ending: threading.Event) -> None:
        """Take what listens already, and what wakes slow nodes in the end; `serve` starts to accept."""
        self.entries = entries
        self._ending = ending
        self._listeners = listeners
        self._connections = Connections()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="demo-accept", daemon=True)

    def serve(self) -> None:
        """Start the thread that accepts."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting, end the connections, and remove the sockets; a second call does nothing."""
        if self._wake.fileno() < 0:
            return
        self._ending.set()
        self._wake.send(b"\0")
        self._thread.join()
        _close(self._listeners)
        self._connections.drain(_DRAIN_S)
        self._wake.close()
        self._woken.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ, None)
            for listener in self._listeners:
                if listener.sock.fileno() >= 0:
                    selector.register(listener.sock, selectors.EVENT_READ, listener)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._take(key.data)

    def _take(self, listener: _Listener) -> None:
        try:
            sock, peer = listener.sock.accept()
        except OSError as exc:
            if not isinstance(exc, BlockingIOError):
                logger.warning("demo node: cannot accept: %s", exc)
                time.sleep(0.05)  # such as no descriptor left: let connections end
            return
        sock.setblocking(True)
        self._connections.opened(sock)
        try:
            threading.Thread(
                target=self._serve, args=(sock, peer, listener.handle), name="demo-connection", daemon=True
            ).start()
        except RuntimeError:
            self._connections.closed(sock)
            sock.close()

    def _serve(self, sock: socket.socket, peer: Any, handle: Handler) -> None:
        try:
            serve_connection(sock, peer, handle, _LIMITS, self._connections)
        finally:
            self._connections.closed(sock)


def start_cluster(
    count: int,
    directory: str | os.PathLike[str],
    *,
    clock: Callable[[], float] = time.time,
    seed: int = 1,
    faults: Sequence[str] = (),
) -> DemoCluster:
    """Start ``count`` nodes with their sockets in ``directory``, which is made if it is not there.

    ``faults`` are as `place_faults` takes them.
    Raises: UsageError for faults that cannot be; StartError for a path that is too long or taken, and where a socket
    cannot be opened.
    """
    if count < 1:
        raise StartError(f"a demo of {count} nodes, expected at least 1")
    taken = seats(count)
    placed = place_faults(faults, {seat.name: seat.kind for seat in taken})
    _allow_descriptors(count)
    folder = os.fspath(directory)
    warm_up_requests = 300 if count <= _SMALL_CLUSTER else 40
    entries: list[dict[str, Any]] = []
    listeners: list[_Listener] = []
    ending = threading.Event()
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for seat in taken:
            load = partial(make_load, seed=seed, warm_up_requests=warm_up_requests)
            node = make_node(seat, folder, load, clock, placed.get(seat.name, ""))
            listener, port = _listen(seat, folder, node, ending)
            listeners.append(listener)
            entries.append({"name": node.name, "host": HOST, "port": port})
    except OSError as exc:
        _close(listeners)
        raise StartError(f"cannot start the demo nodes in {folder}: {exc.strerror or exc}") from exc
    except StartError:
        _close(listeners)
        raise
    cluster = DemoCluster(entries, listeners, ending)
    cluster.serve()
    return cluster


def _listen(seat: Seat, directory: str, node: Node, ending: threading.Event) -> tuple[_Listener, int | str]:
    """Open the socket of a node; that of one that is down is closed again, as by a process that has died."""
    listener, port = _open(seat, directory, node, _handler(node, ending))
    if node.fault == DOWN:
        listener.sock.close()
    return listener, port


def _open(seat: Seat, directory: str, node: Node, handle: Handler) -> tuple[_Listener, int | str]:
    if isinstance(node, MultiprocessNode):
        sock = socket.create_server((HOST, 0), backlog=_BACKLOG)
        sock.setblocking(False)
        node.http_port = sock.getsockname()[1]
        return _Listener(sock, handle, None), node.http_port
    offset = 0 if seat.kind == "scheduler" else 1 + seat.number
    path = os.path.join(directory, f"{seat.instance}_{_PORT_START + offset}")
    _free_path(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return _Listener(sock, handle, path), path


def _free_path(path: str) -> None:
    """Remove a socket that nobody listens on any more, as LMCache does.

    Raises: StartError where the path is too long, is no socket, or is in use.
    """
    size = len(os.fsencode(path))
    if size > _LONGEST_PATH_BYTES:
        raise StartError(f"socket path {path} has {size} bytes, at most {_LONGEST_PATH_BYTES} are possible")
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise StartError(f"socket path {path} is taken by something that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise StartError(f"socket path {path} is in use by another process")


def _handler(node: Node, ending: threading.Event) -> Handler:
    def handle(exchange: Exchange) -> None:
        request = exchange.request
        if node.delay_s:
            ending.wait(node.delay_s)
        path, _, query = request.target.partition("?")
        answer = node.answer(request.method, path, query, exchange.read_body(), host=request.host or "localhost")
        exchange.respond(answer.status, answer.body, answer.content_type or "text/plain", answer.fields)

    return handle


def _close(listeners: list[_Listener]) -> None:
    for listener in listeners:
        listener.sock.close()
        if listener.path is not None:
            with contextlib.suppress(OSError):
                os.unlink(listener.path)


def _allow_descriptors(count: int) -> None:
    """Raise the limit on open files where a large cluster needs it: a listener and two connections for each node."""
    import resource

    needed = 256 + 4 * count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        with contextlib.suppress(ValueError, OSError):
            limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
