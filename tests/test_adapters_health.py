# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Identity, Kind, Paths, State
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.errors import BadGateway, Forbidden, FrontendError, GatewayTimeout
from lmcache_frontend.exposition.parse import Family, Sample
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
from tests.helpers.known_nodes import SERVER, WORKER

GAUGE = "lmcache:lmcache_is_healthy"


def gauge(value: float) -> dict[str, Family]:
    return {GAUGE: Family(GAUGE, "gauge", "", [Sample(GAUGE, (("role", "worker"),), value)])}


def health(identity: Identity, node: TableNode, families: dict[str, Family] | None = None) -> tuple[str, list[str]]:
    node.asked.clear()
    reading = read(identity, "health", node, families=families)
    assert (reading.state, reading.reason) == (State.OK, None)
    assert len(node.asked) == len(set(node.asked)) <= 3
    json.dumps(reading.data)
    return reading.data["level"], reading.data["reasons"]


def thread(name: str, level: str = "critical", *, running: Any = True, active: Any = True) -> dict[str, Any]:
    return {"name": name, "level": level, "is_running": running, "is_active": active}


@pytest.mark.parametrize("role", ["worker", "scheduler"])
@pytest.mark.parametrize("release", IN_PROCESS_RELEASES)
def test_in_process_nodes_of_each_release(release: str, role: str) -> None:
    node = in_process(release, role)
    level, reasons = health(probe(node), node, {})
    if numbers(release) >= (0, 3, 13):
        assert (level, reasons) == ("healthy", [])
        assert node.asked == ["/periodic-threads-health"]
    else:
        assert level == "serving"
        who = f"LMCache {release}" if numbers(release) >= (0, 3, 6) else "this node"
        assert reasons[0].startswith(f"{who} does not say how it is")


def test_a_late_periodic_thread() -> None:
    late = {"name": "PinMonitor-thread", "level": "critical", "last_run_ago": 99.0, "interval": 30}
    node = in_process(
        "0.5.6", periodic__threads__health=said_json({"healthy": False, "unhealthy_threads": [late, {**late}]})
    )
    assert health(WORKER, node, {}) == ("degraded", ["periodic thread PinMonitor-thread is late"])


@pytest.mark.parametrize(
    ("document", "reasons"),
    [
        ({"healthy": False}, ["some periodic thread is late"]),
        ({"healthy": False, "unhealthy_threads": 7}, ["some periodic thread is late"]),
        ({"healthy": False, "unhealthy_threads": [7, None]}, ["some periodic thread is late"]),
        ({"healthy": False, "unhealthy_threads": [{"name": []}]}, ["periodic thread without a name is late"]),
        ({"healthy": False, "unhealthy_threads": [{"name": "a\nb"}]}, ["periodic thread a b is late"]),
        ({"healthy": "yes"}, ["/periodic-threads-health answered something else"]),
        ({"healthy": 1}, ["/periodic-threads-health answered something else"]),
        ({}, ["/periodic-threads-health answered something else"]),
        ([], ["/periodic-threads-health answered something else"]),
        (None, ["/periodic-threads-health answered something else"]),
    ],
)
def test_odd_healths_of_periodic_threads(document: Any, reasons: list[str]) -> None:
    node = in_process("0.5.6", periodic__threads__health=said_json(document))
    assert health(WORKER, node, {}) == ("degraded", reasons)


def test_many_late_threads_are_counted() -> None:
    late = [{"name": f"t{number}"} for number in range(30)]
    document = {"healthy": False, "unhealthy_threads": late}
    _, reasons = health(WORKER, in_process("0.5.6", periodic__threads__health=said_json(document)), {})
    assert len(reasons) == 10
    assert reasons[-2:] == ["periodic thread t8 is late", "and 21 more"]


@pytest.mark.parametrize(
    ("threads", "level", "reasons"),
    [
        ([thread("health-monitor-thread", "low", running=False, active=False)], "healthy", []),
        ([], "healthy", []),
        ([thread("health-monitor-thread", "low")], "degraded", ["lmcache_is_healthy is 0"]),
        (
            [thread("health-monitor-thread", "low"), thread("PinMonitor-thread", active=False)],
            "degraded",
            ["lmcache_is_healthy is 0", "periodic thread PinMonitor-thread is late"],
        ),
        ([thread("a", "high", active=False)], "degraded", ["periodic thread a is late"]),
        ([thread("a", "medium", active=False), thread("b", running=False, active=False)], "healthy", []),
        ([7, None, [], thread("a", active=0), {"is_running": 1}, {"is_running": True}], "healthy", []),
        (7, "degraded", ["/periodic-threads answered something else"]),
    ],
)
def test_the_gauge_counts_only_where_a_health_monitor_runs(threads: Any, level: str, reasons: list[str]) -> None:
    node = in_process("0.5.6", periodic__threads=said_json({"threads": threads}))
    assert health(WORKER, node, gauge(0.0)) == (level, reasons)
    assert node.asked == ["/periodic-threads"]
    assert health(WORKER, node, gauge(1.0)) == ("healthy", [])
    assert node.asked == ["/periodic-threads-health"]
    # Without figures at hand they are asked for.
    assert health(WORKER, node) == (level, reasons)
    assert node.asked == ["/metrics", "/periodic-threads"]


@pytest.mark.parametrize("metrics", [NOT_FOUND, GatewayTimeout("none within 5 s"), Said(200, HTML, "<html>")])
def test_metrics_that_fail_leave_the_threads_to_tell(metrics: Said | FrontendError) -> None:
    node = in_process("0.5.6", metrics=metrics, periodic__threads=NOT_FOUND)
    assert health(WORKER, node) == ("healthy", [])
    assert health(WORKER, node, gauge(0.0)) == ("healthy", [])
    assert node.asked == ["/periodic-threads", "/periodic-threads-health"]


UNREACHABLE: list[tuple[Said | FrontendError, str]] = [
    (BadGateway("127.0.0.1:1: Connection refused"), "refused"),
    (GatewayTimeout("n did not answer within 5 s"), "timed out after 5 s"),
    (GatewayTimeout("n did not accept a connection within 5 s"), "timed out after 5 s"),
    (BadGateway("n: connection broken: Connection reset by peer"), "reset"),
    (BadGateway("n: connection ended before the answer"), "n: connection ended before the answer"),
    (BadGateway("the host name 'n' cannot be resolved"), "the host name 'n' cannot be resolved"),
    (BadGateway("n closed the connection before it answered"), "n closed the connection before it answered"),
    (Forbidden("the address is not allowed"), "the address is not allowed"),
    (said_json({"detail": "n: Connection refused"}, 502), "refused"),
    (said_json({"detail": "n did not answer within 60 s"}, 504), "timed out after 60 s"),
]
CAME_BACK = [
    "the node did not answer with an HTTP/1.1 status line",
    "answer of 52428800 bytes, at most 16777216 are taken",
    "answer of n: bad chunk size, expected a hexadecimal number",
    "the node answered with both Content-Length and Transfer-Encoding",
]


@pytest.mark.parametrize(("failure", "reason"), UNREACHABLE)
@pytest.mark.parametrize("paths", Paths)
def test_nodes_that_cannot_be_reached(paths: Paths, failure: Said | FrontendError, reason: str) -> None:
    def ask(target: str, timeout_s: float | None) -> Any:
        return TableNode({target: failure})(target, timeout_s)

    assert read(UNKNOWN._replace(paths=paths), "health", ask).data == {"level": "unreachable", "reasons": [reason]}


@pytest.mark.parametrize("message", CAME_BACK)
def test_known_nodes_that_send_nonsense_are_degraded(message: str) -> None:
    node = TableNode(
        dict.fromkeys(("/periodic-threads-health", "/status", "/healthz", "/version"), BadGateway(message))
    )
    assert health(WORKER, node, {}) == ("degraded", [message])
    assert health(SERVER, node) == ("degraded", [message])
    assert health(WORKER._replace(kind=Kind.COORDINATOR, paths=Paths.COORDINATOR), node) == ("degraded", [message])
    assert health(UNKNOWN, node) == ("unreachable", [message])


@pytest.mark.parametrize(
    ("said", "level", "reason"),
    [
        (NOT_FOUND, "degraded", "/periodic-threads-health answered 404: Not Found"),
        (Said(500, TEXT, "Internal Server Error"), "degraded", "/periodic-threads-health answered 500: Internal S"),
        (Said(200, HTML, "<html>"), "degraded", "/periodic-threads-health answered something else"),
        (Said(200, JSON, b"\xff"), "degraded", "/periodic-threads-health answered something else"),
        (Said(200, JSON, "[" * 100_000), "degraded", "/periodic-threads-health answered something else"),
        (said_json({"detail": "viewers may not"}, 403), "answering", "/periodic-threads-health answered 403: viewers"),
    ],
)
def test_workers_that_answer_something_else(said: Said, level: str, reason: str) -> None:
    found, reasons = health(WORKER, in_process("0.5.6", periodic__threads__health=said), {})
    assert found == level
    assert reasons[0].startswith(reason)
    assert len(reasons) == 1


def test_an_old_worker_whose_place_something_else_took() -> None:
    identity = WORKER._replace(version="0.3.9")
    node = TableNode({"/version": Said(200, HTML, "<html>")})
    assert health(identity, node, {}) == ("degraded", ["/version answered something else"])
    assert health(identity._replace(version=None), node, {}) == ("degraded", ["/conf answered 404: Not Found"])


@pytest.mark.parametrize("release", MP_RELEASES)
def test_mp_servers_of_each_release(release: str) -> None:
    node = mp(release)
    level, reasons = health(probe(node), node)
    if numbers(release) >= (0, 3, 15):
        assert (level, reasons) == ("healthy", [])
        assert len(node.asked) <= 2
    else:
        assert (level, reasons) == ("serving", ["an MP server of LMCache 0.3.13 or 0.3.14 does not say how it is"])


def test_an_mp_server_that_is_unhealthy_says_which_part() -> None:
    status = json.loads(str(mp("0.5.6").answers["/status"].body))  # type: ignore[union-attr]
    manager = status["storage_manager"]
    status["is_healthy"] = manager["is_healthy"] = False
    for name in ("l1_manager", "store_controller"):
        for part in (manager[name], manager[f"{name}s"]["_default"]):
            part["is_healthy" if name == "l1_manager" else "thread_alive"] = False
    manager["l2_adapters"] = [{"is_healthy": True}, {"is_healthy": False, "type": "fs"}]
    assert health(SERVER, mp("0.5.6", status=said_json(status))) == (
        "degraded",
        [
            "status.is_healthy is false",
            "status.storage_manager.is_healthy is false",
            "status.storage_manager.l1_managers._default.is_healthy is false",
            "status.storage_manager.store_controllers._default.thread_alive is false",
            "status.storage_manager.l2_adapters[1].is_healthy is false",
        ],
    )
    del manager["l1_managers"]
    _, reasons = health(SERVER, mp("0.5.6", status=said_json(status)))
    assert "status.storage_manager.l1_manager.is_healthy is false" in reasons
    old = probe(mp("0.4.2"))
    assert health(old, mp("0.4.2", api_status=said_json({"is_healthy": False})))[1] == ["status.is_healthy is false"]


@pytest.mark.parametrize(
    ("document", "level", "reason"),
    [
        ({"is_healthy": None}, "serving", "status.is_healthy is missing"),
        ({"other": 1}, "serving", "status.is_healthy is missing"),
        ({"is_healthy": "false", "storage_manager": 7}, "serving", "status.is_healthy is missing"),
        ({"is_healthy": True, "storage_manager": [[{"thread_alive": False}]]}, "degraded", "status.storage_manager[0]"),
        ([], "degraded", "/status answered something else"),
        (None, "degraded", "/status answered something else"),
    ],
)
def test_odd_statuses(document: Any, level: str, reason: str) -> None:
    found, reasons = health(SERVER, mp("0.5.6", status=said_json(document)))
    assert found == level
    assert reasons[0].startswith(reason)


def test_an_mp_server_without_an_engine_says_so() -> None:
    error = said_json({"error": "engine not initialized"}, 503)
    sick = said_json({"status": "unhealthy", "reason": "engine not initialized"}, 503)
    assert health(SERVER, mp("0.5.6", status=error, healthcheck=sick)) == (
        "degraded",
        ["/healthcheck: engine not initialized"],
    )
    old = probe(mp("0.4.2"))
    assert health(old, mp("0.4.2", api_status=error, api_healthcheck=sick)) == (
        "degraded",
        ["/api/healthcheck: engine not initialized"],
    )
    oldest = probe(mp("0.3.15"))
    assert health(oldest, mp("0.3.15", api_healthcheck=sick))[1] == ["/api/healthcheck: engine not initialized"]
    assert health(SERVER, mp("0.5.6", status=error)) == ("degraded", ["/status answered 503: engine not initialized"])
    assert health(SERVER, mp("0.5.6", status=NOT_FOUND, healthcheck=NOT_FOUND))[1] == [
        "/healthcheck answered 404: Not Found"
    ]


def test_the_threads_of_an_mp_server_count_as_well() -> None:
    late = said_json({"healthy": False, "unhealthy_threads": [{"name": "DeviceHostFuncDispatcher"}]})
    assert health(SERVER, mp("0.5.6", periodic__threads__health=late)) == (
        "degraded",
        ["periodic thread DeviceHostFuncDispatcher is late"],
    )
    assert health(SERVER, mp("0.5.6", periodic__threads__health=NOT_FOUND)) == ("healthy", [])
    slow = GatewayTimeout("n did not answer within 5 s")
    assert health(SERVER, mp("0.5.6", periodic__threads__health=slow)) == (
        "degraded",
        ["/periodic-threads-health: timed out after 5 s"],
    )


def test_what_stands_beside_the_nodes() -> None:
    for node in (coordinator(), controller("0.5.6"), frontend(), frontend(ours=False)):
        assert health(probe(node), node) == ("healthy", [])
    for release, reason in (
        ("0.3.12", "this controller does not say how it is (LMCache does since 0.3.13)"),
        ("0.3.9", "a controller of LMCache up to 0.3.9 does not say how it is"),
    ):
        node = controller(release)
        assert health(probe(node), node) == ("serving", [reason])
    sick = coordinator().but(healthz=said_json({"status": "draining"}, 503))
    assert health(probe(sick), sick) == ("degraded", ["/healthz: draining"])
    gone = TableNode({})
    assert health(probe(frontend()), gone) == ("degraded", ["/health answered 404: Not Found"])
    assert health(probe(controller("0.5.6")), gone) == ("degraded", ["/controller/workers answered 404: Not Found"])
    assert health(probe(controller("0.3.9")), gone) == ("degraded", ["/health answered 404: Not Found"])


def test_a_stranger_answers() -> None:
    assert health(UNKNOWN, TableNode({})) == ("answering", ["answers HTTP (404), but nothing that is LMCache's"])
