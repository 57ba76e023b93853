# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from tests.helpers.demo import ManualClock, scheduler, server, worker

THREAD = re.compile(r"^<([^(]+)\((.*), (initial|started|stopped)( daemon)?(?: (-?\d+))?\)>$")
FRAME = re.compile(r'^  File "[^"]+", line \d+, in \S+$')


def text(node, query=""):
    return node.answer("GET", "/threads", query).body.decode()


@pytest.mark.parametrize("make", [worker, scheduler, server])
def test_the_text_follows_the_grammar(make):
    node = make(ManualClock())
    body, _, summary = text(node).partition("\n\n\n=== Thread Summary ===\n")
    blocks = body.split("\n\n\n")
    assert summary == f"Total threads: {len(blocks)}\n"
    identities = set()
    for block in blocks:
        head, title, *lines = block.splitlines()
        match = THREAD.match(head.removeprefix("Thread: "))
        assert match
        identities.add(match[5])
        assert title == "Stack trace:"
        assert lines
        assert all(FRAME.match(line) or line.startswith("    ") for line in lines)
    assert len(identities) == len(blocks)
    assert "Thread: <_MainThread(MainThread, started 1" in body


def test_filters_and_the_body_without_a_match():
    node = worker(ManualClock())
    assert text(node, "name=PINMON").count("Thread: <") == 1
    assert text(node, "name=nobody") == "\n\n=== Thread Summary ===\nTotal threads: 0\n"
    ident = re.search(r"stats-logger-thread, started daemon (\d+)", text(node))[1]
    assert "stats-logger-thread" in text(node, f"thread_id={ident}")
    assert text(node, f"thread_id={ident}").count("Thread: <") == 1
    assert text(node, "thread_id=0") == text(node)


def test_stacks_vary_with_the_time_but_not_within_a_moment():
    clock = ManualClock()
    node = worker(clock)
    looks = set()
    for _ in range(10):
        assert text(node) == text(node)
        looks.add(text(node))
        clock.pass_time(3)
    assert len(looks) > 2
