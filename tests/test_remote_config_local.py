# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from lmcache_frontend.remote_config.catalogue import catalogue
from lmcache_frontend.remote_config.local import Local, local_configuration, unquoted

STOPS = "LMCache does not start"


def of_file(key: str, value: Any) -> Local:
    return local_configuration({key: value}, {})


def of_variable(key: str, text: str, document: dict[str, Any] | None = None, version: str = "0.5.6") -> Local:
    return local_configuration(document, {f"LMCACHE_{key.upper()}": text}, version=version)


def test_nothing_given_means_the_defaults() -> None:
    for document in (None, {}):
        local = local_configuration(document, {"HOME": "/root", "LMCACHE_CONFIG_FILE": "/x", "lmcache_chunk_size": "1"})
        assert local == Local({name: key.default for name, key in catalogue().items()}, frozenset(), [], [])


def test_variables_come_on_top_of_the_file() -> None:
    environment = {"LMCACHE_CHUNK_SIZE": "64", "LMCACHE_PD_ALLOCATION_TIMEOUT_SEC": "30"}
    local = local_configuration({"chunk_size": 128, "app_id": "a"}, environment)
    assert local.user_set == {"chunk_size", "app_id", "pd_allocation_timeout_sec"}
    assert (local.values["chunk_size"], local.values["app_id"]) == (64, "a")
    assert local.values["pd_allocation_timeout_sec"] == 30.0
    assert not local.notes


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("chunk_size", "12", 12),
        ("chunk_size", None, None),
        ("local_cpu", "yes", False),
        ("local_disk", "file:///a/,/b", "/a/,/b"),
        ("local_disk", "", None),
        ("extra_config", '{"a": 1}', {"a": 1}),
        ("extra_config", [], None),
        ("runtime_plugin_locations", "/a,/b", ["/a,/b"]),
        ("max_local_cpu_size", ".inf", None),
    ],
)
def test_a_file_is_converted(key: str, value: Any, held: Any) -> None:
    local = of_file(key, value)
    assert local.values[key] == held
    assert type(local.values[key]) is type(held)
    assert local.user_set == {key}
    assert not local.failures


def test_what_a_file_has_wrong_is_null() -> None:
    local = of_file("chunk_size", "many")
    assert local.values["chunk_size"] is None
    assert local.user_set == {"chunk_size"}
    assert local.notes == ['file: got "many" for chunk_size, expected an integer: LMCache sets it to null']


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("chunk_size", [1]),
        ("chunk_size", math.inf),
        ("nixl_backends", 5),
        ("extra_config", [1]),
        ("extra_config", True),
    ],
)
def test_what_a_file_has_worse_stops_lmcache(key: str, value: Any) -> None:
    local = of_file(key, value)
    assert local.values[key] == catalogue()[key].default
    assert len(local.failures) == 1
    assert local.failures[0].startswith("file: got ")
    assert local.failures[0].endswith(f": {STOPS}")


def test_a_variable_that_cannot_be_converted_is_passed_over_beside_a_file() -> None:
    local = of_variable("chunk_size", "many", {"chunk_size": 128})
    assert (local.values["chunk_size"], local.user_set) == (128, {"chunk_size"})
    assert local.notes == ['LMCACHE_CHUNK_SIZE: got "many", expected an integer: LMCache passes over it']
    assert of_variable("chunk_size", "many", {}).user_set == frozenset()


def test_a_variable_that_cannot_be_converted_is_null_without_a_file() -> None:
    local = of_variable("chunk_size", "many")
    assert (local.values["chunk_size"], local.user_set) == (None, {"chunk_size"})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ("  a b ", "a b"),
        ("", ""),
        ("  ", ""),
        ("'a b '", "a b "),
        ('" # # "', " # # "),
        (r'"a\nb"', "a\nb"),
        (r"'\d'", r"\d"),
        (r'"\x"', r"\x"),
        ("'it's'", "it's"),
        ('"a" "b"', "ab"),
        ('"a" + "b"', 'a" + "b'),
        ('"a", "b"', '"a", "b"'),
        ("\"a'", "\"a'"),
        ("'", "'"),
        ("''", ""),
        ("b'x'", "b'x'"),
        ("'a\nb'", "a\nb"),
    ],
)
def test_quotes_and_escapes_of_a_variable_are_read(text: str, read: str) -> None:
    assert unquoted(text) == read
    assert of_variable("app_id", text).values["app_id"] == read


@pytest.mark.parametrize("document", [None, {}])
def test_an_old_name_of_a_variable_wins_over_the_new_one(document: dict[str, Any] | None) -> None:
    both = {"LMCACHE_PLUGIN_LOCATIONS": "/old", "LMCACHE_RUNTIME_PLUGIN_LOCATIONS": "/new"}
    local = local_configuration(document, both)
    assert local.values["runtime_plugin_locations"] == ["/old"]
    assert local.user_set == {"runtime_plugin_locations"}
    assert local.notes == ["environment: plugin_locations is an old name of runtime_plugin_locations"]


def test_the_later_of_an_old_and_a_new_name_in_a_file_wins() -> None:
    names = {"plugin_locations": "/old", "runtime_plugin_locations": "/new"}
    assert local_configuration(names, {}).values["runtime_plugin_locations"] == ["/new"]
    turned = dict(reversed(names.items()))
    assert local_configuration(turned, {}).values["runtime_plugin_locations"] == ["/old"]


def test_names_that_lmcache_does_not_know_are_noted() -> None:
    local = local_configuration({"chunk": 1, "enable_xpyd": True, 5: 6}, {"LMCACHE_NIXL_ROLE": "sender"})
    assert local.notes == [
        "file: chunk is no key of LMCache 0.5.6, ignored",
        "file: enable_xpyd is no key of LMCache 0.5.6, ignored (enable_pd took its place)",
        "file: 5 is no key of LMCache 0.5.6, ignored",
        "environment: nixl_role is no key of LMCache 0.5.6, ignored (pd_role took its place)",
    ]
    assert local.user_set == frozenset()


def test_what_lmcache_changes_by_itself() -> None:
    local = of_variable("enable_blending", "true")
    assert local.values["save_unfull_chunk"] is True
    assert local.user_set == {"enable_blending"}
    assert local.notes == ["LMCache sets save_unfull_chunk to true because of the other settings"]


def test_what_lmcache_does_not_start_with() -> None:
    assert of_file("min_retrieve_tokens", -1).failures == [f"min_retrieve_tokens is no number from 0 on: {STOPS}"]


def test_when_a_configuration_is_checked() -> None:
    for document, first in (({}, "0.4.2"), (None, "0.4.5")):
        assert not of_variable("min_retrieve_tokens", "-1", document, "0.4.1").failures
        assert of_variable("min_retrieve_tokens", "-1", document, first).failures
    assert not of_variable("min_retrieve_tokens", "-1", None, "0.4.4").failures


def test_two_variables_stop_some_releases() -> None:
    for version in ("0.4.2", "0.5.2"):
        local = of_variable("store_location", "a", {}, version)
        assert local.failures == [f"LMCACHE_STORE_LOCATION: LMCache {version} cannot read it: {STOPS}"]
        assert of_variable("store_location", "a", None, version).values["store_location"] == "a"
    assert of_variable("store_location", "a", {}, "0.5.3").values["store_location"] == "a"


def test_an_empty_name_of_an_instance_is_made_up() -> None:
    assert of_file("lmcache_instance_id", "").values["lmcache_instance_id"] is None
    assert of_variable("lmcache_instance_id", "").values["lmcache_instance_id"] is None
    assert of_variable("lmcache_instance_id", "", {}).values["lmcache_instance_id"] == ""
    assert local_configuration({"lmcache_instance_id": ""}, {}, version="0.4.2").values["lmcache_instance_id"] == ""


def test_another_release_has_its_own_keys() -> None:
    local = local_configuration({"run_script_api_enabled": True}, {}, version="0.4.7")
    assert list(local.values) == list(catalogue("0.4.7"))
    assert local.notes == ["file: run_script_api_enabled is no key of LMCache 0.4.7, ignored"]


def test_no_secret_is_in_a_note() -> None:
    local = local_configuration({"extra_config": '{"token": "hush"'}, {"LMCACHE_CHUNK_SIZE": "x://u:hush@h"})
    assert len(local.notes) == 2
    assert "hush" not in "".join(local.notes)
