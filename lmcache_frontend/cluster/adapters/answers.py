# SPDX-License-Identifier: Apache-2.0
"""A node's answer, or the lack of one, in values and in words that are safe to show. Pure.

Source: LMCache's three shapes of errors, ``{"error", "message"}``, ``{"detail": text or list}`` and plain text. A 502
or 504 is never an LMCache node's own: a proxy before it could not reach it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lmcache_frontend.cluster.adapters.grammars import parse_lenient_json
from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout
from lmcache_frontend.http1.fetch import Answer

WORDS_LIMIT = 200
# Only metrics are longer: a dump of a hundred deep threads has some 300 KB.
TEXT_LIMIT_BYTES = 4 * 1024 * 1024

_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_WITHIN = re.compile(r"within ([\d.]+) s\b")
# Of the messages that `http1` has for nodes, those that say that something came back.
_CAME_BACK = re.compile(r"answer of |answered |did not answer with|chunk|Content-Length|trailer|bare LF|line of over")


class Heard(NamedTuple):
    """An answer's status and text, wrong UTF-8 replaced."""

    status: int
    text: str

    @property
    def document(self) -> Any:
        """Read the text as JSON; None where it is none."""
        if len(self.text) > TEXT_LIMIT_BYTES:
            return None
        try:
            return parse_lenient_json(self.text).value
        except ValueError:
            return None

    @property
    def members(self) -> dict[str, Any]:
        """Read the text as a JSON object; empty where it is none."""
        document = self.document
        return document if isinstance(document, dict) else {}


def hear(answer: Answer) -> Heard:
    """Take an answer.

    Raises: BadGateway, GatewayTimeout where a proxy before the node says that it could not reach it.
    """
    heard = Heard(answer.head.status, answer.body.decode("utf-8", "replace"))
    if heard.status in (502, 504):
        raise (BadGateway if heard.status == 502 else GatewayTimeout)(error_words(heard))
    return heard


def is_html(text: str) -> bool:
    """Tell whether a text is a web page."""
    return text[:200].lstrip("\ufeff \t\r\n")[:9].lower().startswith(("<!doctype", "<html"))


def error_words(heard: Heard) -> str:
    """Give what an error says, in one line."""
    if is_html(heard.text):
        return "an HTML page"
    document = heard.document
    if isinstance(document, dict):
        # The first of a list is FastAPI's: {"loc", "msg", "type"}.
        detail = document.get("detail")
        first = detail[0] if isinstance(detail, list) and detail else detail
        said = [document.get("error"), document.get("message"), document.get("reason"), first]
        if isinstance(first, dict):
            said[3] = first.get("msg")
        found = ": ".join(one_line(part) for part in said if isinstance(part, str) and part)
        if found:
            return one_line(found)
    return one_line(heard.text)


def status_words(heard: Heard) -> str:
    """Say with what an answer refused."""
    words = error_words(heard)
    return f"{heard.status}: {words}" if words else str(heard.status)


def failure_words(error: FrontendError) -> str:
    """Say why no answer came, shortly where the reason is a common one."""
    message = one_line(str(error))
    within = _WITHIN.search(message)
    if error.status == 504 and within:
        return f"timed out after {within[1]} s"
    if came_back(error):
        return message
    lowered = message.lower()
    for fragment, words in (
        ("connection refused", "refused"),
        ("connection reset", "reset"),
        ("no such file", "no such socket"),
        ("no route to host", "no route to host"),
    ):
        if fragment in lowered:
            return words
    return message or "not reached"


def came_back(error: FrontendError) -> bool:
    """Tell whether something came back that is no answer: not HTTP, or too much of it."""
    return error.status == 502 and _CAME_BACK.search(str(error)) is not None


def one_line(text: str, limit: int = WORDS_LIMIT) -> str:
    """Give a node's text in one line of at most so many characters."""
    # Cut before as well: it may be megabytes.
    line = _UNSEEN.sub(" ", text[: 4 * limit]).strip()
    return line if len(line) <= limit else line[: limit - 3] + "..."
