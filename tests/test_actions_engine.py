# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lmcache_frontend.actions.engine import Job, Tools, perform
from lmcache_frontend.actions.ledger import Ledger, Progress
from lmcache_frontend.actions.outcomes import Line
from lmcache_frontend.actions.requests import read_request
from lmcache_frontend.actions.targets import Target
from lmcache_frontend.cluster.adapters.kinds import Identity, Kind
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.errors import BadGateway, Forbidden, FrontendError, GatewayTimeout, NotFound
from lmcache_frontend.http1.fetch import Answer, Question
from tests.helpers import demo
from tests.helpers.fleet import make_node
from tests.helpers.old_nodes import OldNode, answer_of
from tests.helpers.waiting import wait_until

LEVEL = {"action": "loglevel", "arguments": {"logger": "lmcache", "level": "DEBUG"}}
HELD = {"min_retrieve_tokens": {"value": 7}}
CONF = {"action": "conf", "arguments": {"values": {"min_retrieve_tokens": 7}}}
REFUSED = BadGateway("127.0.0.1:1: Connection refused")
SICK = answer_of(200, b'{"healthy": false, "unhealthy_threads": [{"name": "x"}]}')


def worker(release: str = "0.5.6") -> OldNode:
    return OldNode(demo.worker(demo.ManualClock(), warm_up_requests=1), release)


def scheduler(release: str = "0.5.6") -> OldNode:
    return OldNode(demo.scheduler(demo.ManualClock()), release)


def server(release: str = "0.5.6") -> OldNode:
    return OldNode(demo.server(demo.ManualClock(), warm_up_requests=1), release)


class Bench:
    """Nodes by name, what is known of them, and what was written down; ``before`` is called with each question."""

    def __init__(self, *, are_known: bool = True, **nodes: OldNode) -> None:
        self.nodes = nodes
        self.known: dict[str, Identity] = {}
        if are_known:
            self.known = {name: probe(self.asking(name)) for name in nodes}
            for node in nodes.values():
                node.asked.clear()
        self.written: list[tuple[str, str, str, str]] = []
        self.time_limits: list[float] = []
        self.before: Callable[[str, Question], None] = lambda name, question: None
        self.progress: Progress

    def asking(self, name: str) -> Callable[[str, float | None], Answer]:
        return lambda target, timeout_s: self.nodes[name].answer(Question("GET", target))

    def send(self, node: Node, question: Question, timeout_s: float) -> Answer:
        self.time_limits.append(timeout_s)
        self.before(node.name, question)
        return self.nodes[node.name].answer(question)

    def job(self, document: dict[str, Any]) -> Job:
        targets = [Target(name, make_node(name)) for name in self.nodes]
        request = read_request({"filter": "*", **document})
        self.progress = Ledger(lambda: 7.0).open(request.action, "what", len(targets), dry_run=request.dry_run)
        tools = Tools(self.send, self.identity, 60.0, lambda: 9.0, lambda: 0.0, health_pause_s=0.0)
        return Job(request, targets, self.progress, tools, lambda *entry: self.written.append(entry))

    def identity(self, key: str) -> Identity | None:
        return self.known.get(key)

    def run(self, document: dict[str, Any]) -> dict[str, Line]:
        """Carry it out and give the lines by node, in the order they came."""
        perform(self.job(document))
        assert self.progress.ended_at == 9.0
        lines = {line.node: line for line in self.progress.lines}
        assert len(lines) == len(self.progress.lines) == len(self.nodes)
        return lines


def outcomes(lines: dict[str, Line]) -> dict[str, str]:
    return {name: line.outcome for name, line in lines.items()}


def changes(bench: Bench) -> dict[str, list[str]]:
    return {name: node.changes for name, node in bench.nodes.items()}


LEVEL_CHANGE = ["GET /loglevel?logger_name=lmcache&level=DEBUG"]


def test_a_log_level_is_set_on_nodes_of_all_kinds_and_releases() -> None:
    bench = Bench(
        new=worker(),
        old=worker("0.3.9"),
        scheduler=scheduler("0.3.15"),
        mp=server(),
        older_mp=server("0.4.7"),
        oldest_mp=server("0.4.1"),
    )
    lines = bench.run(LEVEL)
    said = "Set lmcache level to DEBUG (including all handlers)"
    assert lines.pop("oldest_mp") == Line(
        "oldest_mp", "unsupported", "an MP server of LMCache 0.4.1 to 0.4.4 has no log levels to set"
    )
    assert lines == {name: Line(name, "done", said, 200) for name in lines}
    assert changes(bench) == {name: [] if name == "oldest_mp" else LEVEL_CHANGE for name in bench.nodes}


def test_a_value_is_changed_where_that_is_possible() -> None:
    bench = Bench(new=worker(), scheduler=scheduler(), first=worker("0.3.14"), before=worker("0.3.13"), mp=server())
    assert bench.run(CONF) == {
        "new": Line("new", "done", "set min_retrieve_tokens=7", 200, keys=HELD),
        "scheduler": Line("scheduler", "done", "set min_retrieve_tokens=7", 200, keys=HELD),
        "first": Line("first", "done", "set min_retrieve_tokens=7", 200, keys=HELD),
        "before": Line("before", "unsupported", "LMCache 0.3.13 has no POST /conf (since 0.3.14)"),
        "mp": Line(
            "mp", "unsupported", "an MP server of LMCache since 0.5.1 takes its configuration only at its start"
        ),
    }
    assert bench.nodes["new"].asked == [("POST", "/conf", b'{"min_retrieve_tokens": 7}')]
    assert not bench.nodes["before"].asked
    assert not bench.nodes["mp"].asked


def test_caches_are_cleared_by_the_paths_of_each_release() -> None:
    bench = Bench(
        w=worker(), w_old=worker("0.3.7"), s=scheduler(), a=server("0.4.2"), b=server("0.4.6"), c=server("0.5.1")
    )
    lines = bench.run({"action": "cache_clear"})
    assert outcomes(lines) == {
        **dict.fromkeys(("w", "a", "b", "c"), "done"),
        **dict.fromkeys(("w_old", "s"), "unsupported"),
    }
    assert changes(bench) == {
        "w": ["DELETE /cache/clear"],
        "w_old": [],
        "s": [],
        "a": ["POST /api/clear-cache"],
        "b": ["POST /clear-cache"],
        "c": ["POST /cache/clear"],
    }
    assert bench.time_limits == [600.0] * 4


def test_a_node_that_is_not_known_is_asked_what_it_is() -> None:
    bench = Bench(are_known=False, new=worker(), old=worker("0.3.9"), dead=worker())
    bench.nodes["dead"].down = REFUSED
    lines = bench.run(CONF)
    assert lines["dead"] == Line("dead", "failed", "refused")
    assert outcomes(lines) == {"new": "done", "old": "unsupported", "dead": "failed"}
    assert changes(bench)["old"] == []


def test_a_node_that_was_added_just_now_is_asked_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(key: str) -> Identity:
        raise NotFound(key)

    bench = Bench(w=worker())
    monkeypatch.setattr(bench, "identity", nobody)
    assert outcomes(bench.run(CONF)) == {"w": "done"}


def test_a_frontend_is_asked_as_one() -> None:
    bench = Bench(w=worker())
    job = bench.job(LEVEL)
    bench.nodes["w"].instead["/health"] = answer_of(200, b'{"service": "lmcache-monitor"}')
    perform(job._replace(targets=[job.targets[0]._replace(is_frontend=True)]))
    assert bench.progress.lines == [Line("w", "unsupported", "a frontend has no log levels to set")]
    assert bench.nodes["w"].asked[0].target == "/health"
    assert bench.known["w"].kind is Kind.WORKER


@pytest.mark.parametrize(
    ("error", "document", "detail"),
    [
        (REFUSED, LEVEL, "refused"),
        (Forbidden("169.254.1.1 is link-local"), LEVEL, "169.254.1.1 is link-local"),
        (
            GatewayTimeout("a:1 did not answer within 5 s"),
            LEVEL,
            "timed out after 5 s; it may have been done all the same",
        ),
        (GatewayTimeout("a:1 did not accept a connection within 5 s"), LEVEL, "timed out after 5 s"),
        (
            BadGateway("a:1: connection ended before the answer"),
            CONF,
            "a:1: connection ended before the answer; it may have been done all the same",
        ),
        (
            GatewayTimeout("a:1 did not answer within 5 s"),
            {"action": "request", "arguments": {"method": "GET", "path": "/"}},
            "timed out after 5 s",
        ),
    ],
)
def test_no_answer_is_a_failure_in_words(error: FrontendError, document: dict[str, Any], detail: str) -> None:
    bench = Bench(w=worker())
    bench.nodes["w"].down = error
    assert bench.run(document) == {"w": Line("w", "failed", detail)}


def test_what_a_proxy_says_of_an_unreachable_node_counts_as_no_answer() -> None:
    bench = Bench(w=worker())
    bench.nodes["w"].instead["/loglevel"] = answer_of(502, b'{"detail": "127.0.0.1:1: Connection refused"}')
    assert bench.run(LEVEL) == {"w": Line("w", "failed", "refused", 502)}


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing() -> None:
    bench = Bench(w=worker(), mp=server())
    document = {"action": "conf", "arguments": {"values": {"a": 1, "api_key": "x"}}, "dry_run": True, "canary": True}
    lines = bench.run(document)
    assert lines["w"] == Line("w", "planned", 'POST /conf {"a":1,"api_key":"********"}')
    assert lines["mp"].outcome == "unsupported"
    assert not bench.nodes["w"].asked
    assert not bench.written
    assert bench.progress.summary["planned"] == 1


def test_everything_is_written_down() -> None:
    bench = Bench(w=worker(), old=worker("0.3.9"))
    bench.run({**CONF, "parallel": 1})
    what = "conf min_retrieve_tokens=7"
    assert bench.written == [
        ("2 nodes", what, "started", ""),
        ("w", what, "done", "set min_retrieve_tokens=7"),
        ("2 nodes", what, "ended", "1 done, 1 unsupported"),
    ]


def test_what_cannot_be_written_down_is_done_all_the_same() -> None:
    bench = Bench(w=worker())

    def record(*entry: str) -> None:
        raise OSError("disk full")

    perform(bench.job(LEVEL)._replace(record=record))
    assert [line.outcome for line in bench.progress.lines] == ["done"]
    assert bench.progress.ended_at


def test_a_fault_of_ours_becomes_a_line() -> None:
    bench = Bench(a=worker(), b=worker())

    def before(name: str, question: Question) -> None:
        if name == "a":
            raise ZeroDivisionError

    bench.before = before
    lines = bench.run(LEVEL)
    assert lines["a"] == Line("a", "failed", "internal error; the log has more")
    assert lines["b"].outcome == "done"
    lines = bench.run({**LEVEL, "canary": True})
    assert outcomes(lines) == {"a": "failed", "b": "skipped"}


@pytest.mark.parametrize(
    ("limit", "parallel", "expected"),
    [
        (None, 1, ["failed", "failed", "done", "failed", "done", "done"]),
        (1, 1, ["failed", "skipped", "skipped", "skipped", "skipped", "skipped"]),
        (2, 1, ["failed", "failed", "skipped", "skipped", "skipped", "skipped"]),
        (3, 1, ["failed", "failed", "done", "failed", "skipped", "skipped"]),
        (4, 8, ["failed", "failed", "done", "failed", "done", "done"]),
    ],
)
def test_it_stops_when_enough_have_failed(limit: int | None, parallel: int, expected: list[str]) -> None:
    bench = Bench(a=worker(), b=worker(), c=worker(), d=worker(), e=worker(), f=worker())
    for name in ("a", "b", "d"):
        bench.nodes[name].down = REFUSED
    lines = bench.run({**LEVEL, "max_failures": limit, "parallel": parallel})
    assert [lines[name].outcome for name in bench.nodes] == expected
    reasons = {line.detail for line in lines.values() if line.outcome == "skipped"}
    assert reasons <= {f"stopped after {limit} failure{'' if limit == 1 else 's'}"}
    if "skipped" not in expected:
        assert bench.progress.stop_reason == ""


def test_no_more_run_at_once_than_were_asked_for() -> None:
    nodes: dict[str, Any] = {f"w{number}": worker() for number in range(12)}
    bench = Bench(**nodes)
    gate, lock, seen = threading.Event(), threading.Lock(), []
    running = 0

    def before(name: str, question: Question) -> None:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        gate.wait(10)
        with lock:
            running -= 1

    bench.before = before
    thread = threading.Thread(target=perform, args=(bench.job({**LEVEL, "parallel": 3}),))
    thread.start()
    wait_until(lambda: len(seen) == 3)
    assert not bench.progress.lines
    gate.set()
    thread.join(10)
    assert max(seen) == 3
    assert len(bench.progress.lines) == 12


def test_a_stop_lets_what_runs_end_and_skips_the_rest() -> None:
    bench = Bench(a=worker(), b=worker(), c=worker(), d=worker())
    gate, begun = threading.Event(), threading.Semaphore(0)

    def before(name: str, question: Question) -> None:
        begun.release()
        gate.wait(10)

    bench.before = before
    thread = threading.Thread(target=perform, args=(bench.job({**LEVEL, "parallel": 2}),))
    thread.start()
    assert begun.acquire(timeout=10)
    assert begun.acquire(timeout=10)
    bench.progress.stop("enough")
    gate.set()
    thread.join(10)
    lines = {line.node: line for line in bench.progress.lines}
    assert outcomes(lines) == {"a": "done", "b": "done", "c": "skipped", "d": "skipped"}
    assert lines["c"].detail == "enough"
    assert not bench.nodes["c"].asked


def test_time_limits() -> None:
    script = {"action": "run_script", "arguments": {"script": "x"}}
    for document, expected in (
        (LEVEL, 60.0),
        ({**LEVEL, "timeout_s": 3}, 3.0),
        (script, 600.0),
        ({**script, "timeout_s": 3}, 3.0),
        ({"action": "request", "arguments": {"method": "POST", "path": "/cache/store"}}, 600.0),
    ):
        bench = Bench(w=worker())
        bench.run(document)
        assert bench.time_limits == [expected]


def test_scripts_that_are_switched_off_are_unsupported() -> None:
    bench = Bench(w=worker())
    lines = bench.run({"action": "run_script", "arguments": {"script": "result = 1"}})
    assert lines == {
        "w": Line("w", "unsupported", "running scripts is switched off on this node (run_script_api_enabled)", 404)
    }


def test_what_an_answer_left_open_is_read_back() -> None:
    bench = Bench(w=worker())
    lines = bench.run({"action": "conf", "arguments": {"values": {"pd_allocation_timeout_sec": "inf"}}})
    assert lines["w"].outcome == "done"
    assert [asked.method for asked in bench.nodes["w"].asked] == ["POST", "GET"]


def canary(bench: Bench, document: Iterable[tuple[str, Any]] = ()) -> dict[str, Line]:
    return bench.run({**CONF, "canary": True, **dict(document)})


def test_one_goes_first_and_is_looked_at_before_and_after() -> None:
    bench = Bench(a=worker(), b=worker(), c=worker())
    order: list[str] = []
    bench.before = lambda name, question: order.append(f"{question.method} {name}")
    lines = canary(bench, {"parallel": 1}.items())
    assert lines["a"].detail == "set min_retrieve_tokens=7; went first and is healthy"
    assert outcomes(lines) == {"a": "done", "b": "done", "c": "done"}
    post = order.index("POST a")
    assert set(order[:post]) == {"GET a"}
    assert order[post + 1 : -2].count("GET a") == len(order) - post - 3 >= 3
    assert order[-2:] == ["POST b", "POST c"]


def test_who_falls_ill_after_the_change_stops_it() -> None:
    bench = Bench(a=worker(), b=worker())

    def before(name: str, question: Question) -> None:
        if question.method == "POST":
            bench.nodes["a"].instead["/periodic-threads-health"] = SICK
            bench.nodes["a"].instead["/metrics"] = answer_of(200, b"")

    bench.before = before
    lines = canary(bench)
    assert lines["a"] == Line(
        "a",
        "failed",
        "set min_retrieve_tokens=7; but it was healthy and is degraded (periodic thread x is late) now",
        200,
        keys=HELD,
    )
    assert lines["b"] == Line("b", "skipped", "a went first and failed")
    assert not bench.nodes["b"].asked
    assert [entry[0] for entry in bench.written] == ["2 nodes", "a", "2 nodes"]


def test_who_is_a_little_worse_after_the_change_stops_it() -> None:
    bench = Bench(a=server(), b=server())

    def before(name: str, question: Question) -> None:
        if bench.nodes["a"].changes:
            bench.nodes["a"].instead["/status"] = answer_of(200, b'{"engine_type": "x"}')

    bench.before = before
    lines = canary(bench, LEVEL.items())
    assert lines["a"].detail.endswith("; but it was healthy and is serving (status.is_healthy is missing) now")
    assert outcomes(lines) == {"a": "failed", "b": "skipped"}


def test_who_is_gone_after_the_change_stops_it() -> None:
    bench = Bench(are_known=False, a=worker(), b=worker())

    def before(name: str, question: Question) -> None:
        if bench.nodes["a"].changes:
            bench.nodes["a"].down = REFUSED

    bench.before = before
    lines = canary(bench)
    assert lines["a"].detail == "set min_retrieve_tokens=7; but it was healthy and is unreachable (refused) now"
    assert outcomes(lines) == {"a": "failed", "b": "skipped"}


def test_a_change_that_fails_on_the_first_stops_it() -> None:
    bench = Bench(a=worker(), b=worker())
    lines = canary(bench, {"arguments": {"values": {"nothing": 1}}}.items())
    assert lines["a"].detail == "nothing set: nothing (Unknown config)"
    assert outcomes(lines) == {"a": "failed", "b": "skipped"}


def test_who_cannot_or_is_not_well_does_not_go_first() -> None:
    bench = Bench(mp=server(), old=worker("0.3.9"), ill=worker(), good=worker(), last=worker())
    bench.nodes["ill"].instead["/periodic-threads-health"] = SICK
    bench.nodes["ill"].instead["/metrics"] = answer_of(200, b"")
    lines = canary(bench)
    assert list(lines)[:3] == ["mp", "old", "good"]
    assert outcomes(lines) == {
        "mp": "unsupported",
        "old": "unsupported",
        **dict.fromkeys(("good", "ill", "last"), "done"),
    }
    assert lines["good"].detail.endswith("went first and is healthy")
    assert "went first" not in lines["ill"].detail


def test_where_nobody_is_well_nothing_is_done() -> None:
    bench = Bench(a=worker(), b=worker())
    bench.nodes["a"].down = REFUSED
    bench.nodes["b"].instead["/periodic-threads-health"] = SICK
    bench.nodes["b"].instead["/metrics"] = answer_of(200, b"")
    lines = canary(bench)
    reason = "no node is fit to go first: a is unreachable (refused); b is degraded (periodic thread x is late)"
    assert lines == {name: Line(name, "skipped", reason) for name in ("a", "b")}
    assert changes(bench) == {"a": [], "b": []}


def test_an_old_node_that_can_only_serve_may_go_first() -> None:
    bench = Bench(old=worker("0.3.12"), other=worker("0.3.12"))
    lines = canary(bench, LEVEL.items())
    assert lines["old"].detail.endswith("went first and is serving")
    assert outcomes(lines) == {"old": "done", "other": "done"}


def test_a_stop_while_the_first_is_looked_at_skips_the_rest() -> None:
    bench = Bench(a=worker(), b=worker())

    def before(name: str, question: Question) -> None:
        if bench.nodes["a"].changes:
            bench.progress.stop("enough")

    bench.before = before
    assert outcomes(canary(bench)) == {"a": "done", "b": "skipped"}


def test_answers_are_masked_and_not_kept_in_the_trail() -> None:
    bench = Bench(w=worker())
    lines = bench.run({"action": "request", "arguments": {"method": "GET", "path": "/env"}})
    assert "HF_HOME" in lines["w"].detail
    assert "not-a-real" not in lines["w"].detail
    assert bench.written[1] == ("w", "request GET /env", "done", "answered 200")
