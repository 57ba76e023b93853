# SPDX-License-Identifier: Apache-2.0
"""Where nodes come from: a flag, a file that is watched, and the proxies that are asked for theirs.

A broken file leaves the last good state in place; the fault is logged once and kept in ``fault`` to be shown.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcache_frontend.cluster.entries import Listing, children_of_tree, read_listing
from lmcache_frontend.cluster.model import Node, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, NotFound
from lmcache_frontend.files import Stamp, read_text, stamp_of

logger = logging.getLogger(__name__)

FILE_LIMIT_BYTES = 16 * 1024 * 1024
FAULTS_SHOWN = 50

FetchJson = Callable[[Node, str], Any]


def parse_listing(text: str, source: Source) -> Listing:
    """Read node entries from JSON text.

    Raises: BadRequest, with line and column where it is no JSON.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as exc:
        raise BadRequest(f"not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
    except ValueError as exc:
        raise BadRequest("not JSON: it holds a number of too many digits") from exc
    except RecursionError as exc:
        raise BadRequest("not a list of nodes: nested too deeply") from exc
    return read_listing(document, source)


def load_listing(registry: Registry, listing: Listing, source: Source, origin: str) -> list[str]:
    """Put a listing into the registry, log what was refused of it, and give that, a line for each entry."""
    refused = listing.faults + registry.replace_source(source, listing.proxies)
    _warn(origin, refused)
    return refused


class NodeFile:
    """A file of node entries.

    ``fault`` says why what it holds now is not what is shown; ``read_at`` is when it was last read without one (seconds
    since the epoch), and ``refused`` holds a line for each entry that was left out then.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        """Take the file's path; nothing is read yet."""
        self.path = path
        self.fault = ""
        self.read_at: float | None = None
        self.refused: list[str] = []
        self._registry = registry
        self._seen: Stamp | None = None
        self._text: str | None = None
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read the file into the registry.

        Raises: BadRequest where it cannot be read or is no listing; the registry is unchanged then.
        """
        with self._lock:
            self._seen = stamp_of(self.path)
            self._read()

    def reload_if_changed(self, *, force: bool = False) -> None:
        """Read the file again where it has changed, or in any case; a fault is logged and the last good state kept."""
        with self._lock:
            stamp = stamp_of(self.path)
            if stamp == self._seen and not force:
                return
            self._seen = stamp
            if force:
                self._text = None
            try:
                self._read()
            except BadRequest as exc:
                if str(exc) != self.fault:
                    logger.warning("%s; the nodes read before stay", exc)
                self.fault = str(exc)

    def _read(self) -> None:
        try:
            text = read_text(self.path, limit_bytes=FILE_LIMIT_BYTES)
        except BadRequest as exc:
            raise BadRequest(f"{self.path}: {exc}") from exc
        if text == self._text and not self.fault:
            return
        try:
            listing = parse_listing(text, Source.FILE)
        except BadRequest as exc:
            raise BadRequest(f"{self.path}: {exc}") from exc
        self.refused = load_listing(self._registry, listing, Source.FILE, str(self.path))
        self.read_at = time.time()
        self._text = text
        self.fault = ""


def refresh_proxy(registry: Registry, proxy_name: str, fetch_json: FetchJson) -> list[Node]:
    """Ask a proxy for its nodes, put them into the registry, and give them.

    Our own nodes are given as they are. Raises: NotFound, BadGateway where the answer is no tree of nodes, and what
    ``fetch_json`` raises.
    """
    proxy = registry.snapshot.proxies.get(proxy_name)
    if proxy is None:
        raise NotFound(f"no proxy is called {proxy_name[:80]!r}")
    if proxy.address is None:
        return list(proxy.nodes.values())
    faults: list[str] = []
    try:
        nodes = children_of_tree(fetch_json(proxy.address, "/api/nodes"), proxy_name, faults)
    except BadRequest as exc:
        raise BadGateway(f"{proxy_name} answered no list of nodes: {exc}") from exc
    _warn(f"nodes of {proxy_name}", faults)
    registry.set_children(proxy_name, nodes)
    return list(nodes.values())


def refresh_empty_proxies(registry: Registry, fetch_json: FetchJson) -> None:
    """Ask the proxies of which no node is known; one that does not answer is asked again next time."""
    for proxy in registry.snapshot.proxies.values():
        if proxy.address is not None and not proxy.nodes:
            try:
                refresh_proxy(registry, proxy.name, fetch_json)
            except FrontendError as exc:
                logger.info("nodes of proxy %s are not known yet: %s", proxy.name, exc)


def _warn(origin: str, faults: list[str]) -> None:
    """Log what was refused; of very much only the beginning, since a peer could fill our log."""
    for line in faults[:FAULTS_SHOWN]:
        logger.warning("%s: %s", origin, line)
    if len(faults) > FAULTS_SHOWN:
        logger.warning("%s: %d more entries were refused", origin, len(faults) - FAULTS_SHOWN)
