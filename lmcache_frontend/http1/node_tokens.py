# SPDX-License-Identifier: Apache-2.0
"""The tokens that are sent to nodes, from the files that their entries name; read again when a file changes."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from lmcache_frontend.errors import BadGateway, BadRequest
from lmcache_frontend.files import Stamp, read_text, stamp_of

logger = logging.getLogger(__name__)

FILE_LIMIT_BYTES = 64 * 1024
_is_token = re.compile(r"[!-~]+").fullmatch


class NodeTokens:
    """Gives the token in a file."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._known: dict[str, tuple[Stamp | None, str]] = {}

    def read(self, path: str) -> str:
        """Give the first line that is neither empty nor a comment.

        Raises: BadGateway, which does not name the file, as everybody may see it; the log does.
        """
        stamp = stamp_of(Path(path))
        known = self._known.get(path)
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        try:
            token = _first_token(read_text(Path(path), limit_bytes=FILE_LIMIT_BYTES))
        except BadRequest as exc:
            logger.warning("a node's entry: token_file %s: %s", path, exc)
            raise BadGateway("token_file of the node's entry cannot be used; the log has more") from exc
        self._known[path] = (stamp, token)
        return token


def _first_token(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    token = next((line for line in lines if line and not line.startswith("#")), "")
    if not _is_token(token):
        raise BadRequest("no token of visible ASCII characters in it")
    return token
