# SPDX-License-Identifier: Apache-2.0
"""Make YAML texts and values by chance: from a grammar, from tokens thrown together, and by damaging either."""

from __future__ import annotations

import math
from random import Random
from typing import Any

_WORDS = (
    "a b key chunk_size UCX lm://h:65432 redis://u:p@h:6379/0 /mnt/nvme0 file:///x a#b a:b x,y it's say\"so -x --- -5x "
    "?x :x <x =x .x 1.2.3 v0 é 日本 😀 a.b/c * &a !x %x @x `x |x >x"
)
_SCALARS = (
    "null Null NULL nUll ~ true True TRUE tRue yes Yes no NO on On off OFF y n Y N oN "
    "0 -0 +0 00 7 -7 +7 017 -017 08 0o17 0x1F -0xff 0x 0X1f 0x_ 0b1 0b2 0b -0b10 0b_ 1_000 _1 1_ 0_7 1__0 - + . .. "
    "12:30 1:00:00 -1:30 0:30 00:30 1:60 1:5 190:20:30 1:30.5 0:30.5 1:2:3.4_5 1:30. 1:2: :1 -1:2:3.25 "
    "0.0 -0.0 5.0 5. .5 -.5 +.5 5.0.0 1e3 1E3 1.0e3 1.0e+3 1.0E-3 1.e+3 .5e+3 1e+3 1_0.0_1 1.0e+400 -1.0e+400 1._ ._1 "
    ".inf -.inf +.inf .Inf .INF .iNF inf .nan .NaN .NAN -.nan nan "
    "2001-01-01 2001-1-1 2001-01-01T00:00:00Z 2001-12-14T21:59:43.10-05:00 2001-13-45 01-01-2001 << = "
    "123456789012345678901234567890 0.1 3.141592653589793 1e999"
)
WORDS = tuple(_WORDS.split())
SCALARS = tuple(_SCALARS.split())
TOKENS = (
    *("a", "b", "a", "1", "on", "x y", "'", '"', "''", "\\", "\\n", "\\x41", "\\\n", "é"),
    *(":", ": ", ":\n", " :", "- ", "-", "-\n", "#", " #", " # c\n", "\n", "\n", "\n", "\n  ", "\n ", "\n    ", "\n\n"),
    *(" ", "  ", "\t", "[", "]", "{", "}", ",", ", ", "?", "? ", "|\n", "|-\n", ">\n", ">+\n", "|2\n", ">1-\n", "|"),
    *("---\n", "\n---\n", "--- ", "...\n", "\n...\n", "&a ", "*a", "!!str ", "!", "%", "<<", "~", "2001-01-01", "\r\n"),
    *(
        "a: ",
        "b: ",
        "c:",
        "- a",
        "\n- ",
        "\n  - ",
        "\na: ",
        "\nb: ",
        "\n  c: ",
        "'x'",
        '"y"',
        "'it''s'",
        "[a, b]",
        "{a: b}",
    ),
)
DAMAGE = (*"ab1 \n\t:-#,[]{}'\"\\|>?&*!%~.<=", "\n ", "\n  ", ": ", " #", "- ", "\n\n", "---\n", "\u2028", "\ufeff")


def soup(random: Random) -> str:
    """Throw tokens together."""
    return "".join(random.choice(TOKENS) for _ in range(random.randint(1, 14)))


def document(random: Random) -> str:
    """Write a document that is YAML for the most part, in many styles."""
    start = random.choice(("", "", "", "---\n", "# head\n", "--- # c\n", "\n\n"))
    end = random.choice(("", "", "\n", "\n...\n", "\n# tail"))
    if random.random() < 0.1:
        return random.choice(("", "--- ")) + _line_value(random, 0, 0) + end
    indent = random.choice((0, 0, 0, 0, 2))
    return start + " " * indent + _block(random, indent, random.randint(0, 3)) + end


def damaged(random: Random, text: str) -> str:
    """Change a text at a few places."""
    for _ in range(random.randint(1, 3)):
        at = random.randint(0, len(text))
        length = random.choice((0, 0, 1, 1, 2, 5))
        put = random.choice(DAMAGE) if random.random() < 0.7 else ""
        if random.random() < 0.1:
            start = random.randint(0, len(text))
            put = text[start : start + random.randint(1, 12)]
        text = text[:at] + put + text[at + length :]
    return text


def value(random: Random, depth: int = 3) -> Any:
    """Make a value of maps with keys of text, lists and scalars."""
    kind = random.random()
    if depth and kind < 0.35:
        keys = (
            random.choice(WORDS) if random.random() < 0.7 else text_value(random) for _ in range(random.randint(0, 4))
        )
        return {key: value(random, depth - 1) for key in keys}
    if depth and kind < 0.6:
        return [value(random, depth - 1) for _ in range(random.randint(0, 4))]
    if kind < 0.85:
        return text_value(random)
    numbers = (0, 1, -1, 10**20, random.randint(-(10**6), 10**6), random.getrandbits(70))
    fractions = (
        0.0,
        -0.0,
        1e20,
        1e-7,
        1.5e300,
        math.inf,
        -math.inf,
        math.nan,
        random.uniform(-9, 9),
        random.expovariate(1e-9),
    )
    return random.choice((None, True, False, *numbers, *fractions))


def text_value(random: Random) -> str:
    """Make a text: a word, something that looks like another type, or odd characters."""
    kind = random.random()
    if kind < 0.3:
        return random.choice(WORDS)
    if kind < 0.6:
        return random.choice(SCALARS)
    pieces = (
        "a",
        "b c",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        ":",
        ": ",
        "#",
        " #",
        "'",
        '"',
        "\\",
        "-",
        "- ",
        "[",
        "]",
        "{",
        ",",
    )
    rare = (
        "\x00",
        "\x07",
        "\x1b",
        "\x7f",
        "\x85",
        "\xa0",
        "\u2028",
        "\ufeff",
        "\uffff",
        "😀",
        "é",
        "\u202e",
        "---",
        "...",
        "\r",
    )
    return "".join(random.choice(rare if random.random() < 0.15 else pieces) for _ in range(random.randint(0, 8)))


def dumped(random: Random) -> tuple[Any, dict[str, Any]]:
    """Make a value, and the options with which PyYAML is to write it."""
    styles = (None, None, None, None, "'", '"', "|", ">")
    options = {
        "default_flow_style": random.choice((None, True, False)),
        "default_style": random.choice(styles),
        "width": random.choice((10, 40, 80)),
        "indent": random.choice((2, 2, 4, 7)),
        "explicit_start": random.random() < 0.2,
        "explicit_end": random.random() < 0.2,
        "allow_unicode": random.random() < 0.5,
        "line_break": random.choice(("\n", "\n", "\r\n", "\r")),
    }
    return value(random), options


def _block(random: Random, indent: int, depth: int) -> str:
    """Write a list or map whose first line is indented already."""
    is_list = random.random() < 0.35
    count = random.randint(1, 4)
    pad = "\n" + " " * indent
    entries = []
    for number in range(count):
        noise = (
            random.choice(("", "", "", "", "\n", "\n  # noise", "\n# noise", f"{pad}# noise", "\n   "))
            if number
            else ""
        )
        head = "-" if is_list else _key(random, number) + random.choice((":", ":", ":", " :"))
        entries.append(noise + (pad if number else "") + head + _value(random, indent, depth, is_list=is_list))
    return "".join(entries)


def _value(random: Random, indent: int, depth: int, *, is_list: bool) -> str:
    kind = random.random()
    if kind < 0.06:
        return random.choice(("", " ", " # nothing"))
    if depth and kind < 0.45:
        inner = indent + random.choice((1, 2, 2, 2, 4))
        if is_list and random.random() < 0.6:
            return " " * (inner - indent - 1 or 1) + _block(random, max(inner, indent + 2), depth - 1)
        if not is_list and random.random() < 0.3:
            return "\n" + " " * indent + "- " + _block(random, indent + 2, depth - 1)
        return random.choice(("\n", " # below\n", "\n\n")) + " " * inner + _block(random, inner, depth - 1)
    gap = random.choice((" ", " ", " ", "  ", "\n" + " " * (indent + random.choice((1, 2, 3)))))
    return gap + _line_value(random, indent, depth)


def _line_value(random: Random, indent: int, depth: int) -> str:
    kind = random.random()
    comment = random.choice(("", "", "", " ", " # c", "  # c: d"))
    if kind < 0.15:
        return _block_scalar(random, indent)
    if kind < 0.4:
        return _flow(random, indent, min(depth, 2)) + comment
    return _scalar(random, indent, in_flow=False) + comment


def _block_scalar(random: Random, indent: int) -> str:
    step = random.choice((1, 2, 2, 4))
    given = str(step) if random.random() < 0.25 else ""
    chomping = random.choice(("", "", "-", "+"))
    header = (
        random.choice("|>") + random.choice((given + chomping, chomping + given)) + random.choice(("", "", " ", " # c"))
    )
    lines = []
    for _ in range(random.randint(0, 5)):
        line = random.choice(
            ("text", "two words", "a: b", "- c", "# d", "'", "", "", " more", "  deeper", "\ttab", "end  ")
        )
        lines.append(
            (" " * (indent + step) + line)
            if line
            else " " * random.choice((0, 0, step, indent + step, indent + step + 1))
        )
    return header + "\n" + "\n".join(lines)


def _flow(random: Random, indent: int, depth: int) -> str:
    is_list = random.random() < 0.5
    entries = []
    for number in range(random.randint(0, 4)):
        item = (
            _flow(random, indent, depth - 1)
            if depth and random.random() < 0.3
            else _scalar(random, indent, in_flow=True)
        )
        if not is_list or random.random() < 0.05:
            key = _key(random, number)
            item = random.choice(
                (f"{key}: {item}", f"{key}: {item}", f"{key} : {item}", f"{key}:{item}", key, f"{key}:")
            )
        entries.append(_flow_gap(random, indent) + item + _flow_gap(random, indent))
    inside = ",".join(entries) + random.choice(("", "", ",") if entries else ("",)) + _flow_gap(random, indent)
    return f"[{inside}]" if is_list else "{" + inside + "}"


def _flow_gap(random: Random, indent: int) -> str:
    return random.choice(("", "", "", " ", "  ", "\n" + " " * indent, "\n" + " " * (indent + 2), " # c\n", "\n\n"))


def _scalar(random: Random, indent: int, *, in_flow: bool) -> str:
    kind = random.random()
    if kind < 0.35:
        return random.choice(SCALARS)
    if kind < 0.55:
        return random.choice(WORDS)
    if kind < 0.8:
        return _quoted(random, indent)
    words = [random.choice(WORDS + SCALARS) for _ in range(random.randint(2, 4))]
    further = "\n" + " " * (indent + random.choice((1, 2, 4)))
    return "".join(word + random.choice((" ", "  ", further, "\n" + further)) for word in words[:-1]) + words[-1]


def _quoted(random: Random, indent: int) -> str:
    quote = random.choice("'\"")
    common = [
        "a",
        "b c",
        " ",
        "  ",
        "\t",
        ": ",
        " # ",
        "[",
        ",",
        "\n" + " " * (indent + 1),
        "\n\n",
        " \n\t ",
        "é",
        "- ",
        "\n---x",
    ]
    if quote == "'":
        pieces = [*common, "''", "\\", '"', "\\n"]
    else:
        pieces = [
            *common,
            "\\n",
            "\\t",
            "\\x41",
            "\\u00e9",
            "\\U0001F600",
            "\\\n  ",
            "\\ ",
            '\\"',
            "\\\\",
            "\\/",
            "\\N",
            "\\_",
            "\\e",
        ]
        pieces += ["'", "\\0", "\\L", "\\P", "\\ud83d", "\\q", "\\\t"]
    return quote + "".join(random.choice(pieces) for _ in range(random.randint(0, 6))) + quote


def _key(random: Random, number: int) -> str:
    kind = random.random()
    if kind < 0.7:
        return f"{random.choice(('k', 'key', 'chunk_size', 'a b'))}{number}"
    if kind < 0.8:
        return f'"q{number} \\t"'
    if kind < 0.9:
        return f"'q''{number}'"
    return random.choice(WORDS + SCALARS)
