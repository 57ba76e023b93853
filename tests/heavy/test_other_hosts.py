# SPDX-License-Identifier: Apache-2.0
"""From other machines, which are network namespaces here: who may do what, and the set-ups of docs/access.md as told.

Behind a container's published port the service sees what Docker makes of a client's address: that of the bridge where
its proxy passes the connection on or addresses are translated, and the client's own where only the target is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lmcache_frontend.access.rules import OWN_ROWS, Role
from tests.helpers.documented import blocks_of
from tests.helpers.hostile_site import SECRET, Server, recording_node
from tests.helpers.namespaces import Network, inside, network, set_kernel
from tests.helpers.parts import program
from tests.helpers.talking import Reply
from tests.helpers.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PORT = 8000
START_S = 30.0
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
METADATA = "169.254.169.254"
CHANGED = {"name": "added", "host": "127.0.0.1", "port": 9}


class Site(NamedTuple):
    """Two machines: one with the service, a node and something else that listens; and a client's."""

    net: Network
    server: str
    client: str
    node: Server
    stranger: Server
    folder: Path

    def serve(self, *words: str, at: str = "", **environment: str) -> None:
        """Start the service, on another machine if told, and wait until it listens."""
        at = at or self.server
        nodes = json.dumps([{"name": "n1", "host": "127.0.0.1", "port": self.node.port}])
        where = {"XDG_STATE_HOME": str(self.folder), "PYTHONPATH": str(ROOT), "LMCACHE_FRONTEND_NODES": nodes}
        output = self.folder / "service.log"
        command = (sys.executable, "-m", "lmcache_frontend", *words)
        process = self.net.run(at, *command, output=output, **where, **environment)
        wait_until(lambda: process.poll() is not None or listens(at, PORT), START_S)
        assert process.poll() is None, output.read_text()

    def prepare(self, block: str, at: str = "") -> None:
        """Do what a set-up tells, with a folder of the test's in place of ``/etc/lmcache``."""
        *before, last = block.replace("/etc/lmcache", str(self.folder)).replace("\\\n", " ").splitlines()
        for line in before:
            subprocess.run(["bash", "-euc", line], check=True, timeout=60)
        program_name, *words = last.split()
        assert program_name == "lmcache-frontend"
        self.serve(*words, at=at)

    def token(self, name: str) -> str:
        return (self.folder / name).read_text().strip()

    def relay(self, at: str, port: int, host: str, target_port: int, user: int) -> None:
        """Pass connections to a port of a machine on, as some user of it."""
        words = ("-m", "tests.helpers.relaying", str(port), host, str(target_port), str(user))
        self.net.run(at, sys.executable, *words, output=self.folder / "relay.log", PYTHONPATH=str(ROOT))
        wait_until(lambda: listens(at, port), START_S)


def listens(at: str, port: int) -> bool:
    try:
        connect(at, "127.0.0.1", port).close()
    except OSError:
        return False
    return True


def connect(at: str, host: str, port: int) -> HTTPConnection:
    connection = HTTPConnection(host, port, timeout=20)
    with inside(at):
        connection.connect()
    return connection


def ask(
    at: str, method: str, path: str, body: Any = None, *, host: str = SERVER, port: int = PORT, token: str = ""
) -> Reply:
    """Send one request from a machine."""
    connection = connect(at, host, port)
    try:
        fields = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def role(at: str, *, host: str = SERVER, port: int = PORT, token: str = "") -> tuple[str, str]:
    """Say what somebody is taken for, and why; and see that it is so."""
    reply = ask(at, "GET", "/api/whoami", host=host, port=port, token=token)
    assert reply.status == 200, reply
    who = json.loads(reply.body)
    changed = ask(at, "POST", "/proxy2/n1/cache/clear", host=host, port=port, token=token).status
    assert (changed == 200) == (who["role"] == "operator" and not who["read_only"]), (changed, who)
    return who["role"], who["how"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with network() as net:
        server, client = net.machine("server"), net.machine("client")
        net.join(server, f"{SERVER}/24", client, f"{CLIENT}/24")
        with inside(server):
            node, stranger = net.keep(recording_node()), net.keep(recording_node())
        yield Site(net, server, client, node, stranger, tmp_path)


def filled(path: str) -> str:
    values = {"node": "n1", "proxy": "local_proxy", "revision": "1", "action": "1", "path...": "app.js"}
    return re.sub(r"\{([a-z.]+)\}", lambda match: values[match[1]], path)


def test_without_a_token_one_sees_the_fleet_and_changes_nothing(site: Site) -> None:
    site.serve()
    assert role(site.client) == ("viewer", "anonymous")
    for path in ("/", "/api/fleet", "/api/nodes", "/metrics", "/api/sd", "/proxy2/n1/version", "/proxy2/n1/metrics"):
        assert ask(site.client, "GET", path).status == 200, path
    before = ask(site.client, "GET", "/api/proxies").body
    for row in OWN_ROWS:
        if row.path == "/api/fleet/events":
            continue
        reply = ask(site.client, row.method, filled(row.path), {} if row.method in ("POST", "PUT") else None)
        if row.need.role == Role.OPERATOR:
            assert reply.status == 401, row
        assert SECRET.encode() not in reply.body, row
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("version", "cache/clear", "run_script", "freeze", "loglevel", "%2e%2e/api/nodes", ""):
            assert ask(site.client, method, f"/proxy2/n1/{path}").status == 401, (method, path)
    for path in ("loglevel?level=DEBUG", "loglevel?logger_name=x", "conf", "env", "meta", "x/../env", "%65nv", "env?a"):
        assert ask(site.client, "GET", f"/proxy2/n1/{path}").status == 401, path
    assert ask(site.client, "GET", "/api/nodes/n1/env?reveal=1").status == 401
    assert site.node.changes == []
    assert ask(site.client, "GET", "/api/proxies").body == before


def test_without_a_token_one_reaches_no_other_target(site: Site) -> None:
    site.serve()
    port = site.stranger.port
    hosts = ["127.0.0.1", "localhost", SERVER, CLIENT, "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"]
    sockets = ["%2Ftmp%2Flmcache_internal_api_server%2Fx", "%2Frun%2Fx"]
    ways = [f"/proxy/{host}/{port}/version" for host in hosts] + [
        f"/proxy/localhost/{path}/version" for path in sockets
    ]
    ways += [f"/proxy/{host}/80/latest/meta-data/" for host in (METADATA, "2852039166", "[::ffff:169.254.169.254]")]
    ways += [f"/proxy2/n1/proxy/127.0.0.1/{port}/version", f"/proxy2/127.0.0.1:{port}/version"]
    for way in ways:
        for method in ("GET", "POST"):
            assert ask(site.client, method, way).status in (401, 403, 404), way
    assert ask(site.client, "POST", "/api/connection-test", {"host": "127.0.0.1", "port": port}).status == 401
    assert site.stranger.asked == []
    # By its address the node is what it is by name.
    assert ask(site.client, "GET", f"/proxy/127.0.0.1/{site.node.port}/version").status == 200
    assert ask(site.server, "GET", f"/proxy/127.0.0.1/{port}/version", host="127.0.0.1").status == 200


def test_with_the_token_that_was_made_one_is_an_operator(site: Site) -> None:
    site.serve()
    # It is told where it lies, once the port is open.
    wait_until(lambda: f"lmcache-frontend/{PORT}.token" in (site.folder / "service.log").read_text(), START_S)
    token = site.token(f"lmcache-frontend/{PORT}.token")
    assert role(site.client, token=token) == ("operator", "token")
    assert SECRET.encode() in ask(site.client, "GET", "/proxy2/n1/env", token=token).body
    assert ask(site.client, "POST", "/api/nodes", CHANGED, token=token).status == 200
    invited = ask(site.client, "GET", f"/sign-in?token={token}")
    assert (invited.status, invited.fields["Location"]) == (303, "./")
    assert "HttpOnly" in invited.fields["Set-Cookie"]
    assert token not in (site.folder / "service.log").read_text()
    # A token opens no other addresses: these are for who is on the machine.
    assert ask(site.client, "GET", f"/proxy/127.0.0.1/{site.stranger.port}/version", token=token).status == 403
    assert role(site.server, host="127.0.0.1") == ("operator", "local")


def test_one_machine_for_oneself(site: Site) -> None:
    site.prepare(*blocks_of("One machine, for oneself"))
    assert role(site.server, host="127.0.0.1") == ("operator", "local")
    with pytest.raises(ConnectionRefusedError):
        ask(site.client, "GET", "/")


@pytest.mark.parametrize(("user", "taken_for"), [(0, "operator"), (1000, "operator"), (33, "viewer")])
def test_a_tunnel_of_somebody_who_is_on_the_machine(user: int, taken_for: str, site: Site) -> None:
    """`ssh -L` connects as the user that logged in, `kubectl port-forward` as root; www-data is a reverse proxy."""
    site.prepare(*blocks_of("One machine, for oneself"))
    site.relay(site.server, 8001, "127.0.0.1", PORT, user)
    connection = connect(site.client, SERVER, 8001)
    try:
        connection.request("GET", "/api/whoami", headers={"Host": "localhost:8000"})
        assert json.loads(connection.getresponse().read())["role"] == taken_for
    finally:
        connection.close()


def test_a_team(site: Site) -> None:
    site.prepare(*blocks_of("A team"))
    assert role(site.client) == ("viewer", "anonymous")
    assert role(site.client, token=site.token("tokens")) == ("operator", "token")
    assert role(site.server, host="127.0.0.1") == ("operator", "local")


def test_nobody_without_a_token(site: Site) -> None:
    subprocess.run(["bash", "-euc", blocks_of("A team")[0].replace("/etc/lmcache", str(site.folder)).splitlines()[0]])
    site.prepare(*blocks_of("Nobody without a token"))
    assert role(site.client)[0] == "none"
    for path in ("/api/nodes", "/metrics", "/api/fleet", "/proxy2/n1/version", "/api/sd"):
        assert ask(site.client, "GET", path).status == 401, path
        assert ask(site.client, "GET", path, token=site.token("viewers")).status == 200, path
    assert ask(site.client, "GET", "/livez").status == 200
    assert role(site.client, token=site.token("viewers")) == ("viewer", "token")
    assert role(site.client, token=site.token("tokens")) == ("operator", "token")


def test_a_display_on_the_wall(site: Site) -> None:
    site.prepare(*blocks_of("A display on the wall"))
    assert role(site.client) == ("viewer", "anonymous")
    assert role(site.server, host="127.0.0.1") == ("operator", "local")
    for at, host in ((site.client, SERVER), (site.server, "127.0.0.1")):
        assert ask(at, "POST", "/api/nodes", CHANGED, host=host).status == 403
    assert site.node.changes == []


class Docker(NamedTuple):
    """A host of containers, what runs in two of them, and a machine beyond the host."""

    site: Site
    host: str
    container: str
    other: str
    beyond: str


@pytest.fixture
def docker(site: Site) -> Docker:
    """The bridge of Docker is a cable to each container here; the service runs with the doc's own flags."""
    net, host = site.net, site.server
    container, other = net.machine("container"), net.machine("other")
    net.join(host, "172.17.0.1/24", container, "172.17.0.2/24")
    net.join(container, "172.17.1.2/24", other, "172.17.1.3/24")
    route(container, "172.17.0.1")
    set_kernel(host, "ipv4/ip_forward", "1")
    flags = re.search(r"lmcache-frontend (--operator-network .*)", blocks_of("Docker's published port")[0])
    assert flags is not None
    with inside(container):
        site = site._replace(node=net.keep(recording_node()))
    site.serve(*flags[1].split(), at=container)
    return Docker(site, host, container, other, site.client)


def route(at: str, gateway: str) -> None:
    subprocess.run(["ip", "-n", at, "route", "add", "default", "via", gateway], check=True)


def translate(at: str, *rules: str) -> None:
    """Translate addresses on a machine, as Docker does with its own rules."""
    chains = "add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; };"
    chains += "add chain ip nat out { type nat hook output priority -100; };"
    chains += "add chain ip nat post { type nat hook postrouting priority 100; };"
    text = chains + "".join(f"add rule ip nat {rule};" for rule in rules)
    subprocess.run(["ip", "netns", "exec", at, program("nft", "nftables"), text], check=True)


def test_a_port_published_on_loopback_by_a_proxy(docker: Docker) -> None:
    site = docker.site
    # Where Docker's proxy listens: on loopback alone, as the block tells it to.
    assert "-p 127.0.0.1:8000:8000" in blocks_of("Docker's published port")[0]
    site.relay(docker.host, PORT, "172.17.0.2", PORT, 0)
    assert role(docker.host, host="127.0.0.1") == ("operator", "network")
    assert role(docker.container, host="127.0.0.1") == ("operator", "local")
    # Published without an address, as the relay listens here, everybody comes from the bridge: the page warns of it.
    assert role(docker.beyond) == ("operator", "network")


def test_a_port_published_by_translation(docker: Docker) -> None:
    set_kernel(docker.host, "ipv4/conf/all/route_localnet", "1")
    target = "dnat to 172.17.0.2:8000"
    translate(
        docker.host,
        f"out ip daddr 127.0.0.1 tcp dport {PORT} {target}",
        f"pre ip daddr {SERVER} tcp dport {PORT} {target}",
        "post ip saddr 127.0.0.0/8 masquerade",
    )
    assert role(docker.host, host="127.0.0.1") == ("operator", "network")
    # Only the target is translated for who comes from beyond: they keep their address.
    assert role(docker.beyond) == ("viewer", "anonymous")


def test_containers_beside_it_are_operators_as_the_page_says(docker: Docker) -> None:
    assert role(docker.other, host="172.17.1.2") == ("operator", "network")


def test_kubernetes(site: Site) -> None:
    block = blocks_of("Kubernetes")[0]
    key = re.search(r"--from-literal=(\w+)=", block)
    prefix = re.search(r"--prefix=(\w+)", block)
    assert key is not None
    assert prefix is not None
    # What kubectl makes of a key of a secret.
    site.serve(**{f"{prefix[1]}{key[1].upper()}": "operator-token-0123"})
    assert role(site.client) == ("viewer", "anonymous")
    assert role(site.client, token="operator-token-0123") == ("operator", "token")
    # A port is forwarded from within the pod, by root.
    site.relay(site.server, 8001, "127.0.0.1", PORT, 0)
    assert role(site.server, host="127.0.0.1", port=8001) == ("operator", "local")


def test_workers_that_need_a_token(site: Site) -> None:
    serve, address = blocks_of("Workers that need a token")[0].splitlines()
    (site.folder / "workers").write_text("worker-token-0123456\n")
    site.prepare(serve)
    found = re.search(r"=http://(\w+):TOKEN@frontend:(\d+)(/\w+)", address)
    assert found is not None
    assert int(found[2]) == PORT
    assert ask(site.client, "GET", f"{found[3]}?appId=a").status == 401
    curl = program("curl", "curl")
    for token, status in (("worker-token-0123456", "200"), ("worker-token-6543210", "401")):
        url = f"http://{found[1]}:{token}@{SERVER}:{PORT}{found[3]}?appId=a"
        words = ["ip", "netns", "exec", site.client, curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", url]
        assert subprocess.run(words, capture_output=True, text=True, timeout=60).stdout == status
