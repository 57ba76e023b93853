# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lmcache_frontend.errors import BadGateway
from lmcache_frontend.fleet.history import SERIES
from lmcache_frontend.fleet.prometheus import MOST_POINTS, expression, fetch_series


def ask(figure: str, capacity: float | None = None, **labels: str) -> str | None:
    return expression(figure, labels, window_s=240.0, cpu_capacity_bytes=capacity)


def test_every_series_can_be_asked_for() -> None:
    assert all(ask(name, capacity=1.0) for name in SERIES)


def test_expressions() -> None:
    assert ask("lookup_hit_rate", node="a") == (
        'sum(rate({__name__=~"lmcache:num_lookup_hits_total|lmcache_mp_lookup_hit_tokens_total",node="a"}[240s]))/'
        '(sum(rate({__name__=~"lmcache:num_lookup_tokens_total|lmcache_mp_lookup_requested_tokens_total",'
        'node="a"}[240s]))>0)'
    )
    assert ask("retrieve_time_p95_s") == (
        'histogram_quantile(0.95,sum by (le) (rate({__name__=~"lmcache:time_to_retrieve_bucket"}[240s])))'
    )
    assert ask("cpu_fill") is None
    assert str(ask("cpu_fill", capacity=10.0)).endswith("/10.0")


def test_a_hostile_name_stays_within_its_quotes() -> None:
    assert 'node="a\\"} or up{x=\\"\\\\"' in str(ask("lookups_per_s", node='a"} or up{x="\\'))


def answer(values: list[tuple[float, str]]) -> bytes:
    result = [{"metric": {}, "values": values}] if values else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def fetch(get: Any, names: tuple[str, ...] = ("lookups_per_s",), **times: float) -> dict[str, Any]:
    times = {"since": 1000.0, "until": 1060.0, "step_s": 20.0, **times}
    return fetch_series(get, names, {}, cpu_capacity_bytes=None, **times)  # type: ignore[arg-type]


def test_points_are_put_on_the_axis_and_gaps_stay() -> None:
    asked: list[str] = []

    def get(target: str) -> bytes:
        asked.append(target)
        return answer([(1000.0, "1.5"), (1040.0, "NaN"), (1060.0, "3")])

    assert fetch(get) == {"step_s": 20.0, "start": 1000.0, "series": {"lookups_per_s": [1.5, None, None, 3.0]}}
    query = parse_qs(urlsplit(asked[0]).query)
    assert (query["start"], query["end"], query["step"]) == (["1000.0"], ["1060.0"], ["20.0"])


def test_what_prometheus_does_not_know_is_a_row_of_gaps() -> None:
    assert fetch(lambda target: answer([]))["series"] == {"lookups_per_s": [None] * 4}
    assert fetch(lambda target: answer([]), ("cpu_fill",))["series"] == {"cpu_fill": [None] * 4}


def test_a_long_range_gets_wider_steps() -> None:
    series = fetch(lambda target: answer([]), since=0.0, until=30 * 86400.0, step_s=10.0)
    assert len(series["series"]["lookups_per_s"]) <= MOST_POINTS + 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"status": "error", "error": "bad"}',
        b'{"status": "success", "data": {"result": [{"values": [["x", "1"]]}]}}',
        b'{"status": "success", "data": {"result": [{"values": 7}]}}',
    ],
)
def test_another_answer_is_502(body: bytes) -> None:
    with pytest.raises(BadGateway):
        fetch(lambda target: body)
