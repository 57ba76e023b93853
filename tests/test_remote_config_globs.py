# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
import re
import sys
from fnmatch import fnmatchcase

import pytest

from lmcache_frontend.remote_config.globs import TEXT_LIMIT, compile_glob, matches


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("", [""], ["a"]),
        ("*", ["", "a", "a\nb", "é"], []),
        ("a", ["a"], ["A", "aa", "", "a\n"]),
        ("vllm-*", ["vllm-", "vllm-0", "vllm-a-b"], ["VLLM-0", "xvllm-0", "vllm"]),
        ("*-0", ["-0", "a-0", "-0-0"], ["-01", "0"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ac"]),
        ("*ab*ab*", ["abab", "xabyabz"], ["ab", "aba"]),
        ("?", ["a", "\n", "é"], ["", "ab"]),
        ("pod-??", ["pod-01"], ["pod-1", "pod-001"]),
        ("[abc]x", ["ax", "cx"], ["dx", "x"]),
        ("[!abc]", ["d", "\n", "!"], ["a", "c", ""]),
        ("[a-c0-9]", ["b", "5"], ["d", "-"]),
        ("[]]", ["]"], ["[", ""]),
        ("[!]]", ["a"], ["]"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[z-a]", [], ["z", "a", "-", ""]),
        ("[!z-a]", ["z", "-"], [""]),
        ("[a", ["[a"], ["a"]),
        ("[", ["["], [""]),
        ("[]", ["[]"], [""]),
        ("[!", ["[!"], ["a"]),
        ("[*]", ["*"], ["a"]),
        ("a.b+(c|d)$", ["a.b+(c|d)$"], ["aXb+(c|d)$"]),
        (r"\d", [r"\d"], ["1"]),
        (r"[\d]", ["\\", "d"], ["1"]),
        ("[&&~~||--[]", ["&", "~", "|", "["], ["a", "-"]),
    ],
)
def test_patterns(pattern: str, fitting: list[str], others: list[str]) -> None:
    glob = compile_glob(pattern)
    assert [text for text in fitting if not matches(glob, text)] == []
    assert [text for text in others if matches(glob, text)] == []
    assert glob.text == pattern


def test_made_up_patterns_mean_what_they_mean_to_fnmatch() -> None:
    chooser = random.Random(4)
    compared = 0
    for _ in range(4000):
        pattern = "".join(chooser.choices("ab*?[]!-", k=chooser.randrange(9)))
        text = "".join(chooser.choices("ab!-[]", k=chooser.randrange(7)))
        try:
            expected = fnmatchcase(text, pattern)
        except re.error:
            # Python 3.10 fails on some ranges.
            assert sys.version_info < (3, 11)
            continue
        compared += 1
        assert matches(compile_glob(pattern), text) is expected, (pattern, text)
    assert compared > 3000


def test_a_hostile_pattern_ends() -> None:
    assert not matches(compile_glob("*a" * 120 + "b"), "a" * 5000)
    assert not matches(compile_glob("*" + "?a" * 120 + "b*"), "a" * TEXT_LIMIT)


def test_a_text_that_is_too_long_fits_nothing() -> None:
    assert matches(compile_glob("*"), "a" * TEXT_LIMIT)
    assert not matches(compile_glob("*"), "a" * (TEXT_LIMIT + 1))
