# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from lmcache_frontend.actions.arguments import Freeze, MetricsReset
from lmcache_frontend.actions.requests import ActionRequest, read_request
from lmcache_frontend.errors import BadRequest

RESET: dict[str, Any] = {"action": "metrics_reset", "nodes": ["a"]}


def test_what_is_not_said_has_a_default() -> None:
    assert read_request(RESET) == ActionRequest(
        "metrics_reset", MetricsReset(), ("a",), "", False, 8, None, False, None
    )
    given = {"max_failures": None, "parallel": None, "timeout_s": None, "nodes": None, "filter": "kind:mp"}
    assert read_request({**RESET, **given}) == ActionRequest("metrics_reset", MetricsReset(), (), "kind:mp")


def test_everything_can_be_said() -> None:
    document = {
        "action": "freeze",
        "arguments": {"enabled": True},
        "nodes": ["a", "p/b"],
        "dry_run": True,
        "parallel": 64,
        "max_failures": 1,
        "canary": True,
        "timeout_s": 2,
    }
    assert read_request(document) == ActionRequest("freeze", Freeze(True), ("a", "p/b"), "", True, 64, 1, True, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dryrun": True},
            "unknown member 'dryrun', expected action, nodes, filter, arguments, dry_run, parallel, max",
        ),
        ({"action": None}, "action is null, expected one of loglevel, conf, freeze"),
        ({"action": ["conf"]}, "action is a list, expected one of loglevel"),
        ({"action": "reboot"}, 'action is "reboot", expected one of loglevel'),
        ({"arguments": []}, "arguments is a list, expected an object"),
        ({"nodes": None}, "expected either nodes or filter, got neither"),
        ({"filter": "a"}, "expected either nodes or filter, got both"),
        ({"nodes": None, "filter": " "}, "filter is \" \", expected words and terms, or '*' for every node"),
        ({"nodes": None, "filter": 1}, "filter is 1, expected words and terms"),
        ({"nodes": []}, "nodes is an empty list, expected a list of names"),
        ({"nodes": "a"}, 'nodes is "a", expected a list of names'),
        ({"nodes": ["a", 1]}, "nodes has 1, expected names"),
        ({"nodes": [""]}, 'nodes has "", expected names'),
        ({"nodes": ["a"] * 10_001}, "nodes has 10001 names, at most 10000 are taken"),
        ({"dry_run": "yes"}, 'dry_run is "yes", expected true or false'),
        ({"dry_run": None}, "dry_run is null, expected true or false"),
        ({"canary": 1}, "canary is 1, expected true or false"),
        ({"parallel": 0}, "parallel is 0, expected a whole number from 1 to 64"),
        ({"parallel": 65}, "parallel is 65, expected a whole number from 1 to 64"),
        ({"parallel": True}, "parallel is true, expected a whole number"),
        ({"parallel": 1.5}, "parallel is 1.5, expected a whole number"),
        ({"max_failures": 0}, "max_failures is 0, expected a whole number from 1 to 10000"),
        ({"timeout_s": 0}, "timeout_s is 0, expected seconds, more than 0 and at most 600"),
        ({"timeout_s": 601}, "timeout_s is 601, expected seconds"),
        ({"timeout_s": "5"}, 'timeout_s is "5", expected seconds'),
        ({"timeout_s": math.inf}, "the body has a number that is not finite"),
        ({"arguments": {"a": math.nan}}, 'a number that is not finite, expected a text such as "Infinity"'),
        ({"nodes": ["\ud800"]}, "the body has half of a surrogate pair in a text"),
        ({"arguments": {"a": 1}}, "metrics_reset takes no argument 'a', expected none"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request({**RESET, **changes})
    assert message in str(caught.value)
