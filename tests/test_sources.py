# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster import sources
from lmcache_frontend.cluster.entries import read_node
from lmcache_frontend.cluster.model import LOCAL_PROXY, Node, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import (
    NodeFile,
    load_listing,
    parse_listing,
    refresh_empty_proxies,
    refresh_proxy,
)
from lmcache_frontend.errors import BadGateway, BadRequest, FrontendError, NotFound, StartError, UsageError
from tests.helpers.scripted import Script, ScriptedNode, Visit, always, answering
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]


def entry(name: str, port: int = 1) -> dict[str, Any]:
    return {"name": name, "host": "10.0.0.1", "port": port}


def text(*names: str) -> str:
    return json.dumps([entry(name) for name in names])


def names(registry: Registry) -> list[str]:
    return list(registry.snapshot.local_nodes)


def swap(path: Path, content: str | bytes) -> None:
    """Put new content in place as editors and tools do: in a file beside it that is renamed."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    beside.replace(path)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Give a function that takes the warnings logged since the last call."""
    caplog.set_level(logging.WARNING, "lmcache_frontend")

    def take() -> list[str]:
        taken = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return taken

    return take


Warnings = Callable[[], list[str]]


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Path, Registry, NodeFile]:
    path = tmp_path / "nodes.json"
    path.write_text(text("a", "b"))
    registry = Registry()
    file = NodeFile(path, registry)
    file.load()
    return path, registry, file


Watched = tuple[Path, Registry, NodeFile]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ('[\n  {"name": "a",\n   port: 1}]', "at line 3, column 4"),
        ('[{"name": "a"}] x', "not JSON: Extra data at line 1, column 17"),
        ("\ufeff[]", "not JSON: Unexpected UTF-8 BOM"),
        ("{}", "expected a list of nodes or of proxies, got an object"),
        ("null", "expected a list of nodes or of proxies, got nothing"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"name": "a", "host": "h", "port": ' + "1" * 5000 + "}]", "not JSON: "),
    ],
)
def test_what_is_no_listing_is_refused_with_its_place(document: str, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_listing(document, Source.FLAG)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_refused_entries_are_named_in_the_log_while_the_good_ones_load(warnings: Warnings) -> None:
    registry = Registry()
    registry.add_node(read_node(entry("held"), LOCAL_PROXY, Source.API))
    listing = parse_listing(json.dumps([entry("a"), entry("bad", 0), entry("held"), entry("b")]), Source.FLAG)
    load_listing(registry, listing, Source.FLAG, "--nodes")
    assert names(registry) == ["held", "a", "b"]
    assert warnings() == [
        "--nodes: entry 2 ('bad'): port is 0, expected a number from 1 to 65535 or the absolute path of a socket",
        "--nodes: node 'held': the name is held by a node from the api",
    ]


@pytest.mark.parametrize(
    "content",
    [text("a").encode(), b"\xef\xbb\xbf" + text("a").encode(), b"\r\n " + text("a").encode() + b"\n\n"],
)
def test_a_file_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nodes.json"
    path.write_bytes(content)
    registry = Registry()
    NodeFile(path, registry).load()
    assert names(registry) == ["a"]
    assert registry.snapshot.local_nodes["a"].source is Source.FILE


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"", "{path}: not JSON: Expecting value at line 1, column 1"),
        (b'[\n{"name": }]', "{path}: not JSON: Expecting value at line 2, column 10"),
        (b'[{"name": "\xff"}]', "{path} is not UTF-8 text (byte 11)"),
        ('[{"name": "a"}]'.encode("utf-16"), "{path} is not UTF-8 text (byte 0)"),
        (b'{"nodes": []}', "{path}: expected a list of nodes or of proxies, got an object"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_first(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "nodes.json"
    if content is not None:
        path.write_bytes(content)
    registry = Registry()
    before = registry.snapshot
    with pytest.raises(BadRequest) as caught:
        NodeFile(path, registry).load()
    assert str(caught.value) == says.format(path=path)
    assert registry.snapshot is before


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Is a directory"):
        NodeFile(tmp_path, Registry()).load()


def test_a_file_past_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(text("a"))
    monkeypatch.setattr(sources, "FILE_LIMIT_BYTES", path.stat().st_size)
    NodeFile(path, Registry()).load()
    monkeypatch.setattr(sources, "FILE_LIMIT_BYTES", path.stat().st_size - 1)
    with pytest.raises(BadRequest, match=r": over \d+ bytes$"):
        NodeFile(path, Registry()).load()


def test_a_file_that_stays_is_not_read_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _, registry, file = watched
    before = registry.snapshot
    monkeypatch.setattr(NodeFile, "_read", lambda self: pytest.fail("read again"))
    file.reload_if_changed()
    assert registry.snapshot is before


def test_a_file_that_is_written_in_place_is_read_again(watched: Watched) -> None:
    path, registry, file = watched
    path.write_text(text("b", "c", "d"))
    file.reload_if_changed()
    assert names(registry) == ["b", "c", "d"]


def test_a_file_of_the_same_size_and_time_that_is_renamed_into_place_is_read_again(watched: Watched) -> None:
    path, registry, file = watched
    times = path.stat()
    swap(path, text("c", "d"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    file.reload_if_changed()
    assert names(registry) == ["c", "d"]


def test_a_file_behind_links_is_followed_as_config_maps_swap_them(tmp_path: Path, warnings: Warnings) -> None:
    for version, content in (("..v1", text("a")), ("..v2", text("b"))):
        (tmp_path / version).mkdir()
        (tmp_path / version / "nodes.json").write_text(content)
    os.symlink("..v1", tmp_path / "..data")
    os.symlink("..data/nodes.json", tmp_path / "nodes.json")
    registry = Registry()
    file = NodeFile(tmp_path / "nodes.json", registry)
    file.load()
    assert names(registry) == ["a"]
    os.symlink("..v2", tmp_path / "..data_tmp")
    os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
    (tmp_path / "..v1" / "nodes.json").unlink()
    file.reload_if_changed()
    assert names(registry) == ["b"]
    assert warnings() == []


def test_a_file_that_is_deleted_and_comes_back(watched: Watched, warnings: Warnings) -> None:
    path, registry, file = watched
    content = path.read_text()
    path.unlink()
    for _ in range(3):
        file.reload_if_changed()
    assert names(registry) == ["a", "b"]
    assert file.fault == f"cannot read {path}: No such file or directory"
    assert warnings() == [file.fault + "; the nodes read before stay"]
    path.write_text(content)
    file.reload_if_changed()
    assert (names(registry), file.fault, warnings()) == (["a", "b"], "", [])
    path.unlink()
    file.reload_if_changed()
    assert len(warnings()) == 1
    path.write_text(text("c"))
    file.reload_if_changed()
    assert (names(registry), file.fault) == (["c"], "")


@pytest.mark.parametrize(
    "content", [b"", b"[", b"{}", b"\xff\xfe", b"[{}" + b" " * 9, b'[{"name": ' + b"1" * 5000 + b"}]", b"[" * 100_000]
)
def test_the_last_good_state_stays_and_the_fault_is_logged_once(
    watched: Watched, warnings: Warnings, content: bytes
) -> None:
    path, registry, file = watched
    before = registry.snapshot
    for _ in range(3):
        swap(path, content)
        file.reload_if_changed()
        file.reload_if_changed()
    assert registry.snapshot is before
    assert str(path) in file.fault
    assert warnings() == [file.fault + "; the nodes read before stay"]
    swap(path, text("c"))
    file.reload_if_changed()
    assert (names(registry), file.fault, warnings()) == (["c"], "", [])


def test_another_fault_is_logged_as_well(watched: Watched, warnings: Warnings) -> None:
    path, _, file = watched
    for content in ("[", "{}", "["):
        swap(path, content)
        file.reload_if_changed()
    assert len(warnings()) == 3


def test_what_was_added_by_hand_survives_a_reload(watched: Watched, warnings: Warnings) -> None:
    path, registry, file = watched
    registry.add_node(read_node(entry("by hand"), LOCAL_PROXY, Source.API))
    swap(path, text("a", "by hand"))
    file.reload_if_changed()
    assert set(names(registry)) == {"a", "by hand"}
    assert registry.snapshot.local_nodes["by hand"].source is Source.API
    assert warnings() == [f"{path}: node 'by hand': the name is held by a node from the api"]


PROXY = {**entry("p", 8000), "nodes": [entry("x"), entry("y")]}
OWN = {"name": LOCAL_PROXY, "nodes": [entry("a")]}
TREE = {
    "nodes": [
        {
            "id": "proxy_local_proxy",
            "name": "local_proxy",
            "host": "0.0.0.0",
            "port": 8080,
            "is_proxy": True,
            "children": [
                {
                    "id": "node_n1",
                    "name": "n1",
                    "host": "10.0.0.5",
                    "port": "9091",
                    "is_proxy": False,
                    "proxy_id": "local_proxy",
                },
                {
                    "id": "node_n2",
                    "name": "n2",
                    "host": "localhost",
                    "port": "/tmp/n2",
                    "is_proxy": False,
                    "proxy_id": "local_proxy",
                },
            ],
        },
        {
            "id": "proxy_far",
            "name": "far",
            "host": "10.0.0.6",
            "port": 8080,
            "is_proxy": True,
            "children": [
                {"id": "node_n1", "name": "n1", "host": "10.1.0.1", "port": 1, "is_proxy": False, "proxy_id": "far"},
                {"id": "node_n3", "name": "n3", "host": "10.1.0.3", "port": 3, "is_proxy": False, "proxy_id": "far"},
                {"id": "node_n4", "name": "n4", "host": "10.1.0.4", "port": 0, "is_proxy": False, "proxy_id": "far"},
            ],
        },
    ]
}


@pytest.fixture
def tree() -> Registry:
    registry = Registry()
    load_listing(registry, parse_listing(json.dumps([OWN, PROXY]), Source.FILE), Source.FILE, "test")
    return registry


def test_a_refresh_takes_the_nodes_that_a_proxy_reports(tree: Registry, warnings: Warnings) -> None:
    asked: list[tuple[str, str]] = []

    def fetch_json(node: Node, target: str) -> Any:
        asked.append((str(node.endpoint), target))
        return TREE

    nodes = refresh_proxy(tree, "p", fetch_json)
    assert asked == [("10.0.0.1:8000", "/api/nodes")]
    assert [(node.name, node.port, node.proxy) for node in nodes] == [
        ("n1", "9091", "p"),
        ("n2", "/tmp/n2", "p"),
        ("far/n1", 1, "p"),
        ("n3", 3, "p"),
    ]
    assert list(tree.snapshot.proxies["p"].nodes) == ["n1", "n2", "far/n1", "n3"]
    assert tree.snapshot.find("p/far/n1").child == "far/n1"
    assert names(tree) == ["a"]
    (line,) = warnings()
    assert line.startswith("nodes of p: entry 3 ('n4'): port is 0, ")


@pytest.mark.parametrize("answer", [None, [], "no", 7, {}, {"nodes": None}, {"nodes": {"a": 1}}, {"detail": "none"}])
def test_a_refresh_that_gets_no_tree_changes_nothing(tree: Registry, answer: Any) -> None:
    before = tree.snapshot
    with pytest.raises(BadGateway, match="^p answered no list of nodes: expected "):
        refresh_proxy(tree, "p", lambda node, target: answer)
    assert tree.snapshot is before


def test_a_refresh_of_an_unknown_proxy_asks_nobody(tree: Registry) -> None:
    for name in ("none", "a", "x"):
        with pytest.raises(NotFound, match=f"^no proxy is called '{name}'$"):
            refresh_proxy(tree, name, lambda node, target: pytest.fail("asked"))


def test_a_refresh_of_ourselves_asks_nobody(tree: Registry) -> None:
    before = tree.snapshot
    nodes = refresh_proxy(tree, LOCAL_PROXY, lambda node, target: pytest.fail("asked"))
    assert [node.name for node in nodes] == ["a"]
    assert tree.snapshot is before


def test_a_proxy_that_is_deleted_while_it_is_asked_does_not_come_back(tree: Registry) -> None:
    def fetch_json(node: Node, target: str) -> Any:
        tree.delete("p")
        return TREE

    with pytest.raises(NotFound):
        refresh_proxy(tree, "p", fetch_json)
    assert list(tree.snapshot.proxies) == [LOCAL_PROXY]


def test_a_flood_of_bad_entries_does_not_flood_the_log(tree: Registry, warnings: Warnings) -> None:
    refresh_proxy(tree, "p", lambda node, target: {"nodes": [{"port": 0}] * 5000})
    lines = warnings()
    assert len(lines) < 100
    assert lines[-1] == f"nodes of p: {5000 - (len(lines) - 1)} more entries were refused"


def test_only_proxies_without_known_nodes_are_asked_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lmcache_frontend")
    registry = Registry()
    empty = [{**entry(name, port), "nodes": []} for name, port in (("dead", 1), ("empty", 2))]
    load_listing(registry, parse_listing(json.dumps([PROXY, *empty]), Source.FILE), Source.FILE, "test")
    asked: list[str] = []

    def fetch_json(node: Node, target: str) -> Any:
        asked.append(node.name)
        if node.name == "dead":
            raise BadGateway("refused")
        return TREE

    refresh_empty_proxies(registry, fetch_json)
    refresh_empty_proxies(registry, fetch_json)
    assert asked == ["dead", "empty", "dead"]
    assert len(registry.snapshot.proxies["empty"].nodes) == 4
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "nodes of proxy dead are not known yet: refused"
    ] * 2


def http(body: bytes, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def silent(visit: Visit) -> None:
    visit.read_head()
    visit.read(1)


def trickling(visit: Visit) -> None:
    """Send the line of a chunk's size, a byte at a time, for as long as somebody listens."""
    visit.read_head()
    visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    visit.sock.settimeout(0.02)
    for _ in range(1000):
        visit.send(b"x")
        try:
            if not visit.sock.recv(1):
                return
        except TimeoutError:
            pass


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        (answering(http(b"<html>hello</html>", content_type="text/html")), 502, "did not answer with JSON"),
        (answering(http(b"")), 502, "did not answer with JSON"),
        (answering(http(b"\xff\xfe\xfd")), 502, "did not answer with JSON"),
        (answering(http(b"[" * 200_000)), 502, "did not answer with JSON"),
        (answering(http(b'{"nodes": ' + b"1" * 5000 + b"}")), 502, "did not answer with JSON"),
        (answering(http(b"[]")), 502, "p answered no list of nodes: expected"),
        (answering(http(b'{"nodes": []}', "500 Oh")), 502, "answered 500, expected 200"),
        (answering(http(b"", "302 Found")), 502, "answered 302, expected 200"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), 502, "answer of 99999999 bytes, at most"),
        (answering(b"SSH-2.0-x\r\n\r\n"), 502, "did not answer with an HTTP/1.1 status line"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), 502, "connection ended 7 bytes before"),
        (answering(b""), 502, "connection ended before the answer"),
        (silent, 504, "did not answer within 0.3 s"),
        (trickling, 504, "did not answer within 0.3 s"),
    ],
)
def test_a_proxy_that_answers_something_else_is_not_believed(
    start_app: StartApp, start_node: StartNode, script: Script, status: int, says: str
) -> None:
    node = start_node(script)
    app = start_app([{**node.entry, "name": "p", "nodes": [entry("x")]}], connect_timeout_s=0.3)
    before = app.registry.snapshot
    reply = ask(app.settings.port, "POST", "/api/proxies/p/refresh")
    assert reply.status == status
    assert says in reply.detail
    assert app.registry.snapshot is before


def test_a_refresh_over_http(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(http(json.dumps(TREE).encode()), heads))
    app = start_app([{**node.entry, "name": "p", "nodes": [entry("x")]}])
    for method in ("POST", "GET"):
        reply = ask(app.settings.port, method, "/api/proxies/p/refresh")
        assert reply.status == 200
        document = json.loads(reply.body)
        assert document["status"] == "success"
        assert [node["name"] for node in document["nodes"]] == ["n1", "n2", "far/n1", "n3"]
    assert heads[0].startswith(b"GET /api/nodes HTTP/1.1\r\nHost: 127.0.0.1:")
    assert ask(app.settings.port, "POST", "/api/proxies/none/refresh").status == 404


def test_a_silent_proxy_does_not_keep_us_from_reading_the_file_again(
    start_app: StartApp, start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node(silent)
    path = tmp_path / "nodes.json"
    path.write_text(text("a"))
    app = start_app([{**node.entry, "name": "p", "nodes": []}], config=str(path), connect_timeout_s=60.0)
    wait_until(lambda: node.visits)
    swap(path, text("b"))
    wait_until(lambda: names(app.registry) == ["b"])


def test_a_proxy_without_nodes_is_asked_at_the_start(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(http(json.dumps(TREE).encode())))
    app = start_app([{**node.entry, "name": "p", "nodes": []}])
    wait_until(lambda: len(app.registry.snapshot.proxies["p"].nodes) == 4)


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"nodes": "["}, UsageError, "--nodes: not JSON: Expecting value at line 1, column 2"),
        ({"nodes": "{}"}, UsageError, "--nodes: expected a list of nodes or of proxies, got an object"),
        ({"config": "/nonexistent/nodes"}, StartError, "--config: cannot read /nonexistent/nodes: No such file or "),
    ],
)
def test_the_service_does_not_start_without_its_nodes(
    settings: dict[str, str], error: type[FrontendError], says: str
) -> None:
    from lmcache_frontend.settings import Settings

    with pytest.raises(error) as caught:
        App(Settings(host="127.0.0.1", port=0, **settings))  # type: ignore[arg-type]
    assert str(caught.value).startswith(says)


def test_a_bad_entry_of_ours_does_not_keep_the_others_from_being_listed(start_app: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text('[{"name": "a", "host": "h", "port": 1, "weight": NaN}, {"name": "b", "host": "h", "port": 1}]')
    app = start_app(config=str(path))
    reply = ask(app.settings.port, "GET", "/api/nodes")
    assert reply.status == 200
    assert [node["name"] for node in json.loads(reply.body)["nodes"][0]["children"]] == ["b"]


def test_a_rename_onto_a_taken_name_and_other_refusals_over_http(start_app: StartApp) -> None:
    app = start_app([OWN, {**PROXY, "nodes": [entry("x")]}])
    port = app.settings.port
    assert ask(port, "POST", "/api/nodes", entry("b")).status == 200
    before = app.registry.snapshot
    refusals: list[tuple[str, str, Any, int]] = [
        ("PUT", "/api/nodes/a", entry("b"), 409),
        ("PUT", "/api/nodes/a", {**entry("x"), "proxy_id": "p"}, 409),
        ("PUT", "/api/nodes/a", {**entry("a"), "proxy_id": "none"}, 404),
        ("PUT", "/api/nodes/none", entry("a"), 404),
        ("PUT", "/api/nodes/a", {**entry("a"), "port": True}, 400),
        ("PUT", "/api/nodes/p", {**entry("p"), "is_proxy": False}, 400),
        ("PUT", "/api/nodes/p", entry("local_proxy"), 400),
        ("POST", "/api/nodes", entry("a"), 409),
        ("POST", "/api/nodes", {**entry("n"), "scheme": "https"}, 400),
        ("POST", "/api/nodes", {**entry("p"), "is_proxy": True}, 409),
        ("POST", "/api/proxies", {**entry("q"), "nodes": [entry("a"), entry("a")]}, 400),
        ("POST", "/api/proxies/none/nodes", entry("n"), 404),
        ("POST", "/api/proxies/p/nodes", entry("x"), 409),
        ("DELETE", "/api/nodes/none", None, 404),
    ]
    for method, target, body, status in refusals:
        reply = ask(port, method, target, body)
        assert (method, target, reply.status) == (method, target, status)
        assert reply.detail
        assert app.registry.snapshot is before
    assert ask(port, "PUT", "/api/nodes/a", {**entry("a2"), "proxy_id": "p"}).status == 200
    assert ask(port, "PUT", "/api/nodes/p", entry("p2", 8001)).status == 200
    assert list(app.registry.snapshot.proxies["p2"].nodes) == ["x", "a2"]
