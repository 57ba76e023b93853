# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from lmcache_frontend.demo.node import Node as DemoNode
from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout
from lmcache_frontend.exposition.merge import merge
from lmcache_frontend.fleet.polling import BEING_READ, DETAILS_INTERVAL_S, Moment, Watch, poll
from lmcache_frontend.fleet.snapshot import NO_TRAFFIC, OK, STALE, UNSUPPORTED, Level
from tests.helpers import demo
from tests.helpers.fleet import REFUSED, FakeNode, answer, make_node, moments

TIMEOUT = GatewayTimeout("127.0.0.1:7000 did not answer within 5 s")


class Watched:
    """A watch on a fake node, asked every ten seconds."""

    def __init__(self, node: DemoNode | None, clock: demo.ManualClock, **entry: object) -> None:
        self.clock = clock
        self.fake = FakeNode(node)
        self.watch = Watch(make_node("n", **entry), Moment(clock(), clock()), 10.0)  # type: ignore[arg-type]

    def poll(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.pass_time(10)
            self.fake.asked.clear()
            poll(self.watch, self.fake.ask, moments(self.clock))

    @property
    def level(self) -> Level:
        return self.watch.state.level

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.watch.state.reasons

    def states(self) -> set[str]:
        return {figure.state for figure in self.watch.state.figures.values()}

    def exposition(self) -> str:
        assert self.watch.state.blocks is not None
        return b"".join(merge([self.watch.state.blocks])).decode()


@pytest.fixture
def worker() -> Watched:
    clock = demo.ManualClock()
    return Watched(demo.worker(clock), clock)


def test_a_worker_is_found_out_and_read(worker: Watched) -> None:
    worker.poll(2)
    state = worker.watch.state
    assert (state.kind, state.role, state.level, state.reasons) == ("worker", "worker", Level.HEALTHY, ())
    assert state.version == "0.5.6-g3e11e108"
    assert state.last_seen == state.scraped_at == worker.clock()
    assert state.figures["lookup_hit_rate"].state == OK
    assert state.figures["cpu_fill"].state == OK
    assert 'lmcache:num_lookup_tokens_total{node="n",' in worker.exposition()


def test_a_round_reads_metrics_and_health_only(worker: Watched) -> None:
    worker.poll(2)
    assert worker.fake.asked == ["/metrics", "/periodic-threads-health"]


def test_version_and_configuration_are_read_every_minute(worker: Watched) -> None:
    asked = []
    for _ in range(14):
        worker.poll()
        asked += [path for path in worker.fake.asked if path in ("/version", "/conf")]
    # Twice for the first look: to find out what it is, and to read it.
    assert asked.count("/version") == asked.count("/conf") == 2 + 14 * 10 // DETAILS_INTERVAL_S


def test_a_node_behind_a_frontend_is_labelled_with_it() -> None:
    clock = demo.ManualClock()
    watched = Watched(demo.server(clock), clock, proxy="p")
    watched.poll()
    assert 'node="n",proxy="p"' in watched.exposition()
    assert watched.watch.key == "p/n"


def test_a_node_that_refuses_is_unreachable_and_keeps_its_last_figures(worker: Watched) -> None:
    worker.poll(3)
    before = worker.watch.state
    worker.fake.down = REFUSED
    worker.poll()
    after = worker.watch.state
    assert (after.level, after.reasons) == (Level.UNREACHABLE, ("refused",))
    assert after.figures["lookup_hit_rate"] == (before.figures["lookup_hit_rate"].value, STALE)
    assert worker.states() <= {STALE, UNSUPPORTED}
    assert after.blocks is None
    assert worker.watch.counted is None
    assert (after.last_seen, after.scraped_at) == (before.last_seen, before.scraped_at)
    assert worker.fake.asked == ["/metrics"], "one question is enough"
    assert worker.watch.errors == {"refused": 1}


def test_a_node_that_is_back_is_asked_what_it_is(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.down = REFUSED
    worker.poll()
    worker.fake.down = None
    worker.poll()
    assert worker.level is Level.HEALTHY
    assert "/conf" in worker.fake.asked
    # What was counted before is no part of the new window.
    assert worker.watch.state.figures["lookups_per_s"].state == NO_TRAFFIC
    worker.poll()
    assert worker.watch.state.figures["lookups_per_s"].state == OK


def test_a_node_that_is_another_one_now_is_found_out(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.down = REFUSED
    worker.poll()
    worker.fake.down, worker.fake.demo = None, demo.server(worker.clock)
    worker.poll()
    assert worker.watch.state.kind == "mp"
    assert worker.watch.state.figures["event_bus_queue"].state == OK
    assert "remote_ping_s" not in worker.watch.state.figures


def test_dead_nodes_are_asked_less_and_less(worker: Watched) -> None:
    worker.fake.down = REFUSED
    delays = []
    for _ in range(7):
        worker.poll()
        delays.append(worker.watch.retry_at - worker.clock())
    # A little before the round in which it is due.
    assert delays == [9, 18, 36, 72, 108, 108, 108]
    assert worker.watch.state.last_seen is None
    worker.fake.down = None
    worker.poll()
    assert worker.watch.failures == 0


def test_level_since_is_the_time_of_the_change(worker: Watched) -> None:
    worker.fake.down = REFUSED
    worker.poll()
    first = worker.clock()
    worker.poll(3)
    assert worker.watch.state.level_since == first
    worker.fake.down = None
    worker.poll()
    assert worker.watch.state.level_since == worker.clock()


def test_metrics_that_time_out_leave_a_node_degraded(worker: Watched) -> None:
    worker.poll(2)
    before = worker.watch.state
    worker.fake.instead["/metrics"] = TIMEOUT
    worker.poll()
    assert (worker.level, worker.reasons) == (Level.DEGRADED, ("metrics: timed out after 5 s",))
    assert worker.watch.state.figures["lookups_total"] == (before.figures["lookups_total"].value, STALE)
    assert worker.watch.state.scraped_at == before.scraped_at
    assert worker.watch.state.last_seen == worker.clock()


def test_a_node_that_hangs_is_unreachable(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.down = TIMEOUT
    worker.poll()
    assert (worker.level, worker.reasons) == (Level.UNREACHABLE, ("timed out after 5 s",))
    assert worker.fake.asked == ["/metrics", "/periodic-threads-health"]
    assert worker.watch.errors == {"timeout": 1}


def test_a_slow_node_that_is_back_is_not_called_unreachable_while_it_is_read(worker: Watched) -> None:
    worker.fake.down = TIMEOUT
    worker.poll()
    worker.fake.down = None
    worker.clock.pass_time(10)
    seen = []

    def ask(target: str, timeout_s: float | None) -> object:
        seen.append((target.partition("?")[0], worker.watch.state.level, worker.reasons))
        return worker.fake.ask(target, timeout_s)

    poll(worker.watch, ask, moments(worker.clock))  # type: ignore[arg-type]
    assert seen[0][1] is Level.UNREACHABLE
    assert ("/metrics", Level.ANSWERING, (BEING_READ,)) in seen
    assert (worker.level, worker.reasons, worker.watch.failures) == (Level.HEALTHY, (), 0)
    worker.poll()
    assert worker.fake.asked == ["/metrics", "/periodic-threads-health"]


def test_a_node_that_goes_again_while_it_is_read_is_left_alone_for_longer(worker: Watched) -> None:
    worker.fake.down = TIMEOUT
    worker.poll()
    worker.fake.down = None
    worker.fake.instead["/metrics"] = REFUSED
    worker.poll()
    assert (worker.level, worker.watch.failures) == (Level.UNREACHABLE, 2)


BROKEN_LINE = b"lmcache:num_lookup_tokens_total{ 5\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lambda good: good + BROKEN_LINE, "metrics: line "),
        (lambda good: good[: len(good) // 2 - 3], "metrics: line "),
        (lambda good: good.replace(b" 0.0\n", b" zero\n"), "lines dropped"),
        (lambda good: good + b"# \xff\n", "metrics: wrong UTF-8 at byte "),
        (lambda good: b"<!DOCTYPE html><p>no", "metrics: an HTML page"),
        (lambda good: b"\x00\x01\x02" * 100, "metrics: line 1"),
    ],
    ids=["line", "half", "values", "utf-8", "html", "bytes"],
)
def test_broken_metrics_leave_the_last_good_figures(worker: Watched, body: object, reason: str) -> None:
    worker.poll(2)
    before = worker.watch.state
    good = worker.fake.ask("/metrics", None).body
    worker.fake.instead["/metrics"] = answer(body(good))  # type: ignore[operator]
    worker.poll()
    assert worker.level is Level.DEGRADED
    assert reason in worker.reasons[0]
    assert worker.watch.state.figures["tokens_hit_total"] == (before.figures["tokens_hit_total"].value, STALE)
    assert OK not in worker.states()
    assert worker.watch.state.scraped_at == before.scraped_at
    del worker.fake.instead["/metrics"]
    worker.poll()
    assert worker.level is Level.HEALTHY
    assert worker.watch.state.figures["lookup_hit_rate"].state == OK


def test_the_good_lines_of_broken_metrics_are_kept(worker: Watched) -> None:
    good = worker.fake.ask("/metrics", None).body
    worker.fake.instead["/metrics"] = answer(good + BROKEN_LINE)
    worker.poll()
    assert "1 line dropped" in worker.reasons[0]
    assert "lmcache:num_lookup_tokens_total{" in worker.exposition()
    # It never was without fault, so that this is the best there is.
    assert worker.watch.state.figures["tokens_hit_total"].state == STALE
    assert worker.watch.state.figures["tokens_hit_total"].value
    assert worker.watch.errors == {"malformed": 1}


@pytest.mark.parametrize(
    ("error", "reason", "word"),
    [
        (BadGateway("answer of over 16777216 bytes"), "metrics: answer of over 16777216 bytes", "malformed"),
        (BadGateway("answer of 127.0.0.1:7000: bare LF"), "metrics: answer of 127.0.0.1:7000: bare LF", "malformed"),
    ],
)
def test_an_answer_that_cannot_be_taken_is_told(worker: Watched, error: FrontendError, reason: str, word: str) -> None:
    worker.poll(2)
    worker.fake.instead["/metrics"] = error
    worker.poll()
    assert (worker.level, worker.reasons) == (Level.DEGRADED, (reason,))
    assert worker.watch.errors == {word: 1}


def test_something_that_is_not_http_is_told_from_silence(worker: Watched) -> None:
    worker.fake.down = BadGateway("answer of 127.0.0.1:7000: no status line")
    worker.poll()
    assert worker.level is Level.ANSWERING
    assert worker.reasons == ("answer of 127.0.0.1:7000: no status line",)


def test_an_error_instead_of_metrics_is_told_with_its_status(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.instead["/metrics"] = answer('{"detail":"out of luck"}', 500)
    worker.poll()
    assert worker.reasons == ("metrics: answered 500: out of luck",)
    assert worker.watch.errors == {"status": 1}


def test_metrics_that_are_off_are_no_fault(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.instead["/metrics"] = answer('{"detail":"Not Found"}', 404)
    worker.poll()
    assert worker.level is Level.HEALTHY
    assert worker.states() == {UNSUPPORTED}
    assert worker.watch.state.blocks is None
    assert not worker.watch.errors


def test_what_is_not_of_lmcache_answers_and_has_no_figures() -> None:
    watched = Watched(None, demo.ManualClock())
    watched.poll()
    assert (watched.watch.state.kind, watched.level) == ("unknown", Level.ANSWERING)
    assert len(watched.watch.state.figures) == 0
    watched.poll()
    assert "/conf" not in watched.fake.asked, "it is not asked every time what it is"
    watched.fake.demo = demo.worker(watched.clock)
    watched.poll(6)
    assert watched.watch.state.kind == "worker"


def test_a_restart_within_a_window_is_noticed(worker: Watched) -> None:
    worker.poll(3)
    worker.clock.pass_time(10)
    worker.fake.demo = demo.worker(worker.clock, warm_up_requests=0, rate_per_s=5.0)
    worker.poll()
    found = worker.watch.state.figures["lookups_total"].value
    assert found is not None
    assert found < 100, "the new process counts from zero"
    recent = worker.watch.counted
    assert recent is not None
    assert 0 < (recent.recently("lookups") or 0) < 100
    worker.poll()
    assert "/conf" in worker.fake.asked, "what it is, is asked anew"


def test_another_version_is_noticed_within_a_minute(worker: Watched) -> None:
    worker.poll(2)
    worker.fake.instead["/version"] = answer('"0.9.9-gabc"')
    worker.poll(6)
    assert worker.watch.state.version == "0.9.9-gabc"


def test_a_window_is_a_minute_and_keeps_few_readings(worker: Watched) -> None:
    worker.poll(12)
    window = worker.watch.window
    assert window[-1].at - window[0].at == 60
    assert len(window) == 7
    for _ in range(100):
        worker.clock.pass_time(1)
        poll(worker.watch, worker.fake.ask, moments(worker.clock))
    assert window[-1].at - window[0].at == pytest.approx(60, abs=8)
    assert len(window) <= 10


def test_a_configuration_that_cannot_be_read_leaves_the_last_one(worker: Watched) -> None:
    worker.poll(2)
    known = worker.watch.configuration
    assert known is not None
    worker.fake.instead["/conf"] = answer("broken", 500)
    worker.poll(7)
    assert worker.watch.configuration is known
    assert worker.watch.state.figures["cpu_fill"].state == OK
