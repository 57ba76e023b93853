# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from lmcache_frontend.exposition import scan as scanning
from lmcache_frontend.exposition.diagnosis import FAULTS_TOLD
from lmcache_frontend.exposition.labels import LABEL_VALUE_CHARACTERS
from lmcache_frontend.exposition.parse import Sample, parse, select
from lmcache_frontend.exposition.scan import LINE_CHARACTERS, scan
from tests.helpers.expositions import random_body, recorded, series


def test_a_family_is_its_type_its_help_and_its_samples() -> None:
    parsed = parse('# HELP x:y_total Things \\\\ and\\nmore\n# TYPE x:y_total counter\nx:y_total{a="b"} 3.0\n')
    family = parsed.families["x:y_total"]
    assert (family.name, family.type, family.help) == ("x:y_total", "counter", "Things \\ and\nmore")
    assert family.samples == [Sample("x:y_total", (("a", "b"),), 3.0)]
    assert (parsed.faults, parsed.dropped) == ([], 0)


def test_the_recorded_bodies_are_read_whole() -> None:
    for name in ("in_process", "multiprocess"):
        text = recorded(name)
        parsed = parse(text)
        assert (parsed.faults, parsed.dropped) == ([], 0)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert sum(len(family.samples) for family in parsed.families.values()) == len(lines)
        assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == parsed.families.keys()


def test_what_a_recorded_node_counted_is_given() -> None:
    families = parse(recorded("in_process")).families
    [hits] = families["lmcache:num_hit_tokens_total"].samples
    assert hits.value == 3072.0
    assert dict(hits.labels)["served_model_name"] == ""
    histogram = families["lmcache:time_to_retrieve"]
    assert histogram.type == "histogram"
    assert [dict(sample.labels)["le"] for sample in histogram.samples if sample.name.endswith("_bucket")][-1] == "+Inf"
    assert families["lmcache:periodic_threads_low_total"].type == "gauge"
    assert "\u2013" in parse(recorded("multiprocess")).families["lmcache_mp_l1_usage_ratio"].help


@pytest.mark.parametrize("seed", range(60))
def test_random_bodies_come_out_as_they_were_meant(seed: int) -> None:
    body = random_body(seed)
    parsed = parse(body.text)
    assert parsed.faults == []
    assert {name: (family.type, family.help) for name, family in parsed.families.items()} == body.families
    found = [series(*sample) for family in parsed.families.values() for sample in family.samples]
    assert sorted(found) == sorted(body.series)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1.0),
        ("-1.5e+09", -1.5e9),
        (".5", 0.5),
        ("5.", 5.0),
        ("+3", 3.0),
        ("1E3", 1000.0),
        ("+Inf", math.inf),
        ("-Inf", -math.inf),
        ("inf", math.inf),
        ("1.7976931348623157e+308", 1.7976931348623157e308),
        ("1e-400", 0.0),
    ],
)
def test_numbers(value: str, expected: float) -> None:
    parsed = parse(f"x {value}\n")
    assert parsed.faults == []
    assert parsed.families["x"].samples == [Sample("x", (), expected)]


def test_not_a_number_is_a_value() -> None:
    assert math.isnan(parse("x NaN\n").families["x"].samples[0].value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("<html>", "expected a metric name, got '<html>'"),
        ("9x 1", "expected a metric name"),
        ("x-y 1", "expected a metric name"),
        ("x", "there is no value after 'x'"),
        ('x{a="b"}', "there is no value after"),
        ("x 0x10", "expected a decimal number, got '0x10'"),
        ("x 1_000", "expected a decimal number"),
        ("x ٣", "expected a decimal number"),
        ("x one", "expected a decimal number"),
        ("x 1e999", "the number '1e999' is too large"),
        ("x 1 2 3", "expected a timestamp or the end of the line, got '2 3'"),
        ("x 1 1.5", "expected a timestamp or the end of the line, got '1.5'"),
        ('x{a="b" 1', "the labels have no end"),
        ('x{a="b"c="d"} 1', 'expected label="value", got'),
        ("x{a=b} 1", 'expected label="value", got'),
        ('x{,a="b"} 1', 'expected label="value", got'),
        ('x{9="b"} 1', 'expected label="value", got'),
        ('x{a="\\t"} 1', "unknown escape"),
        ('x{a="1",a="2"} 1', "a label name is there twice"),
        ('x{__name__="y"} 1', "reserved"),
        ('x{a="\0"} 1', "NUL"),
        ("# HELP x a\0b", "NUL"),
        ("x 1\r", "CR LF"),
        ("# TYPE x enum", "unknown type 'enum'"),
        ("# TYPE 9x counter", "expected TYPE, a metric name and a text"),
        ("# TYPE good counter", "another TYPE of 'good' came before: 'gauge'"),
        ("# HELP good worse", "another HELP of 'good' came before: 'better'"),
        ("good 2", "'good' with the same labels came before"),
        ('h{le="1"} 1', "a histogram has buckets, a sum and a count"),
        ('h{never="1"} 1', "a histogram has buckets, a sum and a count"),
        ("h_bucket 1", "'h_bucket' needs a number as its label le"),
        ('h_bucket{le="a"} 1', "'h_bucket' needs a number as its label le"),
        ('h_bucket{le="1e999"} 1', "'h_bucket' needs a number as its label le"),
        ('s{quantile="2"} 1', "'s' needs a number from 0 to 1 as its label quantile"),
        ("x" * (LINE_CHARACTERS + 1), f"it has {LINE_CHARACTERS + 1} characters, at most {LINE_CHARACTERS} are read"),
        (f'x{{a="{"v" * (LABEL_VALUE_CHARACTERS + 1)}"}} 1', f"at most {LABEL_VALUE_CHARACTERS} are kept"),
    ],
)
def test_a_bad_line_is_named_and_the_good_ones_are_kept(line: str, reason: str) -> None:
    before = "# HELP good better\n# TYPE good gauge\ngood 1\n# TYPE h histogram\n# TYPE s summary\n"
    parsed = parse(f'{before}{line}\nlast{{z="é"}} 7\n')
    assert parsed.dropped == 1
    [fault] = parsed.faults
    assert fault.startswith("line 6: ")
    assert reason in fault
    assert "\n" not in fault
    assert len(fault) < 200
    assert parsed.families.keys() == {"good", "h", "s", "last"}
    assert parsed.families["good"].samples == [Sample("good", (), 1.0)]
    assert parsed.families["last"].samples == [Sample("last", (("z", "é"),), 7.0)]


def test_a_long_line_and_a_long_value_within_bounds_are_kept() -> None:
    assert parse(f'x{{b="{"w" * LABEL_VALUE_CHARACTERS}",c="{"w" * LABEL_VALUE_CHARACTERS}"}} 1\n').faults == []
    padded = f"y{' ' * (LINE_CHARACTERS - 2)}1"
    assert len(padded) == LINE_CHARACTERS
    parsed = parse(f"{padded}\n{padded.replace('y', 'z')}\nend 1\n")
    assert parsed.faults == []
    assert list(parsed.families) == ["y", "z", "end"]


def test_line_numbers_hold_in_a_body_of_many_windows() -> None:
    lines = [f'x{{number="{number}"}} 1' for number in range(20000)]
    lines[3] = lines[12345] = lines[19999] = "?"
    lines[15000] = "y" * 100_000
    parsed = parse("\n".join(lines) + "\n")
    assert [fault.partition(":")[0] for fault in parsed.faults] == ["line 4", "line 12346", "line 15001", "line 20000"]
    assert len(parsed.families["x"].samples) == 20000 - 4


def test_only_the_first_faults_are_told_and_all_are_counted() -> None:
    parsed = parse("<p>\n" * 1000)
    assert parsed.dropped == 1000
    assert len(parsed.faults) == FAULTS_TOLD
    assert parsed.families == {}


def test_a_body_that_was_cut_off_loses_its_last_line() -> None:
    parsed = parse("x 1\ny 12")
    assert list(parsed.families) == ["x"]
    assert parsed.faults == ["line 2: it has no end, the body was cut off: 'y 12'"]


def test_samples_past_the_cap_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SAMPLES", 5000)
    parsed = parse("".join(f'x{{a="{number}"}} 1\n' for number in range(5007)) + "late 1\n")
    assert len(parsed.families["x"].samples) == 5000
    assert parsed.families.keys() == {"x"}
    assert parsed.dropped == 8
    assert parsed.faults == ["there are 5008 samples, at most 5000 are kept"]


def test_the_same_labels_in_another_order_are_the_same_sample() -> None:
    parsed = parse('x{a="1",b="2"} 1\nx{b="2",a="1"} 2\ny{b="2",a="1"} 3\ny{a="1",b="2",c=""} 4\nz{a=""} 5\nz 6\n')
    assert parsed.dropped == 3
    assert [family.samples[0].value for family in parsed.families.values()] == [1, 3, 5]
    assert parsed.families["y"].samples[0].labels == (("b", "2"), ("a", "1"))


def test_a_suffix_belongs_to_a_histogram_or_summary_only() -> None:
    text = "# TYPE h histogram\n# TYPE g gauge\n# TYPE s summary\nh_sum 1\nh_count 2\ng_count 3\ns_sum 4\ns_bucket 5\n"
    families = parse(text).families
    assert {name: [sample.name for sample in family.samples] for name, family in families.items()} == {
        "h": ["h_sum", "h_count"],
        "g": [],
        "s": ["s_sum"],
        "g_count": ["g_count"],
        "s_bucket": ["s_bucket"],
    }
    assert families["g_count"].type == families["s_bucket"].type == "untyped"


def test_a_family_with_a_type_of_its_own_is_no_suffix() -> None:
    families = parse("# TYPE h histogram\n# TYPE h_count gauge\nh_count 3\n").families
    assert [len(family.samples) for family in families.values()] == [0, 1]


def test_the_type_may_come_after_the_samples_and_families_may_be_mixed() -> None:
    families = parse('h_sum 1\nx 2\nh_bucket{le="+Inf"} 1\n# TYPE h histogram\nh_count 1\n').families
    assert [sample.name for sample in families["h"].samples] == ["h_sum", "h_bucket", "h_count"]
    assert families.keys() == {"h", "x"}


def test_a_repeated_description_is_no_fault() -> None:
    assert parse("# TYPE x gauge\n# HELP x a\nx 1\n# TYPE x gauge \n# HELP x a\n").faults == []


def test_an_empty_body_has_nothing() -> None:
    assert parse("") == ({}, [], 0)
    assert parse("\n\n# only\n") == ({}, [], 0)


def test_select_gives_the_families_asked_for_and_the_faults_of_all() -> None:
    text = "a 1\nb 2\n?\n# TYPE h histogram\nh_sum 3\nc 4\n"
    parsed = select(text, frozenset(("a", "h", "absent")))
    assert list(parsed.families) == ["h", "a"]
    assert parsed.dropped == 1
    assert parsed.families["a"] == parse(text).families["a"]
    assert select(scan(text), frozenset(("a", "h"))) == parsed
