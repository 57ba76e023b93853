# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.errors import ServiceUnavailable, StartError
from lmcache_frontend.store.etcd.address import Address, read_address
from lmcache_frontend.store.etcd.exchange import Lost, Refused
from lmcache_frontend.store.etcd.gateway import Gateway, OutcomeUnknown, Repeat
from lmcache_frontend.store.etcd.store import EtcdStore
from lmcache_frontend.store.opening import open_store
from tests.helpers.ports import free_port
from tests.helpers.scripted import ScriptedNode, Visit, answering
from tests.helpers.waiting import wait_until

Start = Callable[..., ScriptedNode]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmcache_frontend.store.etcd.gateway.PAUSE_S", 0.0)


def answer(document: Any, status: int = 200) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def error(code: int, message: str, status: int = 400) -> bytes:
    return answer({"error": message, "message": message, "code": code}, status)


def gateway(*ports: int, **options: Any) -> Gateway:
    return Gateway(Address(tuple(("127.0.0.1", port) for port in ports), "/x/"), **options)


def hang_up(visit: Visit) -> None:
    visit.read_head()


def with_token(visit: Visit) -> None:
    visit.read_head()
    visit.send(answer({"token": "x"}))


def test_a_member_that_refuses_connections_is_passed_by(start_node: Start) -> None:
    node = start_node(answering(answer({"a": 1})))
    asked = gateway(free_port(), node.port)
    for _ in range(2):
        assert asked.call("kv/range", {"key": "eA=="}, Repeat.NEVER) == ({"a": 1}, False)


def test_a_request_is_json_in_a_post(start_node: Start) -> None:
    received: list[bytes] = []

    def script(visit: Visit) -> None:
        received.extend([visit.read_head().partition(b"\r\n")[0], visit.read(len(b'{"key": "eA=="}'))])
        visit.send(answer({}))

    gateway(start_node(script).port).call("kv/range", {"key": "eA=="})
    assert received == [b"POST /v3/kv/range HTTP/1.1", b'{"key": "eA=="}']


def test_without_any_member_nothing_was_done() -> None:
    first, second = free_port(), free_port()
    with pytest.raises(ServiceUnavailable) as caught:
        gateway(first, second).call("kv/txn", {}, Repeat.NEVER)
    reasons = f"127.0.0.1:{first}: Connection refused; 127.0.0.1:{second}: Connection refused"
    assert str(caught.value) == f"no member of etcd://127.0.0.1:{first},127.0.0.1:{second}/x answered: {reasons}"
    assert not isinstance(caught.value, OutcomeUnknown)


@pytest.mark.parametrize(
    "script",
    [
        hang_up,
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        answering(b"garbage\r\n\r\n"),
        answering(error(14, "etcdserver: leader changed", 503)),
        answering(error(4, "context deadline exceeded", 504)),
        answering(answer(b"<h1>Bad Gateway</h1>", 502)),
    ],
    ids=["no answer", "half an answer", "no HTTP", "leader changed", "deadline", "a proxy's error"],
)
def test_a_lost_answer_is_asked_for_again_where_that_is_safe(start_node: Start, script: Any) -> None:
    for repeat in (Repeat.HARMLESS, Repeat.GUARDED):
        bad, good = start_node(script), start_node(answering(answer({"a": 1})))
        assert gateway(bad.port, good.port).call("kv/txn", {}, repeat) == ({"a": 1}, True)
    bad, good = start_node(script), start_node(answering(answer({"a": 1})))
    with pytest.raises(OutcomeUnknown, match="it is not known whether the change was kept"):
        gateway(bad.port, good.port).call("kv/txn", {}, Repeat.NEVER)
    assert good.visits == []


def test_a_member_that_says_nothing_is_given_up(start_node: Start) -> None:
    silent = start_node(lambda visit: visit.read(1 << 20) and None)
    good = start_node(answering(answer({})))
    assert gateway(silent.port, good.port, answer_timeout_s=0.05).call("kv/range", {}) == ({}, True)
    with pytest.raises(OutcomeUnknown, match="timed out"):
        gateway(silent.port, answer_timeout_s=0.05).call("kv/txn", {}, Repeat.GUARDED)
    with pytest.raises(ServiceUnavailable, match="timed out") as caught:
        gateway(silent.port, answer_timeout_s=0.05).call("kv/range", {})
    assert not isinstance(caught.value, OutcomeUnknown)


def test_after_a_long_silence_nobody_is_asked_a_second_time(start_node: Start) -> None:
    silent = [start_node(lambda visit: visit.read(1 << 20) and None) for _ in range(2)]
    with pytest.raises(ServiceUnavailable, match="timed out"):
        gateway(*(node.port for node in silent), answer_timeout_s=0.05).call("kv/range", {})
    assert [len(node.visits) for node in silent] == [1, 1]


WRONG_SHAPES: list[Any] = [
    {},
    {"header": None},
    {"header": {"revision": "x"}},
    {"header": {"revision": "5"}, "kvs": 5},
    {"header": {"revision": "5"}, "kvs": [{"key": "eA=="}]},
    {"header": {"revision": "5"}, "kvs": [{"key": "!", "value": "QQ", "mod_revision": "1"}]},
    {"header": {"revision": "5"}, "result": 7, "kvs": [[]]},
]


@pytest.mark.parametrize("document", WRONG_SHAPES)
def test_what_only_looks_like_etcd_is_told_apart(start_node: Start, document: Any) -> None:
    port = start_node(answering(answer(document))).port
    spec = f"etcd://127.0.0.1:{port}/x"
    says = f"{spec} did not answer as the JSON gateway of etcd 3.4 or later does"
    with pytest.raises(StartError, match=says):
        open_store(spec, port=0, environment={})
    store = EtcdStore(read_address(spec))
    for expected in (0, None):
        with pytest.raises(ServiceUnavailable, match=says):
            store.put("a", b"", expect_revision=expected)
    store.close()


def test_a_watch_of_what_only_looks_like_etcd_says_so_and_tries_again(start_node: Start) -> None:
    served = answer({"header": {"revision": "5"}})
    answers = [served, answer(b'{"result": 7}\n'), served, answer(b'{"result": {"events": [{"kv": {}}]}}\n')]

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(answers[min(visit.number, 3)])

    node = start_node(script)
    store = EtcdStore(read_address(f"etcd://127.0.0.1:{node.port}/x"))
    watch = store.watch("", 0)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="did not answer as"):
            wait_until(lambda: watch.next(0.05))
    wait_until(lambda: len(node.visits) >= 4)
    store.close()


def test_a_refusal_is_final(start_node: Start) -> None:
    full = start_node(answering(error(8, "etcdserver: mvcc: database space exceeded", 429)))
    other = start_node(answering(answer({})))
    with pytest.raises(Refused, match=f"127.0.0.1:{full.port}: etcdserver: mvcc: database space exceeded$") as caught:
        gateway(full.port, other.port).call("kv/txn", {}, Repeat.NEVER)
    assert caught.value.code == 8
    assert other.visits == []


def test_a_refusal_after_a_lost_answer_says_nothing_about_the_first_attempt(start_node: Start) -> None:
    lost, full = start_node(hang_up), start_node(answering(error(8, "etcdserver: mvcc: database space exceeded", 429)))
    with pytest.raises(OutcomeUnknown, match="space exceeded; it is not known"):
        gateway(lost.port, full.port).call("kv/txn", {}, Repeat.GUARDED)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (answer(b"Not Found\n", 404), 404),
        (answer(b"<html>", 200), 200),
        (answer([1], 200), 200),
        (answer(b"[" * 100_000, 200), 200),
        (answer({"error": {"http_code": "odd"}}, 200), 200),
        (answer({"unknown": "shape"}, 401), 401),
    ],
)
def test_what_is_no_etcd_is_told_apart(start_node: Start, said: bytes, status: int) -> None:
    with pytest.raises(Refused, match=f"answered {status}, expected the JSON gateway of etcd 3.4 or later"):
        gateway(start_node(answering(said)).port).call("kv/range", {})


def test_a_token_is_got_once_and_again_when_it_is_too_old(start_node: Start) -> None:
    authorizations: list[bytes] = []
    answers = [
        answer({"token": "first"}),
        answer({"n": 1}),
        answer({"n": 2}),
        error(16, "etcdserver: invalid auth token", 401),
        answer({"token": "second"}),
        answer({"n": 3}),
    ]

    def script(visit: Visit) -> None:
        head = visit.read_head().split(b"\r\n")
        authorizations.append(b"".join(line for line in head if line.startswith(b"Authorization")))
        visit.send(answers[visit.number])

    node = start_node(script)
    asked = Gateway(Address((("127.0.0.1", node.port),), "/x/", "user", "password"))
    assert [asked.call("kv/txn", {}, Repeat.NEVER).document["n"] for _ in range(3)] == [1, 2, 3]
    first, second = b"Authorization: first", b"Authorization: second"
    assert authorizations == [b"", first, first, first, b"", second]


def test_a_token_that_cannot_be_got_leaves_nothing_unknown(start_node: Start) -> None:
    lost, good = start_node(hang_up), start_node(with_token)
    asked = Gateway(Address((("127.0.0.1", lost.port), ("127.0.0.1", good.port)), "/x/", "user", "password"))
    assert asked.call("kv/txn", {}, Repeat.NEVER) == ({"token": "x"}, False)


def test_a_stream_is_read_line_by_line_until_it_breaks(start_node: Start) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    lines = b'{"result":{"n":1}}\n{"result":\r\n8\r\n{"n":2}}\r\n1\r\n\n\r\n5\r\n{"res'
    node = start_node(answering(head + b"1d\r\n" + lines))
    exchange = gateway(node.port).stream("watch", {})
    assert list(exchange.lines(5.0)) == [{"result": {"n": 1}}, {"result": {"n": 2}}]
    exchange.close()


def test_an_error_within_a_stream_is_raised(start_node: Start) -> None:
    said = {"error": {"grpc_code": 14, "http_code": 503, "message": "etcdserver: no leader", "http_status": "x"}}
    exchange = gateway(start_node(answering(answer(json.dumps(said).encode() + b"\n"))).port).stream("watch", {})
    with pytest.raises(Lost, match="etcdserver: no leader"):
        list(exchange.lines(5.0))
    exchange.close()


def test_a_silent_stream_ends(start_node: Start) -> None:
    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\n{}\n")
        visit.read(1 << 20)

    exchange = gateway(start_node(script).port).stream("watch", {})
    assert list(exchange.lines(0.05)) == [{}]
    exchange.close()


def test_a_closed_gateway_asks_nobody(start_node: Start) -> None:
    node = start_node(answering(answer({})))
    asked = gateway(node.port)
    asked.close()
    with pytest.raises(ServiceUnavailable, match="is closed"):
        asked.call("kv/range", {})
    assert node.visits == []
