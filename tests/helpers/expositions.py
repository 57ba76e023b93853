# SPDX-License-Identifier: Apache-2.0
"""Expositions for tests: recorded ones, random ones with what they mean, and a strict check of OpenMetrics 1.0.

The check is written from the specification and shares no code with the package.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import NamedTuple

_RECORDINGS = Path(__file__).parent.parent / "recordings"

Labels = tuple[tuple[str, str], ...]

_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\\n]|\\[\\n"])*")*)\})? (\S+)')
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)')
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|[-+]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE)
_HELP = re.compile(r'(?:[^"\\\n]|\\[\\n"])*')
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "summary": ("", "_count", "_sum", "_created"),
    "gauge": ("",),
    "unknown": ("",),
}
_AWKWARD = [
    "",
    "\\",
    '"',
    "\n",
    "\\n",
    '\\"',
    "}",
    "{",
    ",",
    "=",
    " ",
    "#",
    "a b",
    "é",
    "→",
    "\r",
    "\u2028",
    "\x85",
    "x\\",
]


def recorded(name: str) -> str:
    """Give a recorded body of LMCache 0.5.6: ``in_process`` or ``multiprocess``."""
    return (_RECORDINGS / f"{name}_0.5.6_metrics.txt").read_text(encoding="utf-8")


class Series(NamedTuple):
    """A sample, whatever the order of its labels."""

    name: str
    labels: Labels
    value: str


class Body(NamedTuple):
    """A random body: its text, its families as {name: (type, help)} and its samples."""

    text: str
    families: dict[str, tuple[str, str]]
    series: list[Series]


def series(name: str, labels: dict[str, str] | Labels, value: float) -> Series:
    """Make a sample that can be compared: labels sorted, the value as Python writes it."""
    return Series(name, tuple(sorted(dict(labels).items())), repr(float(value)))


def random_body(seed: int, *, in_order: bool = False) -> Body:
    """Make a well-formed body with every escape; unless asked for in the order of a real node, in no order at all."""
    dice = random.Random(seed)
    families: dict[str, tuple[str, str]] = {}
    found: list[Series] = []
    for number in range(dice.randint(1, 12)):
        kind = dice.choice(("counter", "gauge", "histogram", "summary", "untyped"))
        name = f"a:family_{number}_total" if kind == "counter" else f"a:family_{number}"
        families[name] = (kind, "".join(dice.choices(_AWKWARD, k=3)).strip(" "))
        label_sets = {tuple(sorted(_random_labels(dice).items())) for _ in range(dice.randint(0, 4))}
        for labels in sorted(label_sets):
            found += _random_metric(dice, name, kind, dict(labels))
    lines = [_spelled(dice, one) for one in found]
    for name, (kind, said) in families.items():
        escaped = said.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {name} {escaped}"] * bool(said)
        lines += [f"# TYPE {name} {kind}"] * (kind != "untyped")
    lines += ["", "# a comment", "#", "# HELPLESS x y", " \t"]
    if not in_order:
        dice.shuffle(lines)
    present = {
        name: about
        for name, about in families.items()
        if about != ("untyped", "") or any(s.name == name for s in found)
    }
    return Body("".join(f"{line}\n" for line in lines), present, found)


def _random_labels(dice: random.Random) -> dict[str, str]:
    names = dice.sample(
        ["a", "b", "node", "exported_node", "exported_exported_node", "proxy", "_c"], dice.randint(0, 4)
    )
    # An empty value is no label, and a value that two labels share could make two series one when they are renamed.
    return {name: name + "".join(dice.choices(_AWKWARD, k=dice.randint(0, 3))) for name in names}


def _random_metric(dice: random.Random, name: str, kind: str, labels: dict[str, str]) -> list[Series]:
    if kind == "histogram":
        counts = sorted(dice.randint(0, 50) for _ in range(3))
        bounds = ("0.5", "1.0", "+Inf")
        buckets = [
            series(f"{name}_bucket", {**labels, "le": bound}, n) for bound, n in zip(bounds, counts, strict=True)
        ]
        return [*buckets, series(f"{name}_count", labels, counts[-1]), series(f"{name}_sum", labels, dice.random())]
    if kind == "summary":
        quantiles = [series(name, {**labels, "quantile": q}, dice.random()) for q in ("0.5", "0.99")]
        return [*quantiles, series(f"{name}_count", labels, 3), series(f"{name}_sum", labels, dice.random())]
    value = dice.choice((0.0, 1.5e-07, 1.79e300, dice.random(), float(dice.randint(0, 10**9))))
    return [series(name, labels, value if kind == "counter" else dice.choice((value, -value, float("inf"))))]


def _spelled(dice: random.Random, one: Series) -> str:
    pairs = list(one.labels)
    dice.shuffle(pairs)
    space = dice.choice(("", "", " ", "\t"))
    inner = f"{space},{space}".join(f'{name}{space}={space}"{_escaped(value)}"' for name, value in pairs)
    inner += dice.choice(("", "", ",")) if pairs else ""
    braces = f"{space}{{{space}{inner}{space}}}" if pairs or dice.random() < 0.2 else ""
    value = one.value.replace("inf", dice.choice(("inf", "Inf", "Infinity")))
    return f"{space}{one.name}{braces} {value}{dice.choice(('', '', ' 1795289295000', ' -5'))}{space}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def check_openmetrics(body: bytes) -> dict[str, str]:
    """Fail on anything that OpenMetrics 1.0 forbids; give the type of each family."""
    text = body.decode("utf-8")
    assert text.endswith("# EOF\n"), "no # EOF at the end"
    lines = text.split("\n")[:-2]
    types: dict[str, str] = {}
    metadata: dict[str, set[str]] = {}
    samples: dict[str, list[tuple[str, Labels, float]]] = {}
    current = ""
    for line in lines:
        assert line, "blank line"
        if line.startswith("#"):
            current = _metadata(line, current, types, metadata)
        else:
            name, labels, value = _sample(line)
            suffixes = _SUFFIXES[types.setdefault(current, "unknown")]
            assert name in {current + suffix for suffix in suffixes}, f"{name} within {types[current]} {current}"
            metadata[current].add("samples")
            samples.setdefault(current, []).append((name, labels, value))
    names = [name + suffix for name, kind in types.items() for suffix in {"", *_SUFFIXES[kind]}]
    assert len(names) == len(set(names)), "names clash"
    for name, found in samples.items():
        _check_samples(name, types[name], found)
    return types


def _metadata(line: str, current: str, types: dict[str, str], metadata: dict[str, set[str]]) -> str:
    hash_sign, keyword, name, text = line.split(" ", 3)
    assert hash_sign == "#"
    assert keyword in ("HELP", "TYPE"), line
    if name != current:
        assert name not in metadata, f"{name} is there twice"
        metadata[name] = set()
    assert not metadata[name] & {keyword, "samples"}, line
    metadata[name].add(keyword)
    if keyword == "TYPE":
        assert text in _SUFFIXES, line
        types[name] = text
    else:
        assert _HELP.fullmatch(text), line
    return name


def _sample(line: str) -> tuple[str, Labels, float]:
    match = _LINE.fullmatch(line)
    assert match, line
    assert _NUMBER.fullmatch(match[3]), line
    pairs = _PAIR.findall(match[2] or "")
    assert ",".join(f'{name}="{value}"' for name, value, _ in pairs) == (match[2] or ""), line
    assert len({name for name, _, _ in pairs}) == len(pairs), line
    return match[1], tuple(sorted((name, value) for name, value, _ in pairs)), float(match[3])


def _check_samples(family: str, kind: str, samples: list[tuple[str, Labels, float]]) -> None:
    keys = [(name, labels) for name, labels, _ in samples]
    assert len(keys) == len(set(keys)), f"a sample of {family} is there twice"
    inner = {"histogram": "le", "summary": "quantile"}.get(kind)
    groups = [tuple(pair for pair in labels if pair[0] != inner) for _, labels, _ in samples]
    runs = [group for position, group in enumerate(groups) if position == 0 or groups[position - 1] != group]
    assert len(runs) == len(set(runs)), f"metrics of {family} are mixed"
    if kind == "counter":
        assert all(value >= 0 for name, _, value in samples if name.endswith("_total")), family
    if kind == "histogram":
        for group in runs:
            members = [sample for sample, of in zip(samples, groups, strict=True) if of == group]
            _check_histogram(family, members)


def _check_histogram(family: str, members: list[tuple[str, Labels, float]]) -> None:
    buckets = [(float(dict(labels)["le"]), value) for name, labels, value in members if name == f"{family}_bucket"]
    assert buckets == sorted(buckets), f"buckets of {family}"
    assert buckets[-1][0] == float("inf"), f"{family} has no last bucket"
    assert [value for name, _, value in members if name == f"{family}_count"] == [buckets[-1][1]]
