# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.actions.arguments import (
    ACTIONS,
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
    describe,
    read_arguments,
)
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.masking import MASK

SCRIPT_WORDS = "run_script of 10 bytes, SHA-256 819605c3308507a7"


@pytest.mark.parametrize(
    ("action", "members", "expected", "words"),
    [
        ("loglevel", {"logger": "lmcache", "level": "debug"}, LogLevel("lmcache", "DEBUG"), "loglevel lmcache=DEBUG"),
        ("conf", {"values": {"a": 1, "b": None}}, Conf({"a": 1, "b": None}), "conf a=1, b=null"),
        ("freeze", {"enabled": True}, Freeze(True), "freeze on"),
        ("hot_cache", {"enabled": False}, HotCache(False), "hot_cache off"),
        ("bypass", {"backend": "B", "bypassed": True}, Bypass("B", True), "bypass B on"),
        ("backend", {"operation": "create"}, Backend("create", ""), "backend create"),
        ("backend", {"operation": "create", "name": None}, Backend("create", ""), "backend create"),
        ("backend", {"operation": "create", "name": "B"}, Backend("create", "B"), "backend create B"),
        ("backend", {"operation": "close", "name": "B"}, Backend("close", "B"), "backend close B"),
        ("backend", {"operation": "recreate", "name": "B"}, Backend("recreate", "B"), "backend recreate B"),
        ("cache_clear", {}, CacheClear(), "cache_clear"),
        ("cache_clear", {"locations": ["a", "b", "a"]}, CacheClear(("a", "b")), "cache_clear a, b"),
        ("metrics_reset", {}, MetricsReset(), "metrics_reset"),
        ("run_script", {"script": "result = 1"}, RunScript("result = 1"), SCRIPT_WORDS),
        ("request", {"method": "get", "path": "/"}, Request("GET", "/"), "request GET /"),
        (
            "request",
            {"method": "POST", "path": "/a?b=%20", "headers": {"X-A": "é"}, "body": "ü"},
            Request("POST", "/a?b=%20", (("X-A", "é"),), "ü".encode()),
            "request POST /a?b=%20",
        ),
    ],
)
def test_arguments_are_read_and_put_in_words(action: str, members: Any, expected: Any, words: str) -> None:
    arguments = read_arguments(action, members)
    assert arguments == expected
    assert type(arguments) is type(expected)
    assert describe(arguments) == words


def test_every_action_is_read_above() -> None:
    assert (
        *("loglevel", "conf", "freeze", "hot_cache", "bypass", "backend"),
        *("cache_clear", "metrics_reset", "run_script", "request"),
    ) == ACTIONS


@pytest.mark.parametrize(
    ("action", "members", "message"),
    [
        ("loglevel", {}, "arguments.logger is null, expected a text of 1 to 200 characters"),
        ("loglevel", {"logger": "", "level": "INFO"}, 'arguments.logger is "", expected a text of 1 to 200'),
        ("loglevel", {"logger": "x" * 201, "level": "INFO"}, "expected a text of 1 to 200 characters"),
        (
            "loglevel",
            {"logger": "a", "level": "BASIC_FORMAT"},
            'arguments.level is "BASIC_FORMAT", expected one of NOT',
        ),
        ("loglevel", {"logger": "a", "level": 10}, "arguments.level is 10, expected one of NOTSET, DEBUG, INFO, WARN"),
        ("loglevel", {"logger": "a"}, "arguments.level is null, expected one of NOTSET"),
        (
            "loglevel",
            {"logger": "a", "level": "INFO", "x": 1},
            "loglevel takes no argument 'x', expected logger and lev",
        ),
        ("conf", {"values": {}}, "arguments.values is an object, expected an object with at least one key"),
        ("conf", {"values": [1]}, "arguments.values is a list, expected an object with at least one key"),
        ("conf", {"values": {"": 1}}, "arguments.values has the key '', expected 1 to 200 characters"),
        ("freeze", {"enabled": 1}, "arguments.enabled is 1, expected true or false"),
        ("freeze", {"enabled": "true"}, 'arguments.enabled is "true", expected true or false'),
        ("hot_cache", {}, "arguments.enabled is null, expected true or false"),
        ("bypass", {"bypassed": True}, "arguments.backend is null, expected a text"),
        ("bypass", {"backend": "b"}, "arguments.bypassed is null, expected true or false"),
        ("backend", {"operation": "open"}, 'arguments.operation is "open", expected one of create, close, recreate'),
        ("backend", {"operation": "close"}, "arguments.name is null, expected a text"),
        ("backend", {"operation": "create", "name": 3}, "arguments.name is 3, expected a text"),
        ("cache_clear", {"locations": "a"}, 'arguments.locations is "a", expected a list of names'),
        ("cache_clear", {"locations": [""]}, "arguments.locations is a list, expected a list of names"),
        ("cache_clear", {"locations": ["a"] * 51}, "arguments.locations has 51 names, at most 50 are taken"),
        ("metrics_reset", {"all": True}, "metrics_reset takes no argument 'all', expected none"),
        ("run_script", {"script": " \n"}, 'arguments.script is " \\n", expected the text of a script'),
        ("run_script", {"script": ["x"]}, "arguments.script is a list, expected the text of a script"),
        ("request", {"method": "GET"}, "arguments.path is null, expected a text of 1 to 8192 characters"),
        ("request", {"method": "GET", "path": "a"}, "arguments.path is \"a\", expected one that begins with '/'"),
        ("request", {"method": "GET", "path": "/a b"}, "expected one that begins with '/', percent-encoded"),
        ("request", {"method": "GET", "path": "/a#b"}, "and without '#'"),
        ("request", {"method": "GET", "path": "/é"}, "percent-encoded"),
        ("request", {"method": "GET", "path": "/a\r\nHost: x"}, "percent-encoded"),
        ("request", {"method": "GET", "path": "http://a/"}, "expected one that begins with '/'"),
        ("request", {"method": "BREW", "path": "/"}, 'arguments.method is "BREW", expected one of GET, HEAD, POST'),
        ("request", {"method": "GET", "path": "/", "body": {}}, "arguments.body is an object, expected a text or null"),
        ("request", {"method": "GET", "path": "/", "headers": []}, "arguments.headers is a list, expected an object"),
        ("request", {"method": "GET", "path": "/", "headers": {"a b": ""}}, "has 'a b', expected the name of a header"),
        ("request", {"method": "GET", "path": "/", "headers": {"A": 1}}, "has a value of A that is not fit for a head"),
        ("request", {"method": "GET", "path": "/", "headers": {"A": "b\r\nC: d"}}, "a value of A that is not fit"),
        ("request", {"method": "GET", "path": "/", "headers": {"A": "€"}}, "a value of A that is not fit"),
        *(
            ("request", {"method": "GET", "path": "/", "headers": {name: "x"}}, f"has {name}, which belongs to each")
            for name in ("Host", "connection", "Transfer-Encoding", "Content-Length", "TE", "Upgrade", "Expect")
        ),
    ],
)
def test_what_is_wrong_is_said(action: str, members: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_arguments(action, members)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [MASK, f"redis://{MASK}@h", {"a": [MASK]}])
def test_what_was_shown_masked_is_no_value(value: Any) -> None:
    with pytest.raises(BadRequest, match="expected the secret itself"):
        read_arguments("conf", {"values": {"remote_url": value}})


def test_words_have_no_secrets_and_no_control_characters() -> None:
    assert describe(Conf({"api_key": "abc"})) == 'conf api_key="********"'
    assert describe(Conf({"remote_url": "redis://u:p@h"})) == 'conf remote_url="redis://********@h"'
    assert describe(LogLevel("a\nb\x1b[31m", "INFO")) == "loglevel a b [31m=INFO"
    assert describe(Request("GET", "/a?token=abc&b=1")) == "request GET /a?token=********&b=1"
    assert len(describe(Conf({f"key_number_{number}x": number for number in range(100)}))) == 200
