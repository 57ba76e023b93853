# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Set
from typing import Any

import pytest

from lmcache_frontend.remote_config.application import Row, apply, same

CURRENT = {"chunk_size": 256, "local_cpu": True, "remote_url": "redis://own:1", "extra_config": {"a": 1, "b": {"c": 2}}}
OWN = frozenset({"remote_url", "extra_config"})
FATAL = "LMCache fails at its start over this: "


def item(key: str, value: Any, override: Any = True) -> dict[str, Any]:
    return {"key": key, "value": value, "override": override}


def one(key: str, value: Any, override: Any = True, *, user_set: Set[str] | None = OWN, version: str = "0.5.6") -> Row:
    (row,) = apply([item(key, value, override)], CURRENT, user_set=user_set, version=version)
    return row


def test_an_item_sets_its_converted_value() -> None:
    assert one("chunk_size", "512") == Row("chunk_size", 256, "512", True, 512, True, "set")


def test_a_value_that_is_there_already_changes_nothing() -> None:
    assert one("chunk_size", 256.0) == Row("chunk_size", 256, 256.0, True, 256, False, "the same already")


def test_a_surprise_is_told() -> None:
    row = one("local_cpu", "yes")
    assert (row.result, row.changed) == (False, True)
    assert row.why == 'set: got "yes", of which LMCache makes false; only true and 1 are true'


def test_a_refused_value_leaves_the_old_one() -> None:
    row = one("chunk_size", "3.9")
    assert row == Row("chunk_size", 256, "3.9", True, 256, False, 'refused: got "3.9", expected an integer')


@pytest.mark.parametrize("override", [False, None, 0, "", [], {}])
def test_without_override_the_users_own_stays(override: Any) -> None:
    assert one("remote_url", "redis://new:1", override) == Row(
        "remote_url",
        "redis://own:1",
        "redis://new:1",
        False,
        "redis://own:1",
        False,
        "kept: set by file or environment, and override is false",
    )
    assert one("chunk_size", 512, override).result == 512


@pytest.mark.parametrize("override", [True, "false", 1, [0]])
def test_with_override_the_users_own_goes(override: Any) -> None:
    assert one("remote_url", "redis://new:1", override)[3:] == (True, "redis://new:1", True, "set")


def test_override_is_true_where_it_is_not_said() -> None:
    (row,) = apply([{"key": "remote_url", "value": None}], CURRENT, user_set=OWN)
    assert row[2:] == (None, True, None, True, "set")


def test_a_value_is_refused_before_override_is_asked() -> None:
    assert one("chunk_size", "x", False, user_set={"chunk_size"}).why.startswith("refused: ")


@pytest.mark.parametrize(
    ("value", "override", "version", "result", "why"),
    [
        ({"b": 5, "d": 6}, True, "0.5.6", {"b": 5, "d": 6}, "set"),
        ({"b": 5, "d": 6}, False, "0.5.6", {"a": 1, "b": 5, "d": 6}, "merged"),
        ('{"a": 3}', False, "0.5.6", {"a": 3, "b": {"c": 2}}, "merged"),
        ('{"a": 3}', True, "0.3.13", {"a": 3}, "set"),
        (None, False, "0.5.6", CURRENT["extra_config"], "kept: there is no object to merge"),
        ("", False, "0.5.6", CURRENT["extra_config"], "kept: there is no object to merge: "),
        (5, False, "0.5.6", CURRENT["extra_config"], "kept: there is no object to merge: "),
        (None, True, "0.5.6", None, "set"),
        ("", True, "0.5.6", None, "set: "),
        (5, True, "0.5.6", 5, "set: "),
        ("{", True, "0.5.6", CURRENT["extra_config"], "refused: got a text, expected an object"),
    ],
)
def test_extra_config_is_replaced_or_merged(value: Any, override: bool, version: str, result: Any, why: str) -> None:
    row = one("extra_config", value, override, version=version)
    assert row.result == result
    assert row.changed is (result != CURRENT["extra_config"])
    assert row.why.startswith(why)
    assert CURRENT["extra_config"] == {"a": 1, "b": {"c": 2}}


@pytest.mark.parametrize(
    ("version", "value", "result"), [("0.3.14", 5, 5), ("0.3.15", 5, None), ("0.3.14", {}, {}), ("0.5.6", {}, {})]
)
def test_extra_config_that_is_not_there_is_set_by_an_object(version: str, value: Any, result: Any) -> None:
    (row,) = apply([item("extra_config", value, False)], {}, user_set=frozenset(), version=version)
    assert row.result == result


def test_items_are_applied_in_their_order() -> None:
    rows = apply([item("chunk_size", 1), item("chunk_size", "x"), item("chunk_size", 2)], CURRENT, user_set=OWN)
    assert [(row.current, row.result, row.changed) for row in rows] == [(256, 1, True), (1, 1, False), (1, 2, True)]


def test_a_key_that_is_not_in_the_current_configuration_has_its_default() -> None:
    (row,) = apply([item("min_retrieve_tokens", 0)], {}, user_set=None)
    assert row == Row("min_retrieve_tokens", 0, 0, True, 0, False, "the same already")


@pytest.mark.parametrize(
    ("key", "current", "is_kept"),
    [
        ("chunk_size", 256, False),
        ("chunk_size", 256.0, False),
        ("chunk_size", 512, True),
        ("pd_allocation_timeout_sec", math.inf, False),
        ("pd_allocation_timeout_sec", "Infinity", False),
        ("pd_allocation_timeout_sec", 30.0, True),
        ("lmcache_instance_id", "lmcacheengineconfig_" + "0f" * 16, False),
        ("lmcache_instance_id", "worker-1", True),
        ("local_cpu", 1, True),
    ],
)
def test_what_the_user_set_is_guessed_where_it_is_not_known(key: str, current: Any, is_kept: bool) -> None:
    (row,) = apply([item(key, "7", False)], {key: current}, user_set=None)
    assert row.why.startswith("kept: probably set by file or environment") is is_kept
    assert (row.result == current) is is_kept


@pytest.mark.parametrize(
    ("bad", "row"),
    [
        (7, Row("", None, 7, True, None, False, "skipped: no object with key and value")),
        ({"value": 7}, Row("", None, 7, True, None, False, "skipped: no key")),
        ({"key": "", "value": 7}, Row("", None, 7, True, None, False, "skipped: no key")),
        ({"key": 0, "value": 7}, Row("", None, 7, True, None, False, "skipped: no key")),
        (
            item("xyzzy", 7, False),
            Row("xyzzy", None, 7, False, None, False, "skipped: LMCache 0.5.6 has no such key and ignores it"),
        ),
    ],
)
def test_a_bad_item_is_skipped(bad: Any, row: Row) -> None:
    assert apply([bad, item("chunk_size", 1)], CURRENT, user_set=OWN) == [
        row,
        Row("chunk_size", 256, 1, True, 1, True, "set"),
    ]


def test_a_part_of_lmcaches_object_is_overwritten() -> None:
    assert one("validate", 1).why.startswith("no key, but a part of LMCache's configuration object")


def test_a_key_that_is_no_text_ends_the_start() -> None:
    rows = apply([item("chunk_size", 1), {"key": 5, "value": 2}, item("chunk_size", 3)], CURRENT, user_set=OWN)
    assert [row.result for row in rows] == [1, None]
    assert rows[1] == Row("5", None, 2, True, None, False, f"{FATAL}the key is no text")


@pytest.mark.parametrize("configs", [None, [], {}, "", 0, False])
def test_an_empty_answer_changes_nothing(configs: Any) -> None:
    assert apply(configs, CURRENT, user_set=OWN) == []


def test_an_answer_that_is_no_list() -> None:
    (row,) = apply(5, CURRENT, user_set=OWN)
    assert row.why == f"{FATAL}configs is neither a list nor null"
    assert [row.remote for row in apply({"a": 1, "b": 2}, CURRENT, user_set=OWN)] == ["a", "b"]


def test_0_3_13_takes_values_as_they_come() -> None:
    row = one("chunk_size", "512", version="0.3.13")
    assert (row.result, row.changed) == ("512", True)
    assert row.why == 'set: got "512", expected an integer: LMCache takes it as it is and may fail'


def test_older_releases_ask_nobody() -> None:
    assert one("chunk_size", 512, version="0.3.12")[4:] == (
        256,
        False,
        "LMCache 0.3.12 asks no configuration server, 0.3.13 and later do",
    )


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (5, 5.0, True),
        (1, True, False),
        (False, 0.0, False),
        (True, True, True),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (None, 0, False),
        ("1", 1, False),
        ([1, [2.0]], [1.0, [2]], True),
        ([1], [True], False),
        ([1], [1, 2], False),
        ({"a": [1]}, {"a": [1.0]}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
    ],
)
def test_which_values_are_the_same(left: Any, right: Any, expected: bool) -> None:
    assert same(left, right) is expected
    assert same(right, left) is expected
