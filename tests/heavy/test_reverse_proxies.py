# SPDX-License-Identifier: Apache-2.0
"""The service behind real reverse proxies: nobody becomes an operator by one, and who signs in through one is."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import read_settings
from tests.helpers.certificates import ask_securely, path_of
from tests.helpers.documented import blocks_of
from tests.helpers.hostile_site import Server, recording_node
from tests.helpers.parts import program
from tests.helpers.ports import free_port
from tests.helpers.talking import Reply, ask
from tests.helpers.waiting import wait_until

TOKEN = "operator-token-0123"
NODE = {"name": "n1", "host": "10.0.0.1", "port": 6999}
# As the page on access tells to set nginx and HAProxy up, and the service behind them.
NAMED, SERVE = blocks_of("Behind nginx")
HAPROXY_NAMED, _, HAPROXY_SERVER = blocks_of("Behind HAProxy")[0].rpartition("\n")
NGINX_TLS = f"ssl_certificate {path_of('server')}; ssl_certificate_key {path_of('server')};"
NGINX = """daemon off; pid {directory}/pid; error_log {directory}/errors; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
  fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port} {secure};
    {settings}
    location {path} {{ proxy_pass http://127.0.0.1:{own_port}/; }} }} }}
"""
HAPROXY = """defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend front
  bind 127.0.0.1:{port} {secure}
  {settings}
  default_backend back
backend back
  {server}
"""

Start = Callable[..., int]


@pytest.fixture
def served(start_app: Callable[..., App], tmp_path: Path) -> Iterator[tuple[App, Server]]:
    (tmp_path / "tokens").write_text(TOKEN)
    (tmp_path / "tokens").chmod(0o600)
    words = SERVE.replace("/etc/lmcache", str(tmp_path)).split()
    given = read_settings(words[1:], {})._asdict()
    named = {name: given[name] for name in ("token_file", "trusted_proxy", "allow_host")}
    assert words[0] == "lmcache-frontend"
    assert all(named.values())
    with recording_node() as node:
        yield start_app([{"name": "known", "host": "127.0.0.1", "port": node.port}], **named), node


@pytest.fixture
def app(served: tuple[App, Server]) -> App:
    return served[0]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[list[str], int], None]]:
    """Give what starts a program that listens on a port."""
    with ExitStack() as cleanup:

        def started(words: list[str], port: int) -> None:
            with (tmp_path / "output").open("wb") as output:
                process = subprocess.Popen(words, stdout=output, stderr=output)
            cleanup.callback(process.wait, 10)
            cleanup.callback(process.terminate)
            wait_until(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None, (tmp_path / "output").read_text()

        yield started


@pytest.fixture
def nginx(app: App, run: Callable[[list[str], int], None], tmp_path: Path) -> Start:
    def start(settings: str = "", path: str = "/") -> int:
        port = free_port()
        values = {"port": port, "own_port": app.settings.port, "settings": settings, "path": path}
        text = NGINX.format(directory=tmp_path, secure="ssl" if "ssl_" in settings else "", **values)
        (tmp_path / "nginx.conf").write_text(text)
        run([program("nginx", "nginx-light"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], port)
        return port

    return start


@pytest.fixture
def haproxy(app: App, run: Callable[[list[str], int], None], tmp_path: Path) -> Start:
    def start(settings: str = "", secure: str = "") -> int:
        port = free_port()
        server = HAPROXY_SERVER.replace(":8000", f":{app.settings.port}")
        text = HAPROXY.format(port=port, server=server, settings=settings.replace("\n", "\n  "), secure=secure)
        (tmp_path / "haproxy.cfg").write_text(text + "\n")
        run([program("haproxy", "haproxy"), "-db", "-f", str(tmp_path / "haproxy.cfg")], port)
        return port

    return start


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def whoami(port: int, path: str = "", **fields: str) -> Any:
    reply = ask(
        port, "GET", f"{path}/api/whoami", fields={name.replace("_", "-"): text for name, text in fields.items()}
    )
    assert reply.status == 200, reply
    return json.loads(reply.body)


def browse(port: int, method: str, path: str, body: Any = None, **fields: str) -> Reply:
    """Ask as a page does."""
    page = {"User-Agent": "Mozilla/5.0", "Origin": f"http://127.0.0.1:{port}", "Host": f"127.0.0.1:{port}"}
    return ask(port, method, path, body, {**page, **fields})


def test_a_bare_nginx_makes_nobody_an_operator(app: App, nginx: Start) -> None:
    port = nginx()
    assert whoami(app.settings.port)["how"] == "local"
    assert whoami(port)["role"] == "viewer"
    assert whoami(port, Host="localhost")["role"] == "viewer"
    assert ask(port, "POST", "/api/nodes", NODE).status == 401
    # Without Host the page's address is not known: from there nobody signs in, by token one may.
    assert browse(port, "POST", "/api/session", {"token": TOKEN}).status == 403
    assert ask(port, "POST", "/api/nodes", NODE, {"Authorization": f"Bearer {TOKEN}"}).status == 200


def test_a_bare_nginx_that_speaks_http_1_1_makes_nobody_an_operator(nginx: Start) -> None:
    port = nginx("proxy_http_version 1.1;")
    assert whoami(port)["role"] == "viewer"
    assert whoami(port, Host="localhost")["role"] == "viewer"


@pytest.mark.parametrize("path", ["", "/lmcache"])
def test_a_page_behind_nginx_signs_in_and_changes_things(path: str, nginx: Start) -> None:
    port = nginx(NAMED, f"{path}/")
    assert whoami(port, path)["how"] == "anonymous"
    assert whoami(port, path, Host="dash.example.com")["role"] == "viewer"
    assert whoami(port, path, X_Forwarded_For="127.0.0.1")["role"] == "viewer"
    reply = browse(port, "POST", f"{path}/api/session", {"token": TOKEN})
    assert reply.status == 204
    cookie = reply.fields["Set-Cookie"].partition(";")[0]
    assert whoami(port, path, Cookie=cookie)["how"] == "session"
    assert browse(port, "POST", f"{path}/api/nodes", NODE, Cookie=cookie).status == 200
    assert browse(port, "DELETE", f"{path}/api/nodes/n1", Cookie=cookie, Origin="http://evil.example").status == 403
    invited = ask(port, "GET", f"{path}/sign-in?token={TOKEN}")
    assert (invited.status, invited.fields["Location"]) == (303, "./")


def test_tls_that_ends_at_the_proxy_is_known(nginx: Start) -> None:
    port = nginx(NAMED.replace("$scheme", "https"))
    assert whoami(port)["tls"] is True
    assert browse(port, "POST", "/api/session", {"token": TOKEN}).fields["Set-Cookie"].endswith("; Secure")


def browse_securely(port: int, method: str, path: str, body: Any = None, **fields: str) -> Reply:
    """Ask over TLS as a page does."""
    page = {"User-Agent": "Mozilla/5.0", "Origin": f"https://localhost:{port}"}
    return ask_securely(port, method, path, body, {**page, **fields})


def sign_in_over_tls(port: int, path: str = "") -> None:
    who = json.loads(browse_securely(port, "GET", f"{path}/api/whoami").body)
    assert (who["role"], who["tls"]) == ("viewer", True)
    reply = browse_securely(port, "POST", f"{path}/api/session", {"token": TOKEN})
    assert reply.status == 204
    assert reply.fields["Set-Cookie"].endswith("; Secure")
    cookie = reply.fields["Set-Cookie"].partition(";")[0]
    assert browse_securely(port, "POST", f"{path}/api/nodes", NODE, Cookie=cookie).status == 200
    other = browse_securely(
        port, "DELETE", f"{path}/api/nodes/n1", Cookie=cookie, Origin=f"https://localhost:{port + 1}"
    )
    assert other.status == 403
    assert browse_securely(port, "DELETE", f"{path}/api/nodes/n1", Cookie=cookie).status == 200


@pytest.fixture
def users() -> Iterator[str]:
    """Give a file of who may pass nginx, which reads it as the user that it runs as."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        Path(directory, "users").write_text("ada:{PLAIN}her password\n")
        yield f"{directory}/users"


@pytest.mark.parametrize("path", ["", "/lmcache"])
def test_behind_nginx_with_tls(path: str, nginx: Start) -> None:
    sign_in_over_tls(nginx(NAMED + NGINX_TLS, f"{path}/"), path)


def test_behind_haproxy_with_tls(haproxy: Start) -> None:
    sign_in_over_tls(haproxy(HAPROXY_NAMED, f"ssl crt {path_of('server')}"))


def test_behind_haproxy_under_a_path(haproxy: Start) -> None:
    rewrite = r"http-request replace-path /lmcache/(.*) /\1"
    sign_in_over_tls(haproxy(f"{HAPROXY_NAMED}\n{rewrite}", f"ssl crt {path_of('server')}"), "/lmcache")


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def test_passwords_that_nginx_asks_for_are_not_taken_for_tokens(
    served: tuple[App, Server], nginx: Start, users: str
) -> None:
    port = nginx(f'{NAMED} auth_basic "team"; auth_basic_user_file {users};')
    hers = {"Authorization": basic("ada", "her password")}
    assert browse(port, "GET", "/api/whoami").status == 401
    assert browse(port, "GET", "/api/fleet", **hers).status == 200
    assert json.loads(browse(port, "GET", "/api/whoami", **hers).body)["how"] == "anonymous"
    reply = browse(port, "POST", "/api/session", {"token": TOKEN}, **hers)
    assert reply.status == 204
    cookie = reply.fields["Set-Cookie"].partition(";")[0]
    # A session counts however often the browser shows the password with it.
    for _ in range(10):
        assert browse(port, "POST", "/proxy2/known/cache/clear", Cookie=cookie, **hers).status == 200
    assert len(served[1].changes) == 10


def test_a_proxy_that_knows_its_users_vouches_for_them_with_a_token(
    served: tuple[App, Server], nginx: Start, users: str
) -> None:
    vouching = f'proxy_set_header Authorization "{basic("ada", TOKEN)}";'
    port = nginx(f'{NAMED} auth_basic "team"; auth_basic_user_file {users}; {vouching}')
    hers = {"Authorization": basic("ada", "her password")}
    assert browse(port, "POST", "/proxy2/known/cache/clear").status == 401
    assert browse(port, "POST", "/proxy2/known/cache/clear", **hers).status == 200
    # The browser shows the password to nginx whoever's page asks: it is no proof of a wish, nor is a GET.
    evil = {**hers, "Origin": "http://evil.example"}
    assert browse(port, "POST", "/proxy2/known/cache/clear", **evil).status == 403
    assert ask(port, "GET", "/proxy2/known/loglevel?level=DEBUG", fields=hers).status == 403
    assert len(served[1].changes) == 1


def test_behind_haproxy(haproxy: Start) -> None:
    port = haproxy(HAPROXY_NAMED)
    assert whoami(port)["role"] == "viewer"
    reply = browse(port, "POST", "/api/session", {"token": TOKEN})
    assert reply.status == 204
    cookie = reply.fields["Set-Cookie"].partition(";")[0]
    assert browse(port, "POST", "/api/nodes", NODE, Cookie=cookie).status == 200


def test_a_bare_haproxy_of_a_system_user_makes_nobody_an_operator(haproxy: Start) -> None:
    port = haproxy()
    # It runs as the one who runs this test, whom nothing tells from a person.
    assert whoami(port, Host="dash.example.com")["role"] == "viewer"
