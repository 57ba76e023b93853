# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from lmcache_frontend.remote_config.yaml_subset import YamlError, load
from lmcache_frontend.remote_config.yaml_subset.faults import Refusal
from lmcache_frontend.remote_config.yaml_subset.scalars import NUMBER_LIMIT_CHARACTERS

PLAIN = {
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "nUll": "nUll",
    "none": "none",
    "true": True,
    "True": True,
    "TRUE": True,
    "tRUE": "tRUE",
    "yes": True,
    "Yes": True,
    "on": True,
    "ON": True,
    "false": False,
    "no": False,
    "No": False,
    "off": False,
    "OFF": False,
    "y": "y",
    "N": "N",
    "0": 0,
    "-0": 0,
    "+12": 12,
    "-12": -12,
    "1_000": 1000,
    "1__0_": 10,
    "_1": "_1",
    "017": 15,
    "-017": -15,
    "00": 0,
    "0_7": 7,
    "08": "08",
    "0o17": "0o17",
    "0x1F": 31,
    "-0xff": -255,
    "0x_f": 15,
    "0X1F": "0X1F",
    "0x": "0x",
    "0b1": 1,
    "+0b1_0": 2,
    "0b2": "0b2",
    "12:30": 750,
    "1:00:00": 3600,
    "-1:30": -90,
    "1:5": 65,
    "1:60": "1:60",
    "0:30": "0:30",
    "00:30": "00:30",
    "123456789012345678901234567890": 123456789012345678901234567890,
    "5.0": 5.0,
    "5.": 5.0,
    ".5": 0.5,
    "-.5": "-.5",
    "-0.0": -0.0,
    "0.1": 0.1,
    "1_0.0_1": 10.01,
    "1e3": "1e3",
    "1e+3": "1e+3",
    "1.0e3": "1.0e3",
    "1.0e+3": 1000.0,
    "1.E-2": 0.01,
    ".5e+3": 500.0,
    "1.0e+400": math.inf,
    "190:20:30.15": 685230.15,
    "0:30.5": 30.5,
    "-1:30.5": -90.5,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    ".iNF": ".iNF",
    "inf": "inf",
    "nan": "nan",
    "-.nan": "-.nan",
    "-": "-",
    "+": "+",
    ".": ".",
    "._1": "._1",
    "1.2.3": "1.2.3",
    "01-01-2001": "01-01-2001",
    "2001-1-1": "2001-1-1",
    "2001-01-01x": "2001-01-01x",
    "redis://u:p@h:6379/0": "redis://u:p@h:6379/0",
    "a b, c]d}": "a b, c]d}",
    'it\'s "so"': 'it\'s "so"',
    "a#b": "a#b",
    "a:b": "a:b",
    "-x": "-x",
    ":x": ":x",
    "?x": "?x",
    "a & *b !c %d @e `f |g >h": "a & *b !c %d @e `f |g >h",
    "日本 😀": "日本 😀",
}


@pytest.mark.parametrize("text", PLAIN)
def test_plain_scalars(text: str) -> None:
    spaced = "[-]" if text == "-" else f"k: {text}"
    assert ascii(load(spaced)) == ascii([PLAIN[text]] if text == "-" else {"k": PLAIN[text]})


def test_not_a_number() -> None:
    assert all(math.isnan(load(text)) for text in (".nan", ".NaN", ".NAN"))


REFUSED_PLAIN = [
    ("2001-01-01", Refusal.DATE),
    ("2001-1-1 1:00:00", Refusal.DATE),
    ("2001-12-14t21:59:43.10-05:00", Refusal.DATE),
    ("2001-12-14 21:59:43.10 -5", Refusal.DATE),
    ("2001-13-45", Refusal.DATE),
    ("<<", Refusal.MERGE),
    ("=", Refusal.EQUALS),
    ("1" * (NUMBER_LIMIT_CHARACTERS + 1), Refusal.LONG_NUMBER),
    ("1." + "1" * NUMBER_LIMIT_CHARACTERS, Refusal.LONG_NUMBER),
    ("0b_", None),
    ("0x_", None),
    ("1" + ":59" * 300 + ".0", None),
]


@pytest.mark.parametrize(("text", "refusal"), REFUSED_PLAIN)
def test_refused_plain_scalars(text: str, refusal: Refusal | None) -> None:
    with pytest.raises(YamlError, match=r"line 2, column 4: .*quotes") as caught:
        load(f"\nk: {text}")
    assert caught.value.refusal is refusal
    assert load(f"k: '{text}'") == {"k": text}


def test_numbers_up_to_the_limit() -> None:
    digits = "9" * NUMBER_LIMIT_CHARACTERS
    assert load(digits) == 10**NUMBER_LIMIT_CHARACTERS - 1
    assert load("x" + digits) == "x" + digits


SINGLE = {
    "''": "",
    "'a'": "a",
    "'it''s'": "it's",
    "''''": "'",
    "'a\\n\"b\"'": 'a\\n"b"',
    "'  a  '": "  a  ",
    "'null'": "null",
    "'a: b # c'": "a: b # c",
    "'\ttab'": "\ttab",
    "'a\n  b'": "a b",
    "'a  \t\n \t b'": "a b",
    "'a\n\n  b'": "a\nb",
    "'a\n\n\n'": "a\n\n",
    "'\n a'": " a",
    "'a\n---b\n...c'": "a ---b ...c",
}
DOUBLE = {
    '""': "",
    '"a"': "a",
    '"\\0\\a\\b\\t\\n\\v\\f\\r\\e"': "\0\a\b\t\n\v\f\r\x1b",
    '"\\ \\"\\\\\\/\\N\\_\\L\\P"': ' "\\/\x85\xa0\u2028\u2029',
    '"\\x41\\u00e9\\U0001F600\\xfF"': "Aé😀ÿ",
    '"\\\t"': "\t",
    '"it\'s"': "it's",
    '"a\n  b"': "a b",
    '"a  \n\n  b "': "a\nb ",
    '"a\\\n   b"': "ab",
    '"a \\\n   \\  b"': "a   b",
    '"a\\\n\n\n  b"': "a\n\nb",
    '"a\\n\n  b"': "a\n b",
    '"a\\ \n  b"': "a  b",
    '"\n"': " ",
    '"#a: [b"': "#a: [b",
}


@pytest.mark.parametrize(("text", "value"), [*SINGLE.items(), *DOUBLE.items()])
def test_quoted_scalars(text: str, value: str) -> None:
    assert load(text) == value
    assert load(f"k: {text} # comment\nl: 1") == {"k": value, "l": 1}
    assert load(f"[{text},{text}]") == [value, value]


REFUSED_QUOTED = [
    ("'a", r"line 1, column 1: the quote \('\) that opens here is never closed"),
    ("k: 'it's'", "line 1, column 8: the value before ends here, yet 's' follows"),
    ('\n "a\\"', r"line 2, column 2: the quote \(\"\) that opens here is never closed"),
    ('"a\\q"', r"line 1, column 3: a backslash in double quotes begins an escape, and this is none"),
    ('"\\x4"', r"\\x needs 2 hexadecimal digits"),
    ('"\\u00 9"', r"\\u needs 4 hexadecimal digits"),
    ('"\\U00110000"', r"beyond the last character"),
    ('"\\ud83d\\ude00"', r"surrogate"),
    ('"a\n---\nb"', r"line 2, column 1: a document marker"),
    ("'a\n... b'", r"line 2, column 1: a document marker"),
    ('"a" b', r"column 5: the value before ends here, yet 'b' follows"),
    ('"a"\t', r"column 4: a tab"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED_QUOTED)
def test_refused_quoted_scalars(text: str, reason: str) -> None:
    with pytest.raises(YamlError, match=reason):
        load(text)


MULTILINE_PLAIN = {
    "k: a\n  b": {"k": "a b"},
    "k: a\n b\n\n\n c\n": {"k": "a b\n\nc"},
    "k:\n  a\n b": {"k": "a b"},
    "k: 1\n  2": {"k": "1 2"},
    "k: a\n  - b\n  # c": {"k": "a - b"},
    "- a\n  b\n- c": ["a b", "c"],
    "- - a\n   b\n  - c": [["a b", "c"]],
    "a\nb": "a b",
    "a\n\n  b": "a\nb",
    "[a\nb\n\nc, d]": ["a b\nc", "d"],
    "k: a   \n   b": {"k": "a b"},
    "k: a\n  'b' [c] {d}, &e": {"k": "a 'b' [c] {d}, &e"},
}


@pytest.mark.parametrize("text", MULTILINE_PLAIN)
def test_plain_scalars_of_several_lines(text: str) -> None:
    assert load(text) == MULTILINE_PLAIN[text]


BLOCKS = {
    "k: |\n  a\n  b\n": "a\nb\n",
    "k: |\n  a\n  b": "a\nb",
    "k: |-\n  a\n\n\n": "a",
    "k: |+\n  a\n\n\n": "a\n\n\n",
    "k: |\n\n  a\n   b\n\n  c\n\n": "\na\n b\n\nc\n",
    "k: |2\n    a\n   b\n": "  a\n b\n",
    "k: |1-\n   a\n": "  a",
    "k: |-1\n   a\n": "  a",
    "k: |   # comment\n  a # b: c\n  - d\n  'e\n": "a # b: c\n- d\n'e\n",
    "k: |\n  \ta\n    \n  b  \n": "\ta\n  \nb  \n",
    "k: |\n": "",
    "k: |": "",
    "k: |+\n\n\n": "\n\n",
    "k: >\n  a\n  b\n": "a b\n",
    "k: >-\n  a\n\n  b\n\n\n  c\n": "a\nb\n\nc",
    "k: >\n  a\n   b\n   c\n  d\n": "a\n b\n c\nd\n",
    "k: >\n\n  a\n\n   b\n\n  c\n": "\na\n\n b\n\nc\n",
    "k: >\n  a\n  \tb\n  c\n": "a\n\tb\nc\n",
    "k: >+\n  a\n  b\n\n": "a b\n\n",
    "k:\n  |\n a\n": "a\n",
}


@pytest.mark.parametrize("text", BLOCKS)
def test_block_scalars(text: str) -> None:
    assert load(text) == {"k": BLOCKS[text]}


AROUND_BLOCKS = {
    "|\n a\n": "a\n",
    "--- >-\n a\n b\n...\n": "a b",
    "- |\n a\n- >\n b\n": ["a\n", "b\n"],
    "a: |\n  x\n# comment\n\nb: 1": {"a": "x\n", "b": 1},
    "a: |\n  x\n # comment\nb: 1": {"a": "x\n", "b": 1},
    "a:\n- b: |\n   x\n  c: >\n   y\n- z": {"a": [{"b": "x\n", "c": "y\n"}, "z"]},
    "a: |\nb: 1": {"a": "", "b": 1},
    "a: |\r\n  x\r\n  y\rb: 1": {"a": "x\ny\n", "b": 1},
}


@pytest.mark.parametrize("text", AROUND_BLOCKS)
def test_what_stands_around_block_scalars(text: str) -> None:
    assert load(text) == AROUND_BLOCKS[text]


REFUSED_BLOCKS = [
    ("k: |x\n  a", r"line 1, column 5: \| may be followed by \+ or - and a digit from 1 to 9, got 'x'"),
    ("k: |0\n a", "got '0'"),
    ("k: |22\n a", "got '2'"),
    ("k: >++\n a", r"got '\+'"),
    ("k: | a\n b", "line 1, column 6: the value before ends here, yet 'a' follows"),
    ("k: |#c\n a", r"line 1, column 5: \| may be followed"),
    ("k: |\n    a\n  b", "line 3, column 3: indented by 2, where 0 or less is expected"),
    ("k: |\n     \n  a", "line 3, column 3: a blank line above has more spaces than this first line"),
    ("k: |\n\ta", "line 2, column 1: a tab"),
    ("k:\n|\n a", r"line 2, column 1: a block text \(\| or >\) has to begin deeper"),
    ("-\n|\n a", "line 2, column 1: a block text"),
    ("[|\n a]", r"line 1, column 2: a block text \(\|\) cannot stand within brackets"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED_BLOCKS)
def test_refused_block_scalars(text: str, reason: str) -> None:
    with pytest.raises(YamlError, match=reason):
        load(text)
