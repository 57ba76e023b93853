# SPDX-License-Identifier: Apache-2.0
"""TLS as the service speaks it, with clients and with nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import threading
import warnings as warnings_module
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.errors import BadGateway, StartError, UsageError
from lmcache_frontend.http1.client import TlsOptions
from lmcache_frontend.http1.tls import ClientTls, Files, client_context, server_context
from lmcache_frontend.settings import Settings
from tests.helpers import proxy_tool
from tests.helpers.certificates import ask_securely, connected, path_of, serving, trusting
from tests.helpers.scripted import ScriptedNode, Visit, always, answering
from tests.helpers.talking import ask, parse_response, read_response, say
from tests.helpers.waiting import wait_until

StartApp = Callable[..., App]
StartNode = Callable[..., ScriptedNode]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Unlike what is served in this process these make no difference to anybody else.
CERTIFICATE = {"tls_cert": path_of("server")}


def secure_entry(node: ScriptedNode, **tls: Any) -> dict[str, Any]:
    """Give a node's entry with TLS that is checked."""
    return {"name": "n", "host": "127.0.0.1", "port": node.port, "scheme": "https", "tls": tls}


def trusted_entry(node: ScriptedNode, **tls: Any) -> dict[str, Any]:
    return secure_entry(node, ca=path_of("authority"), **tls)


def test_a_service_with_a_certificate_speaks_tls(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE)
    assert app.address == f"https://127.0.0.1:{app.settings.port}/"
    assert ask_securely(app.server.server_port, "GET", "/livez").status == 200


def test_key_and_certificate_may_be_files_of_their_own(start_app: StartApp) -> None:
    app = start_app(tls_cert=path_of("server_certificate"), tls_key=path_of("server_key"))
    assert ask_securely(app.server.server_port, "GET", "/livez").status == 200


def test_a_local_client_is_an_operator_over_tls_too(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE)
    body = {"name": "n", "host": "10.0.0.1", "port": 1}
    assert ask_securely(app.server.server_port, "POST", "/api/nodes", body).status == 200


def test_no_older_version_is_spoken(start_app: StartApp) -> None:
    port = start_app(**CERTIFICATE).server.server_port
    context = trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings_module.catch_warnings():
        warnings_module.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connected(port, context)
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(port, context) as sock:
        assert sock.version() == "TLSv1.2"


def test_the_protocol_within_is_agreed_on(start_app: StartApp) -> None:
    port = start_app(**CERTIFICATE).server.server_port
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connected(port, context) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_plain_http_is_told_so(start_app: StartApp) -> None:
    port = start_app(**CERTIFICATE).server.server_port
    for method in (b"GET", b"OPTIONS"):
        reply = parse_response(say(port, method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        assert reply.status == 400
        assert reply.fields["content-type"].startswith("text/plain")
        assert b"https://" in reply.body


def test_a_client_that_says_nothing_holds_up_nobody(start_app: StartApp) -> None:
    port = start_app(**CERTIFICATE, head_timeout_s=0.3).server.server_port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        assert ask_securely(port, "GET", "/livez").status == 200
        assert silent.recv(1) == b""


def test_a_drain_does_not_wait_for_a_handshake(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE, drain_timeout_s=5.0)
    with socket.create_connection(("127.0.0.1", app.server.server_port), timeout=10):
        wait_until(lambda: app.server.connections.count == 1)
        assert app.stop()


def test_a_drain_ends_idle_connections_properly(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE)
    with connected(app.server.server_port) as sock:
        sock.sendall(HEAD)
        assert read_response(sock).status == 200
        assert app.stop()
        assert sock.recv(1) == b""


def test_requests_follow_each_other_and_are_pipelined(start_app: StartApp) -> None:
    with connected(start_app(**CERTIFICATE).server.server_port) as sock:
        for _ in range(3):
            sock.sendall(HEAD)
            assert read_response(sock).status == 200
        last = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        sock.sendall(HEAD + HEAD.replace(b"GET", b"HEAD"))
        for byte in last:
            sock.sendall(bytes([byte]))
        received = b""
        while piece := sock.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.count(b'{"status":"alive"}') == 2


def test_too_many_are_turned_away_over_tls(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE, max_connections=1)
    with connected(app.server.server_port):
        wait_until(lambda: app.server.connections.count == 1)
        reply = ask_securely(app.server.server_port, "GET", "/livez")
        assert (reply.status, reply.fields["retry-after"]) == (503, "1")


def test_an_early_answer_arrives_though_the_body_is_not_read(start_app: StartApp) -> None:
    with connected(start_app(**CERTIFICATE).server.server_port) as sock:
        sock.sendall(b"POST /api/nodes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 500_000)
        assert read_response(sock, "POST").status == 413


def test_events_arrive_as_they_happen(start_app: StartApp) -> None:
    app = start_app(**CERTIFICATE, demo=1, collecting=True)
    with connected(app.server.server_port) as sock:
        sock.sendall(b"GET /api/fleet/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while received.count(b"\ndata:") < 2:
            piece = sock.recv(65536)
            assert piece
            received += piece
    assert b"text/event-stream" in received


def test_a_client_that_takes_nothing_is_given_up(start_app: StartApp, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                visit.send(b"x" * 100_000)

    app = start_app([start_node(script).entry], **CERTIFICATE, body_timeout_s=0.2)
    with connected(app.server.server_port) as sock:
        sock.sendall(b"GET /proxy2/node/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: app.server.connections.count == 1)
        wait_until(lambda: app.server.connections.count == 0)


def test_a_client_that_goes_away_ends_the_request_to_the_node(start_app: StartApp, start_node: StartNode) -> None:
    gone = threading.Event()

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.read_head()
        gone.set()

    app = start_app([start_node(script, tls=serving()).entry | {"scheme": "https", "tls": {"verify": False}}])
    secure = start_app([{"name": "a", "host": "127.0.0.1", "port": app.server.server_port}], **CERTIFICATE)
    with connected(secure.server.server_port) as sock:
        sock.sendall(b"GET /proxy2/a/proxy2/node/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: app.server.connections.count == 1)
    assert gone.wait(10)


def test_clients_need_a_certificate_where_an_authority_is_given(start_app: StartApp) -> None:
    port = start_app(**CERTIFICATE, tls_client_ca=path_of("authority")).server.server_port
    assert ask_securely(port, "GET", "/livez", context=trusting("client")).status == 200
    for context in (trusting(), trusting("self_signed")):
        with pytest.raises(OSError):  # noqa: PT011
            ask_securely(port, "GET", "/livez", context=context)


def certificate_of(port: int) -> bytes:
    with connected(port) as sock:
        return sock.getpeercert(binary_form=True) or b""


def test_certificates_are_read_again(start_app: StartApp, tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    path = tmp_path / "server.pem"
    shutil.copy(path_of("server"), path)
    app = start_app(tls_cert=str(path))
    port = app.server.server_port
    first = certificate_of(port)
    with connected(port) as kept:
        shutil.copy(path_of("later_server"), path)
        app.reload()
        second = certificate_of(port)
        assert second != first
        kept.sendall(HEAD)
        assert read_response(kept).status == 200
    for broken in (b"", b"nothing\n", Path(path_of("server_certificate")).read_bytes()):
        path.write_bytes(broken)
        warnings()
        app.reload()
        assert any("--tls-cert" in line and "stays in use" in line for line in warnings())
        assert certificate_of(port) == second


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (Files("/nowhere/c.pem"), "--tls-cert /nowhere/c.pem: cannot be read: No such file or directory"),
        (Files("{server}", "/nowhere/k.pem"), "--tls-key /nowhere/k.pem: cannot be read: No such file or directory"),
        (
            Files("{server}", client_ca="/nowhere"),
            "--tls-client-ca /nowhere: cannot be read: No such file or directory",
        ),
        (Files("{server}", client_ca="{server_key}"), "--tls-client-ca {server_key}: no certificates in PEM"),
        (Files("{server_key}"), "--tls-cert {server_key}: no certificate in PEM"),
        (
            Files("{server_certificate}"),
            "--tls-cert {server_certificate}: no private key in PEM; --tls-key names a file of its own",
        ),
        (Files("{server}", "{authority}"), "--tls-key {authority}: no private key in PEM"),
        (
            Files("{server_certificate}", "{other_key}"),
            "--tls-key {other_key}: the private key is not that of the certificate in {server_certificate}",
        ),
        (Files("{encrypted}"), "--tls-cert {encrypted}: the private key has a passphrase, expected one without"),
    ],
)
def test_files_that_cannot_be_used_are_named(files: Files, says: str) -> None:
    names = {path.stem: str(path) for path in Path(path_of("server")).parent.glob("*.pem")}
    with pytest.raises(StartError) as caught:
        server_context(Files(*(path and path.format(**names) for path in files)))  # type: ignore[arg-type]
    assert str(caught.value) == says.format(**names)


def test_a_service_does_not_start_without_its_certificate(start_app: StartApp) -> None:
    with pytest.raises(StartError, match="--tls-cert /nowhere"):
        start_app(tls_cert="/nowhere")
    with pytest.raises(UsageError, match="do nothing without --tls-cert"):
        start_app(tls_key=path_of("server_key"))


def test_nodes_are_reached_over_tls(start_app: StartApp, start_node: StartNode) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads), tls=serving())
    app = start_app([trusted_entry(node)])
    for path in ("/proxy2/n/version", f"/proxy/localhost/{node.port}/version"):
        for _ in range(2):
            assert ask(app.server.server_port, "GET", path).body == b"ok"
    assert len(heads) == 4
    assert f"Host: 127.0.0.1:{node.port}\r\n".encode() in heads[0]
    # One connection served two requests: sessions' tickets, which nobody asks for, are no reason to close it.
    assert len(node.visits) < 4


def test_tls_on_both_sides_and_large_bodies(start_app: StartApp, start_node: StartNode) -> None:
    body = os.urandom(3_000_000)

    def script(visit: Visit) -> None:
        head = visit.read_head()
        assert b"X-Forwarded-Proto: https\r\n" in head
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + visit.read(len(body)))
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")

    node = start_node(script, tls=serving())
    port = start_app([trusted_entry(node)], **CERTIFICATE).server.server_port
    assert ask_securely(port, "POST", "/proxy2/n/echo", body).body == body
    assert ask_securely(port, "GET", "/proxy2/n/version").body == body


def test_a_slow_upload_does_not_mistake_tickets_for_an_answer(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(slow_reader, tls=serving())
    app = start_app([trusted_entry(node)])
    with socket.create_connection(("127.0.0.1", app.server.server_port), timeout=10) as sock:
        sock.sendall(b"POST /proxy2/n/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        wait_until(lambda: bool(node.visits))
        threading.Event().wait(0.1)
        sock.sendall(b"def")
        reply = read_response(sock, "POST")
        assert (reply.body, reply.fields["connection"]) == (b"abcdef", None)


def slow_reader(visit: Visit) -> None:
    visit.read_head()
    visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + visit.read(6))


def test_a_node_may_answer_while_it_is_sent_to(start_app: StartApp, start_node: StartNode) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        visit.read(2_000_000)

    node = start_node(script, tls=serving())
    port = start_app([trusted_entry(node)], **CERTIFICATE).server.server_port
    with connected(port) as sock:
        sock.sendall(b"POST /proxy2/n/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 999)
        assert read_response(sock, "POST").body == b"early"


@pytest.mark.parametrize("secure", [False, True])
def test_a_body_that_ends_with_the_connection_must_end_properly(
    start_app: StartApp, start_node: StartNode, secure: bool
) -> None:
    def cut(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\npart")
        with socket.socket(fileno=os.dup(visit.sock.fileno())) as below:
            below.shutdown(socket.SHUT_RDWR)

    whole = start_node(answering(b"HTTP/1.1 200 OK\r\n\r\nwhole"), tls=serving())
    broken = start_node(cut, tls=serving())
    nodes = [trusted_entry(whole), {**trusted_entry(broken), "name": "cut"}]
    port = start_app(nodes, **(CERTIFICATE if secure else {})).server.server_port
    get = ask_securely if secure else ask
    assert get(port, "GET", "/proxy2/n/version").body == b"whole"
    with pytest.raises(Exception, match="(?i)incomplete|reset|read|EOF"):
        get(port, "GET", "/proxy2/cut/version")


@pytest.mark.parametrize(
    ("certificate", "tls", "says"),
    [
        ("expired", {"ca": path_of("authority")}, "its certificate has expired"),
        ("other_name", {"ca": path_of("authority")}, "its certificate is for another name"),
        ("self_signed", {}, "its certificate is signed by itself and not trusted here"),
        ("server", {}, "its certificate is signed by an authority that is not trusted here"),
        ("server", {"ca": "/nowhere/ca.pem"}, "names a file that cannot be used; the log has more"),
        ("server", {"ca": path_of("authority"), "server_name": "elsewhere.test"}, "is for another name"),
    ],
)
def test_a_node_that_is_not_who_it_should_be_is_sent_nothing(
    start_app: StartApp, start_node: StartNode, certificate: str, tls: dict[str, Any], says: str
) -> None:
    heads: list[bytes] = []
    node = start_node(always(OK, heads), tls=serving(certificate))
    reply = ask(start_app([secure_entry(node, **tls)]).server.server_port, "GET", "/proxy2/n/version")
    assert (reply.status, heads) == (502, [])
    assert reply.detail.startswith(f"127.0.0.1:{node.port}: ")
    assert says in reply.detail
    assert "/nowhere" not in reply.detail


@pytest.mark.parametrize(
    ("certificate", "tls"),
    [
        ("other_name", {"verify": False}),
        ("self_signed", {"verify": False}),
        ("self_signed", {"ca": path_of("self_signed")}),
        ("other_name", {"ca": path_of("authority"), "server_name": "elsewhere.test"}),
        ("server", {"ca": path_of("authority"), "server_name": "node.test"}),
    ],
)
def test_entries_say_whom_to_trust(
    start_app: StartApp, start_node: StartNode, certificate: str, tls: dict[str, Any]
) -> None:
    node = start_node(always(OK), tls=serving(certificate))
    assert ask(start_app([secure_entry(node, **tls)]).server.server_port, "GET", "/proxy2/n/version").body == b"ok"


def test_nodes_may_ask_for_a_certificate(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK), tls=serving(client_ca=True))
    entries = [trusted_entry(node, cert=path_of("client")), {**trusted_entry(node), "name": "without"}]
    port = start_app(entries).server.server_port
    assert ask(port, "GET", "/proxy2/n/version").body == b"ok"
    assert ask(port, "GET", "/proxy2/without/version").status == 502


def test_a_node_that_speaks_plain_http_is_said_to(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    entry = {**secure_entry(node), "host": "127.0.0.1"}
    node_without_heads = start_node(lambda visit: visit.send(OK))
    reply = ask(start_app([{**entry, "port": node_without_heads.port}]).server.server_port, "GET", "/proxy2/n/version")
    assert reply.status == 502
    assert "does not speak TLS" in reply.detail


def test_a_handshake_with_a_node_has_a_time_limit(start_app: StartApp, start_node: StartNode) -> None:
    over = threading.Event()
    node = start_node(lambda visit: over.wait(10) and None)
    app = start_app([trusted_entry(node)], connect_timeout_s=0.2)
    reply = ask(app.server.server_port, "GET", "/proxy2/n/version")
    over.set()
    assert reply.status == 504


def test_the_fleet_reaches_nodes_over_tls(start_app: StartApp, start_node: StartNode) -> None:
    version = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"0.5.6"'
    node = start_node(always(version), tls=serving())
    app = start_app([trusted_entry(node)], collecting=True, poll_interval_s=0.1)
    port = app.server.server_port
    wait_until(lambda: b'"version":"0.5.6"' in ask(port, "GET", "/api/fleet").body)


def test_a_service_asks_another_over_tls(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK))
    child = start_app([node.entry], **CERTIFICATE)
    entry = {"name": "child", "host": "localhost", "port": child.server.server_port, "scheme": "https"}
    parent = start_app([{**entry, "tls": {"ca": path_of("authority")}, "nodes": []}])
    port = parent.server.server_port
    assert ask(port, "POST", "/api/proxies/child/refresh").status == 200
    assert ask(port, "GET", "/proxy2/child%2Fnode/version").body == b"ok"


def test_the_tools_speak_tls(start_app: StartApp, start_node: StartNode) -> None:
    app = start_app([start_node(always(OK)).entry], **CERTIFICATE, collecting=True)
    address = app.address.replace("127.0.0.1", "localhost")
    words = ("--server", address, "--ca", path_of("authority"))
    wait_until(lambda: '"node"' in proxy_tool.run("nodes", *words, "--format", "json").out)
    assert proxy_tool.run("nodes", *words[:2]).status != 0


def test_workers_are_configured_over_tls(start_app: StartApp) -> None:
    settings = Settings(host="127.0.0.1", port=0, store="memory:", tls_cert=path_of("server"))
    app = App(settings, configuration_only=True)
    app.start()
    try:
        reply = ask_securely(app.server.server_port, "GET", "/config")
        assert (reply.status, app.greeting) == (200, f"LMCache configuration at {app.address}config")
        assert app.address.startswith("https://")
    finally:
        app.stop()


def test_discovery_says_what_is_spoken(start_app: StartApp, start_node: StartNode) -> None:
    node = start_node(always(OK), tls=serving())
    plain = start_app([trusted_entry(node)]).server.server_port
    secure = start_app([trusted_entry(node)], **CERTIFICATE).server.server_port
    assert b'"__scheme__":"http"' in ask(plain, "GET", "/api/sd").body
    assert b'"__scheme__":"https"' in ask(plain, "GET", "/api/sd?direct=1").body
    assert b'"__scheme__":"https"' in ask_securely(secure, "GET", "/api/sd").body


def test_files_for_nodes_are_read_again(start_app: StartApp, start_node: StartNode, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    shutil.copy(path_of("self_signed"), authority)
    node = start_node(always(OK), tls=serving())
    app = start_app([secure_entry(node, ca=str(authority))])
    assert ask(app.server.server_port, "GET", "/proxy2/n/version").status == 502
    shutil.copy(path_of("authority"), authority)
    app.reload()
    assert ask(app.server.server_port, "GET", "/proxy2/n/version").status == 200


def test_tokens_go_to_the_node_that_they_are_for(start_app: StartApp, start_node: StartNode, tmp_path: Path) -> None:
    tokens = tmp_path / "token"
    tokens.write_text("# for the node\n\nfirst-token-of-the-node\n", encoding="ascii")
    theirs: list[bytes] = []
    others: list[bytes] = []
    node, other = start_node(always(OK, theirs)), start_node(always(OK, others))
    app = start_app([{**node.entry, "token_file": str(tokens)}, {**other.entry, "name": "other"}])
    port = app.server.server_port
    for name in ("node", "other"):
        ask(port, "GET", f"/proxy2/{name}/version", fields={"Authorization": "Basic eDp5"})
    app._asker.ask_node(app.registry.snapshot.local_nodes["node"])("/version", None)
    tokens.write_text("second-token\n", encoding="ascii")
    ask(port, "GET", "/proxy2/node/version")
    assert [_authorization(head) for head in theirs] == [
        [b"Bearer first-token-of-the-node"],
        [b"Bearer first-token-of-the-node"],
        [b"Bearer second-token"],
    ]
    assert not any(b"token" in head for head in others)
    tokens.unlink()
    reply = ask(port, "GET", "/proxy2/node/version")
    assert (reply.status, len(theirs)) == (502, 3)
    assert str(tokens) not in reply.detail
    for target in ("/api/nodes", "/api/proxies/local_proxy/nodes"):
        assert str(tokens).encode() not in ask(port, "GET", target).body


def _authorization(head: bytes) -> list[bytes]:
    lines = head.split(b"\r\n")
    return [line.partition(b": ")[2] for line in lines if line.lower().startswith(b"authorization:")]


def test_contexts_for_nodes_check_unless_told_not_to() -> None:
    checking = client_context(TlsOptions("n", ca=path_of("authority")))
    assert (checking.verify_mode, checking.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert client_context(TlsOptions("n")).verify_mode is ssl.CERT_REQUIRED
    assert client_context(TlsOptions("n", verify=False)).verify_mode is ssl.CERT_NONE
    assert checking.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(BadGateway):
        client_context(TlsOptions("n", certificate=path_of("encrypted")))


def test_nodes_with_the_same_files_share_a_context_whatever_their_names() -> None:
    contexts = ClientTls()
    shared = contexts.context_for(TlsOptions("a.lan", verify=False))
    assert contexts.context_for(TlsOptions("b.lan", verify=False)) is shared
    assert contexts.context_for(TlsOptions("a.lan", ca=path_of("authority"))) is not shared
