# SPDX-License-Identifier: Apache-2.0
"""Put up the test stand: an nginx as the node, an nginx as the peer proxy, and our proxy, all before the same node.

Leaves load and figures to `load` and `rows`. Source: the reference of nginx's http core, proxy and upstream modules.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.processes import HOST, Command, MeasureError, Running, fetch, free_port, service_environment, started

NGINX = "nginx"
VERSION_BODY = b'"0.5.6-g3e11e108"'
METRICS_BYTES = 57_000
BIG_BYTES = 256 * 1024 * 1024
NODE_NAME = "node"

_FRAME = """\
{user}worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  default_type text/plain;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{body}
}}
"""

_NODE = """\
  open_file_cache max=16;
  server {{
    listen {host}:{port} backlog=1024;
    root {files};
    location = /version {{ default_type application/json; return 200 '{version}'; }}
    location = /metrics {{ default_type "text/plain; version=0.0.4; charset=utf-8"; }}
    location = /big {{ default_type application/octet-stream; }}
  }}"""

_PEER = """\
  upstream node {{
    server {host}:{node_port};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {host}:{port} backlog=1024;
    location / {{
      proxy_pass http://node;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }}
  }}"""


class Target(NamedTuple):
    """One way to the node: the process in between (or the node itself), its port and what stands before each path."""

    running: Running
    prefix: str

    @property
    def pid(self) -> int:
        """Return the process whose processor time and memory count."""
        return self.running.pid

    def path(self, name: str) -> str:
        """Return the path under which this target serves the node's `/name`."""
        return f"{self.prefix}/{name}"

    def url(self, name: str) -> str:
        """Return the address under which this target serves the node's `/name`."""
        return f"http://{HOST}:{self.running.port}{self.path(name)}"


class Stand(NamedTuple):
    """The three targets of a comparison."""

    ours: Target
    peer: Target
    direct: Target


def write_files(directory: Path) -> None:
    """Write what the node serves: `/metrics` of 57,000 bytes and `/big` of 256 MiB (a sparse file)."""
    directory.mkdir()
    (directory / "metrics").write_bytes(metrics_body())
    with (directory / "big").open("wb") as big:
        big.truncate(BIG_BYTES)


def metrics_body() -> bytes:
    """Return Prometheus text of exactly METRICS_BYTES bytes."""
    lines = ["# HELP lmcache:bench_tokens Tokens by rank", "# TYPE lmcache:bench_tokens counter"]
    size = sum(len(line) + 1 for line in lines)
    for rank in range(METRICS_BYTES):
        line = f'lmcache:bench_tokens{{model_name="bench/model-8b",role="worker",worker_id="{rank}"}} {rank * 37}.0'
        if size + len(line) + 3 > METRICS_BYTES:
            break
        lines.append(line)
        size += len(line) + 1
    lines.append("#" + "." * (METRICS_BYTES - size - 2))
    return ("\n".join(lines) + "\n").encode()


@contextmanager
def stand(directory: Path, checkout: Path) -> Iterator[Stand]:
    """Start the node, the peer and our proxy, check that both proxies answer alike, and end all three afterwards.

    `checkout` is the source tree our proxy is started from.
    """
    with ExitStack() as stack:
        node = stack.enter_context(nginx_node(directory))
        peer = stack.enter_context(started(_peer_command(directory, node.port), directory))
        ours = stack.enter_context(started(frontend_command(directory, checkout, node.port), directory))
        built = Stand(Target(ours, f"/proxy2/{NODE_NAME}"), Target(peer, ""), Target(node, ""))
        for target in built:
            _check(target)
        yield built


@contextmanager
def nginx_node(directory: Path) -> Iterator[Running]:
    """Start the node alone and end it afterwards."""
    with started(_node_command(directory), directory) as node:
        yield node


def frontend_command(directory: Path, checkout: Path, node_port: int) -> Command:
    """Return how our service is started: as anyone would, with default settings and one node."""
    port = free_port()
    nodes = json.dumps([{"name": NODE_NAME, "host": HOST, "port": node_port}])
    flags = ["--port", str(port), "--host", HOST, "--nodes", nodes]
    environment = service_environment(directory / "state")
    arguments = [sys.executable, "-m", "lmcache_frontend", *flags]
    return Command("lmcache_frontend", arguments, port, "/health", checkout, environment)


def _node_command(directory: Path) -> Command:
    port = free_port()
    files = directory / "files"
    body = _NODE.format(host=HOST, port=port, files=files, version=VERSION_BODY.decode())
    return _nginx_command("node", port, body, directory)


def _peer_command(directory: Path, node_port: int) -> Command:
    port = free_port()
    return _nginx_command("peer", port, _PEER.format(host=HOST, port=port, node_port=node_port), directory)


def _nginx_command(name: str, port: int, body: str, directory: Path) -> Command:
    home = directory / f"{name}-{port}"
    home.mkdir()
    configuration = home / "nginx.conf"
    configuration.write_text(_FRAME.format(user=_user_line(), directory=home, body=body))
    arguments = [NGINX, "-p", str(home), "-e", str(home / "error.log"), "-c", str(configuration)]
    return Command(name, arguments, port, "/version", directory)


def _user_line() -> str:
    # Started by root, nginx would give its worker to a user who may not read our temporary directory.
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name};\n"


def _check(target: Target) -> None:
    for name, expected in (("version", VERSION_BODY), ("metrics", metrics_body())):
        status, body = fetch(target.running.port, target.path(name))
        if (status, body) != (200, expected):
            got = f"{status} with {len(body)} bytes"
            raise MeasureError(f"{target.url(name)} answered {got}, expected 200 and the {len(expected)} of the node")
