# SPDX-License-Identifier: Apache-2.0
"""The fleet's state over real LMCache nodes under traffic: what we say of them is what they counted themselves."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lmcache_frontend.cluster.adapters import ITEMS
from tests.heavy.conftest import Nodes
from tests.helpers import lmcache_nodes
from tests.helpers.dashboard import running_frontend
from tests.helpers.lmcache_nodes import Answer, RealNode
from tests.helpers.scripted import ScriptedNode, Visit
from tests.helpers.waiting import wait_until

INTERVAL_S = 2
GIB = 1024**3
# Of no other test's traffic, so that nothing of it is in the cache before.
FIRST_TOKEN = 700_000
STORED_TOKENS = 2048
# So many are asked for, each time from the first on.
ASKED_TOKENS = (2048, 3072, 2048)
LACKS = {"tcp": {"status", "quota"}, "unix": {"status", "quota"}, "mp": {"meta", "inference"}}
COUNTED = {
    "tokens_stored_total": "lmcache:num_stored_tokens_total",
    "tokens_requested_total": "lmcache:num_requested_tokens_total",
    "tokens_hit_total": "lmcache:num_hit_tokens_total",
    "retrieves_total": "lmcache:num_retrieve_requests_total",
    "stores_total": "lmcache:num_store_requests_total",
    "lookups_total": "lmcache:num_lookup_requests_total",
}
LOOKED_UP, FOUND = "lmcache:num_lookup_tokens_total", "lmcache:num_lookup_hits_total"
MP_LOOKED_UP = "lmcache_mp_lookup_requested_tokens_total"
MP_COUNTED = {
    "tokens_requested_total": MP_LOOKED_UP,
    "tokens_hit_total": "lmcache_mp_lookup_hit_tokens_total",
    "lookups_total": "lmcache_mp_lookups_requests_total",
    "retrieves_total": "lmcache_mp_num_finished_retrieves_total",
    "stores_total": "lmcache_mp_num_finished_stores_total",
}
# Somebody else's parser, which is beside LMCache in any case.
READ_SAMPLES = """
import json, sys
from prometheus_client.parser import text_string_to_metric_families
print(json.dumps([
    [[sample.name, sample.labels, sample.value] for family in text_string_to_metric_families(body)
     for sample in family.samples]
    for body in json.load(sys.stdin)
]))
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], str]


class Service(NamedTuple):
    """Our service as a process, and the node that is to go away."""

    port: int
    mortal: ScriptedNode

    def get(self, path: str) -> Answer:
        """Ask the service."""
        return lmcache_nodes.ask(self.port, "GET", path)

    def node(self, name: str) -> Any:
        """Give what the fleet's state says of a node."""
        document: Any = self.get("/api/fleet").json
        return next(node for node in document["nodes"] if node["name"] == name)

    def rounds(self) -> float:
        """Give how many rounds the collector has finished."""
        family = "lmcache_frontend_collector_rounds_total"
        return total(self.get(f"/metrics?family={family}"), family) or 0.0


def answer_as_a_node(visit: Visit) -> None:
    """Say the version to whoever asks for it, and 404 to everybody else."""
    while head := visit.read_head():
        known = head.startswith(b"GET /version ")
        status, body = ("200 OK", b'"0.5.6-g3e11e108"') if known else ("404 Not Found", b'{"detail":"Not Found"}')
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
        visit.send(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)


@pytest.fixture(scope="module")
def service(nodes: Nodes) -> Iterator[Service]:
    """Run the service over the real nodes and one that can be closed."""
    mortal = ScriptedNode(answer_as_a_node)
    try:
        entries = json.dumps([*(node.entry for node in nodes), {**mortal.entry, "name": "mortal"}])
        with running_frontend("--nodes", entries, "--poll-interval", str(INTERVAL_S)) as address:
            running = Service(int(address.rstrip("/").rpartition(":")[2]), mortal)
            wait_until(lambda: count_seen(running) == len(nodes) + 1, 30, 0.1)
            yield running
    finally:
        mortal.close()


def count_seen(service: Service) -> int:
    """Count the nodes that were reached by now."""
    document: Any = service.get("/api/fleet").json
    return sum(node["last_seen"] is not None for node in document["nodes"])


def total(metrics: Answer, name: str) -> float | None:
    """Sum the samples of a counter, None where there is none."""
    lines = [line for line in metrics.body.decode().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rpartition(" ")[2]) for line in lines) if lines else None


def parsed(*bodies: bytes) -> list[Samples]:
    """Read expositions, values as text, so that a NaN is like another."""
    texts = json.dumps([body.decode() for body in bodies]).encode()
    words = [lmcache_nodes.interpreter(), "-c", READ_SAMPLES]
    done = subprocess.run(words, input=texts, capture_output=True, timeout=120, check=True)
    result = []
    for samples in json.loads(done.stdout):
        keyed = {(name, frozenset(labels.items())): repr(value) for name, labels, value in samples}
        assert len(keyed) == len(samples), "a sample is there twice"
        result.append(keyed)
    return result


def figure(node: Any, name: str) -> tuple[Any, str]:
    """Give a figure's value and state."""
    return node["figures"][name]["value"], node["figures"][name]["state"]


def drive(service: Service, node: RealNode) -> tuple[int, int, int]:
    """Store and retrieve through the proxy; give how many tokens were stored, asked for and found."""

    def send(operation: str, tokens: int) -> Any:
        path = f"/proxy2/{node.name}/cache/{operation}?tokens_mock={FIRST_TOKEN},{FIRST_TOKEN + tokens}"
        answer = lmcache_nodes.ask(service.port, "POST", path)
        assert answer.status == 200, answer.body
        return answer.json

    stored = send("store", STORED_TOKENS)["num_tokens"]
    retrieved = [send("retrieve", tokens) for tokens in ASKED_TOKENS]
    assert [each["num_retrieved"] for each in retrieved] == [STORED_TOKENS] * len(ASKED_TOKENS)
    return stored, sum(each["num_tokens"] for each in retrieved), sum(each["num_retrieved"] for each in retrieved)


def settled(node: RealNode, names: list[str]) -> list[float]:
    """Give a node's counts once what was done before is in them: it writes them out every 10 s."""
    seen: list[tuple[float, list[float]]] = []

    def have_settled() -> bool:
        metrics = node.ask("GET", "/metrics")
        counts = [total(metrics, name) or 0 for name in names]
        if not seen or seen[-1][1] != counts:
            seen.append((time.monotonic(), counts))
        return time.monotonic() - seen[-1][0] > 10.5

    wait_until(have_settled, 40, 0.5)
    return seen[-1][1]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_figures_agree_with_what_the_node_counted(nodes: Nodes, service: Service, kind: str) -> None:
    node: RealNode = getattr(nodes, kind)
    names = list(COUNTED.values())[:3]
    before = settled(node, names)
    grown = drive(service, node)

    def has_counted() -> bool:
        # The node's own statistics thread writes them out every 10 s.
        now = node.ask("GET", "/metrics")
        return all((total(now, name) or 0) - old == new for name, old, new in zip(names, before, grown, strict=True))

    wait_until(has_counted, 60, 0.5)
    own = node.ask("GET", "/metrics")
    expected = {name: total(own, family) for name, family in COUNTED.items()}
    assert expected["retrieves_total"]

    def is_known() -> bool:
        return bool(figure(service.node(node.name), "tokens_requested_total")[0] == expected["tokens_requested_total"])

    wait_until(is_known, 30, 0.2)
    seen = service.node(node.name)
    assert {name: figure(seen, name) for name in COUNTED} == {name: (expected[name], "ok") for name in COUNTED}
    asked, found = total(own, LOOKED_UP), total(own, FOUND)
    rate = (found / asked, "ok") if asked and found is not None else (None, "no_traffic")
    assert figure(seen, "lookup_hit_rate_total") == rate
    hit, requested = expected["tokens_hit_total"], expected["tokens_requested_total"]
    assert hit
    assert requested
    assert figure(seen, "retrieve_hit_share_total") == (hit / requested, "ok")
    assert figure(seen, "cpu_used_bytes") == (total(own, "lmcache:local_cache_usage"), "ok")
    assert figure(seen, "cpu_capacity_bytes") == (0.5 * GIB, "ok")


def test_totals_are_the_sums_over_the_nodes(nodes: Nodes, service: Service) -> None:
    document: Any = service.get("/api/fleet").json
    for name in COUNTED:
        values = [figure(node, name)[0] for node in document["nodes"] if figure_is_ok(node, name)]
        assert len(values) >= 2
        assert document["totals"][name] == {"value": sum(values), "state": "ok"}


def figure_is_ok(node: Any, name: str) -> bool:
    """Tell whether a node has that figure."""
    return bool(node["figures"].get(name, {}).get("state") == "ok")


def test_nodes_are_what_they_are(nodes: Nodes, service: Service) -> None:
    config: Any = nodes.mp.ask("GET", "/config").json
    expected = {
        nodes.tcp: ("worker", "worker", nodes.tcp.name),
        nodes.unix: ("worker", "worker", nodes.unix.name),
        nodes.mp: ("mp", "", config["mp"]["instance_id"]),
    }
    for node, identity in expected.items():
        seen = service.node(node.name)
        assert (seen["kind"], seen["role"], seen["instance"]) == identity
        assert seen["version"] == node.ask("GET", "/version").json
        assert (seen["level"], seen["reasons"]) == ("healthy", [])


def drive_mp(node: RealNode) -> None:
    """Look up, store, look up again and retrieve, with LMCache's own client, ten times anew."""
    program = str(Path(lmcache_nodes.interpreter()).with_name("lmcache"))
    words = [program, "bench", "server", "--mode", "cpu", "--transfer-mode", "lmcache_driven", "--quiet"]
    # The requests of workers come in at the port after that of the HTTP interface.
    words += ["--rpc-url", f"tcp://localhost:{int(node.port) + 1}", "--url", f"http://127.0.0.1:{node.port}"]
    words += ["--num-tokens", "512", "--start", "0", "--end", "10", "--interval", "0.05"]
    words += ["--num-blocks", "64", "--kvcache-shape-spec", "(2,64,16,2,16):float16:2"]
    done = subprocess.run(words, capture_output=True, timeout=120, env=lmcache_nodes.quiet_environment())
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_an_idle_mp_server_has_no_rates(nodes: Nodes, service: Service) -> None:
    seen = service.node(nodes.mp.name)
    assert not total(nodes.mp.ask("GET", "/metrics"), MP_LOOKED_UP), "another test has given it traffic"
    assert figure(seen, "lookup_hit_rate_total") == (None, "no_traffic")
    assert figure(seen, "lookups_per_s") == (None, "no_traffic")
    assert figure(seen, "cpu_used_bytes") == (0, "ok")


def test_the_mp_server_s_figures_agree_with_what_it_counted(nodes: Nodes, service: Service) -> None:
    drive_mp(nodes.mp)
    wait_until(lambda: mp_differences(nodes.mp, service) == {}, 60, 0.5)
    assert figure(service.node(nodes.mp.name), "lookup_hit_rate_total") == (0.5, "ok")


def mp_differences(node: RealNode, service: Service) -> dict[str, Any]:
    """Give the figures that are not what the server's metrics and status say, with what these say."""
    seen = service.node(node.name)
    own = node.ask("GET", "/metrics")
    status: Any = node.ask("GET", "/status").json
    manager = status["storage_manager"]["l1_manager"]
    counted = {name: total(own, family) for name, family in MP_COUNTED.items()}
    looked_up, hits = total(own, MP_LOOKED_UP), total(own, "lmcache_mp_lookup_hit_l1_tokens_total")
    if not looked_up or hits is None or None in counted.values() or not manager["memory_used_bytes"]:
        return {"traffic": None}
    expected = {
        **counted,
        "lookup_hit_rate_total": (counted["tokens_hit_total"] or 0) / looked_up,
        "lookup_hit_rate_l1_total": hits / looked_up,
        "lookup_hit_rate_l2_total": 0.0,
        "cpu_used_bytes": manager["memory_used_bytes"],
        "cpu_capacity_bytes": manager["memory_total_bytes"],
        "cpu_fill": manager["memory_usage_ratio"],
        "l1_watermark": status["storage_manager"]["l1_eviction_controller"]["trigger_watermark"],
    }
    return {name: value for name, value in expected.items() if figure(seen, name) != (value, "ok")}


def test_the_one_exposition_has_every_node_s_own_values(nodes: Nodes, service: Service) -> None:
    body = service.get("/metrics").body
    types = [line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))

    def differences() -> list[Any]:
        before = [node.ask("GET", "/metrics").body for node in nodes]
        begun = service.rounds()
        wait_until(lambda: service.rounds() >= begun + 2, 30, 0.2)
        merged = service.get("/metrics").body
        after = [node.ask("GET", "/metrics").body for node in nodes]
        ours, *own = parsed(merged, *before, *after)
        halves = zip(nodes, own[: len(nodes)], own[len(nodes) :], strict=True)
        return [each for node, *both in halves for each in unlike(ours, node.name, *both)]

    wait_until(lambda: not differences(), 60)


def unlike(merged: Samples, name: str, before: Samples, after: Samples) -> list[Any]:
    """Give the node's samples that are missing, and those of LMCache that have stood still and differ."""
    of_node = {key: value for key, value in merged.items() if ("node", name) in key[1]}
    wanted = {(key[0], key[1] | {("node", name)}): key for key in before}
    still = {long for long, key in wanted.items() if key[0].startswith("lmcache") and before[key] == after.get(key)}
    # An idle MP server has hardly more.
    assert len(still) >= 10
    ours = {key for key in of_node if not key[0].startswith("lmcache_frontend_")}
    return [*(ours ^ wanted.keys()), *(key for key in still & of_node.keys() if of_node[key] != before[wanted[key]])]


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("kind", ["tcp", "unix", "mp"])
def test_every_item_is_read_or_said_to_be_unsupported(nodes: Nodes, service: Service, kind: str, item: str) -> None:
    node: RealNode = getattr(nodes, kind)
    answer = service.get(f"/api/nodes/{node.name}/{item}")
    reading: Any = answer.json
    assert answer.status == 200
    assert reading["state"] == ("unsupported" if item in LACKS[kind] else "ok"), reading["reason"]
    if item in LACKS[kind]:
        assert reading["data"] is None
        assert reading["reason"]
    else:
        # Without an inference engine there is nothing to tell about it.
        assert reading["data"] or (item, reading["data"]) == ("inference", {})
        assert reading["reason"] is None


def test_a_node_that_ends_is_seen_within_two_rounds(nodes: Nodes, service: Service) -> None:
    assert service.node("mortal")["level"] not in ("unreachable", "healthy")
    assert b'lmcache_frontend_node_up{node="mortal"} 1' in service.get("/metrics").body
    service.mortal.close()
    closed_at = service.rounds()
    wait_until(lambda: service.node("mortal")["level"] == "unreachable", 30, 0.05)
    assert service.rounds() - closed_at <= 2
    seen = service.node("mortal")
    assert any("refused" in reason for reason in seen["reasons"])
    assert seen["last_seen"]
    assert seen["version"] == "0.5.6-g3e11e108"
    assert b'lmcache_frontend_node_up{node="mortal"} 0' in service.get("/metrics").body
    for node in nodes:
        assert service.node(node.name)["level"] == "healthy"
