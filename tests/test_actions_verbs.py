# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

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
from lmcache_frontend.actions.verbs import plan
from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Identity
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.http1.fetch import Question
from tests.helpers.generations import (
    IN_PROCESS_RELEASES,
    MP_RELEASES,
    controller,
    coordinator,
    frontend,
    in_process,
    mp,
    numbers,
)
from tests.helpers.known_nodes import SERVER, WORKER, planned

LEVEL = LogLevel("lmcache.v1 x", "DEBUG")
EXAMPLES: dict[str, Arguments] = {
    "loglevel": LEVEL,
    "conf": Conf({"min_retrieve_tokens": 3}),
    "freeze": Freeze(True),
    "hot_cache": HotCache(True),
    "bypass": Bypass("B", True),
    "backend": Backend("create", ""),
    "cache_clear": CacheClear(),
    "metrics_reset": MetricsReset(),
    "run_script": RunScript("result = 1"),
}
IN_PROCESS_SINCE = {
    "loglevel": "0.3.4",
    "run_script": "0.3.4",
    "cache_clear": "0.3.9",
    "freeze": "0.3.11",
    "conf": "0.3.14",
    "hot_cache": "0.3.15",
    "bypass": "0.3.15",
    "backend": "0.3.15",
    "metrics_reset": "0.3.15",
}
MP_SINCE = {"cache_clear": "0.4.1", "loglevel": "0.4.5", "run_script": "0.4.6"}


def reason(arguments: Arguments, identity: Identity) -> str:
    given = plan(arguments, identity)
    assert isinstance(given, str), given
    return given


@pytest.mark.parametrize("release", IN_PROCESS_RELEASES)
@pytest.mark.parametrize("action", list(EXAMPLES))
def test_a_worker_can_do_what_its_release_has(release: str, action: str) -> None:
    identity = probe(in_process(release))
    has_it = numbers(release) >= numbers(IN_PROCESS_SINCE[action])
    # Up to 0.3.5 a node does not say its release, and is tried.
    assert isinstance(plan(EXAMPLES[action], identity), str) == (not has_it and numbers(release) >= (0, 3, 6))


@pytest.mark.parametrize("release", MP_RELEASES)
@pytest.mark.parametrize("action", list(EXAMPLES))
def test_an_mp_server_can_do_what_its_release_has(release: str, action: str) -> None:
    identity = probe(mp(release))
    has_it = action in MP_SINCE and numbers(release) >= numbers(MP_SINCE[action])
    assert isinstance(plan(EXAMPLES[action], identity), str) == (not has_it)


@pytest.mark.parametrize("action", list(EXAMPLES))
def test_a_scheduler_has_no_engine(action: str) -> None:
    given = plan(EXAMPLES[action], probe(in_process("0.5.6", "scheduler")))
    needs_engine = action in ("freeze", "hot_cache", "bypass", "backend", "cache_clear")
    assert (given == "a scheduler has no cache engine") == needs_engine
    assert isinstance(given, str) == needs_engine


@pytest.mark.parametrize("action", list(EXAMPLES))
def test_what_is_no_cache_can_do_little(action: str) -> None:
    arguments = EXAMPLES[action]
    for node in (coordinator(), frontend(), controller("0.3.9")):
        assert isinstance(plan(arguments, probe(node)), str)
    assert isinstance(plan(arguments, UNKNOWN), str)
    assert isinstance(plan(arguments, probe(controller("0.5.6"))), str) == (action not in ("loglevel", "run_script"))


def test_reasons_are_in_words() -> None:
    old = WORKER._replace(version="0.3.12-g1")
    assert reason(Conf({"a": 1}), old) == "LMCache 0.3.12 has no POST /conf (since 0.3.14)"
    assert reason(Bypass("a", True), old) == "LMCache 0.3.12 has no PUT /bypass/add (since 0.3.15)"
    assert reason(Conf({"a": 1}), SERVER) == (
        "an MP server of LMCache since 0.5.1 takes its configuration only at its start"
    )
    assert reason(LEVEL, probe(coordinator())) == "a coordinator has no log levels to set"
    assert reason(Freeze(True), UNKNOWN) == "something that is not LMCache's cannot be frozen"
    assert reason(CacheClear(("LocalCPUBackend",)), SERVER) == (
        "an MP server clears its L1 as a whole: it has no location but l1"
    )


JSON = (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (LEVEL, Question("GET", "/loglevel?logger_name=lmcache.v1%20x&level=DEBUG")),
        (LogLevel("a&b=c", "INFO"), Question("GET", "/loglevel?logger_name=a%26b%3Dc&level=INFO")),
        (Conf({"a": "ü", "b": [1]}), Question("POST", "/conf", JSON, '{"a": "ü", "b": [1]}'.encode())),
        (Freeze(True), Question("PUT", "/freeze/enable")),
        (Freeze(False), Question("PUT", "/freeze/disable")),
        (HotCache(True), Question("PUT", "/hot_cache/enable")),
        (HotCache(False), Question("PUT", "/hot_cache/disable")),
        (Bypass("a b", True), Question("PUT", "/bypass/add?backend_name=a%20b")),
        (Bypass("a", False), Question("PUT", "/bypass/remove?backend_name=a")),
        (Backend("create", "a"), Question("POST", "/backends")),
        (Backend("close", "a/b"), Question("DELETE", "/backends/a%2Fb")),
        (Backend("recreate", "a"), Question("POST", "/backends/a/recreate")),
        (CacheClear(), Question("DELETE", "/cache/clear")),
        (CacheClear(("a", "b c")), Question("DELETE", "/cache/clear?locations=a&locations=b%20c")),
        (MetricsReset(), Question("POST", "/metrics/reset")),
        (Request("PUT", "/a?b", (("A", "b"),), b"c"), Question("PUT", "/a?b", (("A", "b"),), b"c")),
    ],
)
def test_what_a_worker_is_sent(arguments: Arguments, expected: Question) -> None:
    assert planned(arguments).question == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("0.4.1", Question("POST", "/api/clear-cache")),
        ("0.4.4", Question("POST", "/api/clear-cache")),
        ("0.4.5", Question("POST", "/clear-cache")),
        ("0.5.0", Question("POST", "/clear-cache")),
        ("0.5.1", Question("POST", "/cache/clear", JSON, b'{"tier":"l1","force":false}')),
        ("0.5.6", Question("POST", "/cache/clear", JSON, b'{"tier":"l1","force":false}')),
    ],
)
def test_how_an_mp_server_is_cleared(release: str, expected: Question) -> None:
    assert planned(CacheClear(), probe(mp(release))).question == expected
    assert planned(CacheClear(("l1",)), probe(mp(release))).question == expected


def test_a_script_goes_as_a_file_of_a_form() -> None:
    sent = planned(RunScript("result = 'ü'\n--script-\n")).question
    boundary = sent.fields[0][1].partition("boundary=")[2]
    assert sent.fields[0][0] == "Content-Type"
    assert (sent.method, sent.target) == ("POST", "/run_script")
    assert (
        sent.body
        == (
            f'--{boundary}\r\nContent-Disposition: form-data; name="script"; filename="script.py"\r\n'
            f"Content-Type: text/x-python\r\n\r\nresult = 'ü'\n--script-\n\r\n--{boundary}--\r\n"
        ).encode()
    )
    assert 0 < len(boundary) <= 70


@pytest.mark.parametrize(
    ("arguments", "is_slow", "changes"),
    [
        (LEVEL, False, True),
        (Conf({"a": 1}), False, True),
        (CacheClear(), True, True),
        (RunScript("x"), True, True),
        (Request("GET", "/version"), False, False),
        (Request("POST", "/cache/store?a=b"), True, True),
        (Request("GET", "/version?x=/cache/"), False, False),
    ],
)
def test_what_takes_long_and_what_changes_nothing(arguments: Arguments, is_slow: bool, changes: bool) -> None:
    made = planned(arguments)
    assert (made.is_slow, made.changes) == (is_slow, changes)


def test_any_request_goes_to_anything() -> None:
    for identity in (UNKNOWN, SERVER, probe(frontend()), WORKER):
        assert planned(Request("GET", "/x"), identity).question == Question("GET", "/x")
