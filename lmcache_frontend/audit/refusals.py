# SPDX-License-Identifier: Apache-2.0
"""Which refused attempts are kept: they could be made without end, by anybody. Reads no clock."""

from __future__ import annotations

from lmcache_frontend.audit.deeds import Deed


class Refusals:
    """Counts refused attempts: of each client a few within some minutes pass, and some of all clients together."""

    OF_A_CLIENT = 5
    OF_ALL = 100
    WITHIN_S = 600.0

    def __init__(self) -> None:
        """Start empty."""
        self._ends_at = 0.0
        self._passed: dict[str, int] = {}
        self._left_out: dict[str, tuple[Deed, int]] = {}

    def admits(self, deed: Deed, now: float) -> bool:
        """Say whether an attempt is one of the few."""
        if not self._passed:
            self._ends_at = now + self.WITHIN_S
        total = sum(self._passed.values())
        passed = self._passed.get(deed.address, 0)
        if passed < self.OF_A_CLIENT and total < self.OF_ALL:
            self._passed[deed.address] = passed + 1
            return True
        # Who comes when there were too many already is one of the others.
        client = deed.address if passed else ""
        self._left_out[client] = (deed, self._left_out.get(client, (deed, 0))[1] + 1)
        return False

    def summaries(self, now: float) -> list[Deed]:
        """Give, once the time is over, a deed for each client that stands for what was left out."""
        if not self._passed or now < self._ends_at:
            return []
        left_out, self._left_out, self._passed = self._left_out, {}, {}
        during = f"within {self.WITHIN_S / 60:.0f} minutes"
        return [
            deed._replace(
                who=deed.who if client else "others",
                address=client,
                detail=f"{count} more refused attempts {during}, the last: {deed.detail}",
            )
            for client, (deed, count) in left_out.items()
        ]
