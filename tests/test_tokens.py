# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.access.rules import Role
from lmcache_frontend.access.tokens import LONGEST, Tokens, make_token, parse_tokens
from lmcache_frontend.errors import BadRequest

ONE = "0123456789abcdef"
TWO = "fedcba9876543210"


def test_a_file_has_a_token_a_line_with_or_without_a_name() -> None:
    text = f"\n# of the team\n{ONE}\r\n  ci runner:  {TWO}  \n#{TWO}\n"
    tokens = Tokens(parse_tokens(text, Role.OPERATOR))
    first, second = tokens.find(ONE), tokens.find(TWO)
    assert first is not None
    assert (first.name, first.role) == ("operator token in line 3", Role.OPERATOR)
    assert second is not None
    assert second.name == "ci runner"


def test_a_token_may_hold_colons() -> None:
    assert Tokens(parse_tokens("a:b:0123456789abcdef", Role.VIEWER)).find("a:b:0123456789abcdef")


@pytest.mark.parametrize("sent", ["", ONE[:-1], ONE + "0", ONE.upper(), " " + ONE, "\udcff" * 16, "x" * (LONGEST + 1)])
def test_what_is_no_token_is_not_found(sent: str) -> None:
    assert Tokens(parse_tokens(ONE, Role.OPERATOR)).find(sent) is None
    assert Tokens().find(sent) is None


def test_every_token_is_compared_and_the_greater_role_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(kept: bytes, sent: bytes) -> bool:
        compared.append(kept)
        return kept == sent

    monkeypatch.setattr("_operator._compare_digest", compare)
    tokens = Tokens(
        [make_token(ONE, "o", Role.OPERATOR), make_token(TWO, "v", Role.VIEWER), make_token(ONE, "v", Role.VIEWER)]
    )
    found = tokens.find(ONE)
    assert found is not None
    assert found.name == "o"
    assert len(compared) == 3
    assert tokens.by_digest(found.digest) == found
    assert tokens.greatest_role is Role.OPERATOR
    assert Tokens().greatest_role is Role.NONE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "0 tokens"),
        ("# nothing\n\n", "0 tokens"),
        (f"{ONE}\nshort", "line 2: a token of 5 characters, expected 16 to 1024"),
        ("x" * (LONGEST + 1), "line 1: a token of 1025"),
        (f"{ONE} {TWO}", "line 1: expected a token"),
        (f"name:{' '}", "line 1: a token of 5"),
        (f"\n\n: {TWO}", "line 3: expected a token"),
        ("0123456789abcdé0", "line 1: a token has visible ASCII"),
        (f"{'n' * 61}: {TWO}", "line 1: expected a token"),
        (f"a\x07b: {TWO}", "line 1: the token's name"),
        ("\n".join(f"{ONE}{number}" for number in range(1001)), "1001 tokens"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_line_and_never_shown(text: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_tokens(text, Role.OPERATOR)
    assert complaint in str(caught.value)
    assert not any(word in str(caught.value) for word in (ONE, TWO, "short", "0123"))
