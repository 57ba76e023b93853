# SPDX-License-Identifier: Apache-2.0
"""TLS with those who will speak it: curl, OpenSSL's own client, nginx before a node, uvicorn as a node."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import lmcache_nodes, parts
from tests.helpers.lmcache_nodes import Running
from tests.helpers.ports import free_port
from tests.helpers.talking import ask

CHECKOUT = Path(__file__).resolve().parents[2]
LARGE_BYTES = 64 * 1024 * 1024
NGINX = """
pid {directory}/nginx.pid; error_log {directory}/nginx.log; daemon off; worker_processes 1; {user}
events {{ }}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {directory}/leaf.pem; ssl_certificate_key {directory}/leaf.key;
    ssl_client_certificate {directory}/root.pem; ssl_verify_client on;
    ssl_verify_depth 2; root {directory}/files;
  }}
}}
"""
APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})
"""
Start = Callable[..., tuple[Running, int]]


def openssl(*words: str, directory: Path) -> str:
    path = parts.program("openssl", "openssl")
    done = subprocess.run([path, *words], cwd=directory, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def sign(directory: Path, name: str, issuer: str, extensions: str, *key: str) -> None:
    """Make ``name.key`` and ``name.pem``, signed by an issuer."""
    (directory / f"{name}.ext").write_text(extensions, encoding="ascii")
    words = ["req", "-new", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr"]
    openssl(*words, "-subj", f"/CN={name}", directory=directory)
    words = ["x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial"]
    openssl(*words, "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem", directory=directory)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, one between it and the rest, and an RSA certificate with its chain."""
    directory = tmp_path_factory.mktemp("tls")
    root = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "2"]
    openssl(*root, "-subj", "/CN=root", directory=directory)
    sign(directory, "middle", "root", "basicConstraints=critical,CA:TRUE\n", "rsa:2048")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
    sign(directory, "leaf", "middle", names, "rsa:2048")
    sign(directory, "visitor", "middle", names, "rsa:2048")
    for name in ("leaf", "visitor"):
        path = directory / f"{name}.pem"
        path.write_text(path.read_text() + (directory / "middle.pem").read_text(), encoding="ascii")
    return directory


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Give a function that starts the service as a process and gives it with its port."""
    begun: list[Running] = []

    def run(*flags: str, nodes: Any = ()) -> tuple[Running, int]:
        words = [sys.executable, "-m", "lmcache_frontend", "--host", "127.0.0.1", "--port", "0", "--store", "memory:"]
        log = tmp_path / f"frontend-{len(begun)}.log"
        more = {"PYTHONPATH": str(CHECKOUT), "XDG_STATE_HOME": str(tmp_path)}
        running = lmcache_nodes.start([*words, "--nodes", json.dumps(list(nodes)), *flags], log, **more)
        begun.append(running)
        running.wait_until(lambda: "dashboard at" in running.log(), "the service starts", 20)
        found = re.search(r"https?://[^\s/]+:(\d+)", running.log())
        assert found is not None
        return running, int(found[1])

    yield run
    for running in begun:
        running.end()


def curl(directory: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    path = parts.program("curl", "curl")
    return subprocess.run([path, "-sS", "--max-time", "30", *words], cwd=directory, capture_output=True, check=False)


def test_curl_and_openssl_are_content(directory: Path, start: Start) -> None:
    _, port = start("--tls-cert", str(directory / "leaf.pem"), "--tls-key", str(directory / "leaf.key"))
    address = f"https://localhost:{port}/livez"
    for version in ("--tlsv1.2", "--tlsv1.3"):
        done = curl(directory, "--cacert", "root.pem", version, address, address)
        assert (done.returncode, done.stdout) == (0, b'{"status":"alive"}' * 2), done.stderr
    assert curl(directory, address).returncode == 60
    told = curl(directory, f"http://localhost:{port}/livez")
    assert b"https://" in told.stdout
    seen = openssl(
        *("s_client", "-connect", f"localhost:{port}", "-CAfile", "root.pem", "-verify_return_error"),
        *("-alpn", "h2,http/1.1", "-brief", "-no_ign_eof"),
        directory=directory,
    )
    assert "error" not in seen.lower()
    with pytest.raises(AssertionError):
        openssl(
            "s_client", "-connect", f"localhost:{port}", "-tls1_1", "-cipher", "ALL@SECLEVEL=0", directory=directory
        )


def test_certificates_of_clients(directory: Path, start: Start) -> None:
    certificate = ("--tls-cert", str(directory / "leaf.pem"), "--tls-key", str(directory / "leaf.key"))
    _, port = start(*certificate, "--tls-client-ca", str(directory / "root.pem"))
    words = ("--cacert", "root.pem", f"https://localhost:{port}/livez")
    assert curl(directory, "--cert", "visitor.pem", "--key", "visitor.key", *words).returncode == 0
    assert curl(directory, *words).returncode != 0


def test_a_signal_brings_the_new_certificate(directory: Path, start: Start, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text((directory / "leaf.key").read_text() + (directory / "leaf.pem").read_text(), encoding="ascii")
    running, port = start("--tls-cert", str(both))

    def name() -> str:
        shown = curl(directory, "-v", "--cacert", "root.pem", f"https://localhost:{port}/livez").stderr.decode()
        found = re.search(r"subject: CN ?= ?(\w+)", shown)
        return found[1] if found else ""

    assert name() == "leaf"
    both.write_text("half a file", encoding="ascii")
    os.kill(running.process.pid, signal.SIGHUP)
    running.wait_until(lambda: "stays in use" in running.log(), "the broken file is seen", 10)
    assert name() == "leaf"
    both.write_text((directory / "visitor.key").read_text() + (directory / "visitor.pem").read_text(), encoding="ascii")
    os.kill(running.process.pid, signal.SIGHUP)
    running.wait_until(lambda: name() == "visitor", "the new certificate is served", 10)


def test_a_node_behind_nginx_that_asks_for_a_certificate(directory: Path, start: Start, tmp_path: Path) -> None:
    files = directory / "files"
    files.mkdir()
    body = os.urandom(LARGE_BYTES)
    (files / "version").write_bytes(b'"0.5.6"')
    (files / "metrics").write_bytes(body)
    port = free_port()
    configuration = directory / "nginx.conf"
    # Workers of root's would be nobody's, who may not read the files.
    user = "" if os.getuid() else "user root;"
    configuration.write_text(NGINX.format(directory=directory, port=port, user=user), encoding="ascii")
    nginx = lmcache_nodes.start([parts.program("nginx", "nginx-light"), "-c", str(configuration)], tmp_path / "ngx.log")
    try:
        entry = {"host": "localhost", "port": port, "scheme": "https"}
        ours = {"cert": str(directory / "visitor.pem"), "key": str(directory / "visitor.key")}
        ca = {"ca": str(directory / "root.pem")}
        nodes = [
            {"name": "good", **entry, "tls": {**ca, **ours}},
            {"name": "unknown", **entry, "tls": ca},
            {"name": "untrusted", **entry, "tls": ours},
        ]
        certificate = ("--tls-cert", str(directory / "leaf.pem"), "--tls-key", str(directory / "leaf.key"))
        _, frontend = start(*certificate, nodes=nodes)
        root = ("--cacert", "root.pem", f"https://localhost:{frontend}/proxy2")
        nginx.wait_until(
            lambda: curl(directory, *root[:2], f"{root[2]}/good/version").stdout == b'"0.5.6"', "nginx", 10
        )
        assert curl(directory, *root[:2], f"{root[2]}/good/metrics").stdout == body
        assert b"No required SSL certificate" in curl(directory, *root[:2], f"{root[2]}/unknown/version").stdout
        assert b"not trusted here" in curl(directory, *root[:2], f"{root[2]}/untrusted/version").stdout
    finally:
        nginx.end()


def test_a_node_that_is_uvicorn_with_tls(directory: Path, start: Start, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION, encoding="ascii")
    port = free_port()
    words = ["-m", "uvicorn", "application:app", "--host", "127.0.0.1", "--port", str(port), "--app-dir", str(tmp_path)]
    words += ["--ssl-certfile", str(directory / "leaf.pem"), "--ssl-keyfile", str(directory / "leaf.key")]
    node = lmcache_nodes.start([lmcache_nodes.interpreter(), *words], tmp_path / "uvicorn.log")
    try:
        tls = {"ca": str(directory / "root.pem")}
        _, frontend = start(nodes=[{"name": "n", "host": "localhost", "port": port, "scheme": "https", "tls": tls}])
        node.wait_until(lambda: ask(frontend, "GET", "/proxy2/n/version").status == 200, "uvicorn answers", 30)
        for _ in range(20):
            assert ask(frontend, "GET", "/proxy2/n/version").body == b"0"
        sent = ask(frontend, "POST", "/proxy2/n/anything", bytes(LARGE_BYTES), timeout_s=60.0)
        assert sent.body == str(LARGE_BYTES).encode()
        assert "Traceback" not in node.log()
    finally:
        node.end()
