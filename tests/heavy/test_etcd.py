# SPDX-License-Identifier: Apache-2.0
"""The cases of every store against a real etcd, and what only etcd can do to us."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from lmcache_frontend.store.opening import open_store
from lmcache_frontend.store.protocol import Store
from tests.helpers.etcd_cluster import Cluster, running_cluster
from tests.helpers.store_conformance import CASES, Bench, Case
from tests.helpers.waiting import wait_until

_prefixes = itertools.count()


def open_etcd(cluster: Cluster, prefix: str = "") -> Store:
    return open_store(f"etcd://{cluster.authority}/{prefix or f'test{next(_prefixes)}'}", port=0, environment={})


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("etcd"), 1) as cluster:
        yield cluster


class EtcdBench:
    """A store in etcd, where time goes by as it does."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._prefix = f"bench{next(_prefixes)}"
        self.store = open_etcd(cluster, self._prefix)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def restart(self) -> None:
        self.store.close()
        self._cluster.kill()
        self._cluster.start()
        self.store = open_etcd(self._cluster, self._prefix)

    def close(self) -> None:
        self.store.close()
        self._cluster.control("del", "--prefix", f"/{self._prefix}/")


@pytest.fixture
def bench(single: Cluster) -> Iterator[Bench]:
    made = EtcdBench(single)
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(case: Case, bench: Bench) -> None:
    case(bench)


def test_frontends_on_one_etcd_see_each_other(single: Cluster) -> None:
    with closing(open_etcd(single, "ours")) as first, closing(open_etcd(single, "ours")) as second:
        assert first.is_shared
        assert first.where == second.where == f"etcd://{single.authority}/ours"
        watch = second.watch("config/", second.list("config/").revision)
        revision = first.put("config/head", b"1", expect_revision=0)
        assert second.get("config/head") == ("config/head", b"1", revision)
        assert wait_until(lambda: watch.next(5.0)) == [("config/head", b"1", revision)]
        assert single.control("get", "/ours/config/head", "--print-value-only") == "1\n"


def test_what_others_keep_in_the_same_etcd_is_not_touched(single: Cluster) -> None:
    single.control("put", "/home0", "beside")
    single.control("put", "/hom", "above")
    with closing(open_etcd(single, "home")) as store:
        store.put("a", b"1")
        assert [entry.key for entry in store.list("").entries] == ["a"]
        assert store.delete("a")
    assert single.control("get", "--prefix", "/hom", "--print-value-only") == "above\nbeside\n"
