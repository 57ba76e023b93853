# SPDX-License-Identifier: Apache-2.0
"""Read an item of a node, whatever its kind and release, and tell what it lacks from what went wrong.

What it is comes from `probe`; how it is, from `health`. All I/O goes through the function that is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping

from lmcache_frontend.cluster.adapters import ITEMS, inprocess, multiprocess, services
from lmcache_frontend.cluster.adapters.answers import (
    TEXT_LIMIT_BYTES,
    Heard,
    failure_words,
    hear,
    is_html,
    one_line,
    status_words,
)
from lmcache_frontend.cluster.adapters.health import read_health
from lmcache_frontend.cluster.adapters.kinds import (
    Ask,
    Identity,
    Offer,
    Offers,
    Paths,
    Reading,
    State,
    in_words,
    lacks,
)
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.exposition.parse import Family
from lmcache_frontend.http1.fetch import Answer

_OFFERS: Mapping[Paths, Offers] = {Paths.IN_PROCESS: inprocess.OFFERS, **multiprocess.OFFERS, **services.OFFERS}
_NOUNS = {
    "version": "does not say its version",
    "metrics": "has no metrics here",
    "conf": "does not show its configuration",
    "meta": "has no metadata",
    "threads": "does not show its threads",
    "loggers": "does not show its loggers",
    "periodic": "does not show its periodic threads",
    "backends": "has no list of backends",
    "status": "has no status of its own",
    "inference": "is not in an inference engine",
    "env": "does not show its environment",
    "quota": "has no quotas",
}


def read(identity: Identity, item: str, ask: Ask, *, families: Mapping[str, Family] | None = None) -> Reading:
    """Read one of `ITEMS`; whatever the node answers, or does not, becomes a reading.

    ``families`` are those of its metrics, if they were read just now; without them ``health`` asks for them where they
    matter.
    Raises: ValueError where there is no such item.
    """
    if item not in ITEMS:
        raise ValueError(f"no item {item!r}, expected one of {', '.join(ITEMS)}")
    if item == "health":
        return read_health(identity, ask, families)
    offer = _OFFERS.get(identity.paths, {}).get(item)
    if not isinstance(offer, Offer):
        return Reading(State.UNSUPPORTED, offer or f"{identity.paths.value} {_NOUNS[item]}")
    too_old = lacks(identity.version, offer)
    if too_old:
        return Reading(State.UNSUPPORTED, too_old)
    try:
        answer = ask(offer.target, None)
        heard = hear(answer)
    except FrontendError as error:
        return Reading(State.FAILED, failure_words(error))
    return _convert(offer, answer, heard.text) if heard.status == 200 else _refusal(offer, heard)


def metrics_target(identity: Identity) -> str | None:
    """Give the target of a node's metrics; None where this kind has none on this port."""
    offer = _OFFERS.get(identity.paths, {}).get("metrics")
    return offer.target if isinstance(offer, Offer) else None


def _convert(offer: Offer, answer: Answer, text: str) -> Reading:
    if is_html(text):
        return Reading(State.FAILED, f"{offer.path} answered an HTML page")
    if not offer.by_lines:
        try:
            answer.body.decode("utf-8")
        except UnicodeDecodeError as error:
            return Reading(State.FAILED, f"{offer.path} answered wrong UTF-8 at byte {error.start}")
    size_bytes = len(answer.body)
    if size_bytes > TEXT_LIMIT_BYTES and offer.path != "/metrics":
        return Reading(State.FAILED, f"{offer.path} answered {size_bytes} bytes, at most {TEXT_LIMIT_BYTES} are read")
    try:
        return Reading(State.OK, None, offer.convert(text))
    except ValueError as error:
        return Reading(State.FAILED, f"{offer.path} answered something else: {one_line(str(error))}")


def _refusal(offer: Offer, heard: Heard) -> Reading:
    for excuse in offer.excuses:
        if heard.status == excuse.status and excuse.fragment in heard.text:
            return Reading(State.UNSUPPORTED, excuse.meaning)
    if heard.status in (404, 405, 501):
        since = f" (LMCache has it since {in_words(offer.since)})" if offer.since else ""
        return Reading(State.UNSUPPORTED, offer.missing or f"this node does not offer {offer.path}{since}")
    return Reading(State.FAILED, f"{offer.path} answered {status_words(heard)}")
