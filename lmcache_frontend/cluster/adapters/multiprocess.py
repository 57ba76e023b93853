# SPDX-License-Identifier: Apache-2.0
"""MP servers of each generation of paths: where each item is read.

Source: LMCache's ``lmcache/v1/multiprocess`` of 0.3.13 to 0.5.6; up to 0.3.12 an MP server has no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping

from lmcache_frontend.cluster.adapters import convert
from lmcache_frontend.cluster.adapters.kinds import Offer, Offers, Paths, Release

SERVICE = "LMCache HTTP API"
CONFIG_SINCE: Release = (0, 5, 1)

_OTHER_PORT = "metrics of an MP server of LMCache {} are on a port of their own (9090, unless it was told another)"

_COMMON: Offers = {
    "version": Offer("/version", convert.version),
    "metrics": Offer("/metrics", convert.metrics, by_lines=True),
    "threads": Offer("/threads", convert.threads, by_lines=True),
    "loggers": Offer("/loglevel", convert.loggers, by_lines=True),
    "periodic": Offer("/periodic-threads", convert.document),
    "status": Offer("/status", convert.document),
    "env": Offer("/env", convert.document),
    "quota": Offer("/quota", convert.document),
}

OFFERS: Mapping[Paths, Offers] = {
    Paths.MP_BARE: {},
    Paths.MP_HEALTHCHECK: {"metrics": _OTHER_PORT.format("0.3.15")},
    Paths.MP_API_STATUS: {
        "status": Offer("/api/status", convert.document),
        "metrics": _OTHER_PORT.format("0.4.1 to 0.4.4"),
    },
    Paths.MP_CONF: {
        **_COMMON,
        "conf": Offer("/conf", convert.configuration),
        "backends": Offer("/reconfigure/backends", convert.document, (0, 4, 7)),
    },
    Paths.MP_CONFIG: {
        **_COMMON,
        "conf": Offer("/config", convert.configuration),
        "backends": Offer("/config/adapters", convert.document),
    },
}
