# SPDX-License-Identifier: Apache-2.0
"""Edits that are refused, with what the one who tried needs to go on, as the document of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmcache_frontend.errors import BadRequest, Conflict
from lmcache_frontend.remote_config.findings import Finding


class LateEdit(Conflict):
    """Somebody else has changed the rules meanwhile; ``document`` has who, why and what."""

    def __init__(self, detail: str, *, revision: int, author: str, message: str, diff: list[dict[str, Any]]) -> None:
        """Take the revision that is in force, who made it, and what differs from the one that was expected."""
        super().__init__(detail)
        self.document = {
            "detail": detail,
            "revision": revision,
            "author": author,
            "message": message,
            "diff": diff,
        }


class RefusedRules(BadRequest):
    """LMCache would refuse values in these rules; ``document`` has all that is to be said of them."""

    def __init__(self, detail: str, findings: Sequence[Finding]) -> None:
        """Take the line to show and all findings."""
        super().__init__(detail)
        self.document = {"detail": detail, "findings": [finding._asdict() for finding in findings]}
