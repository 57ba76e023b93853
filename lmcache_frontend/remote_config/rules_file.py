# SPDX-License-Identifier: Apache-2.0
"""A file of rules, in JSON or YAML, that is read again when it changes; of a broken one the last good rules stay."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.files import Stamp, read_text, stamp_of
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.rules import Rules
from lmcache_frontend.remote_config.values import without_doubles

logger = logging.getLogger(__name__)

FILE_LIMIT_BYTES = 1024 * 1024


def parse_document(text: str, name: str) -> Any:
    """Read JSON where the file is named so or the text begins as an object does, else YAML.

    Raises: BadRequest with the line, but not the name.
    """
    if not name.endswith(".json") and not text.lstrip().startswith("{"):
        from lmcache_frontend.remote_config.yaml_subset import load

        return load(text)
    try:
        return json.loads(text, object_pairs_hook=without_doubles)
    except json.JSONDecodeError as exc:
        raise BadRequest(f"not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
    except ValueError as exc:
        raise BadRequest("not JSON: it holds a number of too many digits") from exc
    except RecursionError as exc:
        raise BadRequest("nested too deeply") from exc


def read_rules_file(path: Path) -> Rules:
    """Read a file of rules.

    Raises: BadRequest, with the file's name.
    """
    try:
        return read_rules(parse_document(read_text(path, limit_bytes=FILE_LIMIT_BYTES), path.name))
    except BadRequest as exc:
        raise BadRequest(f"{path}: {exc}") from exc


class RulesFile:
    """A watched file of rules; ``loads`` counts how often other rules were found in it."""

    def __init__(self, path: Path, check: Callable[[Rules], object]) -> None:
        """Take the path, and what raises BadRequest for rules that are not to be served; nothing is read yet."""
        self.path = path
        self.rules: Rules = ()
        self.loads = 0
        self.fault = ""
        self._check = check
        self._seen: Stamp | None = None
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read the file.

        Raises: BadRequest where it cannot be read or its rules are refused; the rules stay as they were then.
        """
        with self._lock:
            self._seen = stamp_of(self.path)
            self._read()

    def reload_if_changed(self) -> bool:
        """Read the file again where it has changed and say whether its rules have; a fault is logged and kept."""
        with self._lock:
            stamp = stamp_of(self.path)
            if stamp == self._seen:
                return False
            self._seen = stamp
            try:
                return self._read()
            except BadRequest as exc:
                if str(exc) != self.fault:
                    logger.warning("%s; the rules read before stay", exc)
                self.fault = str(exc)
                return False

    def _read(self) -> bool:
        rules = read_rules_file(self.path)
        try:
            self._check(rules)
        except BadRequest as exc:
            raise BadRequest(f"{self.path}: {exc}") from exc
        self.fault = ""
        if rules == self.rules and self.loads:
            return False
        self.rules = rules
        self.loads += 1
        return True
