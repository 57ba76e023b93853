# SPDX-License-Identifier: Apache-2.0
"""What one figure, or the state, of every node was over time: a row a node, as text that is quick to make. Pure.

A thousand nodes have about a hundred thousand values: each is written with four digits, which is more than a colour
can show. Where the values come from is `history`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lmcache_frontend.fleet.history import LEVEL, Column
from lmcache_frontend.fleet.snapshot import Level

# A state as a number is its place here; within a step that is longer than a round, the worst one counts.
LEVELS = (Level.UNREACHABLE, Level.ANSWERING, Level.DEGRADED, Level.SERVING, Level.HEALTHY)


def level_number(level: Level) -> float:
    """Give the number that stands for a state, the smaller the worse."""
    return float(LEVELS.index(level))


def heat_text(name: str, rows: Iterable[tuple[str, Column]], empty: Column) -> str:
    """Give ``GET /api/fleet/heat`` as JSON out of ``(node key, its series)``, all of which have the same steps.

    ``empty`` tells the steps where there is no node.
    """
    nodes, lines, column = [], [], empty
    for key, column in rows:
        nodes.append(key)
        lines.append(_row(column))
    head = {"name": name, "start": column.start, "step_s": column.step_s, "nodes": nodes}
    if name == LEVEL:
        head["levels"] = [level.value for level in LEVELS]
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"values":[{",".join(lines)}]}}'


def _row(column: Column) -> str:
    """Write a row in one go, as a number at a time takes several times as long."""
    text = ",".join(["%.4g"] * len(column.values)) % tuple(column.values)
    # A value beyond what the history holds is none.
    return f"[{text.replace('-inf', 'null').replace('inf', 'null').replace('nan', 'null')}]"
