# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lmcache_frontend.remote_config.values import compact, equal, kind, number, object_of, shown, strict

INF, NAN = math.inf, math.nan


def test_numbers_that_are_not_finite_are_written_as_texts() -> None:
    assert strict({"a": [INF, -INF, NAN, 1.5], "b": (1, None)}) == {
        "a": ["Infinity", "-Infinity", "NaN", 1.5],
        "b": [1, None],
    }
    assert compact({"b": INF, "a": "é"}) == '{"b":"Infinity","a":"\\u00e9"}'
    assert compact({"b": 1, "a": {"d": 1, "c": 2}}, ordered=True) == '{"a":{"c":2,"d":1},"b":1}'
    assert json.loads(compact("\ud800")) == "\ud800"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (5, 5.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("Infinity", INF, True),
        (-INF, "-Infinity", True),
        (INF, "-Infinity", False),
        (NAN, NAN, True),
        ("NaN", NAN, True),
        (NAN, 1, False),
        (None, None, True),
        (None, 0, False),
        (None, "", False),
        ("5", 5, False),
        ([1, 2], [1, 2.0], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": [INF]}, {"a": ["Infinity"]}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        ([], {}, False),
        (2**70, 2**70, True),
        (2**70, 2**70 + 1, False),
    ],
)
def test_equality(left: Any, right: Any, expected: bool) -> None:
    assert equal(left, right) is expected
    assert equal(right, left) is expected


def test_numbers() -> None:
    assert [number(value) for value in (1, 1.5, "Infinity", "1", True, None, [])] == [
        1,
        1.5,
        INF,
        None,
        None,
        None,
        None,
    ]


def test_extra_configuration_is_an_object_or_the_text_of_one() -> None:
    assert object_of({"a": 1}) == {"a": 1}
    assert object_of(' {"a": 1}') == {"a": 1}
    assert [object_of(value) for value in ("", "{", "[1]", None, 3, [], "[" * 100_000)] == [None] * 7


def test_what_is_shown_is_short() -> None:
    assert [shown(value) for value in ("a\n", 5, 1.5, True, None, [1], {}, 10**30)] == [
        '"a\\n"',
        "5",
        "1.5",
        "true",
        "null",
        "a list",
        "an object",
        "a huge number",
    ]
    assert len(shown("x" * 1000)) < 70
    assert [kind(value) for value in (None, 1, "", False, object())] == [
        "null",
        "a number",
        "a text",
        "a boolean",
        "no JSON value",
    ]
