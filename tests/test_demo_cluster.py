# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from lmcache_frontend.demo.cluster import seats, start_cluster
from lmcache_frontend.errors import StartError


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def connect(entry):
    if isinstance(entry["port"], str):
        return UnixConnection(entry["port"])
    return http.client.HTTPConnection(entry["host"], entry["port"], timeout=10)


def fetch(entry, path, method="GET", body=None):
    connection = connect(entry)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.fixture
def cluster(tmp_path):
    running = start_cluster(8, tmp_path / "sockets")
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("count", "kinds"),
    [
        (1, ["worker"]),
        (2, ["worker", "mp"]),
        (3, ["scheduler", "worker", "mp"]),
        (8, ["scheduler", *["worker"] * 6, "mp"]),
        (9, ["scheduler", *["worker"] * 6, "mp", "worker"]),
    ],
)
def test_who_is_in_a_cluster_of_so_many(count, kinds):
    assert [seat.kind for seat in seats(count)] == kinds


def test_a_large_cluster_has_every_seat_once():
    all_seats = seats(1000)
    assert len(set(all_seats)) == len(all_seats) == 1000
    assert sum(seat.kind == "mp" for seat in all_seats) == sum(seat.kind == "scheduler" for seat in all_seats) == 125


def test_every_node_answers_at_its_entry(cluster, tmp_path):
    names = [entry["name"] for entry in cluster.entries]
    assert names == ["demo_scheduler", *(f"demo_worker{number}" for number in range(6)), "demo_mp0"]
    assert cluster.entries[0]["port"] == str(tmp_path / "sockets" / "demo_6999")
    assert cluster.entries[1]["port"] == str(tmp_path / "sockets" / "demo_7000")
    for entry in cluster.entries:
        status, headers, body = fetch(entry, "/version")
        assert (status, headers["content-type"], body) == (200, "application/json", b'"0.5.6-g3e11e108"')
        assert headers["server"] == "uvicorn"
    assert fetch(cluster.entries[-1], "/healthcheck")[2] == b'{"status":"healthy"}'
    assert b'worker_id="5"' in fetch(cluster.entries[6], "/metrics")[2]
    meta = json.loads(fetch(cluster.entries[6], "/meta?names=worker_id,world_size,local_world_size")[2])
    assert meta == {"worker_id": 5, "world_size": 6, "local_world_size": 6}
    port = json.loads(fetch(cluster.entries[-1], "/config")[2])["http"]["http_port"]
    assert port == cluster.entries[-1]["port"]


def test_one_connection_serves_many_requests_and_head_has_no_body(cluster):
    connection = connect(cluster.entries[1])
    try:
        for method, path, status in (("GET", "/version", 200), ("HEAD", "/version", 405), ("GET", "/version/", 307)):
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == status
            assert not (method == "HEAD" and body)
        assert response.headers["location"] == "http://localhost/version"
        connection.request("POST", "/conf", b'{"chunk_size": 512}')
        assert json.loads(connection.getresponse().read()) == {"updated": {"chunk_size": 512}}
    finally:
        connection.close()
    assert json.loads(fetch(cluster.entries[2], "/conf?names=chunk_size")[2]) == {"chunk_size": 256}


def test_no_thread_runs_for_a_node(tmp_path):
    before = threading.active_count()
    running = start_cluster(40, tmp_path)
    try:
        assert threading.active_count() == before + 1
        assert len({entry["name"] for entry in running.entries}) == 40
    finally:
        running.stop()
    assert threading.active_count() == before


def test_many_clients_at_once_get_whole_and_consistent_answers(cluster):
    failures: list[object] = []

    def look(entry):
        for _ in range(10):
            status, _, body = fetch(entry, "/metrics")
            if status != 200 or not body.endswith(b"\n"):
                failures.append((entry["name"], status))

    threads = [threading.Thread(target=look, args=(entry,)) for entry in cluster.entries for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def test_stopping_ends_connections_and_removes_the_sockets(tmp_path):
    running = start_cluster(2, tmp_path)
    connection = connect(running.entries[0])
    connection.request("GET", "/version")
    connection.getresponse().read()
    running.stop()
    running.stop()
    assert os.listdir(tmp_path) == []
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(OSError, match="refused"):
        fetch(running.entries[1], "/version")


def test_the_same_seed_and_clock_give_the_same_figures(tmp_path):
    bodies = []
    for name in ("a", "b"):
        running = start_cluster(1, tmp_path / name, clock=lambda: 1_800_000_000.0, seed=5)
        try:
            bodies.append(fetch(running.entries[0], "/metrics")[2])
        finally:
            running.stop()
    assert bodies[0] == bodies[1]


def test_a_path_that_is_too_long_is_named(tmp_path):
    with pytest.raises(StartError, match=r"bytes, at most 107 are possible"):
        start_cluster(1, tmp_path / ("x" * 120))


def test_a_path_in_use_is_refused_and_nothing_is_left_open(tmp_path):
    running = start_cluster(1, tmp_path)
    try:
        with pytest.raises(StartError, match="in use"):
            start_cluster(3, tmp_path)
        assert sorted(os.listdir(tmp_path)) == ["demo_7000"]
        assert fetch(running.entries[0], "/version")[0] == 200
    finally:
        running.stop()


def test_a_socket_left_behind_is_replaced_and_a_file_is_not(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "demo_7000"))
    running = start_cluster(1, tmp_path)
    running.stop()
    (tmp_path / "demo_7000").write_text("mine")
    with pytest.raises(StartError, match="no socket"):
        start_cluster(1, tmp_path)
    assert (tmp_path / "demo_7000").read_text() == "mine"


def test_a_cluster_of_none_is_refused(tmp_path):
    with pytest.raises(StartError, match="expected at least 1"):
        start_cluster(0, tmp_path)


def test_importing_the_package_imports_none_of_the_simulation():
    program = (
        "import sys, lmcache_frontend.demo;"
        "print([name for name in sys.modules if name.startswith('lmcache_frontend.demo.')])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
