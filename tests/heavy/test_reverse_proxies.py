# SPDX-License-Identifier: Apache-2.0
"""The service behind real reverse proxies: nobody becomes an operator by one, and who signs in through one is."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from tests.helpers.parts import program
from tests.helpers.ports import free_port
from tests.helpers.talking import Reply, ask
from tests.helpers.waiting import wait_until

TOKEN = "operator-token-0123"
NODE = {"name": "n1", "host": "10.0.0.1", "port": 6999}
NAMED = """proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;"""
NGINX = """daemon off; pid {directory}/pid; error_log {directory}/errors; worker_processes 1;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
  fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port};
    {settings}
    location {path} {{ proxy_pass http://127.0.0.1:{own_port}/; }} }} }}
"""
HAPROXY = """defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend front
  bind 127.0.0.1:{port}
  {settings}
  default_backend back
backend back
  server frontend 127.0.0.1:{own_port}
"""

Start = Callable[..., int]


@pytest.fixture
def app(start_app: Callable[..., App], tmp_path: Path) -> App:
    (tmp_path / "tokens").write_text(TOKEN)
    (tmp_path / "tokens").chmod(0o600)
    return start_app(
        token_file=str(tmp_path / "tokens"), trusted_proxy=("127.0.0.1",), allow_host=frozenset({"dash.example"})
    )


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
        text = NGINX.format(directory=tmp_path, port=port, own_port=app.settings.port, settings=settings, path=path)
        (tmp_path / "nginx.conf").write_text(text)
        run([program("nginx", "nginx-light"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], port)
        return port

    return start


@pytest.fixture
def haproxy(app: App, run: Callable[[list[str], int], None], tmp_path: Path) -> Start:
    def start(settings: str = "") -> int:
        port = free_port()
        (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(port=port, own_port=app.settings.port, settings=settings))
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
    assert whoami(port, path, Host="dash.example")["role"] == "viewer"
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


def test_behind_haproxy(haproxy: Start) -> None:
    port = haproxy("option forwardfor")
    assert whoami(port)["role"] == "viewer"
    reply = browse(port, "POST", "/api/session", {"token": TOKEN})
    assert reply.status == 204
    cookie = reply.fields["Set-Cookie"].partition(";")[0]
    assert browse(port, "POST", "/api/nodes", NODE, Cookie=cookie).status == 200


def test_a_bare_haproxy_of_a_system_user_makes_nobody_an_operator(haproxy: Start) -> None:
    port = haproxy()
    # It runs as the one who runs this test, whom nothing tells from a person.
    assert whoami(port, Host="dash.example")["role"] == "viewer"
