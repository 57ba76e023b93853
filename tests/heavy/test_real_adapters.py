# SPDX-License-Identifier: Apache-2.0
"""The adapters against real LMCache 0.5.6 nodes: what they are, how they are, and everything that they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lmcache_frontend.cluster.adapters import ITEMS
from lmcache_frontend.cluster.adapters.kinds import Ask, Kind, Paths, State
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import metrics_target, read
from lmcache_frontend.http1.client import Endpoint, Pool
from lmcache_frontend.http1.fetch import Answer, fetch
from tests.heavy.conftest import Frontend, Nodes
from tests.helpers.lmcache_nodes import RealNode

AskOf = Callable[[int | str], Ask]
IN_PROCESS_LACKS = {"status", "quota"}
MP_LACKS = {"meta", "inference"}


@pytest.fixture(scope="module")
def ask_of() -> Iterator[AskOf]:
    """Give a function that makes the way to ask a port or a socket."""
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)

    def make(port: int | str) -> Ask:
        endpoint = Endpoint(port, 0) if isinstance(port, str) else Endpoint("127.0.0.1", port)

        def ask(target: str, timeout_s: float | None) -> Answer:
            return fetch(pool, endpoint, "localhost", target, timeout_s=timeout_s or 30.0, limit_bytes=16 << 20)

        return ask

    yield make
    pool.close()


def loggers_of(node: RealNode) -> set[str]:
    lines = node.ask("GET", "/loglevel").body.decode().splitlines()[1:]
    return {line.rpartition(": ")[0] for line in lines}


def test_what_they_are(nodes: Nodes, ask_of: AskOf) -> None:
    for node in (nodes.tcp, nodes.unix):
        identity = probe(ask_of(node.port))
        assert (identity.kind, identity.role, identity.paths) == (Kind.WORKER, "worker", Paths.IN_PROCESS)
        assert identity.instance == node.name
        assert str(identity.version).startswith("0.5.6")
    server = probe(ask_of(nodes.mp.port))
    assert (server.kind, server.role, server.paths) == (Kind.MP, "", Paths.MP_CONFIG)
    config = nodes.mp.ask("GET", "/config").json
    assert isinstance(config, dict)
    assert server.instance == config["mp"]["instance_id"]


def test_being_probed_and_read_leaves_no_trace(nodes: Nodes, ask_of: AskOf) -> None:
    for node in nodes:
        ask = ask_of(node.port)
        read(probe(ask), "threads", ask)
        before = loggers_of(node), node.ask("GET", "/env").body
        identity = probe(ask)
        for item in ITEMS:
            read(identity, item, ask)
        assert (loggers_of(node), node.ask("GET", "/env").body) == before


def test_all_that_they_say_is_read(nodes: Nodes, ask_of: AskOf) -> None:
    for node, lacks in ((nodes.tcp, IN_PROCESS_LACKS), (nodes.unix, IN_PROCESS_LACKS), (nodes.mp, MP_LACKS)):
        ask = ask_of(node.port)
        identity = probe(ask)
        assert metrics_target(identity) == "/metrics"
        for item in ITEMS:
            reading = read(identity, item, ask)
            expected = State.UNSUPPORTED if item in lacks else State.OK
            assert reading.state is expected, (node.name, item, reading)
            json.dumps(reading.data, allow_nan=False, ensure_ascii=False).encode()
            if item == "metrics":
                assert (reading.data["dropped"], reading.data["faults"]) == (0, [])
                assert len(reading.data["families"]) > 10
            if item == "health":
                assert reading.data == {"level": "healthy", "reasons": []}


def test_dumps_and_lists_are_read_whole(nodes: Nodes, ask_of: AskOf) -> None:
    for node in nodes:
        ask = ask_of(node.port)
        identity = probe(ask)
        texts: list[str] = []

        def kept(target: str, timeout_s: float | None, *, ask: Ask = ask, texts: list[str] = texts) -> Answer:
            answer = ask(target, timeout_s)
            texts.append(answer.body.decode())
            return answer

        dump = read(identity, "threads", kept).data
        loggers = read(identity, "loggers", kept).data["loggers"]
        assert dump["total"] == len(dump["threads"]) == texts[0].count("\nThread: ") + 1
        assert sum(len(thread["frames"]) for thread in dump["threads"]) == texts[0].count('\n  File "')
        assert all(thread["class"] and thread["ident"] for thread in dump["threads"])
        assert len(loggers) == texts[1].count("\n") - 1
        assert all(logger["level"] for logger in loggers)


def test_a_configuration_is_the_node_s_own(nodes: Nodes, ask_of: AskOf) -> None:
    ask = ask_of(nodes.tcp.port)
    data = read(probe(ask), "conf", ask).data
    assert data["infinite"] == ["pd_allocation_timeout_sec"]
    assert data["values"]["pd_allocation_timeout_sec"] == "Infinity"
    assert json.loads(nodes.tcp.ask("GET", "/conf").body).keys() == data["values"].keys()
    server = ask_of(nodes.mp.port)
    data = read(probe(server), "conf", server).data
    assert data == {"values": nodes.mp.ask("GET", "/config").json, "infinite": []}


def test_our_own_service_is_a_frontend(frontend: Frontend, ask_of: AskOf) -> None:
    ask = ask_of(frontend.port)
    identity = probe(ask)
    assert (identity.kind, identity.paths) == (Kind.FRONTEND, Paths.FRONTEND)
    assert identity.version
    assert read(identity, "health", ask).data["level"] == "healthy"
    assert read(identity, "status", ask).data["nodes"]


def test_a_node_is_known_through_a_frontend(frontend: Frontend, nodes: Nodes, ask_of: AskOf) -> None:
    ask = ask_of(frontend.port)

    def through(name: str) -> Ask:
        return lambda target, timeout_s: ask(f"/proxy2/{name}{target}", timeout_s)

    assert probe(through(nodes.unix.name)) == probe(ask_of(nodes.unix.port))
    assert probe(through(nodes.mp.name)) == probe(ask_of(nodes.mp.port))
