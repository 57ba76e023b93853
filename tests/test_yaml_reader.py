# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.remote_config.yaml_subset import YamlError, load
from lmcache_frontend.remote_config.yaml_subset.faults import Refusal
from lmcache_frontend.remote_config.yaml_subset.flow import DEPTH_LIMIT
from lmcache_frontend.remote_config.yaml_subset.source import SIZE_LIMIT_CHARACTERS
from lmcache_frontend.remote_config.yaml_subset.words import KEY_LIMIT_CHARACTERS

WORKER = """\
# Worker on the GPU hosts
chunk_size: 256
local_cpu: True          # as people write it
max_local_cpu_size: 5
local_disk: "file:///mnt/nvme0/"
max_local_disk_size: 1.5e+2
remote_url: redis://cache.svc:6379
remote_serde: ~

pd_allocation_timeout_sec: .inf
nixl_backends: [UCX, 'GDS']
lmcache_worker_ports: [8001,8002]
storage_plugins:
- one
- "two"
retrieve_locations:
    - LocalCPUBackend
    -   RemoteBackend
extra_config:
  remote_enable_mla_worker_id_as0: on
  plugin.settings: {"retries": 3, "hosts": ["a:1", "b:2"], nested: {}}
  empty:
  banner: |
    first: line
      second # line
  folded: >-
    one
    paragraph

    and another
"""

RULES = """\
---
rules:
  - name: chunks
    match:
      app_id: ["team-a-*", '*-canary']
      env:
        - {name: POD_NAME, glob: "lmcache-*"}
        - name: NODE_POOL
          absent: true
      rollout_percent: 20
    items: [
      {key: chunk_size, value: 512},   # one to a line
      {key: local_cpu,
       value: false, override: no},
    ]
  -
    name: deny the rest
    deny: "not this one"
...
"""


def test_a_worker_file() -> None:
    assert load(WORKER) == {
        "chunk_size": 256,
        "local_cpu": True,
        "max_local_cpu_size": 5,
        "local_disk": "file:///mnt/nvme0/",
        "max_local_disk_size": 150.0,
        "remote_url": "redis://cache.svc:6379",
        "remote_serde": None,
        "pd_allocation_timeout_sec": math.inf,
        "nixl_backends": ["UCX", "GDS"],
        "lmcache_worker_ports": [8001, 8002],
        "storage_plugins": ["one", "two"],
        "retrieve_locations": ["LocalCPUBackend", "RemoteBackend"],
        "extra_config": {
            "remote_enable_mla_worker_id_as0": True,
            "plugin.settings": {"retries": 3, "hosts": ["a:1", "b:2"], "nested": {}},
            "empty": None,
            "banner": "first: line\n  second # line\n",
            "folded": "one paragraph\nand another",
        },
    }
    assert list(load(WORKER))[:3] == ["chunk_size", "local_cpu", "max_local_cpu_size"]


def test_a_rules_file() -> None:
    env = [{"name": "POD_NAME", "glob": "lmcache-*"}, {"name": "NODE_POOL", "absent": True}]
    items = [{"key": "chunk_size", "value": 512}, {"key": "local_cpu", "value": False, "override": False}]
    match = {"app_id": ["team-a-*", "*-canary"], "env": env, "rollout_percent": 20}
    assert load(RULES) == {
        "rules": [
            {"name": "chunks", "match": match, "items": items},
            {"name": "deny the rest", "deny": "not this one"},
        ]
    }
    assert load(RULES.replace("\n", "\r\n")) == load(RULES.replace("\n", "\r")) == load(RULES)


STRUCTURES: dict[str, Any] = {
    "": None,
    "\n  \n# c\n": None,
    "---": None,
    "---\n...\n# c": None,
    "\ufeffa: 1": {"a": 1},
    "--- a b # c\n": "a b",
    "--- [1]\n...": [1],
    "--- 'x'": "x",
    "---\na: 1\n...\n": {"a": 1},
    "  a: 1\n  b: 2": {"a": 1, "b": 2},
    "a : 1": {"a": 1},
    "a:\nb:": {"a": None, "b": None},
    "a:  # c\n\n  # d\n   b:\n     c: 1\n   d: 2\ne: 3": {"a": {"b": {"c": 1}, "d": 2}, "e": 3},
    "a b: 1": {"a b": 1},
    "a:b: 1": {"a:b": 1},
    "'a: b': 1\n\"c\\n\" : 2": {"a: b": 1, "c\n": 2},
    "'yes': 1\n\"1\": 2\n'': 3": {"yes": 1, "1": 2, "": 3},
    "a:\n- 1\n-\n- 2\nb: 3": {"a": [1, None, 2], "b": 3},
    "a:\n  - 1\n  - 2\nb: 3": {"a": [1, 2], "b": 3},
    "a:\n  b:\n  - 1\n  c: 2": {"a": {"b": [1], "c": 2}},
    "- 1\n- - 2\n  - 3\n-   a: 4\n    b: 5\n-\n  - 6": [1, [2, 3], {"a": 4, "b": 5}, [6]],
    "- a:\n  - b\n  c:\n    - d": [{"a": ["b"], "c": ["d"]}],
    "- a:\n- b": [{"a": None}, "b"],
    "- - - 1": [[[1]]],
    "-\n\n  # c\n  a: 1": [{"a": 1}],
    "[]": [],
    "{}": {},
    "[1, 2,]": [1, 2],
    "[ ]": [],
    "{a: 1, b: [2, {c: 3}],}": {"a": 1, "b": [2, {"c": 3}]},
    '{"a":1,"b":"c"}': {"a": 1, "b": "c"},
    "{a, b: , c:}": {"a": None, "b": None, "c": None},
    "{a:1}": {"a:1": None},
    "[a: b, c]": [{"a": "b"}, "c"],
    "['a':b, c: ]": [{"a": "b"}, {"c": None}],
    "[a:b, -, -1, http://h:1/p]": ["a:b", "-", -1, "http://h:1/p"],
    "a: [1,\n2\n]\nb: 1": {"a": [1, 2], "b": 1},
    "a: [ # c\n  1, # d\n\n  # e\n  2 ] # f": {"a": [1, 2]},
    "a: {b:\n 1}": {"a": {"b": 1}},
    "[[], [[]], {}]": [[], [[]], {}],
    "a: 'x'   # c": {"a": "x"},
    "a: x # c # d": {"a": "x"},
}


@pytest.mark.parametrize("text", STRUCTURES)
def test_structures(text: str) -> None:
    assert ascii(load(text)) == ascii(STRUCTURES[text])


LEFT_OUT = [
    ("a: &x 1", Refusal.ANCHOR, "line 1, column 4: anchors (&) are not taken"),
    ("a: 1\nb: *x", Refusal.ALIAS, "line 2, column 4: aliases (*) are not taken: put a text that begins with *"),
    ("app_id: [*]", Refusal.ALIAS, "line 1, column 10: aliases"),
    ("a: !!str 1", Refusal.TAG, "line 1, column 4: tags (!)"),
    ("!x a: 1", Refusal.TAG, "line 1, column 1: tags"),
    ("%YAML 1.1\n---\na: 1", Refusal.DIRECTIVE, "line 1, column 1: directives (%)"),
    ("a: 1\n---\nb: 2", Refusal.DOCUMENTS, "line 2, column 1: only one document"),
    ("---\n---\n", Refusal.DOCUMENTS, "line 2, column 1: only one document"),
    ("a: 1\n...\n---\nb: 1", Refusal.DOCUMENTS, "line 3, column 1: only one document"),
    ("...\n", Refusal.DOCUMENTS, "line 1, column 1: only one document"),
    ("? a\n: b", Refusal.COMPLEX_KEY, "line 1, column 1: a key has to be a single text"),
    ("{? a : b}", Refusal.COMPLEX_KEY, "line 1, column 2: a key has to be a single text"),
    ("{[a]: b}", Refusal.COMPLEX_KEY, "line 1, column 2: a key has to be a single text"),
    ("[[a]: b]", Refusal.COMPLEX_KEY, "line 1, column 2: a key has to be a single text"),
    ("a:\n  <<: b", Refusal.MERGE, "line 2, column 3: merge keys (<<)"),
    ("=: 1", Refusal.EQUALS, "line 1, column 1: a single ="),
    ("a: 1\nb: 2\n'a': 3", Refusal.DUPLICATE_KEY, "line 3, column 1: the key 'a' is there twice"),
    ("{a: 1, a}", Refusal.DUPLICATE_KEY, "line 1, column 8: the key 'a' is there twice"),
    ("on: 1", Refusal.KEY_IS_NO_TEXT, "line 1, column 1: the key 'on' is not a text but a number, a boolean"),
    ("a:\n  1 : 1", Refusal.KEY_IS_NO_TEXT, "line 2, column 3: the key '1' is not a text"),
    ("{~: 1}", Refusal.KEY_IS_NO_TEXT, "line 1, column 2: the key '~' is not a text"),
    ("{1}", Refusal.KEY_IS_NO_TEXT, "line 1, column 2: the key '1' is not a text"),
    ("[1: 1]", Refusal.KEY_IS_NO_TEXT, "line 1, column 2: the key '1' is not a text"),
    ("2001-01-01: 1", Refusal.DATE, "line 1, column 1: dates are not taken: put 2001-01-01 in quotes"),
    ("a: 'x'#c", Refusal.TIGHT_COMMENT, "line 1, column 7: a comment needs a space before its #"),
    ("[a,#c\nb]", Refusal.TIGHT_COMMENT, "line 1, column 4: a comment needs a space"),
    ("a: [b]#c", Refusal.TIGHT_COMMENT, "line 1, column 7: a comment needs a space"),
    ("a: b\u2028", Refusal.LINE_SEPARATOR, "line 1, column 5: the line separators"),
    ("a: 'b\x85'", Refusal.LINE_SEPARATOR, "line 1, column 6: the line separators"),
    ("a: \ufeff", Refusal.BYTE_ORDER_MARK, "line 1, column 4: a byte order mark"),
    ("a:\n\n|\n  b", Refusal.BLOCK_COLUMN, "line 3, column 1: a block text"),
]


@pytest.mark.parametrize(("text", "refusal", "message"), LEFT_OUT)
def test_what_is_left_out_on_purpose(text: str, refusal: Refusal, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert caught.value.refusal is refusal
    assert str(caught.value).startswith(message)


NO_YAML = [
    ("a: 1\n\tb: 2", "line 2, column 1: a tab may stand in quotes and comments only"),
    ("a:\tb", "line 1, column 3: a tab"),
    ("a: b\tc", "line 1, column 5: a tab"),
    ("a: 1\n \t\nb: 2", "line 2, column 2: a tab"),
    ("a: 1\n  b: 2", "line 2, column 4: no colon may follow here"),
    ("a: 'x'\n  b: 2", "line 2, column 3: indented by 2, where 0 or less is expected"),
    ("a:\n    b: 1\n  c: 2", "line 3, column 3: indented by 2, where 0 or less is expected"),
    ("- a\n  - b\n -c: d", "line 3, column 4: no colon may follow here"),
    ("  a: 1\nb: 2", "line 2, column 1: this belongs to nothing above"),
    ("- a\nb", "line 2, column 1: this belongs to nothing above"),
    ("- a\nb: c", "line 2, column 1: this belongs to nothing above"),
    ("a: 1\n- b", "line 2, column 1: a dash cannot stand among the keys of a map"),
    ("a: 1\nb", "line 2, column 1: expected a key, then a colon and a space"),
    ("a: 1\n[b]", "line 2, column 1: expected a key"),
    ("a:\n[b]", "line 2, column 1: expected a key"),
    ("a: b # c\n  d", "line 2, column 3: indented by 2"),
    ("a: b: c", "line 1, column 5: no colon may follow here"),
    ("a: - b", "line 1, column 4: a list with dashes cannot begin here"),
    ("--- a: b", "line 1, column 6: no colon may follow here"),
    ("--- - b", "line 1, column 5: a list with dashes cannot begin here"),
    (": a", "line 1, column 1: a key is missing before the colon"),
    ("{: a}", "line 1, column 2: a key is missing before the colon"),
    ("'a\n b': c", "line 1, column 1: a key and its colon have to stand on one line"),
    ("{a\n b: c}", "line 1, column 2: a key and its colon have to stand on one line"),
    ("{a\n: c}", "line 2, column 1: expected a comma or }, got ':'"),
    ("[a]: b", "line 1, column 4: no colon may follow here"),
    ("k" * (KEY_LIMIT_CHARACTERS + 1) + ": 1", "line 1, column 1: a key has more than 1024 characters"),
    ("{'" + "k" * KEY_LIMIT_CHARACTERS + "': 1}", "line 1, column 2: a key has more than 1024 characters"),
    ("[1, 2\n\n", "line 1, column 1: the bracket [ that opens here is never closed"),
    ("a: {b: [1}", "line 1, column 10: expected a comma or ], got '}'"),
    ("[1]]", "line 1, column 4: the value before ends here, yet ']' follows"),
    ("[a\n---\n]", "line 1, column 1: the bracket ["),
    ("[a,,b]", "line 1, column 4: a value cannot begin with ','"),
    ("[,]", "line 1, column 2: a value cannot begin with ','"),
    ("[a b: c d: e]", "line 1, column 10: expected a comma or ], got ':'"),
    ("[http://h/p?q=1]", "line 1, column 12: expected a comma or ], got '?'"),
    ("[- a]", "line 1, column 2: a list with dashes cannot begin here"),
    ("a: @b", "line 1, column 4: a value cannot begin with '@': put it in quotes"),
    ("a: `b`", "line 1, column 4: a value cannot begin with '`': put it in quotes"),
    ("a: ,b", "line 1, column 4: a value cannot begin with ','"),
    ("a: }", "line 1, column 4: a value cannot begin with '}'"),
    ("a: [b] c", "line 1, column 8: the value before ends here, yet 'c' follows"),
    ("a: 1\n... b", "line 2, column 5: the value before ends here, yet 'b' follows"),
    ("a: \x07", "line 1, column 4: U+0007 is not a character of YAML"),
    ("a: 'b\0'", "line 1, column 6: U+0000 is not a character of YAML"),
    ("a: \ud800", "line 1, column 4: U+D800 is not a character of YAML"),
    ("a\r\nb\r\n\r\nc: \x7f", "line 4, column 4: U+007F is not a character of YAML"),
]


@pytest.mark.parametrize(("text", "message"), NO_YAML)
def test_what_is_no_yaml_for_pyyaml_either(text: str, message: str) -> None:
    with pytest.raises(YamlError) as caught:
        load(text)
    assert caught.value.refusal is None
    assert str(caught.value).startswith(message)


def test_the_error_says_where_and_why() -> None:
    with pytest.raises(BadRequest) as caught:
        load("a: 1\nb: @x\n")
    error = caught.value
    assert isinstance(error, YamlError)
    assert (error.line, error.column) == (2, 4)
    assert str(error) == f"line 2, column 4: {error.reason}"
    assert error.status == 400


def test_long_keys_are_shortened_in_messages() -> None:
    key = "k" * 200
    with pytest.raises(YamlError, match=r"the key 'k{57}\.\.\.' is there twice"):
        load(f"{key}: 1\n{key}: 2")


def test_keys_up_to_the_limit() -> None:
    key = "k" * KEY_LIMIT_CHARACTERS
    assert load(f"{key}: 1") == {key: 1}
    assert load(f"{{{key}: 1}}") == {key: 1}


def nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("- ", ""), ("{a: ", "}"), ("[a: ", "]")])
def test_depth(opening: str, closing: str) -> None:
    levels = 2 if opening == "[a: " else 1
    load(nested(opening, closing, DEPTH_LIMIT // levels))
    with pytest.raises(YamlError, match=f"nest deeper than {DEPTH_LIMIT} levels"):
        load(nested(opening, closing, DEPTH_LIMIT // levels + 1))


def test_depth_by_indentation() -> None:
    lines = [" " * depth + "a:" for depth in range(DEPTH_LIMIT)]
    load("\n".join(lines))
    load("\n".join(lines) + " 1")
    with pytest.raises(YamlError, match=f"line {DEPTH_LIMIT}, .*nest deeper"):
        load("\n".join(lines) + " [1]")
    with pytest.raises(YamlError, match=f"line {DEPTH_LIMIT + 1}, .*nest deeper"):
        load("\n".join([*lines, " " * DEPTH_LIMIT + "a:"]))


def test_size() -> None:
    assert load(" " * (SIZE_LIMIT_CHARACTERS - 1) + "a") == "a"
    with pytest.raises(YamlError, match=f"more than {SIZE_LIMIT_CHARACTERS} characters") as caught:
        load(" " * SIZE_LIMIT_CHARACTERS + "a")
    assert caught.value.refusal is Refusal.SIZE


HUGE = 400_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * HUGE,
        "{a: " * (HUGE // 4),
        "- " * HUGE,
        "? " * HUGE,
        '"' * HUGE,
        "'" * (HUGE + 1),
        '"' + "\\" * HUGE,
        '"' + " \n" * (HUGE // 2),
        ":" * HUGE,
        "a:" * HUGE,
        "a: " * (HUGE // 3),
        "a\n" * (HUGE // 2) + "b: c",
        "a" + " " * HUGE + "b: c",
        "[" + "a ?" * (HUGE // 3),
        "a: |\n" + "\n".join(" " * spaces for spaces in range(800, 0, -1)) + "b",
        "1" * HUGE,
        "-1" + ":1" * 1000 + ".1",
        "\n".join(" " * depth + "-" for depth in range(800)),
        "a: 1\n" * (HUGE // 5),
        "#" * HUGE + "\n\t",
    ],
    ids=range(20),
)
def test_hostile_texts_are_refused_in_time(text: str) -> None:
    with pytest.raises(YamlError):
        load(text)


def test_large_texts_that_are_fine() -> None:
    assert load("[" + "a," * 100_000 + "]") == ["a"] * 100_000
    assert load("".join(f"k{number}: {number}\n" for number in range(20_000)))["k19999"] == 19_999
    assert load("a" + " " * HUGE + "b") == "a" + " " * HUGE + "b"
    assert load("a" + "\n" * HUGE + "b") == "a" + "\n" * (HUGE - 1) + "b"
    assert load("a: |\n" + " x\n" * 100_000) == {"a": "x\n" * 100_000}
    assert load("a:" + " #\n" * 100_000 + " b") == {"a": "b"}
