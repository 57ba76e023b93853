# SPDX-License-Identifier: Apache-2.0
"""Fixtures that many tests share."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.helpers.intervals import shorten_intervals
from tests.helpers.scripted import Script, ScriptedNode


@pytest.fixture(scope="session", autouse=True)
def _state_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let processes that tests start keep nothing where the user's own keep it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _control_c_is_heard() -> None:
    """Let processes that tests start end with Ctrl-C: what runs in the background of a script ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _NoGathering:
    """Stands in for what puts the threads of a busy service on one processor: here they are those of all tests."""

    def adjust(self) -> None:
        """Leave the threads where they are."""


@pytest.fixture(scope="session", autouse=True)
def _services_among_tests() -> Iterator[None]:
    """Let services in this process be quick, and not narrow down which processors later tests and children get."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_intervals(patch)
        patch.setattr("lmcache_frontend.app.Gathering", _NoGathering)
        yield


@pytest.fixture
def start_app() -> Iterator[Callable[..., App]]:
    """Give a function that starts a frontend in this process, on a free port, with settings as keywords.

    It leaves the nodes alone unless told to collect, so that scripted ones get just what a test sends them.
    """
    with ExitStack() as cleanup:

        def start(nodes: Any = (), *, collecting: bool = False, **settings: Any) -> App:
            values = {
                "host": "127.0.0.1",
                "port": 0,
                "drain_timeout_s": 2.0,
                "nodes": json.dumps(list(nodes)),
                "store": "memory:",
                **settings,
            }
            app = App(Settings(**values))
            app.start(collecting=collecting)
            cleanup.callback(app.stop)
            return app

        yield start


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Bring back at the end how the package logs, for tests that configure it."""
    root = logging.getLogger("lmcache_frontend")
    handlers, level, propagate = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)


@pytest.fixture
def start_node() -> Iterator[Callable[..., ScriptedNode]]:
    """Give a function that starts a scripted node."""
    with ExitStack() as cleanup:

        def start(script: Script, **options: Any) -> ScriptedNode:
            node = ScriptedNode(script, **options)
            cleanup.callback(_check, node)
            return node

        yield start


def _check(node: ScriptedNode) -> None:
    node.close()
    assert not node.faults


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Give a function that takes the warnings logged since the last call."""
    caplog.set_level(logging.WARNING, "lmcache_frontend")

    def take() -> list[str]:
        taken = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return taken

    return take
