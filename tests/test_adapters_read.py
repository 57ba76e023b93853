# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from lmcache_frontend.cluster.adapters import ITEMS
from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Paths, Reading, State, release_of
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import metrics_target, read
from lmcache_frontend.errors import BadGateway, Forbidden, FrontendError, GatewayTimeout
from tests.helpers.generations import (
    HTML,
    IN_PROCESS_RELEASES,
    JSON,
    MP_RELEASES,
    TEXT,
    Said,
    TableNode,
    controller,
    coordinator,
    frontend,
    in_process,
    mp,
    numbers,
    said_json,
)
from tests.helpers.known_nodes import WORKER

IN_PROCESS_ITEMS = {
    "version": "0.3.6",
    "metrics": "0.3.4",
    "conf": "0.3.4",
    "meta": "0.3.4",
    "threads": "0.3.4",
    "loggers": "0.3.4",
    "periodic": "0.3.13",
    "backends": "0.3.15",
    "inference": "0.3.7",
    "env": "0.3.10",
}
PATHS = {
    "version": "/version",
    "periodic": "/periodic-threads",
    "backends": "/backends",
    "inference": "/inference_info",
    "env": "/env",
}
UNKNOWN_RELEASE = WORKER._replace(version=None)


def readings(node: TableNode) -> dict[str, Reading]:
    identity = probe(node)
    found = {item: read(identity, item, node) for item in ITEMS if item != "health"}
    # What is read must be fit to be sent.
    json.dumps([reading.data for reading in found.values()], allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert all((reading.reason is None) == (reading.state is State.OK) for reading in found.values())
    assert all(reading.data is None for reading in found.values() if reading.state is not State.OK)
    return found


def supported(found: dict[str, Reading]) -> set[str]:
    assert {item for item, reading in found.items() if reading.state is State.FAILED} == set()
    return {item for item, reading in found.items() if reading.state is State.OK}


@pytest.mark.parametrize("release", IN_PROCESS_RELEASES)
def test_what_workers_of_each_release_have(release: str) -> None:
    found = readings(in_process(release))
    expected = {item for item, since in IN_PROCESS_ITEMS.items() if numbers(since) <= numbers(release)}
    assert supported(found) == expected
    for item in set(IN_PROCESS_ITEMS) - expected:
        if numbers(release) < (0, 3, 6):
            since = IN_PROCESS_ITEMS[item]
            assert found[item].reason == f"this node does not offer {PATHS[item]} (LMCache has it since {since})"
        else:
            assert found[item].reason == f"LMCache {release} has no {PATHS[item]} (since {IN_PROCESS_ITEMS[item]})"
    assert found["status"].reason == "an in-process node has no status of its own"


@pytest.mark.parametrize("release", IN_PROCESS_RELEASES)
def test_what_schedulers_of_each_release_have(release: str) -> None:
    found = readings(in_process(release, "scheduler"))
    expected = {item for item, since in IN_PROCESS_ITEMS.items() if numbers(since) <= numbers(release)} - {"backends"}
    if numbers(release) <= (0, 3, 10):
        expected.discard("meta")
        assert found["meta"].reason == "schedulers of LMCache up to 0.3.10 have no metadata"
    assert supported(found) == expected
    if numbers(release) >= (0, 3, 15):
        assert found["backends"].reason == "this node has no cache engine, so it has no backends"


def test_a_release_that_is_too_old_is_not_asked() -> None:
    node = in_process("0.3.9")
    reading = read(probe(node), "periodic", node)
    assert reading == (State.UNSUPPORTED, "LMCache 0.3.9 has no /periodic-threads (since 0.3.13)", None)
    assert "/periodic-threads" not in node.asked


def test_a_path_that_a_known_release_should_have() -> None:
    reading = read(WORKER, "env", TableNode({}))
    assert reading == (State.UNSUPPORTED, "this node does not offer /env (LMCache has it since 0.3.10)", None)
    assert read(WORKER, "conf", TableNode({})).reason == "this node does not offer /conf"


MP_COMMON = {"version", "metrics", "threads", "loggers", "periodic", "status", "env", "conf"}


@pytest.mark.parametrize("release", MP_RELEASES)
def test_what_mp_servers_of_each_release_have(release: str) -> None:
    now = numbers(release)
    found = readings(mp(release))
    expected = MP_COMMON if now >= (0, 4, 5) else {"status"} if now >= (0, 4, 1) else set()
    assert supported(found) == expected | ({"backends"} if now >= (0, 4, 7) else set())
    assert found["meta"].reason is not None
    assert found["meta"].reason.startswith("an MP server of LMCache ")
    if now in ((0, 4, 5), (0, 4, 6)):
        assert found["backends"].reason == f"LMCache {release} has no /reconfigure/backends (since 0.4.7)"
    if (0, 3, 15) <= now < (0, 4, 5):
        assert "port of their own (9090" in str(found["metrics"].reason)


def test_what_stands_beside_the_nodes_has() -> None:
    assert supported(readings(coordinator())) == {"metrics", "status"}
    found = readings(coordinator(with_metrics=False))
    assert supported(found) == {"status"}
    assert found["metrics"].reason == (
        "this coordinator's metrics are off or pushed elsewhere, or it is older than LMCache 0.5.4"
    )
    assert supported(readings(controller("0.5.6"))) == {"metrics", "threads", "loggers", "periodic", "status", "env"}
    assert supported(readings(controller("0.3.12"))) == {"metrics", "threads", "loggers", "status", "env"}
    assert supported(readings(controller("0.3.9"))) == set()
    assert supported(readings(frontend())) == {"version", "metrics", "status"}
    found = readings(frontend(ours=False))
    assert supported(found) == {"metrics", "status"}
    assert found["version"].reason == "this frontend does not say its version"
    found = readings(TableNode({}))
    assert supported(found) == set()
    assert found["conf"].reason == "something that is not LMCache's does not show its configuration"


def test_metrics_targets() -> None:
    nodes = (in_process("0.3.4"), mp("0.4.5"), mp("0.5.6"), coordinator(), controller("0.3.10"), frontend())
    assert {metrics_target(probe(node)) for node in nodes} == {"/metrics"}
    without = (mp("0.3.13"), mp("0.3.15"), mp("0.4.4"), controller("0.3.9"), TableNode({}))
    assert {metrics_target(probe(node)) for node in without} == {None}


def test_the_shapes_of_what_is_read() -> None:
    found = {item: reading.data for item, reading in readings(in_process("0.5.6")).items()}
    assert found["version"] == "0.5.6-g1234567"
    assert found["conf"] == {
        "values": {
            "chunk_size": 256,
            "lmcache_instance_id": "lmcache_default_instance",
            "pd_allocation_timeout_sec": "Infinity",
        },
        "infinite": ["pd_allocation_timeout_sec"],
    }
    assert found["meta"]["role"] == "worker"
    assert [thread["name"] for thread in found["threads"]["threads"]] == ["MainThread", "PinMonitor-thread"]
    assert found["threads"]["total"] == 2
    assert found["loggers"]["loggers"][1] == {"name": "lmcache", "level": "INFO"}
    assert found["periodic"]["threads"][0]["name"] == "PinMonitor-thread"
    assert found["backends"] == {"LocalCPUBackend": "LocalCPUBackend"}
    assert found["env"] == {"HOME": "/root", "WORN": "\ufffd"}
    family = next(family for family in found["metrics"]["families"] if "num_lookup" in family["name"])
    assert family["type"] == "counter"
    assert family["samples"] == [
        {
            "name": "lmcache:num_lookup_requests_total",
            "labels": {"model_name": "m", "worker_id": "0", "role": "worker"},
            "value": 7.0,
        }
    ]


def test_an_mp_server_s_configuration_stays_nested() -> None:
    data = read(probe(mp("0.5.6")), "conf", mp("0.5.6", config=said_json({"mp": {"a": {"b": float("nan")}}}))).data
    assert data == {"values": {"mp": {"a": {"b": "NaN"}}}, "infinite": ["mp.a.b"]}


def test_an_item_that_does_not_exist_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no item 'series', expected one of version"):
        read(WORKER, "series", TableNode({}))


def test_metrics_keep_the_good_lines() -> None:
    text = '# TYPE a gauge\na 1\nthis is no metric\na{b="\xff"} NaN\na{c="1"} +Inf\na{c="2"} -Inf\n'
    data = read(WORKER, "metrics", TableNode({"/metrics": Said(200, TEXT, text.encode("latin-1"))})).data
    (family,) = data["families"]
    assert [sample["value"] for sample in family["samples"]] == [1.0, "NaN", "Infinity", "-Infinity"]
    assert family["samples"][1]["labels"] == {"b": "\ufffd"}
    assert data["dropped"] == 1
    assert "line 3" in data["faults"][0]


def test_no_metrics_are_not_a_failure() -> None:
    assert read(WORKER, "metrics", TableNode({"/metrics": Said(200, TEXT, "")})).data == {
        "families": [],
        "faults": [],
        "dropped": 0,
    }


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        (said_json({"error": "E", "message": "M"}, 500), State.FAILED, "/conf answered 500: E: M"),
        (said_json({"detail": "D"}, 500), State.FAILED, "/conf answered 500: D"),
        (said_json({"detail": [{"msg": "M", "loc": []}]}, 422), State.FAILED, "/conf answered 422: M"),
        (said_json({"detail": [7]}, 422), State.FAILED, '/conf answered 422: {"detail":[7]}'),
        (said_json({"detail": {}}, 400), State.FAILED, '/conf answered 400: {"detail":{}}'),
        (said_json([], 400), State.FAILED, "/conf answered 400: []"),
        (Said(500, TEXT, "Internal Server Error"), State.FAILED, "/conf answered 500: Internal Server Error"),
        (Said(500, TEXT, "two\n\tlines\x00\x1b[31m"), State.FAILED, "/conf answered 500: two lines [31m"),
        (Said(500, HTML, " <!DOCTYPE html>"), State.FAILED, "/conf answered 500: an HTML page"),
        (Said(503, TEXT, ""), State.FAILED, "/conf answered 503"),
        (Said(500, TEXT, "x" * 999), State.FAILED, "/conf answered 500: " + "x" * 197 + "..."),
        (said_json({"detail": "an operator may"}, 403), State.FAILED, "/conf answered 403: an operator may"),
        (Said(307, TEXT, ""), State.FAILED, "/conf answered 307"),
        (said_json({"detail": "Method Not Allowed"}, 405), State.UNSUPPORTED, "this node does not offer /conf"),
        (Said(200, HTML, "<html>"), State.FAILED, "/conf answered an HTML page"),
        (Said(204, TEXT, ""), State.FAILED, "/conf answered 204"),
        (said_json([]), State.FAILED, "/conf answered something else: expected a JSON object, got a list"),
        (said_json(None), State.FAILED, "/conf answered something else: expected a JSON object, got null"),
        (said_json(True), State.FAILED, "/conf answered something else: expected a JSON object, got a truth value"),
        (Said(200, JSON, b'{"a": "\xff"}'), State.FAILED, "/conf answered wrong UTF-8 at byte 7"),
        (
            Said(200, JSON, '{"a'),
            State.FAILED,
            "/conf answered something else: not JSON: Unterminated string starting at at line 1, column 2",
        ),
        (
            Said(200, JSON, "[" * 100_000),
            State.FAILED,
            "/conf answered something else: JSON nested more than 100 levels deep",
        ),
        (
            Said(200, JSON, " " * (5 << 20)),
            State.FAILED,
            "/conf answered 5242880 bytes, at most 4194304 are read",
        ),
        (said_json({"detail": "n: Connection refused"}, 502), State.FAILED, "refused"),
        (said_json({"detail": "n did not answer within 60 s"}, 504), State.FAILED, "timed out after 60 s"),
        (Said(502, HTML, "<html>"), State.FAILED, "an HTML page"),
        (Said(504, HTML, ""), State.FAILED, "not reached"),
        (BadGateway("127.0.0.1:1: Connection refused"), State.FAILED, "refused"),
        (BadGateway("127.0.0.1:1: connection broken: Connection reset by peer"), State.FAILED, "reset"),
        (BadGateway("/run/x: No such file or directory"), State.FAILED, "no such socket"),
        (BadGateway("n: connection ended before the answer"), State.FAILED, "n: connection ended before the answer"),
        (GatewayTimeout("n did not accept a connection within 2.5 s"), State.FAILED, "timed out after 2.5 s"),
        (BadGateway("answer of over 16 bytes"), State.FAILED, "answer of over 16 bytes"),
        (Forbidden("169.254.0.1 is never asked"), State.FAILED, "169.254.0.1 is never asked"),
    ],
)
def test_answers_of_all_sorts(said: Said | FrontendError, state: State, reason: str) -> None:
    node = TableNode({"/conf": said})
    for identity in (WORKER, UNKNOWN_RELEASE):
        assert read(identity, "conf", node) == (state, reason, None)


HOSTILE = [
    Said(200, HTML, "<!doctype html><p>hello"),
    Said(200, TEXT, "half a li"),
    Said(200, JSON, "null"),
    Said(200, JSON, "7"),
    Said(200, JSON, '"text"'),
    Said(200, JSON, "[[], {}, 1]"),
    Said(200, JSON, "[" * 50_000),
    Said(200, JSON, b"\xff\xfe\x00"),
    Said(200, TEXT, "\x00" * 1000),
    Said(500, JSON, "[" * 50_000),
    Said(500, JSON, '{"detail": {"detail": [null]}}'),
    Said(418, TEXT, b"\xff" * 1000),
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_nodes_are_failures_with_a_reason(said: Said) -> None:
    everything = ("version", "metrics", "conf", "meta", "threads", "loggers", "periodic", "backends", "status", "env")
    identities = [UNKNOWN._replace(version=version, paths=paths) for paths in Paths for version in (None, "0.5.6")]
    for identity in identities:
        for item in everything:
            reading = read(identity, item, lambda target, timeout_s: TableNode({target: said})(target, timeout_s))
            assert reading.state is not State.UNSUPPORTED or identity.paths is not Paths.IN_PROCESS or item == "status"
            if reading.state is State.OK:
                assert item in ("version", "metrics")
            else:
                assert reading.reason
                assert reading.reason.isprintable()


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.5.6-g3e11e108", (0, 5, 6)),
        ("0.5.7.dev3+g1-NA", (0, 5, 7)),
        ("v0.5.7rc1", (0, 5, 7)),
        ("0.4", (0, 4, 0)),
        ("0.4+local", (0, 4, 0)),
        ("0.5.6.1", (0, 5, 6)),
        ("NA-NA", None),
        ("", None),
        (None, None),
        ("g123", None),
        ("1" * 5000 + ".0.0", None),
        ("0.3." + "9" * 5000, None),
    ],
)
def test_releases(version: str | None, release: tuple[int, int, int] | None) -> None:
    assert release_of(version) == release
