# SPDX-License-Identifier: Apache-2.0
"""What stands beside the nodes, coordinators, controllers and other frontends: where each item is read.

Source: LMCache's ``lmcache/v1/mp_coordinator`` (0.4.7 and later) and ``lmcache/v1/api_server`` (0.3.4 and later); the
frontends' ``/health`` and ``/api/nodes`` are those of lmcache_frontend 0.1.12, ``/api/whoami`` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from lmcache_frontend.cluster.adapters import convert
from lmcache_frontend.cluster.adapters.kinds import Offer, Offers, Paths

FRONTEND_SERVICE = "lmcache-monitor"
_METRICS_OFF = "this coordinator's metrics are off or pushed elsewhere, or it is older than LMCache 0.5.4"

OFFERS: Mapping[Paths, Offers] = {
    Paths.COORDINATOR: {
        "metrics": Offer("/metrics", convert.metrics, missing=_METRICS_OFF, by_lines=True),
        "status": Offer("/instances", convert.document),
    },
    Paths.CONTROLLER: {
        "metrics": Offer("/metrics", convert.metrics, by_lines=True),
        "threads": Offer("/threads", convert.threads, by_lines=True),
        "loggers": Offer("/loglevel", convert.loggers, by_lines=True),
        "periodic": Offer("/periodic-threads", convert.document, (0, 3, 13)),
        "status": Offer("/controller/workers", convert.document),
        "env": Offer("/env", convert.document),
    },
    Paths.CONTROLLER_POST: {},
    Paths.FRONTEND: {
        "version": Offer("/api/whoami", convert.frontend_version, missing="this frontend does not say its version"),
        "metrics": Offer("/metrics", convert.metrics, by_lines=True),
        "status": Offer("/api/nodes", convert.document),
    },
}
