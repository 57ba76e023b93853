# SPDX-License-Identifier: Apache-2.0
"""Find out what a node is, with as few questions as it takes and none that changes anything.

Three questions settle the usual node: ``/version`` (in-process since 0.3.6, MP since 0.4.5), ``/conf`` (in-process; an
MP server of 0.4.5 to 0.5.0 answers with another document) and ``/meta`` or ``/config``. No field says which kind a
node is, and the 404s of all kinds look alike. How it is, is left to `health`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lmcache_frontend.cluster.adapters import convert
from lmcache_frontend.cluster.adapters.answers import Heard, hear, one_line
from lmcache_frontend.cluster.adapters.inprocess import CONF_PROBE, META_REFUSAL
from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Ask, Identity, Kind, Paths, release_of
from lmcache_frontend.cluster.adapters.multiprocess import CONFIG_SINCE, SERVICE
from lmcache_frontend.cluster.adapters.services import FRONTEND_SERVICE
from lmcache_frontend.errors import FrontendError

_ABSENT = (404, 405, 501)
_ROLES = re.compile(r'^lmcache:[^{\n]*\{(?:[^}\n]*,)?role="([^"\n]*)"', re.MULTILINE)
_IN_PROCESS_METRIC = re.compile(r"^lmcache:(?!cache_controller_)", re.MULTILINE)
_MP_METRIC = re.compile(r"^lmcache_mp_", re.MULTILINE)


def probe(ask: Ask, expected: Kind = Kind.UNKNOWN) -> Identity:
    """Give what the node says it is; an expected frontend is asked for that first.

    Raises: FrontendError where it cannot be reached, or stops answering before it is known.
    """
    if expected is Kind.FRONTEND:
        found = _frontend(ask, _hear(ask, "/health"))
        if found:
            return found
    first = _hear(ask, "/version")
    version = _version(first)
    conf = _hear(ask, CONF_PROBE)
    values = _object(conf)
    if "chunk_size" in values:
        version = version or _other_version(ask, first)
        return _in_process(ask, version, values)
    if _is_mp_configuration(values):
        return _mp(version or _other_version(ask, first), Paths.MP_CONF, values)
    if version is not None:
        found = _versioned_mp(ask, version, conf) or _by_metrics(ask, version, conf)
        if found:
            return found
    return _without_version(ask) or UNKNOWN._replace(version=version)


def _in_process(ask: Ask, version: str | None, values: dict[str, Any]) -> Identity:
    role = _role_by_meta(_try(ask, "/meta?names=role,worker_id"))
    if role is None:
        role = _role_by_metrics(_try(ask, "/metrics"))
    return _worker_or_scheduler(role, version, _name(values.get("lmcache_instance_id")))


def _worker_or_scheduler(role: str, version: str | None, instance: str | None) -> Identity:
    kind = Kind.SCHEDULER if role == "scheduler" else Kind.WORKER
    return Identity(kind, role, version, instance, Paths.IN_PROCESS)


def _role_by_meta(meta: Heard | None) -> str | None:
    """Give the role that metadata say (0.3.10 and later) or imply (before, only nodes with an engine have any)."""
    if meta is None:
        return None
    if meta.status != 200:
        return "scheduler" if META_REFUSAL in meta.text else None
    values = _object(meta)
    role = values.get("role")
    if isinstance(role, str) and role:
        return _known_role(role)
    return "worker" if "worker_id" in values and "role" not in values else None


def _role_by_metrics(metrics: Heard | None) -> str:
    """Give the role that all series agree on."""
    if metrics is None or metrics.status != 200:
        return ""
    roles = {_known_role(role) for role in _ROLES.findall(metrics.text)}
    return roles.pop() if len(roles) == 1 else ""


def _known_role(text: str) -> str:
    """Give worker or scheduler, also out of ``KVConnectorRole.WORKER``."""
    return next((role for role in ("scheduler", "worker") if role in text.lower()), "")


def _versioned_mp(ask: Ask, version: str, conf: Heard) -> Identity | None:
    """Recognise an MP server that says its version; its configuration may not be there yet."""
    if conf.status in (401, 403):
        return None
    release = release_of(version)
    old = conf.status not in _ABSENT or (release is not None and release < CONFIG_SINCE)
    if not old:
        config = _object(_hear(ask, "/config"))
        if _is_mp_configuration(config):
            return _mp(version, Paths.MP_CONFIG, config)
    if not _is_healthcheck(_hear(ask, "/healthcheck")):
        return None
    return _mp(version, Paths.MP_CONF if old else Paths.MP_CONFIG, {})


def _by_metrics(ask: Ask, version: str, conf: Heard) -> Identity | None:
    """Recognise a node whose configuration is refused, by a proxy before it or by a fault, by its metrics."""
    if conf.status in _ABSENT:
        return None
    metrics = _hear(ask, "/metrics")
    if metrics.status != 200:
        return None
    if _IN_PROCESS_METRIC.search(metrics.text):
        return _worker_or_scheduler(_role_by_metrics(metrics), version, None)
    if _MP_METRIC.search(metrics.text):
        release = release_of(version)
        return _mp(version, Paths.MP_CONF if release and release < CONFIG_SINCE else Paths.MP_CONFIG, {})
    return None


def _without_version(ask: Ask) -> Identity | None:
    health = _hear(ask, "/health")
    found = _frontend(ask, health) or _old_mp(ask)
    if found:
        return found
    if isinstance(_object(_hear(ask, "/instances")).get("instances"), list):
        return UNKNOWN._replace(kind=Kind.COORDINATOR, paths=Paths.COORDINATOR)
    if isinstance(_object(_hear(ask, "/controller/workers")).get("workers"), list):
        return UNKNOWN._replace(kind=Kind.CONTROLLER, paths=Paths.CONTROLLER)
    # Up to 0.3.9 a controller only takes POSTs.
    if health.status == 405 and _hear(ask, "/query_instance").status == 405:
        return UNKNOWN._replace(kind=Kind.CONTROLLER, paths=Paths.CONTROLLER_POST)
    if _object(_hear(ask, "/")).get("service") == SERVICE:
        return _mp(None, Paths.MP_BARE, {})
    return None


def _frontend(ask: Ask, health: Heard) -> Identity | None:
    if _object(health).get("service") != FRONTEND_SERVICE:
        return None
    version = None
    whoami = _try(ask, "/api/whoami")
    if whoami is not None and whoami.status == 200:
        version = _converted(convert.frontend_version, whoami)
    return UNKNOWN._replace(kind=Kind.FRONTEND, version=version, paths=Paths.FRONTEND)


def _old_mp(ask: Ask) -> Identity | None:
    if not _is_healthcheck(_hear(ask, "/api/healthcheck")):
        return None
    status = _hear(ask, "/api/status")
    return _mp(None, Paths.MP_HEALTHCHECK if status.status in _ABSENT else Paths.MP_API_STATUS, {})


def _mp(version: str | None, paths: Paths, configuration: dict[str, Any]) -> Identity:
    own = configuration.get("mp")
    instance = _name(own.get("instance_id")) if isinstance(own, dict) else None
    return Identity(Kind.MP, "", version, instance, paths)


def _is_mp_configuration(values: dict[str, Any]) -> bool:
    return isinstance(values.get("mp"), dict) or isinstance(values.get("storage_manager"), dict)


def _is_healthcheck(heard: Heard) -> bool:
    """Recognise the answer of an MP server, which is a 503 while it is unhealthy."""
    return heard.members.get("status") in ("healthy", "unhealthy")


def _version(heard: Heard) -> str | None:
    return _converted(convert.version, heard) if heard.status == 200 else None


def _other_version(ask: Ask, first: Heard) -> str | None:
    """Ask for the release alone, where the version is there but fails."""
    if first.status in _ABSENT:
        return None
    release = _try(ask, "/lmc_version")
    return _version(release) if release else None


def _converted(read: Callable[[str], str], heard: Heard) -> str | None:
    try:
        return read(heard.text)
    except ValueError:
        return None


def _name(value: Any) -> str | None:
    return one_line(value) or None if isinstance(value, str) else None


def _object(heard: Heard) -> dict[str, Any]:
    return heard.members if heard.status == 200 else {}


def _hear(ask: Ask, target: str) -> Heard:
    return hear(ask(target, None))


def _try(ask: Ask, target: str) -> Heard | None:
    """Ask for what the node can be known without."""
    try:
        return _hear(ask, target)
    except FrontendError:
        return None
