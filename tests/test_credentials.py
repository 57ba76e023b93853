# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from base64 import b64encode

import pytest

from lmcache_frontend.access.credentials import BASIC, BEARER, Shown, read_authorization, read_cookies


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer abc", Shown(BEARER, "abc")),
        ("bearer  abc ", Shown(BEARER, "abc")),
        (basic("user:secret:more"), Shown(BASIC, "secret:more")),
        (basic(":secret"), Shown(BASIC, "secret")),
        (basic("secret"), Shown(BASIC, "secret")),
        (basic("secret:"), Shown(BASIC, "secret")),
        (basic(":"), None),
        ("Basic " + b64encode(b"a:\xff").decode(), None),
        ("Basic x", None),
        ("Basic é", None),
        ("Basic", None),
        ("Bearer", None),
        ("Digest username=a", None),
        ("abc", None),
        ("", None),
    ],
)
def test_a_token_is_read_from_bearer_and_from_the_password_of_basic(value: str, shown: Shown | None) -> None:
    assert read_authorization(value) == shown


def test_all_cookies_of_a_name_are_read() -> None:
    assert read_cookies("a=1; ours=x=y ;ours= z;ours2=no; b", "ours") == ["x=y", "z"]
    assert read_cookies("", "ours") == []
    assert len(read_cookies("ours=1;" * 100, "ours")) == 8
