# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from lmcache_frontend.exposition.parse import Sample, parse
from lmcache_frontend.exposition.render import Metric, format_value, in_openmetrics, render
from tests.helpers.expositions import check_openmetrics

AWKWARD = 'a"b\\c\nd→'

METRICS = [
    Metric("own_up", "gauge", AWKWARD, [("", {"node": AWKWARD, "state": ""}, 1), ("", {"node": "b"}, 0)]),
    Metric("own_requests_total", "counter", "Requests.", [("", {}, 3)]),
    Metric(
        "own_seconds",
        "histogram",
        "Time.",
        [("_bucket", {"le": "0.1"}, 1), ("_bucket", {"le": "+Inf"}, 2), ("_count", {}, 2), ("_sum", {}, 0.25)],
    ),
    Metric("own_nothing", "untyped", "", []),
]


def test_what_is_rendered_reads_back_as_it_was() -> None:
    parsed = parse(render(METRICS).decode())
    assert parsed.faults == []
    assert {name: (family.type, family.help) for name, family in parsed.families.items()} == {
        metric.name: (metric.type, metric.help) for metric in METRICS
    }
    for metric in METRICS:
        assert parsed.families[metric.name].samples == [
            Sample(metric.name + suffix, tuple(labels.items()), value) for suffix, labels, value in metric.samples
        ]


def test_the_text_format_is_written_as_it_should_be() -> None:
    assert render(METRICS[:2]).decode() == (
        '# HELP own_up a"b\\\\c\\nd→\n# TYPE own_up gauge\n'
        'own_up{node="a\\"b\\\\c\\nd→",state=""} 1.0\nown_up{node="b"} 0.0\n'
        "# HELP own_requests_total Requests.\n# TYPE own_requests_total counter\nown_requests_total 3.0\n"
    )


def test_openmetrics_is_valid() -> None:
    types = check_openmetrics(render(METRICS, openmetrics=True))
    assert types == {"own_up": "gauge", "own_requests": "counter", "own_seconds": "histogram", "own_nothing": "unknown"}


def test_nothing_at_all() -> None:
    assert render([]) == b""
    assert render([], openmetrics=True) == b"# EOF\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, "3.0"), (0.1, "0.1"), (1e22, "1e+22"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_numbers_read_back_as_they_were(value: float, expected: str) -> None:
    assert format_value(value) == expected


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("x_total", "counter", ("x", "counter")),
        ("x_total_total", "counter", ("x_total", "counter")),
        ("x_total_y", "counter", ("x_total_y", "unknown")),
        ("_total", "counter", ("_total", "unknown")),
        ("x_total", "gauge", ("x_total", "gauge")),
        ("x", "untyped", ("x", "unknown")),
        ("x", "summary", ("x", "summary")),
    ],
)
def test_a_family_in_openmetrics(name: str, kind: str, expected: tuple[str, str]) -> None:
    assert in_openmetrics(name, kind) == expected
