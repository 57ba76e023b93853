# SPDX-License-Identifier: Apache-2.0
"""The cases of every store, against memory and SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmcache_frontend.store.memory import open_memory
from lmcache_frontend.store.protocol import Store
from lmcache_frontend.store.sqlite_file import open_sqlite
from tests.helpers.store_conformance import CASES, Bench, Case


class EmbeddedBench:
    """A store within this process, whose time goes by when it is told to."""

    def __init__(self, open_store: Callable[[Callable[[], float]], Store], *, is_durable: bool) -> None:
        self._now_s = 1_800_000_000.0
        self._open = lambda: open_store(lambda: self._now_s)
        self._is_durable = is_durable
        self.store = self._open()

    def pass_time(self, seconds: float) -> None:
        self._now_s += seconds

    def restart(self) -> None:
        if self._is_durable:
            self.store.close()
            self.store = self._open()


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "memory":
        made = EmbeddedBench(open_memory, is_durable=False)
    else:
        made = EmbeddedBench(lambda clock: open_sqlite(str(tmp_path / "store.db"), clock), is_durable=True)
    yield made
    made.store.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(case: Case, bench: Bench) -> None:
    case(bench)
