# SPDX-License-Identifier: Apache-2.0
"""Where entries that come over HTTP may lead, and that what was checked is what is connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.errors import Forbidden, FrontendError
from lmcache_frontend.http1 import client
from lmcache_frontend.http1.fetch import ask_url
from tests.helpers.certificates import path_of, serving
from tests.helpers.scripted import ScriptedNode, always
from tests.helpers.talking import ask

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
METADATA = (
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "::ffff:169.254.169.254",
    "[::ffff:a9fe:a9fe]",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::1%1",
    "fd00:ec2::254",
)


def add(app: App, host: str, port: Any = 80, target: str = "/api/nodes", **fields: Any) -> tuple[int, str]:
    reply = ask(app.server.server_port, "POST", target, {"name": "n", "host": host, "port": port, **fields})
    return reply.status, "" if reply.status == 200 else reply.detail


@pytest.mark.parametrize("host", METADATA)
def test_metadata_addresses_are_refused_in_any_notation(start_app: StartApp, host: str) -> None:
    app = start_app()
    for target, more in (
        ("/api/nodes", {}),
        ("/api/nodes", {"is_proxy": True}),
        ("/api/proxies", {}),
        ("/api/proxies/local_proxy/nodes", {}),
    ):
        status, says = add(app, host, target=target, **more)
        assert (target, status) == (target, 403)
        assert "--allow-target" in says
    assert not app.registry.snapshot.targets
    assert add(app, "10.0.0.1")[0] == 200
    reply = ask(app.server.server_port, "PUT", "/api/nodes/n", {"name": "n", "host": host, "port": 80})
    assert reply.status == 403
    assert app.registry.snapshot.local_nodes["n"].host == "10.0.0.1"


def test_a_pattern_allows_an_entry(start_app: StartApp) -> None:
    assert add(start_app(allow_target=("169.254.1.2:80",)), "169.254.1.2")[0] == 200


def test_the_address_of_another_frontends_node_is_its_business(start_app: StartApp) -> None:
    app = start_app([{"name": "p", "host": "127.0.0.1", "port": 9, "nodes": []}])
    assert add(app, "169.254.169.254", target="/api/proxies/p/nodes")[0] == 200


def test_sockets_must_lie_in_their_directory(start_app: StartApp, tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    (inside / "link").symlink_to(outside / "s")
    app = start_app(socket_dir=str(inside), allow_target=(f"{outside}/allowed_*",))
    for path in (outside / "s", inside / "link", inside / ".." / "out" / "s"):
        status, says = add(app, "localhost", str(path))
        assert (path, status) == (path, 403)
        assert f"--allow-target {outside}/s" in says
    assert add(app, "localhost", str(inside / "s"))[0] == 200
    assert add(app, "localhost", str(outside / "allowed_1"), name="other")[0] == 200


def test_entries_over_http_name_no_files(start_app: StartApp) -> None:
    app = start_app()
    assert add(app, "10.0.0.1", token_file="/etc/hostname")[0] == 400
    assert add(app, "10.0.0.1", scheme="https", tls={"ca": "/etc/hostname"})[0] == 400
    assert add(app, "10.0.0.1", scheme="https", tls={"verify": False})[0] == 200


def test_an_entry_that_names_files_is_changed_where_it_is_configured(start_app: StartApp) -> None:
    here = {"host": "10.0.0.1", "port": 1}
    secure = {"scheme": "https", "tls": {"ca": path_of("authority")}}
    nodes = [
        {"name": "local_proxy", "nodes": [{"name": "a", **here, "token_file": "/t"}, {"name": "b", **here, **secure}]},
        {"name": "p", **here, "token_file": "/t", "nodes": []},
    ]
    app = start_app(nodes)
    for name in ("a", "b", "p"):
        reply = ask(app.server.server_port, "PUT", f"/api/nodes/{name}", {"name": name, "host": "10.9.9.9", "port": 2})
        assert (name, reply.status) == (name, 409)
        assert "change it where it is configured" in reply.detail


class TwoFaced:
    """Resolves a name to one address first and to another from then on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0
        self._resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, port: Any, *rest: Any, **options: Any) -> Any:
        if host != "rebinding.test" or options.get("flags") == socket.AI_NUMERICHOST:
            return self._resolve(host, port, *rest, **options)
        self.asked += 1
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return self._resolve(address, port, *rest, **options)


def test_a_name_is_looked_at_each_time(
    start_app: StartApp, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node(always(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
    app = start_app()
    TwoFaced(monkeypatch, "127.0.0.1", "169.254.169.254")
    assert add(app, "rebinding.test", node.port)[0] == 200
    assert ask(app.server.server_port, "GET", "/proxy2/n/version").status == 200
    reply = ask(app.server.server_port, "GET", "/proxy2/n/version")
    assert reply.status == 403
    assert "--allow-target 169.254.169.254" in reply.detail


def test_a_name_that_is_no_node_is_resolved_once(
    start_app: StartApp, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node(always(OK))
    app = start_app()
    names = TwoFaced(monkeypatch, "127.0.0.1", "169.254.169.254")
    # Resolved to be checked, and never again on the way to the connection.
    reply = ask(app.server.server_port, "GET", f"/proxy/rebinding.test/{node.port}/version")
    assert (reply.body, names.asked) == (b"ok", 1)


def test_a_guarded_address_beside_a_good_one_is_passed_over(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start_node(always(OK))
    seen: list[str] = []

    def permit(address: str, port: int) -> None:
        seen.append(address)
        if address != "127.0.0.1":
            raise Forbidden("no")

    monkeypatch.setattr(client, "resolve", lambda host, port: ["169.254.169.254", "127.0.0.1"])
    endpoint = client.Endpoint("both.test", node.port)
    connection = client.connect(endpoint, connect_timeout_s=5.0, send_timeout_s=5.0, permit=permit)
    connection.close()
    assert seen == ["169.254.169.254", "127.0.0.1"]


@pytest.mark.parametrize("secure", [False, True])
def test_an_address_that_is_no_nodes_is_checked_too(start_app: StartApp, start_node: StartNode, secure: bool) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads), tls=serving("self_signed") if secure else None)
    app = start_app()
    url = f"{'https' if secure else 'http'}://127.0.0.1:{node.port}"
    if secure:
        with pytest.raises(FrontendError, match="signed by itself"):
            ask_url(app._pool, f"{url}/a?b=c", timeout_s=5.0)
        assert not heads
    else:
        assert ask_url(app._pool, f"{url}/a?b=c", timeout_s=5.0) == b"ok"
        assert heads[0].startswith(f"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{node.port}\r\n".encode())
    with pytest.raises(Forbidden, match="--allow-target"):
        ask_url(app._pool, f"http://169.254.169.254:{node.port}/latest", timeout_s=5.0)


def test_an_address_over_tls_is_trusted_as_the_system_does(
    start_app: StartApp, start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", path_of("authority"))
    node = start_node(always(OK), tls=serving())
    assert ask_url(start_app()._pool, f"https://localhost:{node.port}/api/v1", timeout_s=5.0) == b"ok"


def test_redirects_are_not_followed(start_app: StartApp, start_node: StartNode) -> None:
    other = start_node(always(OK))
    answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other.port}/\r\nContent-Length: 2\r\n\r\nno".encode()
    node = start_node(always(answer))
    app = start_app([node.entry])
    assert ask_url(app._pool, f"http://127.0.0.1:{node.port}/", timeout_s=5.0) == b"no"
    assert ask(app.server.server_port, "GET", "/proxy2/node/version").status == 302
    assert not other.visits
