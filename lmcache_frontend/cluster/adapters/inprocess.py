# SPDX-License-Identifier: Apache-2.0
"""In-process nodes, workers and schedulers: where each item is read, and since which release.

Source: LMCache's ``lmcache/v1/internal_api_server`` of 0.3.4 to 0.5.6. Nothing was removed or renamed in between.
"""

from __future__ import annotations

from lmcache_frontend.cluster.adapters import convert
from lmcache_frontend.cluster.adapters.kinds import Excuse, Offer, Offers

CONF_PROBE = "/conf?names=chunk_size,lmcache_instance_id"
VERSION_SINCE = (0, 3, 6)
PERIODIC_SINCE = (0, 3, 13)
META_REFUSAL = "only work for lmcache_engine"

OFFERS: Offers = {
    "version": Offer("/version", convert.version, VERSION_SINCE),
    "metrics": Offer("/metrics", convert.metrics, by_lines=True),
    "conf": Offer("/conf", convert.configuration),
    "meta": Offer(
        "/meta",
        convert.document,
        excuses=(Excuse(500, META_REFUSAL, "schedulers of LMCache up to 0.3.10 have no metadata"),),
    ),
    "threads": Offer("/threads", convert.threads, by_lines=True),
    "loggers": Offer("/loglevel", convert.loggers, by_lines=True),
    "periodic": Offer("/periodic-threads", convert.document, PERIODIC_SINCE),
    "backends": Offer(
        "/backends",
        convert.document,
        (0, 3, 15),
        excuses=(Excuse(503, "", "this node has no cache engine, so it has no backends"),),
    ),
    # `/inference_version` fails on every node from 0.3.13 on, and says nothing that this does not.
    "inference": Offer(
        "/inference_info",
        convert.document,
        (0, 3, 7),
        excuses=(
            Excuse(500, "has no attribute", "this node cannot say in which engine it runs"),
            Excuse(503, "", "this node is not in an engine"),
        ),
    ),
    "env": Offer("/env", convert.document, (0, 3, 10)),
}
