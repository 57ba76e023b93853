# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy doctor``: each check on what it is for and what it must leave alone; then on simulated nodes."""

from __future__ import annotations

import argparse
import io
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.helpers.generations import TableNode, controller, coordinator, in_process
from tests.helpers.generations import mp as mp_table
from tests.helpers.proxy_tool import Result, run
from tests.helpers.scripted import ScriptedNode, Visit, always
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until
from tools.console import Console
from tools.exchange import Url
from tools.frontend_client import FrontendClient
from tools.proxy.doctor.facts import Finding, FleetFacts, NodeFacts
from tools.proxy.doctor.fleet import findings
from tools.proxy.doctor.reading import read_fleet
from tools.proxy.frame import CommandContext
from tools.terminal import Terminal

NOW = 10_000.0
GOOD_CONF = {
    "chunk_size": 256,
    "max_local_cpu_size": 16.0,
    "lmcache_instance_id": "demo",
    "internal_api_server_port_start": 6999,
    "pd_allocation_timeout_sec": "Infinity",
    "remote_config_url": None,
    "enable_scheduler_bypass_lookup": False,
}
META = {"chunk_size": 256, "kv_shape": [64, 2, 256, 8, 128], "kv_dtype": "torch.bfloat16", "world_size": 2}
INFERENCE = {"model_config": {"max_model_len": 40960}}
LABELS = {"role": "worker", "worker_id": "0"}


def metrics(*, lookups: float = 100.0, tokens: float = 500_000.0, **more: Any) -> dict[str, Any]:
    return {
        "process_start_time_seconds": [({}, 1000.0)],
        "lmcache:num_lookup_requests_total": [(LABELS, lookups)],
        "lmcache:num_lookup_tokens_total": [(LABELS, tokens)],
        **more,
    }


def worker(name: str = "demo_worker0", **changes: Any) -> NodeFacts:
    given = {
        "address": "10.0.0.5:7000",
        "level": "healthy",
        "kind": "worker",
        "version": "0.5.6-g3e11e108",
        "proxy": "local_proxy",
        "conf": GOOD_CONF,
        "infinite": ("pd_allocation_timeout_sec",),
        "meta": META,
        "inference": INFERENCE,
        "freeze": {"freeze": False},
        "bypass": {"bypassed_backends": [], "all_backends": ["LocalCPUBackend"]},
        "metrics": (metrics(), metrics()),
        **changes,
    }
    return NodeFacts(name, **given)


def mp(**changes: Any) -> NodeFacts:
    counted: dict[str, Any] = {
        "process_start_time_seconds": [({}, 1000.0)],
        "lmcache_mp_lookups_requests_total": [({}, 100.0)],
        "lmcache_mp_lookup_requested_tokens_total": [({}, 100_000.0)],
    }
    l1 = {"total_object_count": 10, "memory_used_bytes": 10 * 2**20}
    given = {
        "address": "10.0.0.5:8080",
        "level": "healthy",
        "kind": "mp",
        "version": "0.5.6-g3e11e108",
        "conf": {"mp": {"chunk_size": 256}},
        "status": {"storage_manager": {"l1_usage": [10 * 2**20, 2**30], "l1_manager": l1}},
        "metrics": (counted, counted),
        **changes,
    }
    return NodeFacts("mp0", **given)


def unreachable(name: str, address: str, reason: str, **changes: Any) -> NodeFacts:
    return NodeFacts(name, address, "unreachable", (reason,), proxy="local_proxy", **changes)


def found(*nodes: NodeFacts, **changes: Any) -> list[Finding]:
    return findings(FleetFacts(nodes, now=NOW, **changes))


def codes(*nodes: NodeFacts, **changes: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in found(*nodes, **changes)]


def conf(**changes: Any) -> dict[str, Any]:
    return {**GOOD_CONF, **changes}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    scheduler = worker("demo_scheduler", kind="scheduler", address="10.0.0.5:6999", metrics=())
    assert found(worker(), scheduler, mp()) == []
    assert found() == []


@pytest.mark.parametrize(
    ("address", "reason", "code", "words"),
    [
        ("10.0.0.9:7000", "refused", "loopback", "internal_api_server_host: 0.0.0.0"),
        ("127.0.0.1:7000", "refused", "api_off", "internal_api_server_enabled: true"),
        ("[::1]:7000", "refused", "api_off", "internal_api_server_enabled: true"),
        ("0.0.0.0:7000", "refused", "any_address", "enter the address of its machine"),
        ("/run/x/socket_7000", "no such socket", "api_off", "internal_api_server_socket_path_prefix"),
        ("/run/x/socket_7000", "Permission denied", "unreachable", "user may not use the socket"),
        ("10.0.0.9:7000", "timed out after 5 s", "unreachable", "firewall"),
        ("gpu-9:7000", "the host name 'gpu-9' cannot be resolved", "unreachable", "enter an address"),
    ],
)
def test_a_node_that_is_not_reached_is_told_why(address: str, reason: str, code: str, words: str) -> None:
    (finding,) = found(unreachable("x", address, reason))
    assert (finding.severity, finding.node, finding.code) == ("critical", "x", code)
    assert words in finding.advice
    assert address in finding.seen


def test_the_loopback_is_not_suspected_where_others_of_the_machine_are_reached() -> None:
    assert codes(worker(), unreachable("x", "10.0.0.5:7001", "refused")) == [("api_off", "critical")]
    assert codes(worker(), unreachable("x", "10.0.0.6:7001", "refused")) == [("loopback", "critical")]


def test_an_index_that_the_configuration_leaves_out_is_told() -> None:
    listed = worker(conf=conf(internal_api_server_include_index_list=[0, 1]))
    (finding,) = found(listed, unreachable("demo_worker1", "10.0.0.5:7001", "refused"))
    assert finding.code == "api_off"
    assert "[0, 1], and leaves out 2" in finding.advice
    assert "internal_api_server_include_index_list" in finding.advice


def test_a_node_that_was_not_asked_yet_is_left_alone() -> None:
    assert found(unreachable("x", "10.0.0.9:7000", "not asked yet")) == []


def test_another_program_on_the_port_is_told() -> None:
    (finding,) = found(NodeFacts("x", "10.0.0.9:7000", "answering", ("answers HTML",)))
    assert (finding.code, finding.severity) == ("not_lmcache", "critical")
    assert "sport = :7000" in finding.advice


def test_a_frontend_that_is_entered_as_a_node_is_told() -> None:
    (finding,) = found(NodeFacts("x", "10.0.0.9:8000", "healthy", kind="frontend"))
    assert (finding.code, finding.severity) == ("frontend_as_node", "warning")
    assert "--is-proxy" in finding.advice


def test_a_degraded_node_is_told_with_its_reasons() -> None:
    (finding,) = found(worker(level="degraded", reasons=("periodic thread x is late",)))
    assert (finding.code, finding.severity) == ("degraded", "warning")
    assert finding.seen == "periodic thread x is late"


@pytest.mark.parametrize(
    ("version", "severity", "words"),
    [
        ("0.3.5", "warning", "say its version"),
        ("0.3.9", "warning", "fetch its configuration"),
        ("0.3.14", "notice", "bypass"),
        ("0.3.15", None, ""),
        ("NA-gabc", None, ""),
        (None, "warning", "before 0.3.6"),
    ],
)
def test_an_old_release_is_told_with_what_it_lacks(version: str | None, severity: str | None, words: str) -> None:
    given = [finding for finding in found(worker(version=version)) if finding.code == "too_old"]
    assert [finding.severity for finding in given] == ([severity] if severity else [])
    assert all(words in finding.seen for finding in given)


def test_an_old_mp_server_is_told() -> None:
    assert ("too_old", "notice") in codes(mp(version="0.4.3"))
    assert ("too_old", "warning") in codes(mp(version="0.3.13"))


def test_a_configuration_that_is_never_fetched_is_told() -> None:
    (finding,) = found(worker(conf=conf(remote_config_url="http://frontend/config")))
    assert (finding.code, finding.severity) == ("remote_configuration_off", "warning")
    assert "pd_allocation_timeout_sec is infinite" in finding.seen
    assert "LMCACHE_PD_ALLOCATION_TIMEOUT_SEC=" in finding.advice
    assert found(worker(conf=conf(remote_config_url="http://frontend/config"), infinite=())) == []


def test_rules_that_nobody_asks_for_are_told() -> None:
    assert codes(worker(), rules=3) == [("remote_configuration_off", "notice")]
    assert codes(worker(conf=conf(remote_config_url="http://frontend/config"), infinite=()), rules=3) == []
    assert codes(mp(), rules=3) == []


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("None_scheduler", {"kind": "unknown", "conf": None, "meta": None}, [("no_instance", "warning")]),
        ("x", {"conf": conf(lmcache_instance_id=None)}, [("no_instance", "warning")]),
        ("x", {"conf": conf(lmcache_instance_id="lmcacheengineconfig_" + "0a" * 16)}, [("made_up_instance", "notice")]),
        ("x", {"conf": conf(lmcache_instance_id="lmcache_instance_of_mine")}, []),
        ("x", {"conf": None}, []),
    ],
)
def test_names_without_an_instance_are_told(name: str, changes: Any, expected: list[tuple[str, str]]) -> None:
    assert codes(worker(name, **changes)) == expected


def test_another_instance_on_the_port_is_told() -> None:
    (finding,) = found(worker("other_worker0"))
    assert (finding.code, finding.severity) == ("port_collision", "critical")
    assert "the instance demo answers" in finding.seen
    assert codes(worker("demo_scheduler")) == [("port_collision", "critical")]
    assert codes(worker(conf=conf(enable_scheduler_bypass_lookup=True))) == [("port_collision", "warning")]
    assert codes(worker("a-name-of-my-own")) == []


def test_instances_whose_ports_overlap_are_told() -> None:
    def of(instance: str, start: int, address: str = "10.0.0.5:1") -> NodeFacts:
        own = conf(lmcache_instance_id=instance, internal_api_server_port_start=start)
        return worker(f"{instance}-0", address=address, conf=own)

    (finding,) = found(of("a", 6999), of("b", 7001, "10.0.0.5:2"))
    assert finding.code == "port_collision"
    assert "a uses the ports 6999-7001" in finding.seen
    assert found(of("a", 6999), of("b", 7002, "10.0.0.5:2")) == []
    assert found(of("a", 6999), of("b", 6999, "10.0.0.6:2")) == []
    assert found(of("a", 6999), of("b", 6999, "/run/b_7000")) == []


def test_two_names_for_one_address_are_told() -> None:
    (finding,) = found(worker("a"), worker("b"))
    assert finding.code == "same_address"
    assert "a, b have the same address 10.0.0.5:7000" in finding.seen
    assert found(worker("a"), worker("b", proxy="elsewhere")) == []


def test_several_processes_behind_one_port_are_told() -> None:
    later = metrics(process_start_time_seconds=[({}, 2000.0)])
    assert codes(worker(metrics=(metrics(), later))) == [("several_processes", "critical")]
    places = [(LABELS, 100.0), ({"role": "worker", "worker_id": "1"}, 100.0)]
    two = {**metrics(), "lmcache:num_lookup_requests_total": places}
    assert codes(worker(metrics=(two, two))) == [("several_processes", "warning")]


def test_merged_metrics_are_told() -> None:
    merged = {name: samples for name, samples in metrics().items() if not name.startswith("process")}
    assert codes(worker(metrics=(merged, merged))) == [("multiprocess_metrics", "warning")]
    folder = {"PROMETHEUS_MULTIPROC_DIR": "/tmp/vllm"}
    assert codes(worker(environment=folder)) == [("multiprocess_metrics", "notice")]
    # LMCache's own, which has no effect.
    assert codes(worker(environment={"PROMETHEUS_MULTIPROC_DIR": "/tmp/lmcache_prometheus"})) == []


def test_prompts_that_are_shorter_than_a_chunk_are_told() -> None:
    silent = metrics(lookups=0.0, tokens=0.0)
    assert codes(worker(metrics=(silent,))) == [("no_lookups", "notice")]
    prompted = {**silent, "vllm:prompt_tokens_total": [({}, 5000.0)]}
    (finding,) = found(worker(metrics=(prompted,)))
    assert (finding.code, finding.severity) == ("no_lookups", "warning")
    assert "256 tokens" in finding.advice
    short = metrics(lookups=100.0, tokens=9000.0)
    assert codes(worker(metrics=(short,))) == [("short_prompts", "warning")]
    # Too early to say, and one worker that is asked for all.
    early = {**silent, "process_start_time_seconds": [({}, NOW - 10)]}
    assert codes(worker(metrics=(early,))) == []
    assert codes(worker(), worker("demo_worker1", address="10.0.0.5:7001", metrics=(silent,))) == []


def test_lookups_of_an_mp_server_that_end_early_are_told() -> None:
    early = {
        "process_start_time_seconds": [({}, 1000.0)],
        "lmcache_mp_lookups_requests_total": [({}, 100.0)],
        "lmcache_mp_lookup_early_exit_requests_total": [
            ({"reason": "empty_chunk_hashes"}, 90.0),
            ({"reason": "no_gpu_context"}, 5.0),
        ],
    }
    (finding,) = found(mp(metrics=(early,)))
    assert (finding.code, finding.severity) == ("short_prompts", "warning")
    assert "90 % of 100 lookups" in finding.seen


def test_frozen_and_bypassed_caches_are_told() -> None:
    (finding,) = found(worker("it's me", freeze={"freeze": True}))
    assert (finding.code, finding.severity) == ("frozen", "warning")
    assert """freeze 'it'"'"'s me' off`""" in finding.advice
    some = {"bypassed_backends": ["RemoteBackend"], "all_backends": ["LocalCPUBackend", "RemoteBackend"]}
    assert codes(worker(bypass=some)) == [("bypassed", "warning")]
    every = {"bypassed_backends": ["LocalCPUBackend"], "all_backends": ["LocalCPUBackend"]}
    assert codes(worker(bypass=every)) == [("bypassed", "critical")]


@pytest.mark.parametrize(("gib", "severity"), [(0.01, "critical"), (0.5, "critical"), (5.0, "warning"), (16.0, None)])
def test_a_tier_smaller_than_a_request_is_told(gib: float, severity: str | None) -> None:
    # A chunk takes 64 MiB; lookups are of 5000 tokens on average, the longest of 40960.
    given = found(worker(conf=conf(max_local_cpu_size=gib)))
    assert [finding.severity for finding in given if finding.code == "small_tier"] == ([severity] if severity else [])


def test_a_tier_of_an_mp_server_is_measured_by_what_it_holds() -> None:
    l1 = {"total_object_count": 10, "memory_used_bytes": 10 * 2**20}
    status = {"storage_manager": {"l1_usage": [0, 3 * 2**20], "l1_manager": l1}}
    assert codes(mp(status=status)) == [("small_tier", "critical")]
    assert codes(mp(status={"storage_manager": {"l1_usage": [0, 2**30]}})) == []


@pytest.mark.parametrize(
    "meta", [{}, {"kv_shape": "[1]"}, {"kv_shape": [1, -1], "kv_dtype": "x"}, {"kv_shape": []}, None]
)
def test_what_is_not_known_of_chunks_is_not_guessed(meta: Any) -> None:
    assert found(worker(meta=meta, conf=conf(max_local_cpu_size=0.0001))) == []


def test_work_that_fails_is_told() -> None:
    (finding,) = found(worker(failures_per_s=0.5))
    assert (finding.code, finding.severity, finding.seen) == ("failures", "warning", "30 failures a minute")


def test_drift_is_told_of_those_that_differ() -> None:
    entry = {"key": "chunk_size", "values": [{"value": 256, "nodes": ["a", "b"]}, {"value": 128, "nodes": ["c"]}]}
    drift = {"groups": [{"kind": "worker", "nodes": 3, "keys": [entry]}], "versions": []}
    (finding,) = found(worker("c"), drift=drift)
    assert (finding.code, finding.node) == ("drift", None)
    assert finding.seen == "chunk_size differs: 256 on a, b; 128 on c"
    assert "until then: `lmcache-proxy conf kind:worker chunk_size=VALUE`" in finding.advice
    assert found(worker("a"), drift=drift) == []


def test_what_cannot_be_changed_while_it_runs_is_not_advised_to_be() -> None:
    entry = {"key": "mp.max_workers", "values": [{"value": 2, "nodes": ["a", "b"]}, {"value": 1, "nodes": ["mp0"]}]}
    (finding,) = found(mp(), drift={"groups": [{"kind": "mp", "nodes": 3, "keys": [entry]}], "versions": []})
    assert finding.advice.endswith("it cannot be changed while they run")


def test_several_versions_are_told() -> None:
    (finding,) = found(worker("a"), worker("b", address="10.0.0.5:7001", version="0.5.5"))
    assert finding.code == "versions"
    assert "0.5.5 on b" in finding.seen


def test_the_worst_comes_first() -> None:
    nodes = [worker(rank, address=f"10.0.0.5:{at}", freeze={"freeze": True}) for at, rank in enumerate("ab")]
    severities = [finding.severity for finding in found(*nodes, unreachable("x", "10.0.0.9:1", "refused"), rules=1)]
    assert severities == ["critical", "warning", "warning", "notice", "notice"]


# Against a frontend and nodes


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    settings = Settings(host="127.0.0.1", port=0, demo=4, poll_interval_s=1.0, drain_timeout_s=1.0, store="memory:")
    running = App(settings)
    running.start()
    try:
        wait_until(lambda: ask(running.settings.port, "GET", "/api/fleet").body.count(b'"level":"healthy"') == 4)
        yield running
    finally:
        running.stop()


def doctor(app: App, *arguments: str) -> Result:
    return run("doctor", *arguments, LMCACHE_FRONTEND_URL=f"http://127.0.0.1:{app.settings.port}")


def test_healthy_simulated_nodes_get_no_findings(app: App) -> None:
    result = doctor(app, "demo_worker0")
    assert (result.status, result.out) == (0, "")
    assert "nothing wrong was found on 1 node" in result.err


def test_what_is_done_to_a_node_is_found(app: App) -> None:
    port = app.settings.port
    assert ask(port, "PUT", "/proxy2/demo_worker1/freeze/enable").status == 200
    try:
        result = doctor(app, "demo_worker1", "--format", "json")
        assert result.status == 4
        document = result.document
        assert set(document) == {"nodes", "findings", "unchecked"}
        assert document["nodes"] == ["demo_worker1"]
        assert [finding["code"] for finding in document["findings"]] == ["frozen"]
        assert set(document["findings"][0]) == {"severity", "node", "code", "seen", "advice"}
        table = doctor(app, "--all")
        assert table.rows[0] == ["SEVERITY", "NODE", "WHAT IS SEEN", "WHAT TO DO"]
        assert ["warning", "demo_worker1"] in [row[:2] for row in table.rows]
        assert table.status == 4
    finally:
        ask(port, "PUT", "/proxy2/demo_worker1/freeze/disable")


def test_one_node_is_examined_without_a_frontend(app: App) -> None:
    nodes = json.loads(ask(app.settings.port, "GET", "/api/fleet").body)["nodes"]
    address = next(node["address"] for node in nodes if node["name"] == "demo_worker0")
    result = run("doctor", "--direct", address, "--format", "json")
    assert (result.status, result.document["findings"]) == (0, [])


def test_nobody_at_the_address_is_a_finding() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        result = run("doctor", "--direct", f"127.0.0.1:{port}", "--format", "json")
    assert result.status == 4
    assert [finding["code"] for finding in result.document["findings"]] == ["api_off"]


def test_no_frontend_is_no_finding() -> None:
    assert run("doctor", "--server", "http://127.0.0.1:9").status == 3


def test_a_node_that_answers_nonsense_is_examined_all_the_same(
    start_app: Callable[..., App], start_node: Callable[..., ScriptedNode]
) -> None:
    strange = start_node(always(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[1, {}]\n"))
    app = start_app([{**strange.entry, "name": "strange"}], collecting=True, poll_interval_s=0.5)
    wait_until(lambda: b'"answering"' in ask(app.settings.port, "GET", "/api/fleet").body)
    result = doctor(app, "--format", "jsonl")
    assert result.status == 4
    assert [line["code"] for line in result.lines] == ["not_lmcache"]


def test_what_may_not_be_read_is_told(start_node: Callable[..., ScriptedNode]) -> None:
    entry = {
        "name": "n",
        "proxy": "local_proxy",
        "address": "h:1",
        "kind": "worker",
        "level": "healthy",
        "version": "0.5.6",
    }
    fleet = {"snapshot": 1, "taken_at": 1.0, "interval_s": 10.0, "totals": {}, "nodes": [entry], "problems": []}

    def script(visit: Visit) -> None:
        allowed = visit.read_head().startswith(b"GET /api/fleet HTTP")
        body = json.dumps(fleet if allowed else {"detail": "an operator's"}).encode()
        status = b"200 OK" if allowed else b"403 Forbidden"
        visit.send(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    server = start_node(script)
    result = run("doctor", "--server", f"http://127.0.0.1:{server.port}", "--format", "json")
    assert (result.status, result.document["findings"]) == (0, [])
    assert {missing["item"] for missing in result.document["unchecked"]} >= {"conf", "meta", "env", "/freeze/status"}
    assert "not looked at: conf of n, and 7 more: that needs an operator" in result.err


@pytest.mark.parametrize(
    ("table", "is_old"),
    [
        (in_process("0.3.6"), True),
        (in_process("0.3.12"), True),
        (in_process("0.3.15"), False),
        (in_process("0.5.2"), False),
        (mp_table("0.4.1"), True),
        (mp_table("0.5.5"), False),
        (coordinator(), False),
        (controller("0.5.6"), False),
    ],
)
def test_nodes_of_all_times_are_examined_and_only_asked(
    start_node: Callable[..., ScriptedNode], table: TableNode, is_old: bool
) -> None:
    methods: set[str] = set()

    def script(visit: Visit) -> None:
        while head := visit.read_head().decode():
            method, target, _ = head.split(" ", 2)
            methods.add(method)
            answer = table(target, None)
            fields = "".join(f"{name}: {value}\r\n" for name, value in answer.head.fields)
            visit.send(f"HTTP/1.1 {answer.head.status} X\r\n{fields}\r\n".encode() + answer.body)

    result = run("doctor", "--direct", f"127.0.0.1:{start_node(script).port}", "--format", "json")
    assert result.status in (0, 4)
    assert result.document["unchecked"] == []
    assert ("too_old" in [finding["code"] for finding in result.document["findings"]]) == is_old
    assert methods == {"GET"}


@pytest.mark.parametrize(("address", "readings"), [("10.0.0.5:7000", 2), ("/run/lmcache/socket_7000", 1)])
def test_metrics_are_read_twice_where_two_may_answer_and_little_of_them_is_kept(
    start_node: Callable[..., ScriptedNode], address: str, readings: int
) -> None:
    entry = {"name": "n", "proxy": "local_proxy", "address": address, "kind": "worker", "level": "healthy"}
    fleet = {"snapshot": 1, "taken_at": 1.0, "interval_s": 10.0, "totals": {}, "nodes": [entry], "problems": []}
    names = ("process_start_time_seconds", "lmcache:num_lookup_requests_total", "lmcache:other_total")
    samples = [{"name": name, "labels": {}, "value": 1.0} for name in names]
    metrics = {"state": "ok", "data": {"families": [{"name": "x", "samples": samples}]}}
    asked: list[bytes] = []

    def script(visit: Visit) -> None:
        asked.append(visit.read_head().split(b" ")[1])
        given = {b"/api/fleet": fleet, b"/api/nodes/n/metrics": metrics}.get(asked[-1], {"state": "unsupported"})
        body = json.dumps(given).encode()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    client = FrontendClient(Url("http", "127.0.0.1", start_node(script).port))
    console = Console("tool", Terminal(io.StringIO()), Terminal(io.StringIO()))
    options = argparse.Namespace(timeout=10.0)
    (facts,) = read_fleet(CommandContext(console, {}, options, client), None).fleet.nodes
    assert asked.count(b"/api/nodes/n/metrics") == len(facts.metrics) == readings
    assert [set(reading) for reading in facts.metrics] == [set(names[:2])] * readings
