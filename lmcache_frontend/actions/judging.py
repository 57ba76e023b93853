# SPDX-License-Identifier: Apache-2.0
"""What a node's answer to an action means: done, failed, or not possible there; with the reason in words. Pure.

A status of 200 is not enough: the answer must say that it did what was asked for.

Source: answers of LMCache 0.5.6. Its 404 for a path it lacks is FastAPI's; a 404 with other words is about what was
asked for, or from a proxy before the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from lmcache_frontend.actions.arguments import (
    Arguments,
    Backend,
    Bypass,
    CacheClear,
    Conf,
    Freeze,
    HotCache,
    LogLevel,
    MetricsReset,
    Request,
    RunScript,
)
from lmcache_frontend.actions.outcomes import DONE, FAILED, UNSUPPORTED, Verdict
from lmcache_frontend.actions.verbs import Plan
from lmcache_frontend.actions.wording import ANSWER_LIMIT, clean, refusal_words, shown_answer, shown_value
from lmcache_frontend.cluster.adapters.answers import Heard, one_line
from lmcache_frontend.cluster.adapters.kinds import in_words
from lmcache_frontend.http1.fetch import Question
from lmcache_frontend.masking import masked

NO_ENGINE = "engine not configured"
SCRIPTS_OFF = "run_script API is disabled"
# Where no connection came about, nothing can have been done.
_NEVER_SENT = (
    *("refused", "no such socket", "no such file", "no route to host", "network is unreachable"),
    *("did not accept a connection", "resolve", "permission denied", "is no node or proxy"),
)


class Doubt(NamedTuple):
    """An answer that does not tell; what to ask then, and what that means."""

    question: Question
    judge: Callable[[Heard], Verdict]


def judge(arguments: Arguments, plan: Plan, heard: Heard) -> Verdict | Doubt:
    """Say what came of it."""
    if isinstance(arguments, Request):
        return _request(heard)
    if _is_absent(heard):
        path = plan.question.target.partition("?")[0]
        since = f" (LMCache has it since {in_words(plan.since)})" if plan.since else ""
        return Verdict(UNSUPPORTED, f"this node does not offer {plan.question.method} {path}{since}")
    if heard.status == 503 and NO_ENGINE in heard.text:
        return Verdict(UNSUPPORTED, "this node has no cache engine")
    if heard.status == 404 and SCRIPTS_OFF in heard.text:
        return Verdict(UNSUPPORTED, "running scripts is switched off on this node (run_script_api_enabled)")
    return _JUDGES[type(arguments)](arguments, heard)


def may_be_done(error_text: str) -> bool:
    """Say whether a request may have been carried out although it came to this error."""
    lowered = error_text.lower()
    return not any(words in lowered for words in _NEVER_SENT)


def _is_absent(heard: Heard) -> bool:
    return heard.status in (404, 405) and heard.members.get("detail") in ("Not Found", "Method Not Allowed")


def _refused(heard: Heard) -> Verdict:
    if 200 <= heard.status < 300:
        return Verdict(FAILED, f"the node answered something else: {clean(heard.text)}")
    return Verdict(FAILED, refusal_words(heard))


def _done(heard: Heard, words: str) -> Verdict:
    return Verdict(DONE, words) if heard.status == 200 else _refused(heard)


def _request(heard: Heard) -> Verdict:
    if 200 <= heard.status < 300:
        return Verdict(DONE, shown_answer(heard))
    return Verdict(FAILED, refusal_words(heard))


def _log_level(arguments: LogLevel, heard: Heard) -> Verdict:
    if heard.status == 200 and heard.text.startswith("Set "):
        return Verdict(DONE, one_line(heard.text))
    return _refused(heard)


def _switch(arguments: Freeze | HotCache, heard: Heard) -> Verdict:
    name = "freeze" if isinstance(arguments, Freeze) else "hot_cache"
    if heard.status == 200 and heard.members.get(name) is arguments.enabled:
        return Verdict(DONE, _message(heard) or f"{name} is {'on' if arguments.enabled else 'off'}")
    return _refused(heard)


def _bypass(arguments: Bypass, heard: Heard) -> Verdict:
    if heard.status == 200 and heard.members.get("bypassed") is arguments.bypassed:
        bypassed = heard.members.get("bypassed_backends")
        return Verdict(DONE, f"bypassed now: {_names(bypassed)}")
    return _refused(heard)


def _backend(arguments: Backend, heard: Heard) -> Verdict:
    backends = heard.members.get("backends")
    if heard.status != 200 or not isinstance(backends, dict):
        return _refused(heard)
    there = f"backends now: {_names(backends)}"
    if arguments.operation == "close" or not arguments.name or arguments.name in backends:
        is_wrong = arguments.operation == "close" and arguments.name in backends
        return Verdict(FAILED if is_wrong else DONE, there)
    return Verdict(
        FAILED, f"{one_line(arguments.name, 60)} is not there: the configuration does not ask for it; {there}"
    )


def _cache_clear(arguments: CacheClear, heard: Heard) -> Verdict:
    removed = heard.members.get("num_removed")
    if isinstance(removed, int):
        return _done(heard, f"{removed} tokens removed")
    # An MP server does not say how much.
    return _done(heard, "cleared") if heard.members.get("status") == "ok" else _refused(heard)


def _metrics_reset(arguments: MetricsReset, heard: Heard) -> Verdict:
    return _done(heard, "counters and histograms are at zero")


def _run_script(arguments: RunScript, heard: Heard) -> Verdict:
    if heard.status == 200:
        return Verdict(DONE, shown_answer(heard))
    words = clean(heard.text, ANSWER_LIMIT)
    return Verdict(FAILED, f"{heard.status}: {words}")


def _conf(arguments: Conf, heard: Heard) -> Verdict | Doubt:
    members = heard.members
    updated, errors = members.get("updated"), members.get("errors", {})
    if isinstance(updated, dict) and isinstance(errors, dict):
        return _conf_by_key(arguments, updated, errors)
    if heard.status == 500 and any(_is_infinite(value) for value in arguments.values.values()):
        names = ",".join(quote(key, safe="") for key in arguments.values)
        return Doubt(Question("GET", f"/conf?names={names}"), lambda now: _conf_by_reading(arguments, now))
    return _refused(heard)


def _conf_by_key(arguments: Conf, updated: Mapping[str, Any], errors: Mapping[str, Any]) -> Verdict:
    done = [_set_words(key, value, updated[key]) for key, value in arguments.values.items() if key in updated]
    missing = [key for key in arguments.values if key not in updated]
    keys: dict[str, dict[str, Any]] = {}
    for key in arguments.values:
        keys[key] = {"value": masked(key, updated[key])} if key in updated else {"error": _reason(errors.get(key))}
    if not missing:
        return Verdict(DONE, one_line("set " + ", ".join(done), ANSWER_LIMIT), keys)
    reasons = ", ".join(f"{one_line(key, 60)} ({keys[key]['error']})" for key in missing)
    if not done:
        return Verdict(FAILED, one_line(f"nothing set: {reasons}", ANSWER_LIMIT), keys)
    return Verdict(FAILED, one_line(f"partly applied: not set {reasons}; set {', '.join(done)}", ANSWER_LIMIT), keys)


def _conf_by_reading(arguments: Conf, now: Heard) -> Verdict:
    """Judge by what a node holds that failed to say it: since 0.4.5 it has values that its answer cannot hold."""
    if now.status != 200:
        return Verdict(FAILED, f"the node failed to answer, and does not show what it holds ({refusal_words(now)})")
    held = now.members
    done = [_set_words(key, value, held[key]) for key, value in arguments.values.items() if _holds(held, key, value)]
    missing = [one_line(key, 60) for key, value in arguments.values.items() if not _holds(held, key, value)]
    keys: dict[str, dict[str, Any]] = {}
    for key, value in arguments.values.items():
        is_held = _holds(held, key, value)
        keys[key] = {"value": masked(key, held[key])} if is_held else {"error": "the node holds another value"}
    if missing:
        words = f"the node failed to answer, and holds another value of {', '.join(missing)}"
        return Verdict(FAILED, one_line(words, ANSWER_LIMIT), keys)
    words = f"set {', '.join(done)} (read back, as LMCache fails to say it)"
    return Verdict(DONE, one_line(words, ANSWER_LIMIT), keys)


def _holds(held: Mapping[str, Any], key: str, wanted: Any) -> bool:
    if key not in held:
        return False
    value = held[key]
    if _is_infinite(wanted):
        # As `parse_lenient_json` gives them.
        return _is_infinite(value) and str(float(value)) == str(float(wanted))
    return bool(value == wanted) or str(value).lower() == str(wanted).lower()


def _is_infinite(value: Any) -> bool:
    try:
        return isinstance(value, str) and not math.isfinite(float(value))
    except ValueError:
        return False


def _set_words(key: str, wanted: Any, value: Any) -> str:
    words = f"{one_line(key, 60)}={shown_value(key, value, 100)}"
    same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    return words if same else f"{words} (sent {shown_value(key, wanted, 60)})"


def _reason(error: Any) -> str:
    return clean(error) if isinstance(error, str) and error else "not confirmed"


def _message(heard: Heard) -> str:
    message = heard.members.get("message")
    return clean(message) if isinstance(message, str) else ""


def _names(value: Any) -> str:
    names = [str(name) for name in value] if isinstance(value, (dict, list)) else []
    return one_line(", ".join(names)) or "none"


_JUDGES: Mapping[type, Callable[[Any, Heard], Verdict | Doubt]] = {
    LogLevel: _log_level,
    Conf: _conf,
    Freeze: _switch,
    HotCache: _switch,
    Bypass: _bypass,
    Backend: _backend,
    CacheClear: _cache_clear,
    MetricsReset: _metrics_reset,
    RunScript: _run_script,
}
