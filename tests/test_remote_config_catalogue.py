# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter

import pytest

from lmcache_frontend.remote_config.catalogue import (
    LATEST,
    Key,
    aliases,
    catalogue,
    is_attribute,
    release_of,
    release_text,
)
from lmcache_frontend.remote_config.catalogue_keys import RENAMED


def test_the_keys_of_the_newest_release() -> None:
    keys = catalogue()
    assert len(keys) == 108
    assert list(keys)[:3] == ["chunk_size", "local_cpu", "max_local_cpu_size"]
    assert list(keys)[-1] == "hidden_states_retrieve_mode"
    assert keys["app_id"] == Key(
        "app_id", "str?", "str", None, "0.3.13", "Sent to that URL as query parameter appId.", "LMCACHE_APP_ID"
    )
    assert keys["blend_special_str"].default == " # # "
    assert math.isinf(keys["pd_allocation_timeout_sec"].default)
    assert Counter(key.converter for key in keys.values()) == {
        "int": 18,
        "bool": 23,
        "float": 14,
        "str": 31,
        "path-list": 1,
        "list[int]": 11,
        "list[float]": 2,
        "list[str]": 5,
        "json-object": 1,
        "str->[str]": 1,
        "enum": 1,
    }


def test_each_key_is_whole() -> None:
    for name, key in catalogue().items():
        assert (key.name, key.variable) == (name, f"LMCACHE_{name.upper()}")
        assert key.meaning.endswith(".")
        assert "  " not in key.meaning
        assert key.since in catalogue(key.since)[name]
        assert release_of("0.3.4") <= release_of(key.since) <= release_of(LATEST)
        assert json.loads(json.dumps(key.default)) == key.default


@pytest.mark.parametrize(
    ("version", "count"),
    [
        ("0.3.4", 53),
        ("0.3.6", 59),
        ("0.3.7", 62),
        ("0.3.9", 64),
        ("0.3.9.post1", 66),
        ("0.3.10", 77),
        ("0.3.13", 82),
        ("0.3.15", 84),
        ("0.4.4", 93),
        ("0.4.7", 103),
        ("0.5.0", 103),
        ("0.5.5", 107),
        ("0.5.6", 108),
    ],
)
def test_each_release_has_as_many_keys_as_lmcache(version: str, count: int) -> None:
    assert len(catalogue(version)) == count


def test_what_0_4_7_lacks() -> None:
    old, new = catalogue("0.4.7"), catalogue()
    assert set(new) - set(old) == {
        "run_script_api_enabled",
        "enable_hidden_state_cache",
        "max_hidden_state_cpu_size",
        "hidden_state_layers",
        "hidden_states_retrieve_mode",
    }
    assert not set(old) - set(new)
    assert {name for name in old if old[name] != new[name]} == {
        "internal_api_server_host",
        "retrieve_locations",
        "store_location",
    }
    assert old["internal_api_server_host"].default == "0.0.0.0"
    assert old["retrieve_locations"].converter == old["store_location"].converter == ""
    assert (old["retrieve_locations"].type, old["store_location"].type) == ("list[str]?", "str?")


def test_what_0_3_9_has_otherwise() -> None:
    old, new = catalogue("0.3.9"), catalogue()
    assert len(set(new) - set(old)) == 49
    assert set(old) - set(new) == {
        "weka_path",
        "cufile_buffer_size",
        "plugin_locations",
        "external_backends",
        "mla_lookup_server_worker_id",
    }
    assert {name for name in old if name in new and old[name].default != new[name].default} == {
        "internal_api_server_host",
        "save_unfull_chunk",
    }
    assert old["save_unfull_chunk"].default is True
    assert old["local_disk"].converter == "path"


@pytest.mark.parametrize(
    ("version", "release", "text"),
    [
        ("0.5.6", (0, 5, 6), "0.5.6"),
        ("v0.4.7", (0, 4, 7), "0.4.7"),
        (" 0.4.7.dev12+g1234abc", (0, 4, 7), "0.4.7"),
        ("0.5.1rc1", (0, 5, 1), "0.5.1"),
        ("0.5", (0, 5, 0), "0.5.0"),
        ("0.3.9.post2", (0, 3, 9, 2), "0.3.9.post2"),
        ("0.5.6-1234abc", (0, 5, 6), "0.5.6"),
        ("1.2.3", (1, 2, 3), "1.2.3"),
        ("0.1.0", (0, 3, 4), "0.3.4"),
        ("main", (0, 5, 6), "0.5.6"),
        ("", (0, 5, 6), "0.5.6"),
        (None, (0, 5, 6), "0.5.6"),
        ("9" * 10000, (0, 5, 6), "0.5.6"),
    ],
)
def test_any_text_is_some_release(version: str | None, release: tuple[int, ...], text: str) -> None:
    assert release_of(version) == release
    assert release_text(release) == text
    assert catalogue(version) == catalogue(text)


def test_releases_between_and_beyond_the_known_have_the_keys_of_the_nearest_below() -> None:
    assert catalogue("0.5.4") == catalogue("0.5.3")
    assert catalogue("0.9.9") == catalogue("0.5.6")
    assert catalogue("0.3.9.post2") == catalogue("0.3.9.post1")


def test_a_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        catalogue()["x"] = catalogue()["app_id"]  # type: ignore[index]


def test_old_names_stand_for_keys() -> None:
    assert aliases((0, 3, 10)) == {}
    assert aliases((0, 3, 11))["plugin_locations"] == "runtime_plugin_locations"
    assert set(RENAMED.values()) <= set(catalogue())
    assert not set(RENAMED) & set(catalogue())


@pytest.mark.parametrize("name", ["validate", "to_dict", "_user_set_keys", "__class__", "__dataclass_fields__"])
def test_parts_of_lmcaches_object_are_told_from_other_names(name: str) -> None:
    assert is_attribute(name)
    assert not is_attribute(f"{name}_")


def test_nothing_heavy_is_imported_and_the_table_is_read_when_asked_for() -> None:
    program = (
        "import sys; from lmcache_frontend.remote_config import application, local, catalogue; "
        "assert catalogue._catalogue.cache_info().currsize == 0; "
        "print(sorted({'ast', 'difflib', 'sqlite3', 'ssl', 'email', 'http.client', 'dataclasses'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, check=True)
    assert finished.stdout.strip() == b"[]"
