# SPDX-License-Identifier: Apache-2.0
"""The fleet's endpoints, over real sockets, with simulated nodes behind them."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.exposition.parse import parse
from lmcache_frontend.fleet.collector import Collector
from lmcache_frontend.fleet.configuration import quotas_in
from lmcache_frontend.fleet.documents import masked_drift
from lmcache_frontend.fleet.drift import Configured, drift
from lmcache_frontend.masking import MASK
from lmcache_frontend.settings import Settings
from tests.helpers.scripted import ScriptedNode, answering
from tests.helpers.talking import Reply, ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
NAMES = {"demo_scheduler", "demo_worker0", "demo_worker1", "demo_mp0"}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    running = App(Settings(host="127.0.0.1", port=0, demo=4, poll_interval_s=1.0, drain_timeout_s=1.0))
    running.start()
    try:
        wait_until(lambda: len([node for node in fleet(running)["nodes"] if node["level"] == "healthy"]) == 4)
        yield running
    finally:
        running.stop()


def get(app: App, target: str, **fields: str) -> Reply:
    return ask(
        app.settings.port, "GET", target, fields={name.replace("_", "-"): value for name, value in fields.items()}
    )


def fleet(app: App, query: str = "") -> Any:
    return json.loads(get(app, "/api/fleet" + query).body)


def test_the_fleet_is_one_document(app: App) -> None:
    document = fleet(app)
    assert {node["name"] for node in document["nodes"]} == NAMES
    assert {node["kind"] for node in document["nodes"]} == {"scheduler", "worker", "mp"}
    worker = next(node for node in document["nodes"] if node["name"] == "demo_worker0")
    assert worker["version"] == "0.5.6-g3e11e108"
    assert 0 < worker["figures"]["lookup_hit_rate_total"]["value"] <= 1
    assert document["totals"]["lookups_total"]["value"] > 0
    assert document["interval_s"] == 1.0


def test_a_large_document_is_compressed_where_that_is_accepted(app: App) -> None:
    reply = get(app, "/api/fleet", Accept_Encoding="gzip")
    assert reply.fields["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(reply.body))["nodes"]) == 4
    assert "Content-Encoding" not in get(app, "/api/fleet").fields


def test_a_change_through_the_proxy_has_the_node_looked_at_again(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[str] = []
    monkeypatch.setattr(Collector, "renew", lambda _, key: renewed.append(key))
    for target in ("/version", "/loglevel", "/loglevel?logger_name=lmcache&level=INFO"):
        assert get(app, f"/proxy2/demo_worker0{target}").status == 200
    # Its answer has come before.
    wait_until(lambda: renewed == ["demo_worker0"])
    assert ask(app.settings.port, "DELETE", "/proxy2/demo_worker1/nothing").status == 404
    wait_until(lambda: renewed == ["demo_worker0", "demo_worker1"])


def test_an_unchanged_fleet_is_304(app: App) -> None:
    def unchanged() -> bool:
        etag = get(app, "/api/fleet").fields["ETag"]
        return get(app, "/api/fleet", If_None_Match=etag).status == 304

    wait_until(unchanged)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("kind:mp", {"demo_mp0"}),
        ("worker", {"demo_worker0", "demo_worker1"}),
        ("state:healthy%20worker1", {"demo_worker1"}),
        ("version:0.5.6", NAMES),
        ("version:0.4", set()),
        ("proxy:local_proxy%20kind:scheduler", {"demo_scheduler"}),
        ("label:zone=a", set()),
    ],
)
def test_filters(app: App, text: str, names: set[str]) -> None:
    assert {node["name"] for node in fleet(app, f"?filter={text}")["nodes"]} == names


@pytest.mark.parametrize(
    "target",
    [
        "/api/fleet?filter=colour:red",
        "/api/fleet?filter=state:",
        "/api/fleet?filter=%ff",
        "/api/fleet/series",
        "/api/fleet/series?name=lookups_per_s&since=soon",
        "/api/fleet/series?name=lookups_per_s&step=-1",
        "/api/fleet/heat",
        "/api/fleet/heat?name=level&since=soon",
        "/api/fleet/env",
        "/metrics?" + "a=1&" * 1001,
    ],
)
def test_a_bad_question_is_400(app: App, target: str) -> None:
    reply = get(app, target)
    assert (reply.status, bool(reply.detail)) == (400, True)


def test_events_begin_with_everything_and_go_on_with_what_changed(start_app: StartApp) -> None:
    app = start_app(demo=4, collecting=True, poll_interval_s=0.25)
    wait_until(lambda: len(fleet(app)["nodes"]) == 4)
    first = next_events(app, 2)
    assert first[0]["complete"]
    assert {node["name"] for node in first[0]["changed"]} == NAMES
    assert not first[1]["complete"]
    assert first[1]["snapshot"] > first[0]["snapshot"]
    assert not next_events(app, 1, last=first[1]["snapshot"])[0]["complete"]
    assert ask(app.settings.port, "DELETE", "/api/nodes/demo_mp0").status == 200
    wait_until(lambda: tells_of_the_end_of("demo_mp0", next_events(app, 1, last=first[1]["snapshot"])[0]))


def tells_of_the_end_of(name: str, event: Any) -> bool:
    """Say whether a node is gone by an event; one for who knows something too old to compare with has all that are."""
    return name in event["gone"] or (event["complete"] and name not in {node["name"] for node in event["changed"]})


def next_events(app: App, count: int, last: int | None = None) -> list[Any]:
    with socket.create_connection(("127.0.0.1", app.settings.port), timeout=10) as sock:
        head = "" if last is None else f"Last-Event-ID: {last}\r\n"
        sock.sendall(f"GET /api/fleet/events HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        received = b""
        while received.count(b"\n\n\r\n") < count:
            piece = sock.recv(65536)
            assert piece
            received += piece
        assert b"Content-Type: text/event-stream" in received
        assert b"X-Accel-Buffering: no" in received
        lines = received.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")][:count]


def test_streams_past_the_cap_are_503(app: App) -> None:
    services = []
    try:
        for _ in range(64):
            sock = socket.create_connection(("127.0.0.1", app.settings.port), timeout=10)
            services.append(sock)
            sock.sendall(b"GET /api/fleet/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in sock.recv(4096)
        reply = get(app, "/api/fleet/events")
        assert (reply.status, reply.fields["Retry-After"]) == (503, "10")
    finally:
        for sock in services:
            sock.close()


def test_series_of_a_node_and_of_the_fleet(app: App) -> None:
    for target in ("/api/fleet/series", "/api/nodes/demo_worker0/series"):
        answer = json.loads(get(app, f"{target}?name=lookup_hit_rate,lookups_per_s").body)
        assert set(answer["series"]) == {"lookup_hit_rate", "lookups_per_s"}
        assert answer["step_s"] > 0
        assert abs(answer["start"] - time.time()) < 3600
    assert get(app, "/api/nodes/demo_worker0/series?name=colour").status == 404
    assert get(app, "/api/nodes/nope/series?name=lookups_per_s").status == 404


def test_heat_is_a_row_a_node(app: App) -> None:
    wait_until(lambda: 4 in json.loads(get(app, "/api/fleet/heat?name=level").body)["values"][-1])
    answer = json.loads(get(app, "/api/fleet/heat?name=cpu_fill", Via="1.1 edge").body)
    assert set(answer["nodes"]) == NAMES
    assert {len(row) for row in answer["values"]} == {90}
    assert get(app, "/api/fleet/heat?name=colour").status == 404


@pytest.mark.parametrize(
    ("name", "item", "state"),
    [
        ("demo_worker0", "version", "ok"),
        ("demo_worker0", "conf", "ok"),
        ("demo_worker0", "threads", "ok"),
        ("demo_worker0", "loggers", "ok"),
        ("demo_worker0", "periodic", "ok"),
        ("demo_worker0", "metrics", "ok"),
        ("demo_worker0", "env", "ok"),
        ("demo_mp0", "status", "ok"),
        ("demo_mp0", "meta", "unsupported"),
        ("demo_worker0", "status", "unsupported"),
    ],
)
def test_items_of_a_node(app: App, name: str, item: str, state: str) -> None:
    answer = json.loads(get(app, f"/api/nodes/{name}/{item}").body, parse_constant=pytest.fail)
    assert answer["state"] == state
    assert (answer["reason"] is None) == (state == "ok")
    assert (answer["data"] is None) == (state != "ok")


def test_a_prometheus_that_does_not_answer_leaves_what_is_kept(start_app: StartApp) -> None:
    app = start_app(demo=1, prometheus_url="http://127.0.0.1:9")
    answer = json.loads(get(app, "/api/fleet/series?name=lookups_per_s&since=1000").body)
    assert (answer["source"], "refused" in answer["note"].lower()) == ("own", True)


@pytest.mark.parametrize("via", [{}, {"Via": "1.1 edge"}])
def test_secrets_are_masked_for_everybody_who_does_not_ask_for_them(app: App, via: dict[str, str]) -> None:
    variables = json.loads(get(app, "/api/nodes/demo_worker0/env", **via).body)["data"]
    assert variables["REDIS_PASSWORD"] == MASK
    assert variables["TZ"] == "UTC"
    values = json.loads(get(app, "/api/nodes/demo_worker0/conf", **via).body)["data"]["values"]
    assert values["chunk_size"] == 256
    for item in ("meta", "inference"):
        assert json.loads(get(app, f"/api/nodes/demo_worker0/{item}", **via).body)["state"] == "ok"


@pytest.mark.parametrize("target", ["/api/nodes/demo_worker0/env", "/api/nodes/demo_worker0/conf", "/api/fleet/drift"])
def test_operators_get_secrets_where_they_ask_and_that_is_written_down(app: App, target: str) -> None:
    assert get(app, f"{target}?reveal=1", Via="1.1 edge").status == 403
    assert get(app, f"{target}?re%76eal=yes&x", Via="1.1 edge").status == 403
    assert get(app, f"{target}?reveal=0", Via="1.1 edge").status == 200
    shown = get(app, f"{target}?reveal=1")
    assert shown.status == 200
    assert MASK.encode() not in shown.body
    newest, *_ = json.loads(get(app, "/api/audit?what=with+secrets").body)["entries"]
    item = {"env": "env", "conf": "conf", "drift": "differences"}[target.rpartition("/")[2]]
    assert (newest["what"], newest["outcome"], newest["address"]) == (f"read {item} with secrets", "done", "127.0.0.1")


def test_differences_of_secrets_are_told_but_not_the_secrets() -> None:
    values = {"a": {"key": "x"}, "b": {"key": "y"}}
    told = drift({name: Configured("worker", "1", {"api_key": held["key"]}) for name, held in values.items()})
    (key,) = masked_drift(told)["groups"][0]["keys"]
    assert key == {"key": "api_key", "values": [{"value": MASK, "nodes": ["a"]}, {"value": MASK, "nodes": ["b"]}]}
    assert told["groups"][0]["keys"][0]["values"][0]["value"] == "x"


def test_a_secret_in_an_environment_cannot_be_guessed(app: App) -> None:
    def found(filter: str, **fields: str) -> Any:
        return json.loads(get(app, f"/api/fleet/env?filter={filter}", **fields).body).get("nodes")

    clear = json.loads(get(app, "/api/nodes/demo_worker0/env?reveal=1").body)["data"]["REDIS_PASSWORD"]
    assert "demo_worker0" in found("REDIS_PASSWORD", Via="1.1 edge")
    assert "demo_worker0" in found("TZ=UTC", Via="1.1 edge")
    assert get(app, f"/api/fleet/env?filter=REDIS_PASSWORD={clear}", Via="1.1 edge").status == 400
    assert get(app, f"/api/fleet/env?filter=REDIS_PASSWORD={clear}&reveal=1", Via="1.1 edge").status == 403
    assert get(app, f"/api/fleet/env?filter=REDIS_PASSWORD={clear}").status == 400
    assert "demo_worker0" in found(f"REDIS_PASSWORD={clear}&reveal=1")
    assert clear not in str(get(app, "/api/audit").body)


def test_quotas_of_an_mp_server(start_app: StartApp) -> None:
    app = start_app(demo=2)
    assert ask(app.settings.port, "PUT", "/proxy2/demo_mp0/quota/tenant-a", {"limit_gb": 2}).status == 200
    # No round may come before: quotas are read only now and then.
    app._the_collector().collect_once()
    (quota,) = next(node["quotas"] for node in fleet(app)["nodes"] if node["name"] == "demo_mp0")
    assert (quota["salt"], quota["limit_bytes"]) == ("tenant-a", 2 * 1024**3)
    parsed = parse(get(app, "/metrics").body.decode())
    (sample,) = parsed.families["lmcache_frontend_node_quota_limit_bytes"].samples
    assert (dict(sample.labels), sample.value) == ({"node": "demo_mp0", "cache_salt": "tenant-a"}, 2.0 * 1024**3)
    assert json.loads(get(app, "/api/nodes/demo_mp0/quota").body)["state"] == "ok"
    assert json.loads(get(app, "/api/nodes/demo_worker0/quota").body)["state"] == "unsupported"


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"users": []}, {"users": {"a": 7}}, {"users": {"a": {"limit_gb": "x", "current_usage_gb": 1}}}],
)
def test_other_documents_hold_no_quotas(document: Any) -> None:
    assert quotas_in(document) == ()


def test_drift_and_environment(app: App) -> None:
    document = json.loads(get(app, "/api/fleet/drift").body)
    assert [(entry["version"], len(entry["nodes"])) for entry in document["versions"]] == [("0.5.6-g3e11e108", 4)]
    environment = json.loads(get(app, "/api/nodes/demo_worker0/env").body)["data"]
    name, value = next(iter(environment.items()))
    assert "demo_worker0" in json.loads(get(app, f"/api/fleet/env?filter={name}={value}").body)["nodes"]
    assert json.loads(get(app, "/api/fleet/env?filter=NO_SUCH_NAME").body) == {"nodes": [], "unknown": []}


def test_one_exposition_of_all_nodes(app: App) -> None:
    ask(app.settings.port, "GET", "/proxy2/demo_worker0/version")
    reply = get(app, "/metrics")
    assert reply.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    parsed = parse(reply.body.decode())
    assert not parsed.faults
    up = {dict(sample.labels)["node"]: sample.value for sample in parsed.families["lmcache_frontend_node_up"].samples}
    assert up == dict.fromkeys(NAMES, 1.0)
    nodes = {dict(sample.labels)["node"] for sample in parsed.families["process_start_time_seconds"].samples}
    assert nodes == NAMES
    # What was relayed is counted once it is over, which its caller may hear of a moment earlier.
    wait_until(lambda: {"node": "demo_worker0", "method": "GET", "code": "2xx"} in relayed(app))
    assert gzip.decompress(get(app, "/metrics", Accept_Encoding="gzip").body).startswith(b"# HELP")


def relayed(app: App) -> list[dict[str, str]]:
    families = parse(get(app, "/metrics").body.decode()).families
    return [dict(sample.labels) for sample in families["lmcache_frontend_proxied_requests_total"].samples]


def test_the_exposition_can_be_narrowed_and_be_openmetrics(app: App) -> None:
    parsed = parse(get(app, "/metrics?node=demo_mp0&family=process_open_fds").body.decode())
    assert [dict(sample.labels)["node"] for sample in parsed.families["process_open_fds"].samples] == ["demo_mp0"]
    assert set(parsed.families) == {"process_open_fds"}
    reply = get(app, "/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert reply.fields["Content-Type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def test_no_nodes_are_a_valid_exposition(start_app: StartApp) -> None:
    parsed = parse(get(start_app(collecting=True), "/metrics", X_Prometheus_Scrape_Timeout_Seconds="1").body.decode())
    assert not parsed.faults
    assert parsed.families["lmcache_frontend_build_info"].samples[0].value == 1


def test_a_dead_node_is_down_and_leaves_no_stale_samples(start_app: StartApp) -> None:
    app = start_app([{"name": "gone", "host": "127.0.0.1", "port": 9}], demo=1, collecting=True, poll_interval_s=0.5)
    wait_until(lambda: len([node for node in fleet(app)["nodes"] if node["level"] == "healthy"]) == 1)
    gone = next(node for node in fleet(app)["nodes"] if node["name"] == "gone")
    assert (gone["level"], "refused" in " ".join(gone["reasons"])) == ("unreachable", True)
    parsed = parse(get(app, "/metrics").body.decode())
    up = {dict(sample.labels)["node"]: sample.value for sample in parsed.families["lmcache_frontend_node_up"].samples}
    assert up == {"gone": 0.0, "demo_worker0": 1.0}
    assert {dict(sample.labels)["node"] for sample in parsed.families["process_open_fds"].samples} == {"demo_worker0"}


def test_service_discovery(app: App) -> None:
    targets = json.loads(get(app, "/api/sd").body)
    labels = {target["labels"]["__meta_lmcache_node"]: target["labels"] for target in targets}
    assert set(labels) == NAMES
    for target in targets:
        assert target["targets"] == [f"127.0.0.1:{app.settings.port}"]
        assert get(app, target["labels"]["__metrics_path__"]).status == 200
    direct = json.loads(get(app, "/api/sd?direct=1").body)
    assert [target["labels"]["__meta_lmcache_node"] for target in direct] == ["demo_mp0"]


def test_alive_and_ready(app: App) -> None:
    assert json.loads(get(app, "/livez").body) == {"status": "alive"}
    assert json.loads(get(app, "/readyz").body) == {"status": "ready"}


def test_a_node_that_answers_garbage_is_said_to(start_app: StartApp, start_node: Callable[..., ScriptedNode]) -> None:
    node = start_node(answering(b"SSH-2.0-x\r\n"))
    app = start_app([node.entry])
    answer = json.loads(get(app, "/api/nodes/node/version").body)
    assert (answer["state"], answer["data"]) == ("failed", None)
    assert answer["reason"]


def test_discovery_never_gives_a_list_that_may_be_incomplete(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text('[{"name": "n", "host": "127.0.0.1", "port": 9}]')
    app = start_app([], config=str(path))
    assert len(json.loads(get(app, "/api/sd").body)) == 1
    path.write_text("[")
    app.reload()
    reply = get(app, "/api/sd")
    assert (reply.status, "not JSON" in reply.detail) == (503, True)


@pytest.mark.parametrize("way", ["proxy", "action"])
def test_a_node_that_was_changed_is_asked_again_at_once(start_app: StartApp, way: str) -> None:
    app = start_app(demo=1, collecting=True, poll_interval_s=600.0)

    def configuration() -> bytes | None:
        watch = app._the_collector()._watches.get("demo_worker0")
        return watch.configuration if watch is not None and not watch.busy else None

    before = wait_until(configuration)
    values = {"min_retrieve_tokens": 9}
    if way == "proxy":
        reply = ask(app.settings.port, "POST", "/proxy2/demo_worker0/conf", values)
    else:
        body = {"action": "conf", "nodes": ["demo_worker0"], "arguments": {"values": values}}
        reply = ask(app.settings.port, "POST", "/api/fleet/actions", body)
    assert reply.status == 200
    wait_until(lambda: configuration() not in (None, before))


def test_a_node_that_no_round_has_seen_is_asked_at_once(start_app: StartApp) -> None:
    app = start_app([], collecting=True, poll_interval_s=600.0)
    wait_until(lambda: app._the_collector().snapshot.number > 0)
    simulated = start_app(demo=4).registry.snapshot.find("demo_mp0").node
    entry = {"name": "new", "host": "127.0.0.1", "port": simulated.port}
    assert ask(app.settings.port, "POST", "/api/nodes", entry).status == 200
    answer = json.loads(get(app, "/api/nodes/new/version").body)
    assert (answer["state"], answer["data"][:5]) == ("ok", "0.5.6")
