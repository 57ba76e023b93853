# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from math import inf

import pytest

from lmcache_frontend.fleet.quantiles import NOTHING_SEEN, Histogram, difference, make_histogram, merged, quantile

BUCKETS = {0.1: 10.0, 0.5: 30.0, 1.0: 40.0, inf: 40.0}


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    histogram = make_histogram(BUCKETS)
    # Of 40 the 20th is half way through the 20 of the bucket from 0.1 to 0.5.
    assert quantile(histogram, 0.5) == pytest.approx(0.3)
    assert quantile(histogram, 0.95) == pytest.approx(0.9)
    assert quantile(histogram, 0.1) == pytest.approx(0.04)
    assert quantile(histogram, 1.0) == pytest.approx(1.0)


def test_what_lies_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(make_histogram({1.0: 1.0, 2.0: 2.0, inf: 100.0}), 0.95) == 2.0


def test_a_first_bucket_that_ends_at_zero_or_below_is_its_bound() -> None:
    assert quantile(make_histogram({-1.0: 5.0, 1.0: 6.0, inf: 6.0}), 0.5) == -1.0


@pytest.mark.parametrize(
    "buckets", [{}, {inf: 5.0}, {1.0: 3.0, 2.0: 4.0}, {1.0: 0.0, inf: 0.0}], ids=["none", "one", "open", "zero"]
)
def test_without_observations_or_bounds_there_is_no_quantile(buckets: dict[float, float]) -> None:
    assert quantile(make_histogram(buckets), 0.5) is None


def test_an_empty_bucket_is_passed_over() -> None:
    assert quantile(make_histogram({1.0: 2.0, 2.0: 2.0, 3.0: 4.0, inf: 4.0}), 0.75) == pytest.approx(2.5)


def test_counts_that_fall_from_bound_to_bound_are_taken_not_to() -> None:
    falling = quantile(Histogram((1.0, 2.0, 3.0, inf), [6.0, 5.0, 10.0, 10.0]), 0.8)
    assert falling == pytest.approx(2.5)


def test_a_difference_is_what_came_since() -> None:
    older, newer = make_histogram(BUCKETS), make_histogram({0.1: 10.0, 0.5: 30.0, 1.0: 60.0, inf: 60.0})
    assert list(difference(newer, older).counts) == [0.0, 0.0, 20.0, 20.0]
    assert quantile(difference(newer, older), 0.5) == pytest.approx(0.75)


def test_all_is_new_where_there_was_nothing_or_other_bounds() -> None:
    newer = make_histogram(BUCKETS)
    for older in (None, NOTHING_SEEN, make_histogram({0.2: 1.0, inf: 1.0})):
        assert difference(newer, older) == newer


def test_histograms_of_equal_bounds_add_up() -> None:
    both = merged([make_histogram(BUCKETS), NOTHING_SEEN, make_histogram(BUCKETS)])
    assert list(both.counts) == [20.0, 60.0, 80.0, 80.0]
    assert both.observations == 80.0


def test_of_different_bounds_the_common_ones_remain() -> None:
    both = merged([make_histogram(BUCKETS), make_histogram({0.5: 1.0, 0.7: 2.0, inf: 3.0})])
    assert both.bounds == (0.5, inf)
    assert list(both.counts) == [31.0, 43.0]


def test_nothing_adds_up_to_nothing() -> None:
    assert merged([NOTHING_SEEN, NOTHING_SEEN]) is NOTHING_SEEN
    assert NOTHING_SEEN.observations == 0.0


def test_equal_bounds_are_one_tuple() -> None:
    assert make_histogram(BUCKETS).bounds is make_histogram(dict(BUCKETS)).bounds
