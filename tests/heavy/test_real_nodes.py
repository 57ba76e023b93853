# SPDX-License-Identifier: Apache-2.0
"""The service in front of real LMCache 0.5.6 nodes: what they say, and what they are told, arrives unchanged."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pytest

from tests.heavy.conftest import Frontend, Nodes, start_frontend
from tests.helpers import lmcache_nodes
from tests.helpers.lmcache_nodes import Answer, RealNode

# Bodies that differ from one request to the next, and how to see that they are still the same kind of answer.
VOLATILE = ("/metrics", "/threads", "/periodic-threads", "/loglevel", "/status", "/periodic-threads-health")

IN_PROCESS = [
    "/version",
    "/lmc_version",
    "/commit_id",
    "/metrics",
    "/conf",
    "/conf?names=chunk_size,local_cpu",
    "/meta",
    "/env",
    "/threads",
    "/threads?name=main",
    "/loglevel",
    "/loglevel?logger_name=lmcache",
    "/periodic-threads",
    "/periodic-threads?level=high&running_only=true",
    "/periodic-threads-health",
    "/inference_info",
    "/inference_version",
    "/backends",
    "/bypass/list",
    "/freeze/status",
    "/hot_cache/status",
    "/lookup/info",
    "/chunk_statistics/status",
    "/controller/workers",
    "/controller/key-stats",
    "/cache/kvcache/info",
    "/openapi.json",
]
MP = [
    "/",
    "/healthcheck",
    "/status",
    "/config",
    "/config/adapters",
    "/quota",
    "/quota/tenant-a",
    "/version",
    "/lmc_version",
    "/commit_id",
    "/metrics",
    "/env",
    "/threads",
    "/loglevel",
    "/periodic-threads",
    "/periodic-threads-health",
    "/cache/objects",
    "/conf",
    "/openapi.json",
]
CASES = [("tcp", path) for path in IN_PROCESS] + [("unix", path) for path in IN_PROCESS] + [("mp", path) for path in MP]


def node_of(nodes: Nodes, kind: str) -> RealNode:
    """Pick a node by the name of its field."""
    node: RealNode = getattr(nodes, kind)
    return node


def outline(path: str, answer: Answer) -> object:
    """Reduce a body that moves to what stays: its keys, its families, its first line."""
    if answer.fields.get("content-type", "").startswith("application/json"):
        return sorted(json.loads(answer.body))
    lines = answer.body.decode().splitlines()
    if path.startswith("/metrics"):
        return sorted(line for line in lines if line.startswith("# TYPE"))
    return lines[0].partition("(")[0]


@pytest.mark.parametrize(("kind", "path"), CASES)
def test_each_answer_is_the_nodes_own(nodes: Nodes, frontend: Frontend, kind: str, path: str) -> None:
    node = node_of(nodes, kind)
    direct = node.ask("GET", path)
    proxied = frontend.ask("GET", f"/proxy2/{node.name}{path}")
    assert proxied.status == direct.status
    assert proxied.fields.get("content-type") == direct.fields.get("content-type")
    if path.partition("?")[0] in VOLATILE:
        assert outline(path, proxied) == outline(path, direct)
    else:
        assert proxied.body == direct.body


def test_curl_line_for_a_socket(nodes: Nodes, frontend: Frontend, curl: str) -> None:
    port = str(nodes.unix.port).rpartition("_")[2]
    url = (
        f"http://localhost:{frontend.port}/proxy/localhost/"
        f"%252Ftmp%252Flmcache_internal_api_server%252Fsocket_{port}/metrics"
    )
    got = subprocess.run([curl, "-sS", "--fail", url], capture_output=True, text=True, timeout=30, check=False)
    assert got.stderr == ""
    assert "# TYPE lmcache:num_retrieve_requests_total counter" in got.stdout


def test_curl_line_for_a_script(nodes: Nodes, frontend: Frontend, curl: str, tmp_path: Path) -> None:
    (tmp_path / "scratch.py").write_text("result = 6 * 7\n")
    url = f"http://localhost:{frontend.port}/proxy/localhost/{nodes.tcp.port}/run_script"
    got = subprocess.run(
        [curl, "-sS", "-X", "POST", url, "-F", "script=@scratch.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (got.stdout, got.stderr) == ("42", "")


@pytest.mark.parametrize("encode", [1, 2], ids=["once", "twice"])
def test_socket_path_encoded_once_or_twice(nodes: Nodes, frontend: Frontend, encode: int) -> None:
    path = str(nodes.unix.port)
    for _ in range(encode):
        path = quote(path, safe="")
    answer = frontend.ask("GET", f"/proxy/localhost/{path}/lmc_version")
    assert (answer.status, answer.json) == (200, "0.5.6")


@pytest.mark.parametrize(
    ("kind", "request_line", "status"),
    [
        ("tcp", "GET /nope", 404),
        ("tcp", "PUT /conf", 405),
        ("tcp", "GET /metrics/reset", 405),
        ("tcp", "GET /threads?thread_id=abc", 422),
        ("tcp", "GET /inference_version", 500),
        ("tcp", "GET /conf?names=validate", 500),
        ("tcp", "GET /controller/workers", 503),
        ("tcp", "GET /loglevel?logger_name=lmcache&level=bogus", 400),
        ("unix", "POST /run_script", 404),
        ("unix", "GET /periodic-threads/nope", 404),
        ("mp", "GET /meta", 404),
        ("mp", "DELETE /config", 405),
        ("mp", "GET /cache/objects?page_size=0", 422),
        ("mp", "GET /cache/objects", 503),
    ],
)
def test_refusals_pass_through(nodes: Nodes, frontend: Frontend, kind: str, request_line: str, status: int) -> None:
    node = node_of(nodes, kind)
    method, path = request_line.split(" ")
    direct = node.ask(method, path)
    proxied = frontend.ask(method, f"/proxy2/{node.name}{path}")
    assert (direct.status, proxied.status) == (status, status)
    assert proxied.body == direct.body
    for field in ("content-type", "allow"):
        assert proxied.fields.get(field) == direct.fields.get(field)


@pytest.mark.parametrize("kind", ["tcp", "unix", "mp"])
def test_head_has_the_head_of_the_nodes_answer(nodes: Nodes, frontend: Frontend, kind: str) -> None:
    node = node_of(nodes, kind)
    direct = node.ask("HEAD", "/version")
    proxied = frontend.ask("HEAD", f"/proxy2/{node.name}/version")
    assert (proxied.status, proxied.body) == (direct.status, b"")
    assert proxied.fields.get("content-length") == direct.fields.get("content-length")


@pytest.mark.parametrize("kind", ["tcp", "unix", "mp"])
@pytest.mark.parametrize("by_name", [True, False], ids=["proxy2", "proxy"])
def test_redirect_of_a_trailing_slash_stays_under_the_proxy(
    nodes: Nodes, frontend: Frontend, kind: str, by_name: bool
) -> None:
    node = node_of(nodes, kind)
    assert node.ask("GET", "/version/").status == 307
    base = f"/proxy2/{node.name}" if by_name else f"/proxy/{node.entry['host']}/{quote(str(node.port), safe='')}"
    answer = frontend.ask("GET", f"{base}/version/")
    assert answer.status == 307
    here = f"http://127.0.0.1:{frontend.port}{base}/version/"
    target = urlsplit(urljoin(here, answer.fields["location"]))
    assert target.netloc == f"127.0.0.1:{frontend.port}"
    assert target.path == f"{base}/version"
    assert frontend.ask("GET", target.path).json == node.ask("GET", "/version").json


def counter(metrics: Answer, name: str) -> float:
    """Sum the samples of one counter."""
    lines = [line for line in metrics.body.decode().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_traffic_moves_the_counters(nodes: Nodes, frontend: Frontend, kind: str) -> None:
    node = node_of(nodes, kind)
    base = f"/proxy2/{node.name}"
    before = frontend.ask("GET", f"{base}/metrics")
    stored = frontend.ask("POST", f"{base}/cache/store?tokens_mock=0,2048")
    assert (stored.status, stored.json) == (200, {"status": "success", "num_tokens": 2048})
    retrieved = frontend.ask("POST", f"{base}/cache/retrieve?tokens_mock=0,2048")
    assert (retrieved.status, retrieved.json) == (200, {"status": "success", "num_tokens": 2048, "num_retrieved": 2048})

    def moved() -> bool:
        # The node's own statistics thread writes them out every 10 s.
        now = frontend.ask("GET", f"{base}/metrics")
        names = ("lmcache:num_stored_tokens_total", "lmcache:num_hit_tokens_total")
        return all(counter(now, name) - counter(before, name) == 2048 for name in names)

    node.running.wait_until(moved, "counters of stored and found tokens grow by 2048", 40)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_configuration_is_set_through_the_proxy(nodes: Nodes, frontend: Frontend, kind: str) -> None:
    node = node_of(nodes, kind)
    body = json.dumps({"min_retrieve_tokens": 7, "no_such_key": 1}).encode()
    answer = frontend.ask("POST", f"/proxy2/{node.name}/conf", body, content_type="application/json")
    assert answer.status == 200
    assert answer.json == {"updated": {"min_retrieve_tokens": 7}, "errors": {"no_such_key": "Unknown config"}}
    assert node.ask("GET", "/conf?names=min_retrieve_tokens").json == {"min_retrieve_tokens": 7}
    restored = json.dumps({"min_retrieve_tokens": 0}).encode()
    assert node.ask("POST", "/conf", restored, content_type="application/json").status == 200


def test_quota_of_an_mp_server_is_set_and_removed(nodes: Nodes, frontend: Frontend) -> None:
    path = f"/proxy2/{nodes.mp.name}/quota/tenant-b"
    put = frontend.ask("PUT", path, b'{"limit_gb": 2}', content_type="application/json")
    assert (put.status, put.json) == (200, {"cache_salt": "tenant-b", "limit_gb": 2, "status": "ok"})
    assert frontend.ask("DELETE", path).json == {"cache_salt": "tenant-b", "status": "removed"}


@pytest.mark.parametrize("kind", ["tcp", "unix", "mp"])
def test_a_connection_survives_longer_than_the_node_keeps_its_own(nodes: Nodes, frontend: Frontend, kind: str) -> None:
    path = f"/proxy2/{node_of(nodes, kind).name}/loglevel?logger_name=lmcache&level=info"
    connection = http.client.HTTPConnection("127.0.0.1", frontend.port, timeout=30)
    with contextlib.closing(connection):
        for pause_s in (0.0, 0.0, 6.0, 0.0):
            # uvicorn closes after 5 s without a request: only time itself can show what happens then.
            time.sleep(pause_s)
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, b"level to INFO" in response.read()) == (200, True)


def test_a_killed_node_answers_502_and_the_others_go_on(nodes: Nodes, tmp_path: Path) -> None:
    settings = {"run_script_api_enabled": True, "script_allowed_imports": ["time"]}
    doomed = lmcache_nodes.start_in_process("doomed", tmp_path, settings=settings)
    with lmcache_nodes.running_nodes(doomed):
        service = start_frontend(tmp_path, (doomed, nodes.tcp, nodes.unix, nodes.mp))
        try:
            kill_midway(service, doomed)
            assert service.ask("GET", "/proxy2/doomed/version").status == 502
            for node in nodes:
                answer = service.ask("GET", f"/proxy2/{node.name}/lmc_version")
                assert (answer.status, answer.json) == (200, "0.5.6")
        finally:
            service.running.end()


def kill_midway(service: Frontend, doomed: RealNode) -> None:
    """Kill the node while it works on a request, and check what becomes of that request."""
    assert service.ask("GET", "/proxy2/doomed/version").status == 200
    form = (
        b'--x\r\nContent-Disposition: form-data; name="script"; filename="s.py"\r\n\r\n'
        b"import time\ntime.sleep(20)\r\n--x--\r\n"
    )
    answers: list[Answer] = []

    def post() -> None:
        kind = "multipart/form-data; boundary=x"
        answers.append(service.ask("POST", "/proxy2/doomed/run_script", form, content_type=kind))

    client = threading.Thread(target=post)
    client.start()
    # The script blocks the node's only event loop: once it runs, the node does not answer any more.
    doomed.running.wait_until(lambda: not prompt(doomed), "the script runs", 20)
    doomed.running.process.kill()
    client.join(20)
    assert [answer.status for answer in answers] == [502]
    assert isinstance(answers[0].json, dict)
    assert "detail" in answers[0].json


def prompt(node: RealNode) -> bool:
    """Tell whether the node answers within a second."""
    connection = http.client.HTTPConnection("127.0.0.1", int(node.port), timeout=1)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/version")
            return connection.getresponse().status == 200
        except TimeoutError:
            return False
