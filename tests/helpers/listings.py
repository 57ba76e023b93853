# SPDX-License-Identifier: Apache-2.0
"""Small lists of nodes, and files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lmcache_frontend.cluster.registry import Registry


def entry(name: str, port: int = 1) -> dict[str, Any]:
    return {"name": name, "host": "10.0.0.1", "port": port}


def text(*names: str) -> str:
    return json.dumps([entry(name) for name in names])


def names(registry: Registry) -> list[str]:
    return list(registry.snapshot.local_nodes)


def swap(path: Path, content: str | bytes) -> None:
    """Put new content in place as editors and tools do: in a file beside it that is renamed."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    beside.replace(path)
