# SPDX-License-Identifier: Apache-2.0
"""The endpoints, over real sockets, as upstream's pages and parents ask them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend import __version__
from lmcache_frontend.app import App
from lmcache_frontend.http1.peers import user_name
from lmcache_frontend.routes.pages import load_assets
from tests.helpers.scripted import ScriptedNode, always
from tests.helpers.talking import ask, parse_response, say

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NODE = {"name": "n1", "host": "10.0.0.1", "port": 6999}
TREE = [
    {"name": "east", "host": "10.0.1.1", "port": 8000, "nodes": [{"name": "a", "host": "h", "port": "1"}, NODE]},
    {"name": "west", "host": "10.0.2.1", "port": "8000", "nodes": [{"name": "a", "host": "h", "port": "/s"}]},
]


def get(app: App, target: str, **options: Any) -> Any:
    reply = ask(app.settings.port, "GET", target, **options)
    assert reply.status == 200, reply
    return json.loads(reply.body)


def test_health_and_identity(start_app: StartApp) -> None:
    app = start_app()
    assert get(app, "/health") == {"status": "healthy", "service": "lmcache-monitor"}
    assert get(app, "/api/whoami") == {
        "role": "operator",
        "name": user_name(os.getuid()),
        "how": "local",
        "read_only": False,
        "sign_in": False,
        "version": __version__,
        "tls": False,
    }
    assert get(app, "/api/whoami", fields={"X-Forwarded-For": "1.2.3.4"})["role"] == "viewer"


def test_a_flat_list_is_shown_as_nodes_of_our_own(start_app: StartApp) -> None:
    app = start_app([{**NODE, "rack": 7, "labels": {"zone": "a"}}])
    child = {**NODE, "rack": 7, "labels": {"zone": "a"}, "id": "node_n1", "is_proxy": False, "proxy_id": "local_proxy"}
    assert get(app, "/api/nodes")["nodes"] == [
        {
            "id": "proxy_local_proxy",
            "name": "local_proxy",
            "host": "127.0.0.1",
            "port": app.settings.port,
            "is_proxy": True,
            "children": [child],
        }
    ]
    assert get(app, "/api/proxies/local_proxy/nodes")["nodes"] == [{**NODE, "rack": 7, "labels": {"zone": "a"}}]


def test_a_tree_is_shown_as_it_was_configured(start_app: StartApp) -> None:
    app = start_app(TREE)
    east, west = get(app, "/api/nodes")["nodes"]
    assert (east["id"], east["port"], west["port"]) == ("proxy_east", 8000, "8000")
    assert [child["port"] for child in east["children"] + west["children"]] == ["1", 6999, "/s"]
    assert get(app, "/api/proxies") == {
        "proxies": [
            {"name": "east", "host": "10.0.1.1", "port": 8000},
            {"name": "west", "host": "10.0.2.1", "port": "8000"},
        ]
    }
    assert get(app, "/api/proxies/west/nodes") == {
        "nodes": [{"name": "a", "host": "h", "port": "/s", "proxy_id": "west"}]
    }


def test_no_nodes_are_an_empty_list(start_app: StartApp) -> None:
    app = start_app()
    assert get(app, "/api/nodes") == {"nodes": []}
    assert get(app, "/api/proxies/local_proxy/nodes") == {"nodes": []}


def test_nodes_are_managed_as_upstreams_page_does_it(start_app: StartApp) -> None:
    app = start_app()
    port = app.settings.port

    def change(method: str, target: str, body: Any = None) -> tuple[int, str]:
        reply = ask(port, method, target, body)
        answer = json.loads(reply.body)
        return reply.status, answer.get("message", answer.get("detail"))

    assert change("POST", "/api/proxies", {"name": "p", "host": "h", "port": 1}) == (200, "Proxy added")
    assert change("POST", "/api/proxies", {"name": "p", "host": "h", "port": 1})[0] == 409
    assert change("POST", "/api/proxies", {"name": "q", "host": "h"})[0] == 400
    assert change("POST", "/api/proxies", {"name": "local_proxy", "host": "h", "port": 1})[0] == 400
    assert change("POST", "/api/proxies", {"name": "q", "host": "h", "port": 1, "nodes": [{"name": ""}]})[0] == 400
    assert change("POST", "/api/proxies/p/nodes", NODE) == (200, "Node added")
    assert change("POST", "/api/proxies/p/nodes", NODE)[0] == 409
    assert change("POST", "/api/proxies/none/nodes", NODE)[0] == 404
    assert change("POST", "/api/nodes", {**NODE, "name": "mine", "is_proxy": False, "proxy_id": None})[0] == 200
    assert change("POST", "/api/nodes", {"name": "q", "host": "h", "port": 2, "is_proxy": True})[0] == 200
    assert change("POST", "/api/nodes", {**NODE, "name": "other", "is_proxy": False, "proxy_id": "q"})[0] == 200
    assert change("PUT", "/api/nodes/q", {"name": "r", "host": "h2", "port": 3, "is_proxy": True})[0] == 200
    assert change("PUT", "/api/nodes/r", {"name": "p", "host": "h2", "port": 3})[0] == 409
    assert change("PUT", "/api/nodes/r", {"name": "r", "host": "h2", "port": 3, "is_proxy": False})[0] == 400
    assert change("PUT", "/api/nodes/none", NODE)[0] == 404
    assert change("PUT", "/api/nodes/mine", {**NODE, "name": "mine", "port": "7000"})[0] == 200
    assert change("PUT", "/api/nodes/mine", {**NODE, "name": "mine", "port": "x"})[0] == 400
    assert change("PUT", "/api/nodes/mine", {**NODE, "name": "n1", "proxy_id": "p"})[0] == 409
    assert [proxy["name"] for proxy in get(app, "/api/nodes")["nodes"]] == ["local_proxy", "p", "r"]
    assert get(app, "/api/proxies/r/nodes")["nodes"][0]["proxy_id"] == "r"
    assert get(app, "/api/proxies/local_proxy/nodes")["nodes"][0]["port"] == "7000"
    assert change("DELETE", "/api/nodes/mine") == (200, "Node deleted")
    assert change("DELETE", "/api/nodes/mine")[0] == 404
    assert change("DELETE", "/api/nodes/r")[0] == 200
    assert [proxy["name"] for proxy in get(app, "/api/nodes")["nodes"]] == ["p"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b'{"name": "x", "host": "h", "port": true}', 400),
        (b'{"name": "x\\u0000", "host": "h", "port": 1}', 400),
        (b'{"name": "x", "host": "h\\r\\nX: y", "port": 1}', 400),
        (b'{"name": "x", "host": "h", "port": 1, "is_proxy": "yes"}', 400),
        (b'{"name": "x", "host": "h", "port": 1, "proxy_id": 7}', 400),
        (b'{"name": "x", "host": "h", "port": 1, "scheme": "ftp"}', 400),
        (b" " * 1_100_000, 413),
    ],
)
def test_a_bad_body_changes_nothing(start_app: StartApp, body: bytes, status: int) -> None:
    app = start_app([NODE])
    before = app.registry.snapshot
    reply = ask(app.settings.port, "POST", "/api/nodes", body)
    assert reply.status == status
    assert reply.detail
    assert app.registry.snapshot is before


def test_names_are_percent_encoded_in_paths(start_app: StartApp) -> None:
    app = start_app([{**NODE, "name": "a/b c%é"}])
    encoded = "a%2Fb%20c%25%C3%A9"
    assert ask(app.settings.port, "PUT", f"/api/nodes/{encoded}", {**NODE, "name": "x y"}).status == 200
    assert ask(app.settings.port, "DELETE", "/api/nodes/x%20y").status == 200
    assert ask(app.settings.port, "DELETE", "/api/nodes/%ff").status == 400


def test_flat_and_full_names_reach_nodes_behind_proxies(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    frontend = start_node(always(OK, heads))
    first = {"name": "east", "host": "127.0.0.1", "port": frontend.port, "nodes": TREE[0]["nodes"]}
    app = start_app([first, {**TREE[1], "host": "127.0.0.1", "port": frontend.port}])
    port = app.settings.port
    assert ask(port, "GET", "/proxy2/n1/version?x=1").status == 200
    assert ask(port, "GET", "/proxy2/west%2Fa/version").status == 200
    assert ask(port, "GET", "/proxy2/east/api/nodes").status == 200
    assert ask(port, "GET", "/proxy2/east/proxy2/deep/metrics").status == 200
    ambiguous = ask(port, "GET", "/proxy2/a/version")
    assert (ambiguous.status, "east/a, west/a" in ambiguous.detail) == (409, True)
    assert ask(port, "GET", "/proxy2/nowhere/version").status == 404
    assert [head.split(b" ")[1] for head in heads] == [
        b"/proxy2/n1/version?x=1",
        b"/proxy2/a/version",
        b"/api/nodes",
        b"/proxy2/deep/metrics",
    ]


def test_a_proxy_is_asked_for_its_nodes(start_app: StartApp) -> None:
    child = start_app([NODE, {**NODE, "name": "n2", "port": "/tmp/s"}])
    parent = start_app([{"name": "child", "host": "127.0.0.1", "port": child.settings.port, "nodes": []}])
    for method in ("POST", "GET"):
        reply = ask(parent.settings.port, method, "/api/proxies/child/refresh")
        assert reply.status == 200
        names = [(node["name"], node["port"], node["proxy_id"]) for node in json.loads(reply.body)["nodes"]]
        assert names == [("n1", 6999, "child"), ("n2", "/tmp/s", "child")]
    assert len(get(parent, "/api/nodes")["nodes"][0]["children"]) == 2
    assert ask(parent.settings.port, "POST", "/api/proxies/none/refresh").status == 404
    assert get(parent, "/proxy2/child/api/proxies/local_proxy/nodes")["nodes"][0]["name"] == "n1"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", OK, b"junk\r\n\r\n"])
def test_a_proxy_that_gives_no_list_is_502_and_keeps_its_nodes(
    start_app: StartApp, start_node: StartNode, answer: bytes
) -> None:
    node = start_node(always(answer))
    app = start_app([{"name": "p", "host": "127.0.0.1", "port": node.port, "nodes": [NODE]}])
    assert ask(app.settings.port, "POST", "/api/proxies/p/refresh").status == 502
    assert "n1" in app.registry.snapshot.proxies["p"].nodes


def test_nodes_are_reached_by_address(start_app: StartApp, start_node: StartNode, tmp_path: Path) -> None:
    heads: list[bytes] = []
    tcp = start_node(always(OK, heads))
    unix = start_node(always(OK, heads), path=tmp_path / "s_1")
    app = start_app([tcp.entry, {**unix.entry, "name": "unix"}])
    once = str(unix.port).replace("/", "%2F")
    twice = once.replace("%", "%25")
    for target in (
        f"/proxy/127.0.0.1/{tcp.port}/version",
        f"/proxy/localhost/{tcp.port}/version",
        f"/proxy/LOCALHOST/{tcp.port}/version",
        f"/proxy/%3A%3Affff%3A127.0.0.1/{tcp.port}/version",
        f"/proxy/localhost/{once}/version",
        f"/proxy/whatever/{twice}/version",
        f"/proxy/localhost/{once.lower().replace('%2f', '%2F')}/version",
    ):
        reply = ask(app.settings.port, "GET", target, fields={"X-Forwarded-For": "a viewer"})
        assert (reply.status, reply.body) == (200, b"ok"), target
    assert all(head.startswith(b"GET /version HTTP/1.1\r\n") for head in heads)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/proxy/h/0/version", 400),
        ("/proxy/h/65536/version", 400),
        ("/proxy/h/abc/version", 400),
        ("/proxy/h/-1/version", 400),
        ("/proxy/h/%2Ftmp%2F%00/version", 400),
        ("/proxy/h/%2F" + "a" * 200 + "/version", 400),
        ("/proxy/h%20x/1/version", 400),
        ("/proxy/%ff/1/version", 400),
        ("/proxy/%EF%BD%8Cocalhost/1/version", 400),
        ("/proxy/h/1", 404),
        ("/proxy//1/version", 404),
        ("/proxy2/node", 404),
        ("/proxy2//version", 404),
        ("/proxy2/node?x=/version", 404),
        ("/nowhere", 404),
        ("/api", 404),
        ("/api/nodes/", 404),
    ],
)
def test_a_bad_address_is_refused(start_app: StartApp, target: str, status: int) -> None:
    reply = ask(start_app([NODE]).settings.port, "GET", target)
    assert (reply.status, bool(reply.detail)) == (status, True)


def test_unregistered_targets_are_for_local_operators(
    start_app: StartApp, start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node(always(OK))
    inside = start_node(always(OK), path=tmp_path / "in")
    outside_directory = tmp_path.parent / (tmp_path.name + "-out")
    outside_directory.mkdir()
    outside = start_node(always(OK), path=outside_directory / "s")
    (tmp_path / "link").symlink_to(outside_directory / "s")
    app = start_app(socket_dir=str(tmp_path))
    viewer = {"X-Forwarded-For": "1.2.3.4"}

    def status(target: str, **options: Any) -> tuple[int, str]:
        reply = ask(app.settings.port, "GET", target, **options)
        return reply.status, "" if reply.status == 200 else reply.detail

    tcp = f"/proxy/127.0.0.1/{node.port}/version"
    assert status(tcp)[0] == 200
    refused = status(tcp, fields=viewer)
    assert (refused[0], f"--allow-target 127.0.0.1:{node.port}" in refused[1]) == (403, True)
    assert status(tcp, fields={"Sec-Fetch-Site": "cross-site"})[0] == 403
    encoded = [str(path).replace("/", "%2F") for path in (inside.port, outside.port, tmp_path / "link")]
    assert status(f"/proxy/localhost/{encoded[0]}/version")[0] == 200
    for path in encoded[1:]:
        assert "--allow-target" in status(f"/proxy/localhost/{path}/version")[1]
        assert str(outside_directory) not in status(f"/proxy/localhost/{encoded[2]}/version", fields=viewer)[1]
    allowing = start_app(allow_target=(f"127.0.0.1:{node.port}", f"{outside_directory}/*"))
    assert ask(allowing.settings.port, "GET", tcp, fields=viewer).status == 200
    assert ask(allowing.settings.port, "GET", f"/proxy/localhost/{encoded[2]}/version", fields=viewer).status == 200
    assert ask(allowing.settings.port, "GET", tcp.replace("version", "env"), fields=viewer).status == 403
    climbing = f"{outside_directory}/../{tmp_path.name}/in".replace("/", "%2F")
    assert ask(allowing.settings.port, "GET", f"/proxy/localhost/{climbing}/version", fields=viewer).status == 403


def test_metadata_addresses_are_never_reached(start_app: StartApp) -> None:
    app = start_app([{"name": "meta", "host": "169.254.169.254", "port": 80}])
    for target in ("/proxy2/meta/version", "/proxy/169.254.169.254/80/version", "/proxy/169.254.1.1/81/x"):
        reply = ask(app.settings.port, "GET", target)
        assert (reply.status, "link-local" in reply.detail) == (403, True)


def test_what_a_viewer_may_not_do_to_a_node(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    app = start_app([start_node(always(OK, heads)).entry])
    viewer = {"Via": "1.1 edge"}
    for method, path in (
        ("POST", "/conf"),
        ("PUT", "/freeze/enable"),
        ("DELETE", "/cache/clear"),
        ("OPTIONS", "/version"),
        ("GET", "/env"),
        ("GET", "/conf"),
        ("GET", "/loglevel?logger_name=x&level=DEBUG"),
        ("GET", "/../env"),
        ("POST", "/run_script"),
    ):
        assert ask(app.settings.port, method, f"/proxy2/node{path}", fields=viewer).status == 403, (method, path)
        assert ask(app.settings.port, method, f"/proxy2/node{path}").status == 200
    assert len(heads) == 9
    assert ask(app.settings.port, "BREW", "/proxy2/node/pot").status == 405
    assert ask(app.settings.port, "POST", "/api/nodes", NODE, viewer).status == 403
    assert ask(app.settings.port, "DELETE", "/api/nodes/node", fields=viewer).status == 403
    assert ask(app.settings.port, "GET", "/api/proxies/local_proxy/refresh", fields=viewer).status == 403


def test_a_page_of_another_site_changes_nothing(start_app: StartApp) -> None:
    app = start_app([NODE])
    evil = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert ask(app.settings.port, "POST", "/api/nodes", {**NODE, "name": "x"}, evil).status == 403
    assert ask(app.settings.port, "DELETE", "/api/nodes/n1", fields={"Sec-Fetch-Site": "same-site"}).status == 403
    own = {"Origin": f"http://127.0.0.1:{app.settings.port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(app.settings.port, "DELETE", "/api/nodes/n1", fields=own).status == 200


def test_a_rebound_host_is_421_on_every_request_of_a_connection(start_app: StartApp) -> None:
    app = start_app([NODE])
    raw = b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /api/nodes HTTP/1.1\r\nHost: evil.example\r\n"
    received = say(app.settings.port, raw + b"Connection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 421 " in received
    allowing = start_app([NODE], allow_host=frozenset({"evil.example"}))
    assert ask(allowing.settings.port, "GET", "/api/nodes", fields={"Host": "evil.example"}).status == 200


def test_files_of_the_page_are_compressed_once_and_only_where_that_saves_something(tmp_path: Path) -> None:
    (tmp_path / "long.js").write_text("// words\n" * 1000)
    (tmp_path / "short.css").write_text("a")
    assets = load_assets(tmp_path)
    compressed = assets["long.js"].compressed()
    assert compressed is not None
    assert gzip.decompress(compressed) == assets["long.js"].body
    assert assets["long.js"].compressed() is compressed
    assert assets["short.css"].compressed() is None


def test_the_page_and_its_files(start_app: StartApp) -> None:
    app = start_app()
    page = ask(app.settings.port, "GET", "/")
    assert page.body.lstrip().lower().startswith(b"<!")
    assert "default-src 'none'" in page.fields["Content-Security-Policy"]
    assert page.fields["X-Frame-Options"] == "DENY"
    # A drawing is shown as a page where it is opened by itself.
    icon = ask(app.settings.port, "GET", "/static/icon.svg")
    assert "default-src 'none'" in icon.fields["Content-Security-Policy"]
    script = ask(app.settings.port, "GET", "/static/js/app.js", fields={"Accept-Encoding": "gzip"})
    assert script.fields["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.fields["X-Content-Type-Options"] == "nosniff"
    assert gzip.decompress(script.body) == ask(app.settings.port, "GET", "/static/js/app.js").body
    again = ask(app.settings.port, "GET", "/static/js/app.js", fields={"If-None-Match": script.fields["ETag"]})
    assert (again.status, again.body) == (304, b"")
    moved = ask(app.settings.port, "GET", "/static/index.html")
    assert (moved.status, moved.fields["Location"]) == (308, "../")
    assert ask(app.settings.port, "HEAD", "/").body == b""


@pytest.mark.parametrize(
    "path",
    ["/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml", "/static//etc/passwd", "/static/js", "/static/"],
)
def test_nothing_but_the_files_of_the_page_is_served(start_app: StartApp, path: str) -> None:
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    assert parse_response(say(start_app().settings.port, raw)).status == 404


def test_methods_that_a_route_lacks_are_405_with_allow(start_app: StartApp) -> None:
    port = start_app().settings.port
    reply = ask(port, "PATCH", "/api/nodes")
    assert (reply.status, reply.fields["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    options = ask(port, "OPTIONS", "/api/proxies")
    assert (options.status, options.fields["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert ask(port, "HEAD", "/api/nodes").status == 200
    assert ask(port, "OPTIONS", "*").status == 204
