# SPDX-License-Identifier: Apache-2.0
"""The contexts of a user: names for frontends, one of which is in use.

The file is ``contexts.json`` under ``$XDG_CONFIG_HOME/lmcache-frontend``, by default ``~/.config/lmcache-frontend``:
``{"current": NAME or null, "contexts": {NAME: {"server": URL, "token_file": PATH}}}``; a token itself is never in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lmcache_frontend.errors import UsageError

from .files import WriteFailed, write_atomically


class Context(NamedTuple):
    """A frontend by name."""

    server: str
    token_file: str | None = None


class Contexts(NamedTuple):
    """All contexts, and the name of the one in use."""

    current: str | None = None
    known: Mapping[str, Context] = {}

    @property
    def in_use(self) -> Context | None:
        """Give the context in use, None where there is none."""
        return None if self.current is None else self.known.get(self.current)


def contexts_path(environment: Mapping[str, str]) -> Path:
    """Give the place of the file, whether it is there or not."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    # An XDG path that is not absolute is to be ignored, says the XDG base directory specification.
    if configured.startswith("/"):
        return Path(configured, "lmcache-frontend", "contexts.json")
    home = environment.get("HOME") or "~"
    return Path(home, ".config", "lmcache-frontend", "contexts.json").expanduser()


def read_contexts(path: Path) -> Contexts:
    """Read the file; there are no contexts where it is not there.

    Raises: UsageError, naming the file, for what cannot be read or understood.
    """
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Contexts()
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot read the contexts in {path}: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        known = {name: _context(value) for name, value in document.get("contexts", {}).items()}
        current = document.get("current")
        if not isinstance(current, (str, type(None))):
            raise TypeError
    except (AttributeError, KeyError, TypeError) as exc:
        expected = '{"current": NAME, "contexts": {NAME: {"server": URL}}}'
        raise UsageError(f"cannot understand the contexts in {path}: expected {expected}") from exc
    if current is not None and current not in known:
        raise UsageError(f"the context in use, {current!r}, is not among those in {path}")
    return Contexts(current, known)


def write_contexts(path: Path, contexts: Contexts) -> None:
    """Write the file, for its owner alone.

    Raises: WriteFailed.
    """
    known = {
        name: {key: value for key, value in context._asdict().items() if value is not None}
        for name, context in contexts.known.items()
    }
    document = {"current": contexts.current, "contexts": known}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise WriteFailed(f"cannot make {path.parent}: {exc.strerror or exc}") from exc
    write_atomically(str(path), (json.dumps(document, indent=2) + "\n").encode(), new_mode=0o600)


def _context(value: Mapping[str, str]) -> Context:
    server, token_file = value["server"], value.get("token_file")
    if not isinstance(server, str) or not isinstance(token_file, (str, type(None))):
        raise TypeError
    return Context(server, token_file)
