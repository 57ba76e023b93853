# SPDX-License-Identifier: Apache-2.0
"""Logging for entry points: text for people or one JSON object a line for machines, control characters escaped."""

from __future__ import annotations

import json
import logging
import re
import sys
import time

TRACE = 5
_find_control = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
).sub
_LEVELS = {"warn": "WARNING", "trace": "TRACE"}


def configure(level: str, form: str) -> None:
    """Let the package's loggers write to standard error."""
    logging.addLevelName(TRACE, "TRACE")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    root = logging.getLogger("lmcache_frontend")
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(level, level.upper()))
    root.propagate = False


def escaped(text: str) -> str:
    """Escape what could forge a line or steer a terminal; tabs and the line ends of tracebacks stay."""
    return _find_control(lambda match: ascii(match[0])[1:-1], text)


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = escaped(record.message).replace("\n", "\\n")
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:
        return escaped(super().formatException(ei))  # type: ignore[arg-type]


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
