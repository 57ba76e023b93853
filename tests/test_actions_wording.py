# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.actions.wording import (
    clean,
    error_line,
    refusal_words,
    shown_answer,
    shown_question,
    shown_target,
    shown_value,
)
from lmcache_frontend.cluster.adapters.answers import Heard
from lmcache_frontend.errors import BadGateway, GatewayTimeout
from lmcache_frontend.http1.fetch import Question

MASK = "********"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", "plain words"),
        ("one\r\ntwo\x1b[2J\x00\x85\u202e", "one two [2J"),
        ("API_KEY=abc", f"API_KEY={MASK}"),
        ("hf_token: abc def", f"hf_token: {MASK}"),
        ("{'password': 'a b \\' c', 'x': 1}", f"{{'password': {MASK}, 'x': 1}}"),
        ('"client_secret": "a \\" b", "y": 2', f'"client_secret": {MASK}, "y": 2'),
        ("'secret': 'never ends", f"'secret': {MASK}"),
        ("min_retrieve_tokens=3 monkey=4", "min_retrieve_tokens=3 monkey=4"),
        ("redis://user:pass@host/0", f"redis://{MASK}@host/0"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ("the key is lost", "the key is lost"),
        ("key" * 1000, "key" * 65 + "ke..."),
    ],
)
def test_secrets_in_texts_are_hidden(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "token": "abc", "b": {"api_key": [1]}}', f'{{"a":1,"token":"{MASK}","b":{{"api_key":"{MASK}"}}}}'),
        ('["a", {"password": "x"}]', f'["a",{{"password":"{MASK}"}}]'),
        ('{"a": Infinity}', '{"a":"Infinity"}'),
        ('"0.5.6"', '"0.5.6"'),
        ("TOKEN=x\nA=1", f"TOKEN={MASK} A=1"),
        ("<!DOCTYPE html><p>token=x", "an HTML page"),
        ("", ""),
        ('{"a": "' + "x" * 2000 + '"}', '{"a":"' + "x" * 991 + "..."),
        ('{"a": "\\ud800\\u001b"}', '{"a":"\ufffd\\u001b"}'),
    ],
)
def test_answers_are_clipped_and_masked(text: str, expected: str) -> None:
    assert shown_answer(Heard(200, text)) == expected


def test_questions_are_shown_without_secrets() -> None:
    json = (("Content-Type", "application/json"),)
    assert shown_question(Question("PUT", "/freeze/enable")) == "PUT /freeze/enable"
    sent = Question("POST", "/conf?token=x", json, b'{"api_key": "abc", "a": 1}')
    assert shown_question(sent) == f'POST /conf?token={MASK} {{"api_key":"{MASK}","a":1}}'
    sent = Question("POST", "/run_script", (("Content-Type", "multipart/form-data; boundary=b"),), b"0123456789")
    assert shown_question(sent) == "POST /run_script (10 bytes)"
    assert shown_question(Question("POST", "/a", (("Authorization", "Bearer x"),), b"\xff")) == "POST /a \ufffd"
    assert shown_target("/a?password=b&c=d") == f"/a?password={MASK}&c=d"
    assert shown_value("api_key", "x") == f'"{MASK}"'
    assert shown_value("a", {"secret": 1, "b": "é"}) == f'{{"secret":"{MASK}","b":"é"}}'


def test_errors_are_shown_without_secrets() -> None:
    assert refusal_words(Heard(403, '{"detail": "token=abc is wrong"}')) == f"403: token={MASK} is wrong"
    assert refusal_words(Heard(500, "")) == "500"
    assert error_line(BadGateway("127.0.0.1:1: Connection refused")) == "refused"
    assert error_line(GatewayTimeout("127.0.0.1:1 did not answer within 5 s")) == "timed out after 5 s"
