# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.cluster import sources
from lmcache_frontend.cluster.entries import read_node
from lmcache_frontend.cluster.model import LOCAL_PROXY, Source
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.cluster.sources import (
    NodeFile,
    load_listing,
    parse_listing,
)
from lmcache_frontend.errors import BadRequest, FrontendError, StartError, UsageError
from lmcache_frontend.settings import Settings
from tests.helpers.listings import entry, names, swap, text
from tests.helpers.scripted import ScriptedNode
from tests.helpers.talking import ask

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]


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
        (None, "{path}: cannot be read: No such file or directory"),
        (b"", "{path}: not JSON: Expecting value at line 1, column 1"),
        (b'[\n{"name": }]', "{path}: not JSON: Expecting value at line 2, column 10"),
        (b'[{"name": "\xff"}]', "{path}: not UTF-8 text (byte 11)"),
        ('[{"name": "a"}]'.encode("utf-16"), "{path}: not UTF-8 text (byte 0)"),
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
    with pytest.raises(BadRequest, match="not a file"):
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
    assert file.fault == f"{path}: cannot be read: No such file or directory"
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


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"nodes": "["}, UsageError, "--nodes: not JSON: Expecting value at line 1, column 2"),
        ({"nodes": "{}"}, UsageError, "--nodes: expected a list of nodes or of proxies, got an object"),
        ({"config": "/nonexistent/nodes"}, StartError, "--config: /nonexistent/nodes: cannot be read: No such file"),
    ],
)
def test_the_service_does_not_start_without_its_nodes(
    settings: dict[str, str], error: type[FrontendError], says: str
) -> None:
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
    own = {"name": LOCAL_PROXY, "nodes": [entry("a")]}
    app = start_app([own, {**entry("p", 8000), "nodes": [entry("x")]}])
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
