# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections import OrderedDict
from enum import Enum, IntEnum
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.yaml_subset import dump, load
from lmcache_frontend.remote_config.yaml_subset.flow import DEPTH_LIMIT
from lmcache_frontend.remote_config.yaml_subset.source import SIZE_LIMIT_CHARACTERS
from lmcache_frontend.remote_config.yaml_subset.words import KEY_LIMIT_CHARACTERS

WORKER = {
    "chunk_size": 256,
    "local_cpu": True,
    "local_disk": None,
    "max_local_cpu_size": 5.0,
    "remote_url": "redis://cache.svc:6379",
    "gds_path": "/mnt/nvme0",
    "nixl_backends": ["UCX", "GDS"],
    "storage_plugins": [],
    "app_id": "12",
    "extra_config": {
        "yes": "on",
        "settings": {"retries": 3, "empty": {}, "hosts": ["a:1", None, 0.5]},
        "banner": "first: line\n  second\n\nthird",
        "tail": "a\nb\n",
    },
}
WRITTEN = """\
chunk_size: 256
local_cpu: true
local_disk: null
max_local_cpu_size: 5.0
remote_url: "redis://cache.svc:6379"
gds_path: /mnt/nvme0
nixl_backends: [UCX, GDS]
storage_plugins: []
app_id: "12"
extra_config:
  "yes": "on"
  settings:
    retries: 3
    empty: {}
    hosts: ["a:1", null, 0.5]
  banner: |-
    first: line
      second

    third
  tail: |
    a
    b
"""
RULES = {
    "rules": [
        {
            "name": "chunks",
            "match": {"app_id": ["team-*"], "env": [{"name": "POD_NAME", "glob": "a*"}]},
            "enabled": True,
        },
        {"name": "b", "items": [{"key": "blend_thresholds", "value": [[0.1, 0.2], []]}]},
        {},
    ]
}
WRITTEN_RULES = """\
rules:
  - name: chunks
    match:
      app_id: ["team-*"]
      env:
        - name: POD_NAME
          glob: "a*"
    enabled: true
  - name: b
    items:
      - key: blend_thresholds
        value:
          - [0.1, 0.2]
          - []
  - {}
"""


@pytest.mark.parametrize(("value", "text"), [(WORKER, WRITTEN), (RULES, WRITTEN_RULES)], ids=["worker", "rules"])
def test_files(value: Any, text: str) -> None:
    assert dump(value) == text
    assert load(text) == value
    assert ascii(load(text)) == ascii(value)


WHOLE: list[tuple[Any, str]] = [
    ({}, "{}\n"),
    ([], "[]\n"),
    (None, "null\n"),
    ("", '""\n'),
    ("a", "a\n"),
    ("a\nb\n", '"a\\nb\\n"\n'),
    (["a", "b"], "- a\n- b\n"),
    ([1, [2, [3]], []], "- 1\n- - 2\n  - [3]\n- []\n"),
    ([["a\nb", {}]], '- - "a\\nb"\n  - {}\n'),
    ([{"a": 1, "b": [{"c": 2}]}, {"d": {}}], "- a: 1\n  b:\n    - c: 2\n- d: {}\n"),
    ({"a": ("b", 1)}, "a: [b, 1]\n"),
]


@pytest.mark.parametrize(("value", "text"), WHOLE)
def test_whole_documents(value: Any, text: str) -> None:
    assert dump(value) == text
    read = load(text)
    assert read == ({"a": ["b", 1]} if value == {"a": ("b", 1)} else value)


SCALARS = [
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-12, "-12"),
    (10**30, "1" + "0" * 30),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (1e20, "1.0e+20"),
    (1.5e300, "1.5e+300"),
    (1e-7, "1.0e-07"),
    (0.1, "0.1"),
    (123456789.0, "123456789.0"),
    (math.inf, ".inf"),
    (-math.inf, "-.inf"),
    (math.nan, ".nan"),
    ("LocalCPUBackend", "LocalCPUBackend"),
    ("by_gpu", "by_gpu"),
    ("v1.2-rc/x", "v1.2-rc/x"),
    ("/a/b", "/a/b"),
    ("two words", '"two words"'),
    (" a", '" a"'),
    ("yes", '"yes"'),
    ("Off", '"Off"'),
    ("null", '"null"'),
    ("y", '"y"'),
    ("NaN", '"NaN"'),
    ("12", '"12"'),
    ("1e3", '"1e3"'),
    ("0o17", '"0o17"'),
    ("12:30", '"12:30"'),
    ("2001-01-01", '"2001-01-01"'),
    ("-", '"-"'),
    ("---", '"---"'),
    ("<<", '"<<"'),
    ("=", '"="'),
    ("~", '"~"'),
    ("a: b", '"a: b"'),
    ("a #b", '"a #b"'),
    ("*", '"*"'),
    ("[a]", '"[a]"'),
    ('say "it\'s"\\', '"say \\"it\'s\\"\\\\"'),
    ("a\tb\r\n", '"a\\tb\\r\\n"'),
    ("\0\x1b\x7f\x85\xa0", '"\\x00\\x1B\\x7F\\x85\\xA0"'),
    ("\u2028\ufeff\u202e\uffff", '"\\u2028\\uFEFF\\u202E\\uFFFF"'),
    ("é日本😀", '"é日本😀"'),
    ("\U0010ffff", '"\\U0010FFFF"'),
    ("a\n\n", '"a\\n\\n"'),
    ("\na\nb", '"\\na\\nb"'),
    (" a\nb", '" a\\nb"'),
    ("a \nb", '"a \\nb"'),
    ("a\tb\nc", '"a\\tb\\nc"'),
    ("a\n", '"a\\n"'),
]


@pytest.mark.parametrize(("value", "text"), SCALARS)
def test_scalars(value: Any, text: str) -> None:
    assert dump({"k": value}) == f"k: {text}\n"
    assert dump({"k": [value]}) == f"k: [{text}]\n"
    assert ascii(load(f"k: {text}\n")) == ascii({"k": value})
    if isinstance(value, str):
        assert dump({value: 1}) == f"{text}: 1\n"
        assert load(dump({value: [{value: value}]})) == {value: [{value: value}]}


def test_long_lists_stand_below_their_key() -> None:
    ports = list(range(8000, 8020))
    assert dump({"ports": ports[:15]}) == f"ports: {ports[:15]}\n"
    assert dump({"ports": ports}) == "ports:\n" + "".join(f"  - {port}\n" for port in ports)


def test_subclasses_are_written_as_what_they_are() -> None:
    class Word(str, Enum):
        LRU = "lru"

    class Number(IntEnum):
        TWO = 2

    assert dump(OrderedDict(b=Number.TWO, a=Word.LRU)) == "b: 2\na: lru\n"


def nested(depth: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_depth(kind: type) -> None:
    assert load(dump(nested(DEPTH_LIMIT, kind))) == nested(DEPTH_LIMIT, kind)
    with pytest.raises(BadRequest, match=f"nest deeper than {DEPTH_LIMIT} levels"):
        dump(nested(DEPTH_LIMIT + 1, kind))
    value = nested(DEPTH_LIMIT, dict)
    inner = value
    for _ in range(DEPTH_LIMIT - 1):
        inner = inner["a"]
    for make in (dict, list):
        inner["a"] = make()
        with pytest.raises(BadRequest, match="nest deeper"):
            dump(value)


def test_a_circle_is_refused() -> None:
    value: dict[str, Any] = {}
    value["a"] = [value]
    with pytest.raises(BadRequest, match="nest deeper"):
        dump(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1: 2}, "a key is 1, expected a text"),
        ({None: 2}, "a key is None, expected a text"),
        ({"k" * (KEY_LIMIT_CHARACTERS + 1): 1}, "the key 'k{57}\\.\\.\\.' has more than 1024 characters"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
        ({"\udfff": 1}, "half of a surrogate pair"),
        ([10**5000], "a whole number of 16610 bits is too long"),
        ("a" * SIZE_LIMIT_CHARACTERS, f"as YAML this has {SIZE_LIMIT_CHARACTERS + 1} characters"),
    ],
)
def test_what_could_not_be_read_back_is_refused(value: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        dump(value)


@pytest.mark.parametrize("value", [{"a": {1}}, [b"a"], object(), {"a": [1j]}])
def test_other_kinds_of_values(value: Any) -> None:
    with pytest.raises(TypeError, match="expected a map, a list, a text, a number, a boolean or None, got "):
        dump(value)
