# SPDX-License-Identifier: Apache-2.0
"""What we say that LMCache makes of settings, against LMCache 0.5.6 itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.remote_config.application import apply
from lmcache_frontend.remote_config.catalogue import catalogue
from lmcache_frontend.remote_config.coerce import Severity, coerce
from lmcache_frontend.remote_config.local import local_configuration
from tests.helpers import lmcache_nodes, lmcache_oracle

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 5, 2**40, 10**30, 0.0, -0.0, 1.0, 3.9, -2.5, 1e-5, 1e300),
    *(float("inf"), float("-inf"), float("nan")),
    *("", " ", "0", "1", "12", " 12 ", "+3", "-3", "1_000", "3.9", "1e3", "0x10", "0o7", "inf", "nan", "-Infinity"),
    *("true", "True", " TRUE ", "yes", "on", "no", "off", "false", "null", "none", "t", "\u0663", "\u00bd"),
    *("a", "a,b", " a , b ", ",", ",,", "a,", "1,2", "1, 2 ,", "1,x", "1.5,2", "[1,2]", '["a", "b"]', '"quoted"'),
    *(
        "file:///a",
        "file:///a/",
        "file://a",
        "file:///a/,/b",
        "/a, file:///b/c ,",
        "file://",
        "FILE:///a",
        "file://\n/",
    ),
    *('{"a": 1}', "{}", "[]", "{", "{'a': 1}", '"text"', "NaN", "7", " {} "),
    *(
        "prefix_strict",
        "Prefix-Strict",
        "prefixstrict",
        "skip_missing_chunks",
        "SKIP-missing_chunks",
        "legacy",
        "Legacy ",
    ),
    *([], [1], [1, 2.9, "3"], [True], [None], ["a"], ["a", 1], [[1]], ["1,2"], [""], [1.5], ["x"], [float("inf")]),
    *({}, {"a": 1}, {"a": {"b": [1]}}, {"1": None}),
)
ITEM_VALUES: tuple[Any, ...] = (
    *(None, True, 0, 7, 0.5, "", "12", "yes", "true", "a,b", "1,2", [1], ["a"], {"x": 1}, {"a": {"z": 2}, "b": 3}),
    *('{"x": 2, "y": 3}', "{", "null", "[1]", float("inf"), "legacy"),
)
OVERRIDES: tuple[Any, ...] = (True, False, False, False, None, "false", "", 0, 1)
TEXTS = (
    *(
        "",
        " ",
        "0",
        "1",
        "12",
        "3.9",
        "true",
        "True",
        "yes",
        "null",
        "inf",
        "-5",
        "1,2",
        "a, b",
        "[1,2]",
        '{"a": 1}',
        "{",
    ),
    *('"12"', "'a,b'", '" # "', '"a\\nb"', "'it''s'", '"a" "b"', '"a", "b"', '"open', "'", '""', '"\\d"', '"a" + "b"'),
    *('\'{"a": "b"}\'', "file:///a,/b", "legacy", "[1]", "7", "/a/'b'", "\u00e9", "b'x'", '"\\x"'),
)
DOCUMENTS: tuple[Any, ...] = (
    {},
    {"enable_blending": True},
    {"enable_blending": True, "save_unfull_chunk": False},
    {"enable_controller": True},
    {"enable_controller": True, "controller_pull_url": "a:1", "controller_reply_url": "a:2"},
    {"enable_controller": True, "controller_pull_url": "a:1", "controller_reply_url": "a:2", "lmcache_worker_ports": 5},
    {
        "enable_controller": True,
        "controller_pull_url": "a:1",
        "controller_reply_url": "a:2",
        "lmcache_worker_ports": "",
    },
    {"enable_p2p": True},
    {"min_retrieve_tokens": -1},
    {"min_retrieve_tokens": None},
    {"min_retrieve_tokens": "x"},
    {"plugin_locations": "/a", "runtime_plugin_locations": "/b"},
    {"runtime_plugin_locations": "/b", "plugin_locations": "/a"},
    {"external_backends": "a,b", "nixl_peer_port": 3, "enable_xpyd": True, "nixl_buffer_size": "12"},
    {"chunk": 3, "CHUNK_SIZE": 4, 5: 6, None: 7, "ec_chunk_size": 8, "ec": {"chunk_size": 9}},
    {"extra_config": '{"a": [1]}', "local_disk": None, "chunk_size": None, "app_id": None},
    {"extra_config": "[1]"},
    {"extra_config": []},
    {"extra_config": [1]},
    {"extra_config": True},
    {"lmcache_instance_id": ""},
    {"lmcache_instance_id": None, "enable_controller": True},
)
PD = {"enable_pd": True, "pd_role": "sender", "pd_buffer_size": 1, "pd_buffer_device": "cpu"}
STORAGE = {"enable_nixl_storage": 1, "nixl_backend": "POSIX", "nixl_pool_size": 3}
PD_AND_STORAGE: tuple[Any, ...] = (
    PD,
    {**PD, "pd_buffer_size": None},
    {**PD, "enable_p2p": True},
    {**PD, "enable_p2p": None},
    {**PD, "pd_backend_mode": "sync"},
    {**PD, "pd_backend_mode": "other"},
    {**PD, "pd_backend_mode": None},
    {**PD, "remote_url": "redis://h:1", "save_decode_cache": True},
    {**PD, "pd_role": "receiver"},
    {**PD, "pd_role": "receiver", "store_location": "PDBackend"},
    {**PD, "pd_role": "receiver", "retrieve_locations": "PDBackend"},
    {**PD, "pd_role": "receiver", "retrieve_locations": ["a"]},
    {"extra_config": {"enable_nixl_storage": True}},
    {"extra_config": STORAGE},
    {"extra_config": STORAGE, "nixl_buffer_device": "cpu"},
    {"extra_config": STORAGE, "nixl_buffer_device": "cuda"},
    {"extra_config": STORAGE, "nixl_buffer_device": "cuda", "nixl_buffer_size": 1},
    {"extra_config": STORAGE, "nixl_buffer_device": "cpu", "nixl_buffer_size": 1},
    {"extra_config": STORAGE, "nixl_buffer_device": "cpu", "max_local_cpu_size": 0},
    {"extra_config": STORAGE, "nixl_buffer_device": "cpu", "max_local_cpu_size": None},
    {"extra_config": {**STORAGE, "nixl_presence_cache_only": True}, "nixl_buffer_device": "cpu"},
    {"extra_config": {**STORAGE, "nixl_use_hugepages": 1}, "nixl_buffer_device": "cpu"},
    {
        "extra_config": {**STORAGE, "nixl_use_hugepages": 0},
        "nixl_buffer_device": "cpu",
        "local_cpu_use_hugepages": True,
    },
    {
        "extra_config": {**STORAGE, "nixl_use_hugepages": 1},
        "nixl_buffer_device": "cpu",
        "local_cpu_use_hugepages": True,
    },
    {"extra_config": {**STORAGE, "nixl_use_hugepages": 1}, "nixl_buffer_device": "cuda", "nixl_buffer_size": 1},
    {"extra_config": {"nixl_use_hugepages": 1}},
)
ODD_CONFIGS: tuple[Any, ...] = (
    *(None, [], {}, "", 0, False, 5, True, 0.5, "text", {"key": "chunk_size"}, [None, 1, "chunk_size", [], {}]),
    [{"key": "chunk_size", "value": 1}, {"key": 5, "value": 2}, {"key": "chunk_size", "value": 3}],
    [{"key": 0, "value": 1}, {"key": [], "value": 1}, {"key": None}, {"key": ""}, {"value": 3}],
    [{"key": ["chunk_size"], "value": 1}],
    [{"key": {"a": 1}, "value": 1}],
    [{"key": "chunk_size"}, {"key": "local_disk", "override": False}],
    [{"key": "validate", "value": 1}, {"key": "log_config", "value": None}, {"key": "__class__", "value": 1}],
    [
        {"key": "enable_xpyd", "value": True},
        {"key": "plugin_locations", "value": "/a"},
        {"key": "Chunk_Size", "value": 1},
    ],
)
CURRENT_EXTRAS: tuple[Any, ...] = (None, {}, {"x": 0, "a": {"k": 1}}, '{"x": 9}')


def exactly(value: Any) -> str:
    """Give a text that tells 1 from 1.0 and from true, and in which NaN is equal to itself."""
    return json.dumps(value, sort_keys=True)


def coercions() -> list[tuple[str, Any]]:
    return [(key, value) for key in catalogue() for value in ODD_VALUES]


def applications() -> list[dict[str, Any]]:
    chance = random.Random(5)
    keys = list(catalogue())
    questions = [{"document": {"chunk_size": 8}, "configs": configs} for configs in ODD_CONFIGS]
    for extra in CURRENT_EXTRAS:
        for value in ITEM_VALUES:
            for override in (True, False):
                item = {"key": "extra_config", "value": value, "override": override}
                questions.append({"document": {"extra_config": extra} if extra is not None else {}, "configs": [item]})
    for _ in range(600):
        own = chance.sample(keys, 20)
        document = {key: catalogue()[key].default for key in own if catalogue()[key].default is not None}
        named = chance.choices([*own, *keys[:10], "extra_config", "no_such_key"], k=chance.randint(1, 12))
        configs = [
            {
                "key": key,
                "value": chance.choice(ITEM_VALUES),
                **chance.choice([{}, {"override": chance.choice(OVERRIDES)}]),
            }
            for key in named
        ]
        questions.append({"document": document, "configs": configs})
    return questions


def local_questions() -> list[dict[str, Any]]:
    chance = random.Random(6)
    keys = list(catalogue())
    variables = [key.variable for key in catalogue().values()]
    questions = [{"document": document, "environment": {}} for document in (*DOCUMENTS, *PD_AND_STORAGE)]
    questions += [{"document": {key: value}, "environment": {}} for key in keys for value in ITEM_VALUES]
    for document in (None, {}, {"chunk_size": 8}):
        questions += [{"document": document, "environment": {name: text}} for name in variables for text in TEXTS]
        old_names = {"LMCACHE_PLUGIN_LOCATIONS": "/a", "LMCACHE_RUNTIME_PLUGIN_LOCATIONS": "/b"}
        questions += [{"document": document, "environment": {name: old_names[name]}} for name in old_names]
        questions.append({"document": document, "environment": old_names})
        questions.append({"document": document, "environment": {"LMCACHE_ENABLE_XPYD": "1", "lmcache_chunk_size": "5"}})
    for _ in range(300):
        document = {key: chance.choice(ITEM_VALUES) for key in chance.sample(keys, 4)}
        environment = {name: chance.choice(TEXTS) for name in chance.sample(variables, 6)}
        questions.append({"document": chance.choice([None, document]), "environment": environment})
    return questions


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    questions = {
        "names": [None],
        "defaults": list(catalogue()),
        "coercions": coercions(),
        "applications": applications(),
        "locals": local_questions(),
    }
    directory: Path = tmp_path_factory.mktemp("oracle")
    return lmcache_oracle.ask(lmcache_nodes.interpreter(), questions, directory, lmcache_nodes.quiet_environment())


def test_the_catalogue_is_lmcaches_own(answers: dict[str, Any]) -> None:
    assert answers["names"] == [list(catalogue())]
    assert exactly(answers["defaults"]) == exactly([key.default for key in catalogue().values()])


def test_each_value_becomes_what_lmcache_makes_of_it(answers: dict[str, Any]) -> None:
    differing = []
    for (key, value), (accepted, held) in zip(coercions(), answers["coercions"], strict=True):
        verdict = coerce(key, value)
        ours = (verdict.severity is not Severity.ERROR, exactly(verdict.value) if accepted else "")
        if ours != (accepted, exactly(held) if accepted else ""):
            differing.append((key, value, verdict, accepted, held))
    assert not differing, differing[:10]


def test_all_severities_occur() -> None:
    counts = Counter(coerce(key, value).severity for key, value in coercions())
    assert min(counts[severity] for severity in (Severity.FINE, Severity.SURPRISE, Severity.ERROR)) > 500, counts


def test_an_answer_is_applied_as_lmcache_applies_it(answers: dict[str, Any]) -> None:
    differing = []
    for question, answer in zip(applications(), answers["applications"], strict=True):
        local = local_configuration(question["document"], {})
        rows = apply(question["configs"], local.values, user_set=local.user_set)
        values = {**local.values, **{row.key: row.result for row in rows if row.key in local.values}}
        failed = bool(rows) and rows[-1].why.startswith("LMCache fails at its start")
        if (failed, exactly(values)) != (answer["failed"], exactly(answer["values"])):
            differing.append((question, rows, answer["failed"]))
    assert not differing, differing[:3]
    assert sum(answer["failed"] for answer in answers["applications"]) > 3


def test_files_and_variables_are_read_as_lmcache_reads_them(answers: dict[str, Any]) -> None:
    differing = []
    for question, answer in zip(local_questions(), answers["locals"], strict=True):
        local = local_configuration(question["document"], question["environment"])
        if answer["failed"]:
            if not local.failures:
                differing.append((question, answer))
        elif local.failures or local.user_set != set(answer["user_set"]):
            differing.append((question, local.failures, local.user_set, answer["user_set"]))
        elif exactly(local.values) != exactly(answer["values"]):
            other = {key: (local.values[key], value) for key, value in answer["values"].items()}
            differing.append((question, {k: pair for k, pair in other.items() if exactly(pair[0]) != exactly(pair[1])}))
    assert not differing, differing[:5]
    assert sum(bool(answer["failed"]) for answer in answers["locals"]) > 20
