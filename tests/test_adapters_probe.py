# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.cluster.adapters.kinds import Identity, Kind, Paths
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.errors import BadGateway, Forbidden, FrontendError, GatewayTimeout
from tests.helpers.generations import (
    HTML,
    IN_PROCESS_RELEASES,
    JSON,
    MP_RELEASES,
    NOT_FOUND,
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

# The only paths with which a node may be probed: none of them changes anything.
HARMLESS = {
    "/",
    "/version",
    "/lmc_version",
    "/conf",
    "/config",
    "/meta",
    "/metrics",
    "/health",
    "/healthcheck",
    "/api/healthcheck",
    "/api/status",
    "/api/whoami",
    "/instances",
    "/controller/workers",
    "/query_instance",
}
MP_INSTANCE = "ef051b3d-5233-4563-8dd5-186773409f6a"


def asked_gently(node: TableNode, at_most: int) -> bool:
    paths = [target.partition("?")[0] for target in node.asked]
    return len(paths) == len(set(node.asked)) <= at_most and set(paths) <= HARMLESS


@pytest.mark.parametrize("role", ["worker", "scheduler"])
@pytest.mark.parametrize("release", IN_PROCESS_RELEASES)
def test_in_process_nodes(release: str, role: str) -> None:
    node = in_process(release, role)
    now = numbers(release)
    version = f"{release}-g1234567" if now >= (0, 3, 6) else None
    instance = None if (0, 3, 12) <= now < (0, 4, 3) else "lmcache_default_instance"
    assert probe(node) == Identity(Kind(role), role, version, instance, Paths.IN_PROCESS)
    assert asked_gently(node, 3), node.asked


@pytest.mark.parametrize(
    ("releases", "paths", "requests"),
    [
        (("0.3.13", "0.3.14"), Paths.MP_BARE, 7),
        (("0.3.15",), Paths.MP_HEALTHCHECK, 5),
        (("0.4.1", "0.4.2", "0.4.3", "0.4.4"), Paths.MP_API_STATUS, 5),
        (("0.4.5", "0.4.6", "0.4.7", "0.5.0"), Paths.MP_CONF, 2),
        (("0.5.1", "0.5.2", "0.5.3", "0.5.4", "0.5.5", "0.5.6"), Paths.MP_CONFIG, 3),
    ],
)
def test_mp_servers(releases: tuple[str, ...], paths: Paths, requests: int) -> None:
    for release in releases:
        node = mp(release)
        known = numbers(release) >= (0, 4, 5)
        version, instance = (f"{release}-g1234567", MP_INSTANCE) if known else (None, None)
        assert probe(node) == Identity(Kind.MP, "", version, instance, paths), release
        assert asked_gently(node, requests), node.asked


def test_every_release_with_an_mp_server_is_tried() -> None:
    assert len(MP_RELEASES) == 2 + 1 + 4 + 4 + 6


@pytest.mark.parametrize(
    ("node", "identity", "requests"),
    [
        (coordinator(), Identity(Kind.COORDINATOR, "", None, None, Paths.COORDINATOR), 5),
        (controller("0.5.6"), Identity(Kind.CONTROLLER, "", None, None, Paths.CONTROLLER), 6),
        (controller("0.3.10"), Identity(Kind.CONTROLLER, "", None, None, Paths.CONTROLLER), 6),
        (controller("0.3.9"), Identity(Kind.CONTROLLER, "", None, None, Paths.CONTROLLER_POST), 7),
        (frontend(), Identity(Kind.FRONTEND, "", "1.2.3", None, Paths.FRONTEND), 4),
        (frontend(ours=False), Identity(Kind.FRONTEND, "", None, None, Paths.FRONTEND), 4),
    ],
    ids=["coordinator", "controller", "controller-0.3.10", "controller-0.3.9", "frontend", "upstream-frontend"],
)
def test_what_stands_beside_the_nodes(node: TableNode, identity: Identity, requests: int) -> None:
    assert probe(node) == identity
    assert asked_gently(node, requests), node.asked


def test_an_expected_frontend_is_asked_for_that_first() -> None:
    node = frontend()
    assert probe(node, Kind.FRONTEND).kind is Kind.FRONTEND
    assert node.asked == ["/health", "/api/whoami"]
    assert probe(in_process("0.5.6"), Kind.FRONTEND).kind is Kind.WORKER


@pytest.mark.parametrize(
    ("version", "known"),
    [
        (said_json("NA-NA"), "NA-NA"),
        (said_json("0.5.7.dev3-g1"), "0.5.7.dev3-g1"),
        (said_json("0.5\n.6\x00" + "x" * 500), "0.5 .6 " + "x" * 90 + "..."),
        (said_json({"version": "0.9"}), "0.5.6"),
        (said_json(""), "0.5.6"),
        (said_json(None), "0.5.6"),
        (Said(200, TEXT, "0.5.6"), "0.5.6"),
        (Said(500, TEXT, "Internal Server Error"), "0.5.6"),
    ],
)
def test_odd_versions(version: Said, known: str) -> None:
    identity = probe(in_process("0.5.6", version=version))
    assert (identity.kind, identity.version) == (Kind.WORKER, known)


@pytest.mark.parametrize(
    ("meta", "role"),
    [
        (said_json({"role": "KVConnectorRole.SCHEDULER", "worker_id": 0}), "scheduler"),
        (said_json({"role": "WORKER"}), "worker"),
        (said_json({"role": "prefetcher", "worker_id": 0}), ""),
        (said_json({"role": None, "worker_id": 0}), "worker"),
        (said_json({"role": 7}), "worker"),
        (said_json({}), "worker"),
        (said_json([]), "worker"),
        (Said(500, TEXT, "Internal Server Error"), "worker"),
        (NOT_FOUND, "worker"),
        (GatewayTimeout("no answer within 5 s"), "worker"),
    ],
)
def test_the_role_is_taken_from_the_metadata_else_from_the_metrics(meta: Said | FrontendError, role: str) -> None:
    node = in_process("0.5.6")
    node.answers["/meta?names=role,worker_id"] = meta
    identity = probe(node)
    assert (identity.kind, identity.role) == (Kind("scheduler" if role == "scheduler" else "worker"), role)


@pytest.mark.parametrize(
    ("metrics", "role"),
    [
        ('lmcache:a{role="scheduler"} 1\n', "scheduler"),
        ('lmcache:a{x="}",role="worker"} 1\nlmcache:b{role="worker"} 1\n', "worker"),
        ('lmcache:a{role="worker"} 1\nlmcache:b{role="scheduler"} 1\n', ""),
        ('lmcache:a{my_role="worker"} 1\nother{role="worker"} 1\n', ""),
        ("", ""),
    ],
)
def test_the_role_of_metrics_is_the_one_that_all_series_agree_on(metrics: str, role: str) -> None:
    node = in_process("0.5.6", meta=NOT_FOUND, metrics=Said(200, TEXT, metrics))
    del node.answers["/meta?names=role,worker_id"]
    assert probe(node).role == role


@pytest.mark.parametrize("value", [None, 7, "", [], {}, True, "\x00"])
def test_odd_instances_are_none(value: object) -> None:
    node = in_process("0.5.6")
    node.answers["/conf?names=chunk_size,lmcache_instance_id"] = said_json(
        {"chunk_size": None, "lmcache_instance_id": value}
    )
    assert probe(node).instance is None
    assert probe(mp("0.5.6", config=said_json({"mp": {"instance_id": value}}))).instance is None


def test_an_mp_server_whose_engine_is_not_there_yet() -> None:
    not_yet = said_json({"error": "configs not initialized"}, 503)
    sick = said_json({"status": "unhealthy", "reason": "engine not initialized"}, 503)
    assert probe(mp("0.5.6", config=not_yet, healthcheck=sick)).paths is Paths.MP_CONFIG
    assert probe(mp("0.4.6", conf=not_yet, healthcheck=sick)).paths is Paths.MP_CONF
    assert probe(mp("0.4.2", api_healthcheck=sick, api_status=not_yet)).paths is Paths.MP_API_STATUS


def test_an_mp_server_without_a_release_number() -> None:
    assert probe(mp("0.5.6", version=said_json("NA-NA"))).paths is Paths.MP_CONFIG
    assert probe(mp("0.4.6", version=said_json("NA-NA"))).paths is Paths.MP_CONF


@pytest.mark.parametrize("status", [401, 403, 500])
def test_nodes_whose_configuration_is_refused_are_known_by_their_metrics(status: int) -> None:
    refused = said_json({"detail": "an operator may"}, status)
    node = in_process("0.5.6", "scheduler", conf=refused)
    del node.answers["/conf?names=chunk_size,lmcache_instance_id"]
    assert probe(node) == Identity(Kind.SCHEDULER, "scheduler", "0.5.6-g1234567", None, Paths.IN_PROCESS)
    assert probe(mp("0.5.6", conf=refused, config=refused, healthcheck=refused)).paths is Paths.MP_CONFIG
    assert probe(mp("0.4.6", conf=refused, healthcheck=refused)).paths is Paths.MP_CONF


STRANGERS = {
    "vllm": TableNode({"/version": said_json({"version": "0.9"}), "/health": Said(200, TEXT, "")}),
    "a page for everything": TableNode(dict.fromkeys(HARMLESS, Said(200, HTML, "<html>hello</html>"))),
    "a list for everything": TableNode(dict.fromkeys(HARMLESS, said_json([1, "mp", None]))),
    "null for everything": TableNode(dict.fromkeys(HARMLESS, said_json(None))),
    "a text for everything": TableNode(dict.fromkeys(HARMLESS, said_json("healthy"))),
    "odd objects": TableNode(
        dict.fromkeys(HARMLESS, said_json({"status": [], "service": 1, "mp": [], "instances": {}, "workers": 3}))
    ),
    "no UTF-8": TableNode(dict.fromkeys(HARMLESS, Said(200, JSON, b"\xff\xfe\x00{"))),
    "deep": TableNode(dict.fromkeys(HARMLESS, Said(200, JSON, "[" * 100_000))),
    "long": TableNode(dict.fromkeys(HARMLESS, Said(200, JSON, '"' + "x" * (5 << 20) + '"'))),
    "faults": TableNode(dict.fromkeys(HARMLESS, Said(500, TEXT, "Internal Server Error"))),
    "posts only": TableNode({"/health": Said(405, JSON, "{}")}),
    "nothing": TableNode({}),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers(name: str) -> None:
    node = STRANGERS[name]
    identity = probe(node)
    assert (identity.kind, identity.paths) == (Kind.UNKNOWN, Paths.NONE)
    assert asked_gently(node, 10), node.asked


@pytest.mark.parametrize(
    "error", [BadGateway("n: Connection refused"), GatewayTimeout("n did not answer within 5 s"), Forbidden("no")]
)
def test_a_node_that_cannot_be_reached(error: FrontendError) -> None:
    node = TableNode({"/version": error})
    with pytest.raises(type(error)):
        probe(node)
    assert node.asked == ["/version"]


@pytest.mark.parametrize(("status", "error"), [(502, BadGateway), (504, GatewayTimeout)])
def test_a_child_that_its_proxy_cannot_reach(status: int, error: type[FrontendError]) -> None:
    with pytest.raises(error, match="127.0.0.1:1: Connection refused"):
        probe(TableNode({"/version": said_json({"detail": "127.0.0.1:1: Connection refused"}, status)}))


def test_a_node_that_goes_away_before_it_is_known() -> None:
    node = in_process("0.5.6")
    node.answers["/conf?names=chunk_size,lmcache_instance_id"] = BadGateway("n: Connection refused")
    with pytest.raises(BadGateway):
        probe(node)
