# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lmcache_frontend.asking import NodeAsker
from lmcache_frontend.cluster.registry import Registry
from lmcache_frontend.errors import BadGateway, NotFound
from lmcache_frontend.http1.client import Pool
from tests.helpers.fleet import make_node, proxy_with
from tests.helpers.scripted import ScriptedNode, answering

StartNode = Callable[..., ScriptedNode]


@pytest.fixture
def asker() -> Iterator[tuple[NodeAsker, Registry]]:
    registry = Registry()
    pool = Pool(connect_timeout_s=5.0, send_timeout_s=5.0, permit=lambda address, port: None)
    yield NodeAsker(registry, pool, timeout_s=5.0), registry
    pool.close()


def answer(status: int, document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize("status", [404, 409, 421, 508])
def test_what_a_frontend_says_in_place_of_a_node_is_no_answer_of_it(
    asker: tuple[NodeAsker, Registry], start_node: StartNode, status: int
) -> None:
    child = start_node(answering(answer(status, {"detail": "no node is called n"})))
    asker[1].add_proxy(proxy_with("rack", "n", port=child.port))
    (node,) = asker[1].snapshot.proxies["rack"].nodes.values()
    with pytest.raises(BadGateway, match="rack: no node is called n"):
        asker[0].ask_node(node)("/version", None)
    assert asker[0].ask_node(make_node("own", child.port))("/version", None).head.status == status


@pytest.mark.parametrize(
    ("status", "document"),
    [(404, {"detail": "Not Found"}), (404, {"detail": [1]}), (404, ["detail"]), (503, {"detail": "none here"})],
)
def test_what_a_node_says_itself_passes(
    asker: tuple[NodeAsker, Registry], start_node: StartNode, status: int, document: object
) -> None:
    child = start_node(answering(answer(status, document)))
    asker[1].add_proxy(proxy_with("rack", "n", port=child.port))
    (node,) = asker[1].snapshot.proxies["rack"].nodes.values()
    assert asker[0].ask_node(node)("/version", None).head.status == status


def test_a_node_of_a_frontend_that_is_gone_is_not_asked(asker: tuple[NodeAsker, Registry]) -> None:
    with pytest.raises(NotFound, match="is known no more"):
        asker[0].ask_node(make_node("n", 1, "rack"))("/version", None)
