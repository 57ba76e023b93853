# SPDX-License-Identifier: Apache-2.0
"""The workers that have asked: what is kept of each for 30 days, queued in memory and written in batches.

Environment variables are secrets: only those are kept whose names may be, and of them and of the settings what is
secret is masked before it is put in the queue. A record that is too large is kept without the settings.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadRequest, FrontendError, NotFound
from lmcache_frontend.masking import MASK, masked, masked_mapping
from lmcache_frontend.remote_config.evaluation import MERGED_KEY
from lmcache_frontend.remote_config.globs import PATTERN_LIMIT, Glob, compile_glob, matches
from lmcache_frontend.remote_config.matching import Facts, plain_address, rollout_key
from lmcache_frontend.remote_config.values import compact, object_of, shown
from lmcache_frontend.store.protocol import Put, Store

logger = logging.getLogger(__name__)

PREFIX = "config/clients/"
KEPT_S = 30 * 86400.0
# Anybody can ask under any name: more are answered, but not kept.
MOST_CLIENTS = 10_000
COUNT_AGAIN_S = 3600.0
NAME_LIMIT = 256
VARIABLE_LIMIT = 1024
# All settings of a worker take about 4 KiB; anybody can ask as a worker, and all records together have to fit.
RECORD_LIMIT_BYTES = 16 * 1024
QUEUE_LIMIT_BYTES = 16 * 1024 * 1024
BATCH_LIMIT_BYTES = 512 * 1024
BATCH_LIMIT = 50
_PAGE = 100
# LMCache makes one up for each process where none is set. Source: ``lmcache/v1/config_base.py`` of 0.5.6.
_is_generated = re.compile(r".*_[0-9a-f]{32}", re.DOTALL).fullmatch
_is_id = re.compile(r"[0-9a-f]{16}").fullmatch


class Client(NamedTuple):
    """What is kept of a worker.

    ``instance`` is the name that it shares with those of its engine; ``revision`` the one that it was answered by,
    ``rules`` and ``answer`` are digests of that revision's rules and of the answer. ``config`` is None where the
    settings were too large to keep.
    """

    client_id: str
    app_id: str
    instance: str
    address: str
    fetched_at: float
    revision: int
    rules: str
    answer: str
    lmcache_keys: int
    environment: Mapping[str, str]
    config: Mapping[str, Any] | None
    remembered: tuple[str, ...]

    def facts(self) -> Facts:
        """Give what is known of it, as a rule sees it."""
        return Facts(
            self.app_id,
            self.environment,
            self.config or {},
            self.address,
            partial=True,
            remembered=tuple(map(compile_glob, self.remembered)),
            config_is_whole=self.config is not None,
        )


class Answered(NamedTuple):
    """By what a worker was answered: the revision, and digests of its rules and of the answer."""

    revision: int
    rules: str
    answer: str


def read_remember(patterns: Sequence[str]) -> tuple[Glob, ...]:
    """Read the patterns of names of variables that may be kept.

    Raises: BadRequest.
    """
    for pattern in patterns:
        if len(pattern) > PATTERN_LIMIT:
            raise BadRequest(f"the pattern {shown(pattern)} has over {PATTERN_LIMIT} characters")
    return tuple(map(compile_glob, patterns))


def client_of(facts: Facts, answered: Answered, remember: tuple[Glob, ...], at: float) -> Client:
    """Give what may be kept of a worker that asked, masked."""
    environment = {
        name: masked(name, value) if len(value) <= VARIABLE_LIMIT else MASK
        for name, value in facts.environment.items()
        if any(matches(glob, name) for glob in remember)
    }
    config = _masked_config(facts.config)
    instance = _instance(facts._replace(environment=environment))
    return Client(
        sha256(json.dumps([facts.app_id, instance]).encode()).hexdigest()[:16],
        facts.app_id,
        instance[:NAME_LIMIT],
        plain_address(facts.address),
        at,
        *answered,
        len(facts.config),
        environment,
        config,
        tuple(glob.text for glob in remember),
    )


class Clients:
    """Keeps workers in the store; may be used from many threads. Nothing that fails here fails an answer."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        """Take the store, and the time in seconds since the epoch."""
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._queue: dict[str, bytes] = {}
        self._queued_bytes = 0
        self._known: set[str] = set()
        self._counted_at: float | None = None
        self._fault = ""

    def note(self, client: Client) -> None:
        """Queue what is kept of a worker; what was queued of it before is replaced. A full queue takes no more."""
        if self._store.fault or len(client.app_id) > NAME_LIMIT:
            return
        record = _write(client)
        if len(record) > RECORD_LIMIT_BYTES:
            record = _write(client._replace(config=None))
        if len(record) <= RECORD_LIMIT_BYTES:
            self._queue_up({client.client_id: record}, replace=True)

    def flush(self) -> int:
        """Write what is queued and give how much was; what the store does not take now stays in the queue."""
        with self._flushing:
            with self._lock:
                waiting, self._queue, self._queued_bytes = self._queue, {}, 0
            written = 0
            try:
                admitted = self._admit(waiting) if waiting else {}
                for batch in _batches(admitted):
                    self._store.transact([Put(PREFIX + name, record, ttl_s=KEPT_S) for name, record in batch])
                    written += len(batch)
                    for name, _ in batch:
                        self._known.add(name)
                        del waiting[name]
                self._fault = ""
            except FrontendError as exc:
                self._queue_up(waiting, replace=False)
                if str(exc) != self._fault:
                    logger.warning("who has asked for configuration is not written down for now: %s", exc)
                self._fault = str(exc)
            return written

    def all(self) -> list[Client]:
        """Give all workers that are kept, those that wait to be written included; the last one to ask first.

        Raises: ServiceUnavailable.
        """
        return sorted(self.each(), key=lambda client: -client.fetched_at)

    def each(self) -> Iterator[Client]:
        """Yield all workers that are kept, in no order; they are many and large, so that few are in memory at once.

        Raises: ServiceUnavailable.
        """
        with self._lock:
            waiting = dict(self._queue)
        for name, record in waiting.items():
            if (client := _read(name, record)) is not None:
                yield client
        after = ""
        while True:
            entries = self._store.list(PREFIX, after=after, limit=_PAGE).entries
            for entry in entries:
                name = entry.key[len(PREFIX) :]
                if name not in waiting and (client := _read(name, entry.value)) is not None:
                    yield client
            if len(entries) < _PAGE:
                return
            after = entries[-1].key

    def find(self, client_id: str) -> Client:
        """Give a worker by its id.

        Raises: NotFound, ServiceUnavailable.
        """
        with self._lock:
            record = self._queue.get(client_id)
        if record is None and _is_id(client_id):
            entry = self._store.get(PREFIX + client_id)
            record = None if entry is None else entry.value
        client = None if record is None else _read(client_id, record)
        if client is None:
            raise NotFound(f"no client {shown(client_id)} has asked in the last {KEPT_S / 86400:.0f} days")
        return client

    def _queue_up(self, records: Mapping[str, bytes], *, replace: bool) -> None:
        with self._lock:
            for name, record in records.items():
                if name in self._queue and not replace:
                    continue
                size_bytes = self._queued_bytes + len(record) - len(self._queue.get(name, b""))
                if size_bytes <= QUEUE_LIMIT_BYTES:
                    self._queue[name] = record
                    self._queued_bytes = size_bytes

    def _admit(self, waiting: dict[str, bytes]) -> dict[str, bytes]:
        """Give the workers that are known or for which there is room, and take the others out."""
        now = self._clock()
        is_short = len(self._known) + len(waiting) > MOST_CLIENTS
        if self._counted_at is None or (is_short and not 0 <= now - self._counted_at < COUNT_AGAIN_S):
            self._known = self._stored_names()
            self._counted_at = now
        room = max(MOST_CLIENTS - len(self._known), 0)
        refused = [name for name in waiting if name not in self._known][room:]
        for name in refused:
            del waiting[name]
        if refused:
            logger.info("%d workers more than the %d that are kept have asked", len(refused), MOST_CLIENTS)
        return dict(waiting)

    def _stored_names(self) -> set[str]:
        names: set[str] = set()
        after = ""
        while True:
            entries = self._store.list(PREFIX, after=after, limit=_PAGE).entries
            names.update(entry.key[len(PREFIX) :] for entry in entries)
            if len(entries) < _PAGE:
                return names
            after = entries[-1].key


def _instance(facts: Facts) -> str:
    """Give the name of the engine: the instance id where a person has set one, else the name used in rollouts."""
    configured = facts.config.get("lmcache_instance_id")
    if isinstance(configured, str) and 0 < len(configured) <= NAME_LIMIT and not _is_generated(configured):
        return configured
    return rollout_key(facts).key or plain_address(facts.address)


def _masked_config(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the settings with secrets masked; None where they are too large, which no worker's are."""
    try:
        if len(compact(config)) > RECORD_LIMIT_BYTES:
            return None
    except RecursionError:
        return None
    kept = dict(config)
    if isinstance(kept.get(MERGED_KEY), str) and kept[MERGED_KEY]:
        # Names of secrets stand within the text.
        kept[MERGED_KEY] = object_of(kept[MERGED_KEY]) or MASK
    return masked_mapping(kept)


def _batches(records: Mapping[str, bytes]) -> list[list[tuple[str, bytes]]]:
    batches: list[list[tuple[str, bytes]]] = []
    size_bytes = 0
    for name, record in records.items():
        if not batches or len(batches[-1]) == BATCH_LIMIT or size_bytes + len(record) > BATCH_LIMIT_BYTES:
            batches.append([])
            size_bytes = 0
        batches[-1].append((name, record))
        size_bytes += len(record)
    return batches


def _write(client: Client) -> bytes:
    return compact(client._asdict()).encode()


def _read(client_id: str, record: bytes) -> Client | None:
    """Read a record; one that is not understood is left out, since another release may have written it."""
    try:
        fields = json.loads(record)
        client = Client(**{name: fields[name] for name in Client._fields})
        return client._replace(client_id=client_id, remembered=tuple(client.remembered))
    except (ValueError, KeyError, TypeError) as exc:
        logger.debug("the client %s cannot be read: %s", client_id, exc)
        return None
