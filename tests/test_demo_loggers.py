# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest

from tests.helpers.demo import ManualClock, server, status, worker


def text(node, query=""):
    return node.answer("GET", "/loglevel", query).body.decode()


@pytest.mark.parametrize("make", [worker, server])
def test_the_list_follows_the_grammar(make):
    listing = text(make(ManualClock()))
    head, *lines = listing.splitlines()
    assert head == "=== Loggers and Levels ==="
    assert len(lines) > 90
    assert len({line.rpartition(": ")[0] for line in lines}) == len(lines)
    assert all(re.fullmatch(r"\S+: (NOTSET|DEBUG|INFO|WARNING|ERROR|CRITICAL)", line) for line in lines)
    assert listing.endswith("\n")
    assert "lmcache: INFO" in lines


def test_a_get_sets_a_level_and_echoes_the_word():
    node = worker(ManualClock())
    assert text(node, "logger_name=lmcache&level=warn") == "Set lmcache level to WARN (including all handlers)"
    assert text(node, "logger_name=lmcache") == "lmcache: WARNING"
    assert "\nlmcache: WARNING\n" in text(node)


def test_asking_for_a_logger_makes_it():
    node = worker(ManualClock())
    assert "\nnew.one: " not in text(node)
    assert text(node, "logger_name=new.one") == "new.one: NOTSET"
    assert text(node).endswith("\nnew.one: NOTSET\n")
    assert text(node, "logger_name=root") == "root: WARNING"
    assert "root:" not in text(node)


def test_what_cannot_be_set_is_refused_in_three_ways():
    node = worker(ManualClock())
    assert status(node, "GET", "/loglevel?logger_name=lmcache&level=10") == 400
    assert text(node, "logger_name=lmcache&level=Loud") == "Invalid log level: Loud"
    assert status(node, "GET", "/loglevel?logger_name=lmcache&level=basic_format") == 500
    alone = node.answer("GET", "/loglevel", "level=INFO")
    assert (alone.status, alone.content_type, alone.body) == (200, "application/json", b"null")


def test_levels_are_those_of_one_node():
    one, two = worker(ManualClock()), worker(ManualClock())
    text(one, "logger_name=lmcache&level=DEBUG")
    assert text(two, "logger_name=lmcache") == "lmcache: INFO"
