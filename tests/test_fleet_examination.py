# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.cluster.adapters.kinds import Identity, Kind, Paths
from lmcache_frontend.errors import GatewayTimeout
from lmcache_frontend.fleet.counters import Counters
from lmcache_frontend.fleet.derive import positions_of
from lmcache_frontend.fleet.examination import examine, idle_since, is_odd, is_slow
from lmcache_frontend.fleet.polling import DETAILS_INTERVAL_S, Moment, Watch, poll
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, OK, STALE, Figure, Figures
from tests.helpers import demo
from tests.helpers.fleet import FakeNode, answer, make_node, moments, reading

WORKER = Identity(Kind.WORKER, "worker", "0.5.6", "i", Paths.IN_PROCESS)
QUIET = '{"status":"success","freeze":false,"hot_cache":true,"bypassed_backends":[]}'


def figures(state: str = OK, **values: float) -> Figures:
    return Figures(positions_of("worker"), {name: Figure(value, state) for name, value in values.items()})


@pytest.mark.parametrize(
    ("odd", "values"),
    [
        (True, {"lookups_per_s": 1, "lookup_hit_rate": 0.5, "stores_per_s": 0}),
        (True, {"lookups_per_s": 1, "lookup_hit_rate": 0, "stores_per_s": 1}),
        (False, {"lookups_per_s": 1, "lookup_hit_rate": 1, "stores_per_s": 0}),
        (False, {"lookups_per_s": 1, "lookup_hit_rate": 0.5, "stores_per_s": 0.1}),
        (False, {"lookups_per_s": 0, "lookup_hit_rate": 0.5, "stores_per_s": 0}),
        (False, {"lookups_per_s": 1, "stores_per_s": 0}),
        (False, {}),
    ],
)
def test_what_is_odd(odd: bool, values: dict[str, float]) -> None:
    assert is_odd("worker", figures(**values)) is odd
    assert not is_odd("mp", figures(**values))
    assert not is_odd("worker", figures(STALE, **values))


def test_what_is_slow() -> None:
    assert [is_slow(seconds) for seconds in (None, 0.2, 1.9, 2.0, 7.0)] == [False, False, False, True, True]


def window(*ats: float, started: float | None = 500.0) -> list[Counters]:
    text = "" if started is None else f"process_start_time_seconds {started}\n"
    return [reading(at, text) for at in ats]


def test_a_node_with_traffic_or_without_counts_is_not_idle() -> None:
    assert idle_since(figures(lookups_per_s=0.1), window(0, 10), 900.0, 1000.0) is None
    assert idle_since(figures(), window(0, 10), 900.0, 1000.0) is None


def test_a_node_that_never_had_traffic_is_idle_since_its_start() -> None:
    never = figures(NO_TRAFFIC, lookups_per_s=0)
    assert idle_since(never, window(0), None, 1000.0) == 500.0
    assert idle_since(never, window(0, 10, started=None), None, 1000.0) == 1000.0
    assert idle_since(never, window(0, 10, started=2000.0), None, 1000.0) == 1000.0


def test_a_node_is_idle_since_its_window_began_and_then_for_as_long_as_it_stays_so() -> None:
    had = Figures(positions_of("worker"), {"lookups_per_s": Figure(None, NO_TRAFFIC), "lookups_total": Figure(7.0, OK)})
    assert idle_since(had, window(0, 60), None, 1000.0) == 940.0
    assert idle_since(had, window(0, 60), 700.0, 1000.0) == 700.0
    assert idle_since(had, window(0), None, 1000.0) is None


def examined(bodies: dict[str, str], *, slow: bool = False, odd: bool = True) -> tuple[tuple[str, ...], list[str]]:
    node = FakeNode()
    node.instead = {path: answer(body) for path, body in bodies.items()}
    return examine(WORKER, node.ask, slow=slow, odd=odd), node.asked


def test_what_was_switched_off_is_said_in_words() -> None:
    found, asked = examined(
        {
            "/freeze/status": '{"freeze":true}',
            "/hot_cache/status": '{"hot_cache":false}',
            "/bypass/list": '{"bypassed_backends":["A","B\\u202e","C","D"]}',
        }
    )
    assert found == ("it is frozen", "its hot cache is off", "A, B, C and 1 more are bypassed")
    assert asked == ["/freeze/status", "/hot_cache/status", "/bypass/list"]


def test_a_node_with_nothing_to_say_says_nothing() -> None:
    paths = ("/freeze/status", "/hot_cache/status", "/bypass/list")
    assert examined({})[0] == ()
    assert examined(dict.fromkeys(paths, QUIET))[0] == ()
    assert examined(dict.fromkeys(paths, "<html>"))[0] == ()
    assert examined(dict.fromkeys(paths, '{"freeze":"yes","hot_cache":0,"bypassed_backends":[7]}'))[0] == ()
    assert examined(dict.fromkeys(paths, QUIET), odd=False)[1] == []
    node = FakeNode()
    node.down = GatewayTimeout("x did not answer within 5 s")
    assert examine(WORKER, node.ask, slow=True, odd=True) == ()


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("lmcache.v1.x: DEBUG\nlmcache: DEBUG\ntorch: DEBUG", ("the loggers lmcache and 1 more are at DEBUG",)),
        ("lmcache.v1.x: DEBUG\nlmcache: INFO", ("the logger lmcache.v1.x is at DEBUG",)),
        ("lmcachelike: DEBUG\nlmcache: INFO", ()),
    ],
)
def test_loggers_that_write_too_much_are_named(lines: str, found: tuple[str, ...]) -> None:
    text = f"=== Loggers and Levels ===\n{lines}\n"
    assert examined({"/loglevel": text}, slow=True, odd=False) == (found, ["/loglevel"])


def test_a_node_is_examined_now_and_then_until_it_has_told_why() -> None:
    clock = demo.ManualClock()
    node = demo.worker(clock)
    fake = FakeNode(node)
    watch = Watch(make_node("n"), Moment(clock(), clock()), 10.0)
    quiet = answer(QUIET)
    paths = ("/freeze/status", "/hot_cache/status", "/bypass/list")
    fake.instead = dict.fromkeys(paths, quiet)
    node.answer("PUT", "/freeze/enable")

    def rounds(count: int) -> int:
        fake.asked.clear()
        for _ in range(count):
            clock.pass_time(10)
            poll(watch, fake.ask, moments(clock))
        return fake.asked.count("/freeze/status")

    rounds(2)
    assert rounds(int(DETAILS_INTERVAL_S / 10)) == 1
    assert watch.state.remarks == ()
    fake.instead.clear()
    rounds(int(DETAILS_INTERVAL_S / 10))
    assert watch.state.remarks == ("it is frozen",)
    assert rounds(3) == 3
    node.answer("PUT", "/freeze/disable")
    assert rounds(2) == 0
    assert watch.state.remarks == ()
