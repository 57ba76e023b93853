# SPDX-License-Identifier: Apache-2.0
"""What outlives the service: the store, and the parts that live in it. A part of the composition root.

The store is opened at the start where it may hold something, since what is registered has to be there for the first
request. Where it has to be made, that comes a moment later: neither its modules nor its files are in the way then.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lmcache_frontend.cluster.membership import Membership
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import FrontendError, ServiceUnavailable, StartError
from lmcache_frontend.settings import Settings
from lmcache_frontend.store.opening import default_path, open_store

if TYPE_CHECKING:
    from lmcache_frontend.audit.trail import AuditTrail
    from lmcache_frontend.remote_config.service import RemoteConfiguration
    from lmcache_frontend.store.protocol import Store

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
# For what is still to be written at the end; a store that does not answer would take longer.
LAST_WRITES_S = 5.0


class State:
    """The store with the registered nodes, the remote configuration and the audit trail."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        """Take the settings with the port that is listened on; nothing is opened yet."""
        self._settings = settings
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._configuration: RemoteConfiguration | None = None
        self._configuration_lock = threading.Lock()
        self.membership = Membership(registry, self.store)
        self._audit: AuditTrail | None = None
        self._audit_lock = threading.Lock()

    @property
    def fault(self) -> str:
        """Say why nothing can be kept; empty where something can, or where that is not known yet."""
        return self._store.fault if self._store is not None else ""

    def load(self) -> None:
        """Bring back what was registered, and read the rules' file, before the first request.

        Raises: StartError, UsageError.
        """
        settings = self._settings
        if settings.store or (not settings.demo and os.path.exists(default_path(settings.port, os.environ))):
            try:
                self.membership.load()
            except ServiceUnavailable as exc:
                logger.warning("registered nodes are not known yet: %s", exc)
        if settings.config_rules is not None:
            self.configuration()

    def store(self) -> Store:
        """Give the store, opened when it is first needed.

        Raises: StartError, UsageError where a named one cannot be opened.
        """
        with self._lock:
            if self._store is None:
                spec = self._settings.store or ("memory:" if self._settings.demo else None)
                self._store = open_store(spec, port=self._settings.port, environment=os.environ)
            return self._store

    @property
    def audit(self) -> AuditTrail:
        """Give the audit trail, made when there is first something to write down or to read."""
        with self._audit_lock:
            if self._audit is None:
                from lmcache_frontend.audit.trail import AuditTrail

                self._audit = AuditTrail(self.store, time.time)
            return self._audit

    def configuration(self) -> RemoteConfiguration:
        """Give the remote configuration, read when it is first needed.

        Raises: as `store`.
        """
        with self._configuration_lock:
            if self._configuration is None:
                from lmcache_frontend.remote_config.service import RemoteConfiguration

                settings = self._settings
                self._configuration = RemoteConfiguration(
                    self.store(),
                    time.time,
                    remember=settings.config_remember,
                    strict=settings.strict_config,
                    rules_file=Path(settings.config_rules) if settings.config_rules else None,
                )
            return self._configuration

    def reload(self) -> None:
        """Read the file of rules again, if it has changed."""
        if self._settings.config_rules is not None:
            self.configuration().reload_file_if_changed()

    def keep(self, ended: threading.Event) -> None:
        """Follow what others write to a shared store, and write down the workers that asked; until the end.

        Raises: StartError where the default file turns out to be another process's.
        """
        fault = ""
        followed: set[str] = set()
        while not ended.is_set():
            try:
                self._keep_once(followed, ended)
                fault = ""
            except StartError:
                raise
            except Exception as exc:
                if str(exc) != fault:
                    logger.warning(
                        "the state cannot be kept for now: %s", exc, exc_info=not isinstance(exc, FrontendError)
                    )
                fault = str(exc)
            ended.wait(INTERVAL_S)

    def _keep_once(self, followed: set[str], ended: threading.Event) -> None:
        """Do what is due; what is followed in threads of their own is added to ``followed``.

        Neither waits for the other: rules that cannot be read are no reason to miss nodes.
        """
        is_shared = self.store().is_shared
        if is_shared and "nodes" not in followed:
            followed.add("nodes")
            _start(self.membership.follow, ended)
        self.membership.catch_up()
        configuration = self.configuration()
        if is_shared and "rules" not in followed:
            followed.add("rules")
            _start(configuration.follow, ended)
        configuration.flush_clients()
        configuration.reload_file_if_changed()

    def close(self) -> None:
        """Write what is still to be written, if that can be done in a moment, and close the store."""
        if self._configuration is not None:
            last_writes = threading.Thread(target=self._configuration.flush_clients, name="last writes", daemon=True)
            last_writes.start()
            last_writes.join(LAST_WRITES_S)
        self._close_audit()
        with self._lock:
            if self._store is not None:
                self._store.close()

    def _close_audit(self) -> None:
        with self._audit_lock:
            audit = self._audit
        if audit is not None:
            audit.close(LAST_WRITES_S)


def _start(follow: Callable[[Callable[[float], bool]], None], ended: threading.Event) -> None:
    threading.Thread(target=follow, args=(ended.wait,), name="following", daemon=True).start()
