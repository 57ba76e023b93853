# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from lmcache_frontend.masking import MASK
from lmcache_frontend.remote_config.hidden import hidden

URL, SHOWN_URL = "redis://u:pw@h", f"redis://{MASK}@h"
RULE: dict[str, Any] = {
    "name": "r",
    "description": f"see {URL}",
    "enabled": True,
    "deny": False,
    "match": {"app_id": ["a"], "env": {"HF_TOKEN": "pw", "X": "y"}, "config": {"remote_url": {"equals": URL}}},
    "items": [
        {"key": "remote_url", "value": URL, "override": True},
        {"key": "api_key", "value": "pw", "override": False},
    ],
}
HIDDEN_RULE = {
    **RULE,
    "description": f"see {SHOWN_URL}",
    "match": {"app_id": ["a"], "env": {"HF_TOKEN": MASK, "X": "y"}, "config": {"remote_url": {"equals": SHOWN_URL}}},
    "items": [
        {"key": "remote_url", "value": SHOWN_URL, "override": True},
        {"key": "api_key", "value": MASK, "override": False},
    ],
}


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        (
            {"revision": 3, "rules": [RULE], "read_only": None},
            {"revision": 3, "rules": [HIDDEN_RULE], "read_only": None},
        ),
        (
            {
                "diff": [
                    {"op": "changed", "rule": "r", "before": RULE, "after": None},
                    {"op": "moved", "before": 0, "after": 1},
                ]
            },
            {
                "diff": [
                    {"op": "changed", "rule": "r", "before": HIDDEN_RULE, "after": None},
                    {"op": "moved", "before": 0, "after": 1},
                ]
            },
        ),
        (
            {"revisions": [{"revision": 1, "author": "ada", "message": URL}]},
            {"revisions": [{"revision": 1, "author": "ada", "message": SHOWN_URL}]},
        ),
        (
            {
                "configs": [{"key": "api_key", "value": "pw", "override": True}],
                "explain": [
                    {
                        **{"key": "api_key", "rule": "r", "value": "pw", "override": True},
                        "lost": [{"rule": "q", "value": "pw"}],
                        "merged": [{"rule": "q", "value": "pw"}],
                    }
                ],
                "unmatched": [{"rule": "s", "why": f"remote_url is {URL}"}],
                "result": [{"key": "api_key", "current": "pw", "remote": "pw", "result": "pw", "why": "set"}],
                "unknown": ["t"],
            },
            {
                "configs": [{"key": "api_key", "value": MASK, "override": True}],
                "explain": [
                    {
                        **{"key": "api_key", "rule": "r", "value": MASK, "override": True},
                        "lost": [{"rule": "q", "value": MASK}],
                        "merged": [{"rule": "q", "value": MASK}],
                    }
                ],
                "unmatched": [{"rule": "s", "why": f"remote_url is {SHOWN_URL}"}],
                "result": [{"key": "api_key", "current": MASK, "remote": MASK, "result": MASK, "why": "set"}],
                "unknown": ["t"],
            },
        ),
    ],
)
def test_documents_are_shown_without_their_secrets(document: dict[str, Any], shown: dict[str, Any]) -> None:
    assert hidden(document) == shown
