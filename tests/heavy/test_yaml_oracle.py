# SPDX-License-Identifier: Apache-2.0
"""The YAML subset against PyYAML's ``SafeLoader``, from the environment of a real LMCache.

What we read PyYAML reads as the same value; what PyYAML reads and we refuse is refused for a listed reason, and what
the reason names is really in the text; what we write both read back.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from lmcache_frontend.remote_config.yaml_subset import YamlError, dump, load
from lmcache_frontend.remote_config.yaml_subset.faults import Refusal
from tests import test_yaml_reader, test_yaml_scalars, test_yaml_writer
from tests.helpers import lmcache_nodes, pyyaml, yaml_texts

FUZZ_VARIABLE = "LMCACHE_FRONTEND_TEST_FUZZ_S"
RANDOM_TIME_S = float(os.environ.get(FUZZ_VARIABLE, "20"))

# What has to be in a text that is refused: for most one of these features (as helpers.pyyaml lists them) ...
FEATURES = {
    Refusal.ANCHOR: {"AnchorToken"},
    Refusal.ALIAS: {"AliasToken"},
    Refusal.TAG: {"TagToken"},
    Refusal.DIRECTIVE: {"DirectiveToken"},
    Refusal.DOCUMENTS: {"DocumentStartToken", "DocumentEndToken"},
    Refusal.MERGE: {"merge"},
    Refusal.EQUALS: {"value"},
    Refusal.DATE: {"timestamp"},
    Refusal.DUPLICATE_KEY: {"duplicate key"},
    Refusal.KEY_IS_NO_TEXT: {"key int", "key float", "key bool", "key null"},
    Refusal.BLOCK_COLUMN: {"style |", "style >"},
    Refusal.BLOCK_BLANK: {"style |", "style >"},
}
# ... for others what this pattern finds.
PATTERNS = {
    Refusal.COMPLEX_KEY: r"\?",
    Refusal.TIGHT_COMMENT: r"[^\s]#",
    Refusal.SURROGATE: r"\\(u|U0000)[dD][89a-fA-F]",
    Refusal.LINE_SEPARATOR: "[\x85\u2028\u2029]",
    Refusal.BYTE_ORDER_MARK: r"(?s).\ufeff",
    Refusal.LONG_NUMBER: r"[0-9.]{4001}",
    Refusal.DEPTH: r"(?s)([-\[{].*){64}",
}
EXAMPLES = {
    Refusal.ANCHOR: "a: &x 1",
    Refusal.TAG: "a: !!int '1'",
    Refusal.DIRECTIVE: "%YAML 1.1\n---\na: 1",
    Refusal.DOCUMENTS: "a: 1\n...\n...\n",
    Refusal.COMPLEX_KEY: "? a\n: 1",
    Refusal.MERGE: "<<: {a: 1}",
    Refusal.EQUALS: "=: 1",
    Refusal.DUPLICATE_KEY: "a: 1\na: 2",
    Refusal.KEY_IS_NO_TEXT: "on: 1",
    Refusal.DATE: "a: 2001-01-01",
    Refusal.LONG_NUMBER: "1" * 4100,
    Refusal.TIGHT_COMMENT: "a: 'x'#c",
    Refusal.BLOCK_COLUMN: "a:\n|\n  x",
    Refusal.BLOCK_BLANK: "a: |\n    \n  # c\nb: 1",
    Refusal.SURROGATE: '"\\ud83d\\ude00"',
    Refusal.LINE_SEPARATOR: "a: x\u2028",
    Refusal.BYTE_ORDER_MARK: "a: x\ufeff",
    Refusal.DEPTH: "[" * 65 + "]" * 65,
    Refusal.SIZE: "'" + "x" * (1 << 20) + "'",
}
Outcomes = Counter[str]


@pytest.fixture(scope="module")
def python() -> str:
    """Give the interpreter that has PyYAML."""
    return lmcache_nodes.interpreter()


def judge(python: str, texts: Sequence[str], label: str) -> Outcomes:
    """Compare the readings of texts; give how many went which way, refusals by name."""
    outcomes: Outcomes = Counter()
    refused: list[tuple[str, Refusal]] = []
    written: list[tuple[str, str]] = []
    for text, theirs in zip(texts, pyyaml.read(python, texts), strict=True):
        try:
            value = load(text)
        except YamlError as exc:
            if theirs.value is None:
                outcomes["both refuse"] += 1
                continue
            if exc.refusal is None:
                pytest.fail(f"{label}: {text!r} is read by PyYAML as {theirs.value}, we say: {exc}")
            refused.append((text, exc.refusal))
            outcomes[exc.refusal.name] += 1
            continue
        ours = ascii(value)
        assert ours == theirs.value, f"{label}: {text!r} is {ours}, for PyYAML {theirs.value or theirs.error}"
        outcomes["same"] += 1
        written.append((ours, dump(value)))
    prove(python, refused, label)
    check_written(python, written, label)
    return outcomes


def prove(python: str, refused: Sequence[tuple[str, Refusal]], label: str) -> None:
    """Check that each refused text holds what it is refused for."""
    found = pyyaml.features(python, [text for text, _ in refused])
    for (text, refusal), features in zip(refused, found, strict=True):
        if refusal in FEATURES:
            assert FEATURES[refusal] & features, f"{label}: {text!r} is refused for {refusal.name}, yet has {features}"
        else:
            assert re.search(PATTERNS[refusal], text), f"{label}: {text!r} is refused for {refusal.name}"


def check_written(python: str, written: Sequence[tuple[str, str]], label: str) -> None:
    """Check that both read back the values that were written, each given as ``ascii`` and as YAML."""
    for (value, text), theirs in zip(written, pyyaml.read(python, [text for _, text in written]), strict=True):
        assert theirs.value == value, f"{label}: {value} is written as {text!r}, for PyYAML {theirs}"
        assert ascii(load(text)) == value, f"{label}: {value} is written as {text!r}"


def texts_from_grammar(python: str, random: Random, count: int) -> list[str]:
    return [yaml_texts.document(random) for _ in range(count)]


def texts_from_tokens(python: str, random: Random, count: int) -> list[str]:
    return [yaml_texts.soup(random) for _ in range(count)]


def texts_from_pyyaml(python: str, random: Random, count: int) -> list[str]:
    return pyyaml.write(python, [yaml_texts.dumped(random) for _ in range(count)])


def damaged_texts(python: str, random: Random, count: int) -> list[str]:
    half = count // 2
    texts = texts_from_grammar(python, random, half) + texts_from_pyyaml(python, random, count - half)
    return [yaml_texts.damaged(random, text) for text in texts]


def damaged_files(python: str, random: Random, count: int) -> list[str]:
    files = (test_yaml_reader.WORKER, test_yaml_reader.RULES)
    return [yaml_texts.damaged(random, random.choice(files)) for _ in range(count)]


MAKERS = (texts_from_grammar, texts_from_tokens, texts_from_pyyaml, damaged_texts, damaged_files)


def test_every_example_of_the_fast_tests(python: str) -> None:
    examples = [test_yaml_reader.WORKER, test_yaml_reader.RULES]
    for table in (test_yaml_reader, test_yaml_scalars, test_yaml_writer):
        for rows in vars(table).values():
            if isinstance(rows, dict):
                examples += [text for text in rows if isinstance(text, str)]
            elif isinstance(rows, list):
                examples += [text for row in rows for text in row[:2] if isinstance(text, str)]
    examples += [f"k: {text}" for text in examples]
    outcomes = judge(python, examples, "examples")
    assert outcomes["same"] > 500
    assert outcomes["both refuse"] > 100


def test_what_is_called_no_yaml_is_none_for_pyyaml(python: str) -> None:
    texts = [text for text, _ in test_yaml_reader.NO_YAML]
    assert [text for text, theirs in zip(texts, pyyaml.read(python, texts), strict=True) if theirs.value] == []


@pytest.mark.parametrize(
    ("alphabet", "length", "before", "after"),
    [
        ("a1 \n:-#[{]}?,'\"|", 3, "", ""),
        ("a \n:-#[],'|", 4, "", ""),
        ("a \n:-", 6, "", ""),
        (" \nb#-+2", 4, "a: >", "\n c"),
        (" \n',a:-", 4, "{a: '", "', b: c}"),
    ],
)
def test_every_short_text(python: str, alphabet: str, length: int, before: str, after: str) -> None:
    texts = [before + "".join(letters) + after for letters in itertools.product(alphabet, repeat=length)]
    outcomes = judge(python, texts, "short")
    assert outcomes["same"] > len(texts) / 20


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("maker", MAKERS)
def test_generated_texts(python: str, maker: Callable[[str, Random, int], list[str]], seed: int) -> None:
    outcomes = judge(python, maker(python, Random(seed), 2000), f"{maker.__name__}, seed {seed}")
    assert outcomes["same"] > 250


def test_written_values(python: str) -> None:
    random = Random(1)
    values = [yaml_texts.value(random, 4) for _ in range(5000)]
    check_written(python, [(ascii(value), dump(value)) for value in values], "values, seed 1")


def test_each_refusal_is_of_something_that_pyyaml_reads(python: str) -> None:
    assert set(EXAMPLES) == set(Refusal) - {Refusal.ALIAS}  # an alias stands after its anchor, which is refused first
    for (refusal, text), theirs in zip(EXAMPLES.items(), pyyaml.read(python, list(EXAMPLES.values())), strict=True):
        assert theirs.value is not None, (refusal, theirs.error)
        with pytest.raises(YamlError) as caught:
            load(text)
        assert caught.value.refusal is refusal


def test_random_texts(python: str) -> None:
    seed = secrets.randbits(32)
    random = Random(seed)
    end = time.monotonic() + RANDOM_TIME_S
    while time.monotonic() < end:
        for maker in MAKERS:
            judge(python, maker(python, random, 400), f"random texts, Random({seed})")
        values = [yaml_texts.value(random, 4) for _ in range(400)]
        check_written(python, [(ascii(value), dump(value)) for value in values], f"random values, Random({seed})")
