# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.cluster.entries import children_of_tree, read_listing, read_node, write_node
from lmcache_frontend.cluster.model import LOCAL_PROXY, Source
from lmcache_frontend.cluster.node_security import read_security
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import TlsOptions

NODE = {"name": "n", "host": "node.lan", "port": 443}
FILES = {"ca": "/a/ca.pem", "cert": "/a/cert.pem", "key": "/a/key.pem"}
MEMBERS = "expected verify, server_name, ca, cert, key"


def read(
    entry: dict[str, Any], source: Source = Source.FILE, *, host: str = "node.lan", is_socket: bool = False
) -> Any:
    return read_security(entry, host, source, is_socket=is_socket)


@pytest.mark.parametrize(
    ("entry", "tls"),
    [
        ({}, None),
        ({"scheme": "http"}, None),
        ({"scheme": "https"}, TlsOptions("node.lan")),
        ({"scheme": "https", "tls": {}}, TlsOptions("node.lan")),
        ({"scheme": "https", "tls": {"verify": False}}, TlsOptions("node.lan", verify=False)),
        ({"scheme": "https", "tls": {"server_name": "x.lan"}}, TlsOptions("x.lan")),
        ({"scheme": "https", "tls": FILES}, TlsOptions("node.lan", True, "/a/ca.pem", "/a/cert.pem", "/a/key.pem")),
        ({"scheme": "https", "tls": {"cert": "/a/both.pem"}}, TlsOptions("node.lan", certificate="/a/both.pem")),
    ],
)
def test_what_is_spoken_is_read(entry: dict[str, Any], tls: TlsOptions | None) -> None:
    assert read(entry).tls == tls


@pytest.mark.parametrize(
    ("host", "name"), [("node.lan.", "node.lan"), ("10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")]
)
def test_the_host_is_the_name_that_is_checked(host: str, name: str) -> None:
    assert read({"scheme": "https"}, host=host).tls.server_name == name


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"scheme": "ftp"}, "scheme is 'ftp', expected 'http' or 'https'"),
        ({"scheme": ["https"]}, "scheme is ['https'], expected 'http' or 'https'"),
        ({"tls": {}}, "tls is given, but scheme is not 'https'"),
        ({"scheme": "https", "tls": True}, "tls is no object, expected one with verify, server_name, ca, cert, key"),
        ({"scheme": "https", "tls": {"Verify": 0}}, f"tls has the unknown member 'Verify', {MEMBERS}"),
        ({"scheme": "https", "tls": {"verify": 0}}, "verify in tls is neither true nor false"),
        (
            {"scheme": "https", "tls": {"server_name": ""}},
            "server_name in tls is no name, expected the one that the node's certificate has",
        ),
        (
            {"scheme": "https", "tls": {"server_name": "a\0b"}},
            "server_name in tls is no name, expected the one that the node's certificate has",
        ),
        ({"scheme": "https", "tls": {"ca": "ca.pem"}}, "ca is 'ca.pem', expected the absolute path of a file"),
        ({"scheme": "https", "tls": {"ca": ""}}, "ca is '', expected the absolute path of a file"),
        ({"scheme": "https", "tls": {"ca": None}}, "ca is None, expected the absolute path of a file"),
        (
            {"scheme": "https", "tls": {"key": "/k"}},
            "tls has a key without cert, expected the certificate that the key is of",
        ),
        (
            {"scheme": "https", "tls": {"ca": "/c", "verify": False}},
            "tls has ca, which is of no use where verify is false",
        ),
        ({"token_file": "token"}, "token_file is 'token', expected the absolute path of a file"),
        ({"token_file": "/a\0"}, "token_file is '/a\\x00', expected the absolute path of a file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(entry)
    assert str(caught.value) == says


def test_tls_is_not_spoken_over_unix_sockets() -> None:
    with pytest.raises(BadRequest, match="not spoken over Unix sockets"):
        read({"scheme": "https"}, is_socket=True)
    assert read({"token_file": "/t"}, is_socket=True).token_file == "/t"


@pytest.mark.parametrize("source", [Source.API, Source.DEMO])
@pytest.mark.parametrize("name", ["ca", "cert", "key", "token_file"])
def test_only_flags_and_files_name_files(source: Source, name: str) -> None:
    path = {name: "/a/b.pem"}
    entry = path if name == "token_file" else {"scheme": "https", "tls": path}
    with pytest.raises(BadRequest, match=f"^{name} names a file of this machine, which only --nodes and the file of"):
        read(entry, source)
    # What is nonsense as a path is refused for the same reason, and nothing is told of which files there are.
    with pytest.raises(BadRequest, match=f"^{name} names a file of this machine"):
        read({**entry, **({"token_file": ""} if name == "token_file" else {"tls": {name: ""}})}, source)
    for trusted in (Source.FLAG, Source.FILE):
        if name != "key":
            read(entry, trusted)


def test_over_http_the_rest_may_be_said() -> None:
    said = {"scheme": "https", "tls": {"verify": False, "server_name": "x"}}
    assert read(said, Source.API).tls == TlsOptions("x", verify=False)


def test_paths_are_not_shown() -> None:
    tls = {"verify": True, "server_name": "x", **FILES}
    node = read_node({**NODE, "scheme": "https", "tls": tls, "token_file": "/a/t"}, LOCAL_PROXY, Source.FILE)
    assert write_node(node) == {**NODE, "scheme": "https", "tls": {"verify": True, "server_name": "x"}}
    assert (node.endpoint.tls, node.endpoint.token_file) == (TlsOptions("x", True, *FILES.values()), "/a/t")


def test_what_is_stored_reads_back_the_same() -> None:
    node = read_node({**NODE, "scheme": "https", "tls": {"verify": False}}, LOCAL_PROXY, Source.API)
    assert read_node(write_node(node), LOCAL_PROXY, Source.API) == node


def test_what_is_spoken_with_nodes_of_other_frontends_is_their_business() -> None:
    entry = {**NODE, "scheme": "https", "tls": FILES, "token_file": "/etc/shadow"}
    faults: list[str] = []
    found = children_of_tree({"nodes": [{"name": "p", "is_proxy": True, "children": [entry]}]}, "child", faults)
    (node,) = found.values()
    assert (faults, node.endpoint.tls, node.endpoint.token_file) == ([], None, "")
    assert write_node(node) == {**NODE, "scheme": "https", "proxy_id": "child"}


def test_a_proxy_may_speak_tls_too() -> None:
    document = [{**NODE, "scheme": "https", "token_file": "/t", "nodes": []}]
    address = read_listing(document, Source.FILE).proxies["n"].address
    assert address is not None
    assert (address.endpoint.tls, address.endpoint.token_file) == (TlsOptions("node.lan"), "/t")


def test_the_documented_entry_is_one() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "access.md").read_text(encoding="utf-8")
    found = re.search(r'^ {4}(\[\{"name": "n1".*?\}\])$', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    listing = read_listing(json.loads(found[1]), Source.FILE)
    (node,) = listing.proxies[LOCAL_PROXY].nodes.values()
    assert listing.faults == []
    assert (node.endpoint.tls, node.endpoint.token_file) == (
        TlsOptions("gpu1.lan", True, "/etc/lmcache/ca.pem", "/etc/lmcache/us.pem", "/etc/lmcache/us.key"),
        "/etc/lmcache/n1.token",
    )
