# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds the parts, hands them what they need, starts, and drains at the end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lmcache_frontend.access import targets
from lmcache_frontend.access.gate import Gate, Lookups
from lmcache_frontend.access.token_files import TokenFiles, origins_of
from lmcache_frontend.asking import NodeAsker
from lmcache_frontend.cluster.model import Node, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import NodeFile, load_listing, parse_listing, refresh_empty_proxies
from lmcache_frontend.errors import BadRequest, FrontendError, StartError, UsageError
from lmcache_frontend.http1.client import Pool
from lmcache_frontend.http1.descriptors import connections_within_limits
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.peers import can_look_up, owner_of_peer, user_name
from lmcache_frontend.http1.processors import Gathering
from lmcache_frontend.http1.server import Limits, Server
from lmcache_frontend.routes.node_addresses import NodeAddresses
from lmcache_frontend.routes.pages import load_assets, static_directory
from lmcache_frontend.routes.router import make_handler
from lmcache_frontend.routes.services import Services
from lmcache_frontend.securing import Tls
from lmcache_frontend.settings import Settings
from lmcache_frontend.state import State
from lmcache_frontend.traffic import Traffic

if TYPE_CHECKING:
    from lmcache_frontend.access.identity import Identity
    from lmcache_frontend.actions.service import Actions
    from lmcache_frontend.fleet.collector import Collector
    from lmcache_frontend.http1.fetch import Answer, Question

logger = logging.getLogger(__name__)

HOUSEKEEPING_INTERVAL_S = 0.25
EMPTY_PROXIES_INTERVAL_S = 30.0
EVENT_STREAMS = 64
# The first requests have a moment to themselves.
LATE_START_S = 0.3


class App:
    """The running service."""

    def __init__(
        self, settings: Settings, *, configuration_only: bool = False, token: tuple[str, str] | None = None
    ) -> None:
        """Load the first nodes and bind the port; nothing is served before `start`.

        ``token`` is the name and the value of a variable that holds one.

        Raises: UsageError, StartError.
        """
        self.settings = settings
        self._configuration_only = configuration_only
        self.registry = Registry()
        self.failure: StartError | None = None
        self._on_failure: Callable[[], object] = lambda: None
        self._ended = threading.Event()
        self._cleanup = contextlib.ExitStack()
        self._node_file = NodeFile(Path(settings.config), self.registry) if settings.config else None
        self._tls = Tls(settings)
        self._pool = _make_pool(settings, self._tls)
        self.server = _listening(settings, self._handle, self._tls)
        self.settings = settings._replace(port=self.server.server_port)
        self._started_at = time.time()
        self._collector: Collector | None = None
        self._collector_lock = threading.Lock()
        self._actions: Actions | None = None
        self._actions_lock = threading.Lock()
        self._asker = NodeAsker(self.registry, self._pool, timeout_s=settings.connect_timeout_s)
        self._cleanup.callback(self._pool.close)
        self._state = State(self.settings, self.registry)
        self._cleanup.callback(self._state.close)
        try:
            makes_token = not configuration_only or settings.config_auth
            self._tokens = TokenFiles(origins_of(self.settings, token, os.environ, makes_token=makes_token))
            self.gate = self._make_gate()
            self.gate.on_refused = self._note_refusal
            self._state.load()
            self._load_sources()
            self.registry.keep_with(self._state.membership.keep)
            self._serve = make_handler(self._services(), configuration_only=configuration_only)
            if settings.demo or settings.demo_fault:
                self._start_demo()
        except BaseException:
            self.server.server_close()
            self._cleanup.close()
            raise

    @property
    def address(self) -> str:
        """Give the address to open in a browser on this machine."""
        host = self.settings.host
        host = "localhost" if host in ("0.0.0.0", "::", "") else host
        scheme = "http" if self.settings.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.settings.port}/"

    @property
    def greeting(self) -> str:
        """Give the line that tells who started it where to go."""
        if self._configuration_only:
            return f"LMCache configuration at {self.address}config"
        count = sum(len(proxy.nodes) for proxy in self.registry.snapshot.proxies.values())
        return f"LMCache dashboard at {self.address} with {count} node{'' if count == 1 else 's'}"

    def invitation(self, *, to_terminal: bool) -> str:
        """Give the line that tells how to sign in from elsewhere, empty where there is nothing to tell.

        The token is for a terminal alone; what is not one may be a log.
        """
        path = self._tokens.made_path
        if not path:
            return ""
        if to_terminal:
            host = socket.gethostname() if self.settings.host in ("0.0.0.0", "::", "") else self.settings.host
            name = f"[{host}]" if ":" in host else host
            scheme = self.address.partition(":")[0]
            address = f"{scheme}://{name}:{self.settings.port}/sign-in?token={self._tokens.made}"
            return f"To make changes from another machine, sign in at {address}"
        return "" if self._tokens.fault else f"To make changes from another machine, sign in with the token in {path}"

    def start(self, *, collecting: bool = True, on_failure: Callable[[], object] = lambda: None) -> None:
        """Serve, in threads of their own; if not collecting, no node is asked but for who asks for it.

        ``on_failure`` is called, in any thread, where it turns out that the service must not go on, for the reason that
        is then in ``failure``.
        """
        self._on_failure = on_failure
        threads = [
            ("accept", self.server.serve_forever),
            ("housekeeping", self._keep_house),
            ("state", self._start_late),
        ]
        if not self._configuration_only:
            threads.append(("asking proxies", self._keep_asking))
            if collecting:
                threads.append(("collector-start", self._start_collecting))
        for name, work in threads:
            threading.Thread(target=work, name=name, daemon=True).start()

    def reload(self) -> None:
        """Read the files of tokens, of nodes and of rules again, changed or not."""
        self.gate.reload()
        self._tls.reload()
        if self._node_file is not None:
            self._node_file.reload_if_changed(force=True)
        self._state.reload()

    def stop(self) -> bool:
        """Drain and free everything; say whether all requests ended in time."""
        self._ended.set()
        with self._collector_lock:
            collector = self._collector
        if collector is not None:
            collector.stop()
        with self._actions_lock:
            if self._actions is not None:
                self._actions.end()
        with contextlib.suppress(OSError):
            # Wakes the thread that waits for connections, which would look up only twice a second.
            self.server.socket.shutdown(socket.SHUT_RDWR)
        deadline_s = time.monotonic() + self.settings.drain_timeout_s
        drained = self.server.drain(self.settings.drain_timeout_s)
        if self._actions is not None:
            # What was done to nodes is to be written down while there is still a store.
            drained = self._actions.wait(max(deadline_s - time.monotonic(), 0.0)) and drained
        self._cleanup.close()
        return drained

    def _load_sources(self) -> None:
        if self.settings.nodes is not None:
            try:
                listing = parse_listing(self.settings.nodes, Source.FLAG)
            except BadRequest as exc:
                raise UsageError(f"--nodes: {exc}") from exc
            load_listing(self.registry, listing, Source.FLAG, "--nodes")
        if self._node_file is not None:
            try:
                self._node_file.load()
            except BadRequest as exc:
                raise StartError(f"--config: {exc}") from exc

    def _make_gate(self) -> Gate:
        lookups = Lookups(_own_names, os.getuid(), _owner if can_look_up() else None, user_name)
        own_cookie = f"lmcache_frontend_{self.settings.port}"
        return Gate(self.settings, lookups, self._tokens.load, time.monotonic, own_cookie=own_cookie)

    def _note_refusal(self, who: Identity, exchange: Exchange, error: FrontendError) -> None:
        from lmcache_frontend.routes.auditing import note_refusal

        note_refusal(self._state.audit, who, exchange, error)

    def _start_demo(self) -> None:
        import tempfile

        from lmcache_frontend.demo.cluster import start_cluster

        if not self.settings.demo:
            raise UsageError("--demo-fault needs --demo")
        directory = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lmcache-demo-"))
        demo = start_cluster(self.settings.demo, Path(directory), faults=self.settings.demo_fault)
        self._cleanup.callback(demo.stop)
        load_listing(self.registry, parse_listing(json.dumps(demo.entries), Source.DEMO), Source.DEMO, "--demo")

    def _services(self) -> Services:
        return Services(
            settings=self.settings,
            registry=self.registry,
            pool=self._pool,
            node_addresses=NodeAddresses(time.monotonic),
            assets=cache(partial(load_assets, static_directory())),
            gate=self.gate,
            connections=lambda: (self.server.connections.count, self._pool.idle_count),
            fetch_json=self._asker.fetch_json,
            ask_node=self._asker.ask_node,
            collector=self._the_collector,
            actions=self._the_actions,
            state=self._state,
            traffic=Traffic(),
            streams=threading.BoundedSemaphore(EVENT_STREAMS),
            node_file=self._node_file,
            is_ending=self._ended.is_set,
            started_at=self._started_at,
        )

    def _the_collector(self) -> Collector:
        """Give the collector, built when it is first needed: it brings many modules."""
        with self._collector_lock:
            if self._collector is None:
                from lmcache_frontend.fleet.collector import Collector

                self._collector = Collector(
                    self.registry, self._asker.ask_node, interval_s=self.settings.poll_interval_s
                )
            return self._collector

    def _start_collecting(self) -> None:
        """Begin to watch the nodes, after a moment that the first requests have to themselves."""
        if self._ended.wait(LATE_START_S):
            return
        collector = self._the_collector()
        with self._collector_lock:
            # Once it is to end, whoever ends it may have found it not started.
            if not self._ended.is_set():
                collector.start()

    def _start_late(self) -> None:
        """Make the store, where that has waited, and keep the state until the end."""
        if self._ended.wait(LATE_START_S):
            return
        try:
            self._state.keep(self._ended)
        except StartError as exc:
            if not self._ended.is_set():
                self.failure = exc
                self._on_failure()

    def _the_actions(self) -> Actions:
        """Give the actions on many nodes, built when the first is asked for."""
        with self._actions_lock:
            if self._actions is None:
                from lmcache_frontend.actions.service import Actions

                self._actions = Actions(
                    lambda: self.registry.snapshot,
                    lambda: self._the_collector().snapshot,
                    self._the_collector().identity,
                    self._send_change,
                    node_timeout_s=self.settings.node_timeout_s,
                )
                if self._ended.is_set():
                    # Whoever ends this service did not find them.
                    self._actions.end()
            return self._actions

    def _send_change(self, node: Node, question: Question, timeout_s: float) -> Answer:
        """Send what an action sends, and have the node looked at again, whatever came of it."""
        from lmcache_frontend.fleet.snapshot import key_of

        try:
            return self._asker.send(node, question, timeout_s)
        finally:
            self._the_collector().renew(key_of(node.proxy, node.name))

    def _handle(self, exchange: Exchange) -> None:
        self._serve(exchange)

    def _keep_house(self) -> None:
        """Sweep the pool and look at the node file; until the end."""
        gathering = Gathering()
        while not self._ended.is_set():
            try:
                gathering.adjust()
                self._pool.sweep()
                if self._node_file is not None:
                    self._node_file.reload_if_changed()
            except Exception:
                logger.exception("housekeeping failed")
            self._ended.wait(HOUSEKEEPING_INTERVAL_S)

    def _keep_asking(self) -> None:
        """Ask proxies whose nodes are not known, in a thread of its own since they may be slow; until the end."""
        while not self._ended.is_set():
            try:
                refresh_empty_proxies(self.registry, self._asker.fetch_json)
            except Exception:
                logger.exception("asking proxies for their nodes failed")
            self._ended.wait(EMPTY_PROXIES_INTERVAL_S)


def _make_pool(settings: Settings, tls: Tls) -> Pool:
    return Pool(
        connect_timeout_s=settings.connect_timeout_s,
        send_timeout_s=settings.body_timeout_s,
        permit=lambda address, port: targets.check_address(address, port, settings.allow_target),
        secure=tls.secure_to_node,
    )


def _listening(settings: Settings, handle: Callable[[Exchange], None], tls: Tls) -> Server:
    """Bind the port.

    Raises: StartError.
    """
    limits = Limits(
        settings.head_timeout_s,
        settings.idle_timeout_s,
        settings.body_timeout_s,
        connections_within_limits(settings.max_connections),
    )
    try:
        return Server((settings.host, settings.port), handle, limits, secure=tls.secure)
    except (OSError, OverflowError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise StartError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from exc


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    """Give our host name and its full form; looked up once and only when a Host needs it, as it may ask the network."""
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _owner(exchange: Exchange) -> int | None:
    """Look up which user has the other end of a connection, once."""
    facts = exchange.stream.facts
    if "owner" not in facts:
        facts["owner"] = owner_of_peer(exchange.stream.sock.getsockname(), exchange.peer)
    uid: int | None = facts["owner"]
    return uid
