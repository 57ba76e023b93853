# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lmcache_frontend.fleet.derive import positions_of
from lmcache_frontend.fleet.snapshot import (
    NO_FIGURES,
    NO_TRAFFIC,
    OK,
    STALE,
    UNSUPPORTED,
    Figure,
    Figures,
    FleetSnapshot,
    Level,
    NodeState,
    changes,
    key_of,
    made_stale,
    unknown,
)
from tests.helpers.demo import START
from tests.helpers.fleet import make_node

NAMES = {"a": 0, "b": 1, "c": 2}


def snapshot(*states: NodeState) -> FleetSnapshot:
    return FleetSnapshot(1, START, 10.0, {state.key: state for state in states}, NO_FIGURES, ())


def test_figures_are_a_mapping() -> None:
    found = Figures(NAMES, {"a": Figure(1.5, OK), "b": Figure(None, NO_TRAFFIC)})
    assert dict(found) == {"a": Figure(1.5, OK), "b": Figure(None, NO_TRAFFIC), "c": Figure(None, UNSUPPORTED)}
    assert list(found) == ["a", "b", "c"]
    assert "d" not in found
    assert found.get("d") is None


def test_equal_figures_are_equal() -> None:
    one, other = ({"a": Figure(1.0, OK), "b": Figure(None, NO_TRAFFIC)} for _ in range(2))
    assert Figures(NAMES, one) == Figures(NAMES, other) == Figures(dict(NAMES), other)
    assert Figures(NAMES, one) != Figures(NAMES, {**other, "a": Figure(1.0, STALE)})
    assert Figures(NAMES, one) != Figures(NAMES, {**other, "a": Figure(2.0, OK)})
    assert Figures(NAMES, one) != NO_FIGURES


def test_old_figures_keep_their_values() -> None:
    figures = Figures(NAMES, {"a": Figure(1.0, OK), "b": Figure(None, NO_TRAFFIC)})
    expected = {"a": Figure(1.0, STALE), "b": Figure(None, STALE), "c": Figure(None, UNSUPPORTED)}
    assert dict(made_stale(figures, NAMES)) == expected
    assert dict(made_stale(made_stale(figures, NAMES), NAMES)) == expected


def test_keys_are_names_of_our_own_and_full_names_of_others() -> None:
    assert key_of("local_proxy", "n") == "n"
    assert unknown(make_node("n", proxy="p"), START).key == "p/n"


def test_what_changed_is_told_without_the_times() -> None:
    state = unknown(make_node("n"), START)._replace(figures=Figures(positions_of("worker"), {}))
    later = state._replace(last_seen=START, scraped_at=START, scrape_seconds=0.1, blocks=object())
    assert changes(snapshot(state), snapshot(later)) == ([], [])
    worse = later._replace(level=Level.DEGRADED)
    new = unknown(make_node("new"), START)
    assert changes(snapshot(state), snapshot(worse, new)) == ([worse, new], [])
    assert changes(snapshot(worse, new), snapshot(new)) == ([], ["n"])
