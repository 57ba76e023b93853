# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from lmcache_frontend.cluster.entries import (
    Listing,
    children_of_tree,
    read_listing,
    read_node,
    read_proxy,
    write_node,
    write_tree,
)
from lmcache_frontend.cluster.model import LOCAL_PROXY, Source, make_cluster
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import Endpoint

GOOD = {"name": "n", "host": "10.0.0.1", "port": 6999}


def read(**fields: Any) -> Any:
    return read_node({**GOOD, **fields}, LOCAL_PROXY, Source.FILE)


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != field}


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("host", "port", "endpoint"),
    [
        ("10.0.0.1", 1, Endpoint("10.0.0.1", 1)),
        ("10.0.0.1", 65535, Endpoint("10.0.0.1", 65535)),
        ("10.0.0.1", "6999", Endpoint("10.0.0.1", 6999)),
        ("lmcache-0.workers.svc", 6999, Endpoint("lmcache-0.workers.svc", 6999)),
        ("snake_case", 6999, Endpoint("snake_case", 6999)),
        ("localhost.", 6999, Endpoint("localhost.", 6999)),
        ("::1", 6999, Endpoint("::1", 6999)),
        ("[::1]", "6999", Endpoint("::1", 6999)),
        ("[2001:DB8::7]", 6999, Endpoint("2001:DB8::7", 6999)),
        ("::ffff:10.0.0.1", 6999, Endpoint("::ffff:10.0.0.1", 6999)),
        ("fe80::1%eth0", 6999, Endpoint("fe80::1%eth0", 6999)),
        ("0.0.0.0", 6999, Endpoint("127.0.0.1", 6999)),
        ("::", 6999, Endpoint("::1", 6999)),
        ("[::]", 6999, Endpoint("::1", 6999)),
        ("localhost", "/run/a b.sock", Endpoint("/run/a b.sock", 0)),
        ("", "/run/node.sock", Endpoint("/run/node.sock", 0)),
        ("x", "/" + "s" * 106, Endpoint("/" + "s" * 106, 0)),
    ],
)
def test_an_address_is_kept_as_written_and_understood(host: str, port: Any, endpoint: Endpoint) -> None:
    node = read(host=host, port=port)
    assert (node.host, node.port) == (host, port)
    assert type(node.port) is type(port)
    assert node.endpoint == endpoint


def test_a_socket_needs_no_host() -> None:
    node = read_node({"name": "n", "port": "/run/n.sock"}, LOCAL_PROXY, Source.API)
    assert (node.host, node.endpoint) == ("localhost", Endpoint("/run/n.sock", 0))


NAME_EXPECTED = ", expected a text that is not empty"
HOST_EXPECTED = ", expected a host name or an IP address"
PORT_EXPECTED = ", expected a number from 1 to 65535 or the absolute path of a socket"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (None, "expected an object with name, host and port, got nothing"),
        ([], "expected an object with name, host and port, got a list"),
        ("n", "expected an object with name, host and port, got a text"),
        (7, "expected an object with name, host and port, got a number"),
        (True, "expected an object with name, host and port, got a boolean"),
        ({}, "name is nothing" + NAME_EXPECTED),
        (without("name"), "name is nothing" + NAME_EXPECTED),
        ({**GOOD, "name": None}, "name is nothing" + NAME_EXPECTED),
        ({**GOOD, "name": 7}, "name is 7" + NAME_EXPECTED),
        ({**GOOD, "name": False}, "name is False" + NAME_EXPECTED),
        ({**GOOD, "name": ["n"]}, "name is a list" + NAME_EXPECTED),
        ({**GOOD, "name": ""}, "name is ''" + NAME_EXPECTED),
        ({**GOOD, "name": " \u3000"}, r"name is ' \u3000'" + NAME_EXPECTED),
        ({**GOOD, "name": "n" * 256}, "name has 256 characters, at most 255 are taken"),
        ({**GOOD, "name": "a\nb"}, "name holds a control character"),
        ({**GOOD, "name": "a\0"}, "name holds a control character"),
        ({**GOOD, "name": "a\x7f"}, "name holds a control character"),
        ({**GOOD, "name": "a\x9b31m"}, "name holds a control character"),
        ({**GOOD, "name": "a\ud800"}, "name holds a control character"),
        (without("host"), "host is ''" + HOST_EXPECTED),
        ({**GOOD, "host": None}, "host is nothing, expected a text"),
        ({**GOOD, "host": 10}, "host is a number, expected a text"),
        ({**GOOD, "host": {"ip": "::1"}}, "host is an object, expected a text"),
        ({**GOOD, "host": ""}, "host is ''" + HOST_EXPECTED),
        ({**GOOD, "host": "[]"}, "host is '[]'" + HOST_EXPECTED),
        ({**GOOD, "host": "[::1"}, "host is '[::1'" + HOST_EXPECTED),
        ({**GOOD, "host": "::1]"}, "host is '::1]'" + HOST_EXPECTED),
        ({**GOOD, "host": "[[::1]]"}, "host is '[[::1]]'" + HOST_EXPECTED),
        ({**GOOD, "host": "[10.0.0.1]"}, "host is '[10.0.0.1]'" + HOST_EXPECTED),
        ({**GOOD, "host": "10.0.0.1:80"}, "host is '10.0.0.1:80'" + HOST_EXPECTED),
        ({**GOOD, "host": "1::2::3"}, "host is '1::2::3'" + HOST_EXPECTED),
        ({**GOOD, "host": "host%eth0"}, "host is 'host%eth0'" + HOST_EXPECTED),
        ({**GOOD, "host": "http://a"}, "host is 'http://a'" + HOST_EXPECTED),
        ({**GOOD, "host": "user@a"}, "host is 'user@a'" + HOST_EXPECTED),
        ({**GOOD, "host": "a b"}, "host is 'a b'" + HOST_EXPECTED),
        ({**GOOD, "host": "a\r\nX: y"}, r"host is 'a\r\nX: y'" + HOST_EXPECTED),
        ({**GOOD, "host": "a\n"}, r"host is 'a\n'" + HOST_EXPECTED),
        ({**GOOD, "host": "kn\u00f6ten"}, r"host is 'kn\xf6ten'" + HOST_EXPECTED),
        ({**GOOD, "host": "h" * 254}, "host is '" + "h" * 57 + "...'" + HOST_EXPECTED),
        ({**GOOD, "host": "a b", "port": "/s"}, "host is 'a b'" + HOST_EXPECTED),
        (without("port"), "port is nothing" + PORT_EXPECTED),
        ({**GOOD, "port": None}, "port is nothing" + PORT_EXPECTED),
        ({**GOOD, "port": True}, "port is True" + PORT_EXPECTED),
        ({**GOOD, "port": 0}, "port is 0" + PORT_EXPECTED),
        ({**GOOD, "port": -1}, "port is -1" + PORT_EXPECTED),
        ({**GOOD, "port": 65536}, "port is 65536" + PORT_EXPECTED),
        ({**GOOD, "port": 80.0}, "port is 80.0" + PORT_EXPECTED),
        ({**GOOD, "port": float("nan")}, "port is nan" + PORT_EXPECTED),
        ({**GOOD, "port": [80]}, "port is a list" + PORT_EXPECTED),
        ({**GOOD, "port": ""}, "port is ''" + PORT_EXPECTED),
        ({**GOOD, "port": "0"}, "port is '0'" + PORT_EXPECTED),
        ({**GOOD, "port": "65536"}, "port is '65536'" + PORT_EXPECTED),
        ({**GOOD, "port": "000080"}, "port is '000080'" + PORT_EXPECTED),
        ({**GOOD, "port": "0x10"}, "port is '0x10'" + PORT_EXPECTED),
        ({**GOOD, "port": "\uff19"}, r"port is '\uff19'" + PORT_EXPECTED),
        ({**GOOD, "port": "8_0"}, "port is '8_0'" + PORT_EXPECTED),
        ({**GOOD, "port": " 80"}, "port is ' 80'" + PORT_EXPECTED),
        ({**GOOD, "port": "80\n"}, r"port is '80\n'" + PORT_EXPECTED),
        ({**GOOD, "port": "80.0"}, "port is '80.0'" + PORT_EXPECTED),
        ({**GOOD, "port": "-80"}, "port is '-80'" + PORT_EXPECTED),
        ({**GOOD, "port": "node.sock"}, "port is 'node.sock'" + PORT_EXPECTED),
        ({**GOOD, "port": "./node.sock"}, "port is './node.sock'" + PORT_EXPECTED),
        ({**GOOD, "port": "/a\0b"}, "port is a socket path that holds a control character"),
        ({**GOOD, "port": "/a\ud800"}, "port is a socket path that holds a control character"),
        ({**GOOD, "port": "/" + "s" * 107}, "port is a socket path of 108 bytes, the system takes 107"),
        ({**GOOD, "port": "/" + "\u00e9" * 54}, "port is a socket path of 109 bytes, the system takes 107"),
        ({**GOOD, "scheme": "ftp"}, "scheme is 'ftp', expected 'http' or 'https'"),
        ({**GOOD, "scheme": None}, "scheme is None, expected 'http' or 'https'"),
        ({**GOOD, "labels": None}, "labels is not an object of texts"),
        ({**GOOD, "labels": ["rack"]}, "labels is not an object of texts"),
        ({**GOOD, "labels": {"rack": 7}}, "labels is not an object of texts"),
        ({**GOOD, "weight": float("nan")}, "'weight' holds a number that is not finite, or nests too deeply"),
        ({**GOOD, "x": {"y": [float("inf")]}}, "'x' holds a number that is not finite, or nests too deeply"),
        ({**GOOD, "x": nested(500)}, "'x' holds a number that is not finite, or nests too deeply"),
    ],
)
def test_a_bad_node_is_refused_in_words(entry: Any, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_node(entry, LOCAL_PROXY, Source.FILE)
    assert str(caught.value) == says


def test_a_huge_number_is_not_repeated_in_full() -> None:
    with pytest.raises(BadRequest) as caught:
        read(port=10**4000)
    assert len(str(caught.value)) < 200
    with pytest.raises(BadRequest):
        read(port=10**5000)


def test_what_is_unknown_is_kept_and_given_back() -> None:
    extra = {"scheme": "http", "zone": "b", "weight": 1.5, "tags": ["x", {"y": None}], "": True}
    labels = {"rack": "7", "": "\u00e9"}
    node = read(labels=labels, **extra)
    assert node.labels == labels
    assert node.extra == extra
    assert write_node(node) == {**GOOD, "labels": labels, **extra}
    assert read_node(write_node(node), LOCAL_PROXY, Source.FILE) == node


def test_what_a_tree_adds_to_an_entry_is_not_kept() -> None:
    shown = {**GOOD, "id": "node_n", "is_proxy": False, "proxy_id": "elsewhere", "children": []}
    assert write_node(read_node(shown, "p", Source.API)) == {**GOOD, "proxy_id": "p"}
    assert write_node(read_node(shown, LOCAL_PROXY, Source.API)) == GOOD


@pytest.mark.parametrize("name", ["n" * 255, "\u7bc0\u70b9", "a/b", "a b", "local_proxy", "%2F", "..", "\U0001f600"])
def test_names_may_be_of_many_kinds(name: str) -> None:
    assert read(name=name).name == name


@pytest.mark.parametrize(
    ("document", "kind"), [({}, "an object"), (None, "nothing"), ("[]", "a text"), (1, "a number"), (True, "a boolean")]
)
def test_a_listing_is_a_list(document: Any, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"^expected a list of nodes or of proxies, got {kind}$"):
        read_listing(document, Source.FILE)


def shape(listing: Listing) -> dict[str, list[str]]:
    return {name: list(proxy.nodes) for name, proxy in listing.proxies.items()}


@pytest.mark.parametrize(
    ("document", "found", "faults"),
    [
        ([], {LOCAL_PROXY: []}, []),
        ([GOOD], {LOCAL_PROXY: ["n"]}, []),
        (
            [None, GOOD, {**GOOD, "name": "bad", "port": 0}, {**GOOD, "name": "m"}],
            {LOCAL_PROXY: ["n", "m"]},
            [
                "entry 1: expected an object with name, host and port, got nothing",
                "entry 3 ('bad'): port is 0" + PORT_EXPECTED,
            ],
        ),
        (
            [GOOD, {**GOOD, "port": 7}],
            {LOCAL_PROXY: ["n"]},
            ["entry 2 ('n'): the name is taken by an earlier entry"],
        ),
        ([{**GOOD, "nodes": []}], {"n": []}, []),
        ([{**GOOD, "nodes": None}], {"n": []}, []),
        ([{"name": LOCAL_PROXY, "nodes": [GOOD]}], {LOCAL_PROXY: ["n"]}, []),
        ([{**GOOD, "nodes": [GOOD]}, {**GOOD, "name": "m"}], {"n": ["n"], "m": []}, []),
        (
            [
                {**GOOD, "nodes": [{**GOOD, "name": "a"}, {"name": "b"}, {**GOOD, "name": "a"}, 7]},
                {"name": "no address", "nodes": []},
                {**GOOD, "name": "wrong", "nodes": {}},
                {**GOOD, "name": "n", "nodes": []},
                {"nodes": [GOOD]},
                {**GOOD, "name": "good", "nodes": [GOOD]},
            ],
            {"n": ["a"], "good": ["n"]},
            [
                "'n', entry 2 ('b'): port is nothing" + PORT_EXPECTED,
                "'n', entry 3 ('a'): the name is taken by an earlier entry",
                "'n', entry 4: expected an object with name, host and port, got a number",
                "entry 2 ('no address'): port is nothing" + PORT_EXPECTED,
                "entry 3 ('wrong'): nodes is an object, expected a list",
                "entry 4 ('n'): the name is taken by an earlier entry",
                "entry 5: name is nothing" + NAME_EXPECTED,
            ],
        ),
    ],
)
def test_the_good_entries_of_a_listing_load(document: Any, found: dict[str, list[str]], faults: list[str]) -> None:
    listing = read_listing(document, Source.FILE)
    assert shape(listing) == found
    assert listing.faults == faults


def test_a_fault_line_holds_nothing_that_could_forge_another() -> None:
    (fault,) = read_listing([{"name": "a\nb\x1b[31m" + "c" * 100, "host": "h", "port": 1}], Source.FILE).faults
    assert fault.startswith(r"entry 1 ('a\nb\x1b[31m" + "c" * 10)
    assert fault.isprintable()
    assert len(fault) < 200


def test_nodes_know_their_proxy_and_their_source() -> None:
    proxy = read_proxy({**GOOD, "name": "p", "nodes": [GOOD], "zone": "b"}, Source.FLAG, [])
    assert proxy.address is not None
    assert (proxy.address.proxy, proxy.address.source, proxy.address.extra) == (LOCAL_PROXY, Source.FLAG, {"zone": "b"})
    assert (proxy.nodes["n"].proxy, proxy.nodes["n"].source) == ("p", Source.FLAG)


def test_a_tree_shows_our_own_nodes_first_and_gives_entries_back() -> None:
    entries = [
        {"name": "p", "host": "10.0.0.9", "port": "8000", "zone": "b", "nodes": [{**GOOD, "labels": {"a": "b"}}]},
        {"name": LOCAL_PROXY, "nodes": [{"name": "s", "host": "localhost", "port": "/run/s", "id": 7}]},
    ]
    listing = read_listing(entries, Source.FILE)
    assert not listing.faults
    assert write_tree(make_cluster(listing.proxies), "0.0.0.0", 8080) == [
        {
            "id": "proxy_local_proxy",
            "name": "local_proxy",
            "host": "0.0.0.0",
            "port": 8080,
            "is_proxy": True,
            "children": [
                {
                    "id": "node_s",
                    "name": "s",
                    "host": "localhost",
                    "port": "/run/s",
                    "is_proxy": False,
                    "proxy_id": "local_proxy",
                }
            ],
        },
        {
            "id": "proxy_p",
            "name": "p",
            "host": "10.0.0.9",
            "port": "8000",
            "zone": "b",
            "is_proxy": True,
            "children": [{**GOOD, "labels": {"a": "b"}, "id": "node_n", "is_proxy": False, "proxy_id": "p"}],
        },
    ]


def test_a_tree_without_nodes_of_our_own_does_not_show_us() -> None:
    assert write_tree(make_cluster({}), "0.0.0.0", 8080) == []


def top(name: Any, *children: Any) -> dict[str, Any]:
    return {"id": "x", "name": name, "host": "h", "port": 1, "is_proxy": True, "children": list(children)}


def child(name: str, port: int = 1) -> dict[str, Any]:
    return {"id": f"node_{name}", "name": name, "host": "h", "port": port, "is_proxy": False, "proxy_id": "x"}


@pytest.mark.parametrize(
    ("tree", "found", "fault_count"),
    [
        ([], {}, 0),
        ([top(LOCAL_PROXY)], {}, 0),
        ([top(LOCAL_PROXY, child("a"), child("b"))], {"a": 1, "b": 1}, 0),
        ([child("a"), child("b")], {"a": 1, "b": 1}, 0),
        ([child("a"), child("a", 2)], {"a": 1}, 1),
        ([top(LOCAL_PROXY, child("a")), top("g", child("b", 2))], {"a": 1, "b": 2}, 0),
        ([top(LOCAL_PROXY, child("a")), top("g", child("a", 2), child("b", 3))], {"a": 1, "g/a": 2, "b": 3}, 0),
        ([top("g", child("a", 2)), top(LOCAL_PROXY, child("a"))], {"a": 1, "g/a": 2}, 0),
        ([top("g", child("a", 2)), top("h", child("a", 3))], {"g/a": 2, "h/a": 3}, 0),
        ([top("g", child("h", 2)), top("h", child("b", 3))], {"g/h": 2, "b": 3}, 0),
        ([top(LOCAL_PROXY, child("g")), top("g", child("b", 3))], {"local_proxy/g": 1, "b": 3}, 0),
        ([top("g", child("a", 2)), top("g", child("a", 3))], {"a": 2}, 1),
        ([top("a\r\nb", child("a"))], {}, 1),
        ([top(None, child("a")), top("g", child("b", 2))], {"b": 2}, 1),
        ([{**top("g"), "children": None}, {**top("h"), "children": "x"}], {}, 0),
        ([None, 7, "x", [], {}, top(LOCAL_PROXY, None, child("a"))], {"a": 1}, 6),
    ],
)
def test_the_tree_of_another_frontend(tree: list[Any], found: dict[str, int], fault_count: int) -> None:
    faults: list[str] = []
    nodes = children_of_tree({"nodes": tree}, "f", faults)
    assert {name: node.port for name, node in nodes.items()} == found
    assert len(faults) == fault_count, faults
    assert all(node.name == name and node.proxy == "f" and node.source is Source.PROXY for name, node in nodes.items())


@pytest.mark.parametrize("document", [None, [], "x", 7, {}, {"nodes": None}, {"nodes": {}}, {"detail": "no"}])
def test_something_else_than_a_tree_is_refused(document: Any) -> None:
    with pytest.raises(BadRequest, match=r'^expected \{"nodes": \[\.\.\.\]\}$'):
        children_of_tree(document, "f", [])


def test_our_own_tree_can_be_read_by_another_frontend() -> None:
    entries = [
        {"name": LOCAL_PROXY, "nodes": [GOOD, {"name": "s", "port": "/run/s"}]},
        {**GOOD, "name": "q", "nodes": [GOOD]},
    ]
    tree = write_tree(make_cluster(read_listing(entries, Source.FILE).proxies), "h", 1)
    faults: list[str] = []
    assert list(children_of_tree({"nodes": json.loads(json.dumps(tree))}, "f", faults)) == ["n", "s", "q/n"]
    assert not faults
