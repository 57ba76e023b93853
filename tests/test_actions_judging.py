# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

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
from lmcache_frontend.actions.judging import Doubt, judge, may_be_done
from lmcache_frontend.actions.outcomes import DONE, FAILED, UNSUPPORTED, Verdict
from lmcache_frontend.cluster.adapters.answers import Heard
from lmcache_frontend.cluster.adapters.kinds import Identity
from lmcache_frontend.http1.fetch import Question
from tests.helpers import demo
from tests.helpers.known_nodes import SERVER, WORKER, heard, planned

LEVEL = LogLevel("lmcache", "DEBUG")


def verdict(arguments: Arguments, status: int, body: Any, identity: Identity = WORKER) -> Verdict | Doubt:
    text = body if isinstance(body, str) else json.dumps(body)
    return judge(arguments, planned(arguments, identity), Heard(status, text))


def asked(node: Any, arguments: Arguments, identity: Identity = WORKER) -> Verdict | Doubt:
    """Ask a simulated node and judge its answer."""
    made = planned(arguments, identity)
    return judge(arguments, made, heard(node, made.question))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (LEVEL, Verdict(DONE, "Set lmcache level to DEBUG (including all handlers)")),
        (
            Conf({"min_retrieve_tokens": 7}),
            Verdict(DONE, "set min_retrieve_tokens=7", {"min_retrieve_tokens": {"value": 7}}),
        ),
        (
            Conf({"min_retrieve_tokens": "7", "save_unfull_chunk": "yes"}),
            Verdict(
                DONE,
                'set min_retrieve_tokens=7 (sent "7"), save_unfull_chunk=false (sent "yes")',
                {"min_retrieve_tokens": {"value": 7}, "save_unfull_chunk": {"value": False}},
            ),
        ),
        (
            Conf({"min_retrieve_tokens": 7, "nothing": 1, "chunk_size": "x"}),
            Verdict(
                FAILED,
                "partly applied: not set nothing (Unknown config), chunk_size (Failed to set config value); "
                "set min_retrieve_tokens=7",
                {
                    "min_retrieve_tokens": {"value": 7},
                    "nothing": {"error": "Unknown config"},
                    "chunk_size": {"error": "Failed to set config value"},
                },
            ),
        ),
        (
            Conf({"nothing": 1}),
            Verdict(FAILED, "nothing set: nothing (Unknown config)", {"nothing": {"error": "Unknown config"}}),
        ),
        (Freeze(True), Verdict(DONE, "Freeze mode enabled successfully")),
        (Freeze(False), Verdict(DONE, "Freeze mode disabled successfully")),
        (HotCache(False), Verdict(DONE, "Hot cache disabled successfully")),
        (Bypass("LocalCPUBackend", True), Verdict(DONE, "bypassed now: LocalCPUBackend")),
        (Bypass("LocalCPUBackend", False), Verdict(DONE, "bypassed now: none")),
        (
            Bypass("Other", True),
            Verdict(
                FAILED,
                "400: Unknown backend: Backend 'Other' not found. Available: ['LocalCPUBackend', 'LocalDiskBackend']",
            ),
        ),
        (Backend("recreate", "LocalCPUBackend"), Verdict(DONE, "backends now: LocalDiskBackend, LocalCPUBackend")),
        (Backend("close", "LocalDiskBackend"), Verdict(DONE, "backends now: LocalCPUBackend")),
        (Backend("close", "Other"), Verdict(FAILED, "404: Backend Other not found")),
        (Backend("create", ""), Verdict(DONE, "backends now: LocalCPUBackend, LocalDiskBackend")),
        (
            Backend("create", "RemoteBackend"),
            Verdict(
                FAILED,
                "RemoteBackend is not there: the configuration does not ask for it; "
                "backends now: LocalCPUBackend, LocalDiskBackend",
            ),
        ),
        (CacheClear(("Nowhere",)), Verdict(DONE, "0 tokens removed")),
        (MetricsReset(), Verdict(DONE, "counters and histograms are at zero")),
        (
            RunScript("x"),
            Verdict(UNSUPPORTED, "running scripts is switched off on this node (run_script_api_enabled)"),
        ),
        (Request("GET", "/version"), Verdict(DONE, '"0.5.6-g3e11e108"')),
        (Request("GET", "/nothing"), Verdict(FAILED, "404: Not Found")),
        (Request("POST", "/version"), Verdict(FAILED, "405: Method Not Allowed")),
    ],
)
def test_what_a_worker_answers(arguments: Arguments, expected: Verdict) -> None:
    node = demo.worker(demo.ManualClock())
    backends = set(demo.ask(node, "GET", "/backends"))
    if "LocalDiskBackend" not in backends:
        demo.ask(node, "POST", "/conf", '{"local_disk": "/tmp/x", "max_local_disk_size": 1}')
        demo.ask(node, "POST", "/backends")
    assert asked(node, arguments) == expected


def test_what_a_worker_removes_is_counted() -> None:
    clock = demo.ManualClock()
    node = demo.worker(clock)
    clock.pass_time(60)
    got = asked(node, CacheClear())
    assert isinstance(got, Verdict)
    assert got.outcome == DONE
    words = got.detail.split(" ", 1)
    assert int(words[0]) > 0
    assert words[1] == "tokens removed"


def test_a_script_runs_where_that_is_switched_on() -> None:
    node = demo.worker(demo.ManualClock())
    demo.ask(node, "POST", "/conf", '{"run_script_api_enabled": true}')
    assert asked(node, RunScript("result = 1")) == Verdict(DONE, "Script executed successfully")


def test_what_an_mp_server_answers() -> None:
    node = demo.server(demo.ManualClock())
    assert asked(node, CacheClear(), SERVER) == Verdict(DONE, "cleared")
    assert asked(node, LEVEL, SERVER) == Verdict(DONE, "Set lmcache level to DEBUG (including all handlers)")


NO_ENGINE = {"error": "x API is unavailable", "message": "LMCache engine not configured."}


@pytest.mark.parametrize(
    ("arguments", "status", "body", "expected"),
    [
        (
            Conf({"a": 1}),
            404,
            {"detail": "Not Found"},
            "this node does not offer POST /conf (LMCache has it since 0.3.14)",
        ),
        (Conf({"a": 1}), 405, {"detail": "Method Not Allowed"}, "this node does not offer POST /conf"),
        (Freeze(True), 503, NO_ENGINE, "this node has no cache engine"),
        (
            Backend("close", "a"),
            404,
            {"detail": "Not Found"},
            "does not offer DELETE /backends/a (LMCache has it since",
        ),
    ],
)
def test_what_a_node_turns_out_to_lack(arguments: Arguments, status: int, body: Any, expected: str) -> None:
    got = verdict(arguments, status, body)
    assert isinstance(got, Verdict)
    assert got.outcome == UNSUPPORTED
    assert expected in got.detail


@pytest.mark.parametrize(
    ("arguments", "status", "body", "expected"),
    [
        (LEVEL, 200, "null", "the node answered something else: null"),
        (LEVEL, 400, "Invalid log level: X", "400: Invalid log level: X"),
        (LEVEL, 404, {"detail": "no node or proxy is called 'n'"}, "404: no node or proxy is called 'n'"),
        (LEVEL, 503, {"detail": "too many connections"}, "503: too many connections"),
        (LEVEL, 307, "", "307"),
        (Freeze(True), 200, {"freeze": False}, 'the node answered something else: {"freeze": false}'),
        (Freeze(True), 200, "<!doctype html><html>", "the node answered something else: <!doctype html><html>"),
        (Freeze(True), 500, {"error": "a", "message": "b"}, "500: a: b"),
        (HotCache(True), 200, {"freeze": True}, "the node answered something else"),
        (Bypass("a", True), 200, {"bypassed": False}, "the node answered something else"),
        (Backend("close", "a"), 200, {"backends": {"a": "a"}}, "backends now: a"),
        (Backend("close", "a"), 200, {"status": "success"}, "the node answered something else"),
        (
            Backend("recreate", "a"),
            200,
            {"backends": {}},
            "a is not there: the configuration does not ask for it; backen",
        ),
        (CacheClear(), 200, "{}", "the node answered something else: {}"),
        (CacheClear(), 503, "busy", "503: busy"),
        (MetricsReset(), 500, "Internal Server Error", "500: Internal Server Error"),
        (RunScript("x"), 404, "gone", "404: gone"),
        (RunScript("x"), 500, "Error executing script: token=abc", "500: Error executing script: token=********"),
        (Conf({"a": 1}), 400, {"error": "Invalid JSON body", "message": "m"}, "400: Invalid JSON body: m"),
        (Conf({"a": 1}), 200, {"updated": {}}, "nothing set: a (not confirmed)"),
        (Conf({"a": 1}), 500, "Internal Server Error", "500: Internal Server Error"),
        (
            Conf({"api_key": "x"}),
            400,
            {"updated": {}, "errors": {"api_key": "Unknown config"}},
            "nothing set: api_key (Unk",
        ),
        (Request("GET", "/a"), 302, "", "302"),
        (Request("GET", "/a"), 500, "secret=x", "500: secret=********"),
    ],
)
def test_what_went_wrong_is_said(arguments: Arguments, status: int, body: Any, expected: str) -> None:
    got = verdict(arguments, status, body)
    assert isinstance(got, Verdict)
    assert got.outcome == FAILED
    assert got.detail.startswith(expected)


def test_values_of_secret_keys_are_not_told() -> None:
    got = verdict(
        Conf({"api_key": "x", "remote_url": "redis://u:p@h"}),
        200,
        {"updated": {"api_key": "x", "remote_url": "redis://u:p@h"}},
    )
    assert got == Verdict(
        DONE,
        'set api_key="********", remote_url="redis://********@h"',
        {"api_key": {"value": "********"}, "remote_url": {"value": "redis://********@h"}},
    )


def doubt_of(values: dict[str, Any]) -> Doubt:
    got = verdict(Conf(values), 500, "Internal Server Error")
    assert isinstance(got, Doubt)
    return got


def test_a_number_that_is_not_finite_is_read_back() -> None:
    """LMCache sets it and then fails to say so."""
    node = demo.worker(demo.ManualClock())
    arguments = Conf({"pd_allocation_timeout_sec": "inf", "min_retrieve_tokens": 3})
    doubt = asked(node, arguments)
    assert isinstance(doubt, Doubt)
    assert doubt.question == Question("GET", "/conf?names=pd_allocation_timeout_sec,min_retrieve_tokens")
    assert doubt.judge(heard(node, doubt.question)) == Verdict(
        DONE,
        'set pd_allocation_timeout_sec="Infinity" (sent "inf"), min_retrieve_tokens=3 '
        "(read back, as LMCache fails to say it)",
        {"pd_allocation_timeout_sec": {"value": "Infinity"}, "min_retrieve_tokens": {"value": 3}},
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"a": 5.0}', "the node failed to answer, and holds another value of a"),
        (200, '{"a": -Infinity}', "the node failed to answer, and holds another value of a"),
        (200, "{}", "the node failed to answer, and holds another value of a"),
        (500, "oh", "the node failed to answer, and does not show what it holds (500: oh)"),
    ],
)
def test_what_was_read_back_may_be_something_else(status: int, body: str, expected: str) -> None:
    keys = {"a": {"error": "the node holds another value"}} if status == 200 else None
    assert doubt_of({"a": "Infinity"}).judge(Heard(status, body)) == Verdict(FAILED, expected, keys)


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("127.0.0.1:1: Connection refused", False),
        ("/run/x: No such file or directory", False),
        ("10.0.0.1:1 did not accept a connection within 5 s", False),
        ("the host name 'x' cannot be resolved", False),
        ("127.0.0.1:1 did not answer within 5 s", True),
        ("127.0.0.1:1: connection ended before the answer", True),
    ],
)
def test_what_was_not_answered_may_have_been_done(text: str, may_be: bool) -> None:
    assert may_be_done(text) is may_be
