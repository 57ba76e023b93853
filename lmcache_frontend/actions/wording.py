# SPDX-License-Identifier: Apache-2.0
"""Requests and answers in one short line, with control characters and secrets taken out. Pure.

What is secret is decided in `masking`.
"""

from __future__ import annotations

import json
from typing import Any

from lmcache_frontend.cluster.adapters.answers import Heard, error_words, failure_words, is_html, one_line
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.http1.fetch import Question
from lmcache_frontend.masking import masked, masked_text

WORDS_LIMIT = 200
ANSWER_LIMIT = 1000


def clean(text: str, limit: int = WORDS_LIMIT) -> str:
    """Give a text of somebody else's in one line, with what looks like a secret hidden."""
    # Cut before as well: it may be megabytes.
    return one_line(masked_text(text[: 4 * limit]), limit)


def shown_value(name: str, value: Any, limit: int = WORDS_LIMIT) -> str:
    """Give a value as JSON, masked according to its name."""
    return one_line(_dumped(masked(name, value)), limit)


def shown_target(target: str) -> str:
    """Give path and query with the secrets in the latter hidden."""
    return one_line(masked_text(target))


def shown_question(question: Question) -> str:
    """Give a request in one line: method, target, and what there is of a body."""
    words = f"{question.method} {shown_target(question.target)}"
    if not question.body:
        return words
    types = [value for name, value in question.fields if name.lower() == "content-type"]
    if types and types[0].startswith("multipart/"):
        return f"{words} ({len(question.body)} bytes)"
    return f"{words} {shown_text(question.body.decode('utf-8', 'replace'))}"


def shown_text(text: str, limit: int = WORDS_LIMIT) -> str:
    """Give a text in one line, as JSON where it is an object or a list in JSON."""
    if is_html(text):
        return "an HTML page"
    document = Heard(0, text).document
    if isinstance(document, (dict, list)):
        return one_line(_dumped(masked("", document)), limit)
    return clean(text, limit)


def shown_answer(heard: Heard) -> str:
    """Give the body of an answer in one line."""
    return shown_text(heard.text, ANSWER_LIMIT)


def refusal_words(heard: Heard) -> str:
    """Say with what an answer refused."""
    words = clean(error_words(heard))
    return f"{heard.status}: {words}" if words else str(heard.status)


def error_line(error: FrontendError) -> str:
    """Say why no answer came."""
    return clean(failure_words(error))


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
