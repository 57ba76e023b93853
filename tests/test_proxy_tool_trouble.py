# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy`` with frontends and nodes that hang, answer something else, or want to steer the terminal."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.proxy_tool import Result, run
from tests.helpers.pseudo_terminal import Session
from tests.helpers.scripted import Script, ScriptedNode, Visit
from tools import proxy
from tools.proxy import program

ROOT = Path(__file__).resolve().parents[1]
STEERING = "x\x1b]0;y\x07\x1b[2J\x9b2J\r\u202ez"
STEERING_SHOWN = r"x\x1b]0;y\x07\x1b[2J\x9b2J\r\u202ez"
Answers = Callable[[str], Any]
StartNode = Callable[..., ScriptedNode]


def entry(name: str, **changes: Any) -> dict[str, Any]:
    known = {"proxy": "local_proxy", "address": "10.0.0.5:7000", "kind": "worker", "role": "worker", "reasons": []}
    return {"name": name, **known, "version": "0.5.6", "level": "healthy", "last_seen": 1.0, "figures": {}, **changes}


def fleet(*entries: Mapping[str, Any]) -> dict[str, Any]:
    return {"snapshot": 1, "taken_at": 9.0, "interval_s": 10.0, "totals": {}, "nodes": list(entries), "problems": []}


def frontend(*entries: Mapping[str, Any], **documents: Any) -> Answers:
    """Give what answers for a frontend with these nodes; of a path the last word names its document."""

    def answer(path: str) -> Any:
        if path == "/api/fleet":
            return fleet(*entries)
        if path == "/api/nodes":
            return {"nodes": [{"name": "local_proxy", "children": [{"name": one["name"]} for one in entries]}]}
        if path == "/api/proxies":
            return {"proxies": []}
        return documents.get(path.rpartition("/")[2], {"state": "unsupported", "reason": "not here", "data": None})

    return answer


def serving(answers: Answers) -> Script:
    """Give a script that answers requests with documents, by path; bytes go as they are, an event is waited for."""

    def script(visit: Visit) -> None:
        head = visit.read_head().decode()
        if not head:
            return
        given = answers(head.split(" ")[1].partition("?")[0])
        if isinstance(given, threading.Event):
            given.wait(20)
            return
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return script


@pytest.fixture
def talk(start_node: StartNode) -> Callable[..., Result]:
    """Give a function that runs the tool with a frontend of these answers."""

    def call(answers: Answers, *arguments: str) -> Result:
        return run(*arguments, "--server", f"http://127.0.0.1:{start_node(serving(answers)).port}")

    return call


# Nodes that hang


@pytest.fixture
def hanging() -> Iterator[Answers]:
    """Give a frontend whose node ``late`` keeps it waiting, and whose node ``good`` does not."""
    let_go = threading.Event()
    ok = {"state": "ok", "reason": None}
    answers = frontend(
        *(entry("late"), entry("good")),
        health={**ok, "data": {"level": "healthy", "reasons": []}},
        version={**ok, "data": "0.5.6"},
        status={"freeze": True},
    )
    yield lambda path: let_go if "/late/" in path else answers(path)
    let_go.set()


def test_one_node_that_hangs_does_not_keep_the_others_from_being_shown(
    talk: Callable[..., Result], hanging: Answers
) -> None:
    result = talk(hanging, "health", "--all", "--timeout", "0.5", "--format", "jsonl")
    assert result.status == 4
    assert result.lines == [
        {"node": "late", "level": "unreachable", "reasons": ["no answer within 0.5 s (--timeout)"]},
        {"node": "good", "level": "healthy", "reasons": []},
    ]
    result = talk(hanging, "version", "--all", "--timeout", "0.5", "--no-headers")
    assert (result.status, result.rows) == (4, [["good", "0.5.6"]])
    assert result.err == "warning: late: no answer within 0.5 s (--timeout)\n"
    result = talk(hanging, "freeze", "--all", "--timeout", "0.5", "--no-headers")
    assert (result.status, result.rows) == (4, [["good", "true"]])
    assert "late: no answer within 0.5 s" in result.err


def test_of_a_node_that_hangs_is_shown_what_is_known(talk: Callable[..., Result], hanging: Answers) -> None:
    result = talk(hanging, "node", "late", "--timeout", "0.5")
    assert result.status == 0
    assert result.out.startswith("late  healthy\nworker, LMCache 0.5.6, 10.0.0.5:7000")
    assert "threads: no answer within 0.5 s (--timeout)" in result.out


def test_a_node_of_which_nothing_is_heard_is_as_the_fleet_knows_it(talk: Callable[..., Result]) -> None:
    failed = {"state": "failed", "reason": "timed out after 5 s", "data": None}
    answers = frontend(entry("n", level="unreachable", reasons=["timed out after 5 s"]), health=failed)
    result = talk(answers, "node", "n")
    assert (result.status, result.out.splitlines()[0]) == (3, "n  unreachable: timed out after 5 s")


def test_the_doctor_asks_a_node_that_hangs_once(talk: Callable[..., Result], hanging: Answers) -> None:
    asked: list[str] = []

    def answers(path: str) -> Any:
        asked.append(path)
        return hanging(path)

    result = talk(answers, "doctor", "late", "--timeout", "0.5", "--format", "json")
    assert len([path for path in asked if "/late/" in path]) == 1
    reasons = {missing["reason"] for missing in result.document["unchecked"] if missing["node"] == "late"}
    assert reasons == {"no answer within 0.5 s (--timeout)"}


def test_a_frontend_that_hangs_is_unreachable(talk: Callable[..., Result]) -> None:
    let_go = threading.Event()
    result = talk(lambda path: let_go, "health", "--all", "--timeout", "0.3")
    let_go.set()
    assert result.status == 3
    assert "did not answer within 0.3 s" in result.err


@pytest.mark.parametrize("command", [("threads", "--diff", "5"), ("loglevel", "lmcache"), ("conf", "chunk_size")])
def test_of_what_could_not_be_read_nothing_is_said(talk: Callable[..., Result], command: tuple[str, ...]) -> None:
    failed = {"state": "failed", "reason": "timed out after 5 s", "data": None}
    answers = frontend(entry("n"), threads=failed, loggers=failed, conf=failed)
    result = talk(answers, command[0], "n", *command[1:])
    assert (result.status, result.err) == (1, "warning: n: timed out after 5 s\n")


# What is no frontend

STRANGE: Mapping[str, Any] = {
    "a list": [],
    "an empty object": {},
    "a number": 5,
    "nothing": None,
    "other members": {"nodes": 5, "groups": 5, "actions": 5, "proxies": 5, "taken_at": 1, "state": "ok", "data": 5},
    "other items": {"nodes": [5, None, {}], "groups": [5], "actions": [5], "versions": [5], "taken_at": 1, "id": "x"},
    "depth": b"[" * 100_000,
}
COMMANDS = (
    *("nodes", "nodes --proxies", "node n", "fleet", "doctor", "drift", "add x 10.0.0.5:1", "edit n --label a=b"),
    *("remove n --yes", "refresh n", "version n", "health --all", "metrics n", "threads n", "loglevel n lmcache DEBUG"),
    *("conf n a=1 --yes", "freeze n", "clear n --yes", "quota n", "actions", "actions x --follow", "actions x --stop"),
    "watch --until gone --for 5",
)


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
def test_what_is_no_frontend_is_told(start_node: StartNode, strange: Any) -> None:
    server = f"http://127.0.0.1:{start_node(serving(lambda path: strange)).port}"
    for command in COMMANDS:
        result = run(*command.split(), "--server", server)
        assert result.status == 1, (command, result)
        assert result.err.startswith("lmcache-proxy: "), command
        assert result.err.count("\n") == 1, command


def test_where_an_answer_was_not_expected_is_said_when_wished(talk: Callable[..., Result]) -> None:
    result = talk(lambda path: [], "drift", "-v")
    assert result.status == 1
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].endswith(
        "answered something that was not expected: is it a frontend, and not of another release? (-v tells where)"
    )


def test_quotas_that_are_none_are_nobodys(talk: Callable[..., Result]) -> None:
    quotas = {"a": 5, "b": {"current_usage_gb": 1, "limit_gb": 2}, "c": None}
    answers = frontend(entry("n", kind="mp"), quota={"state": "ok", "reason": None, "data": {"users": quotas}})
    assert [line["tenant"] for line in talk(answers, "quota", "n", "--format", "jsonl").lines] == ["b"]
    assert "1 of 2 GB" in talk(answers, "node", "n").out


def test_control_c_before_anything_else_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "main", interrupted)
    assert proxy.main(["nodes"]) == 130


# What wants to steer the terminal


@pytest.mark.parametrize("command", ["nodes", "fleet", "node n", "doctor", "drift", "metrics n --format prom"])
def test_nothing_that_a_node_says_reaches_the_terminal_as_it_is(start_node: StartNode, command: str) -> None:
    said = dict.fromkeys(("version", "kind", "role", "level", "address", "instance"), STEERING)
    sample = {"name": "a_total", "labels": {"b": STEERING}, "value": 1}
    families = [{"name": "a", "type": "counter", "help": STEERING, "samples": [sample]}]
    values = [{"value": 1, "nodes": ["m"]}, {"value": STEERING, "nodes": ["n"]}]
    groups = [{"kind": STEERING, "nodes": 2, "keys": [{"key": STEERING, "values": values}]}]
    ok = {"state": "ok", "reason": None}
    answers = frontend(
        entry("n", **said, reasons=[STEERING]),
        health={**ok, "data": {"level": STEERING, "reasons": [STEERING]}},
        version={**ok, "data": STEERING},
        metrics={**ok, "data": {"families": families}},
        drift={"groups": groups, "versions": []},
    )
    server = f"http://127.0.0.1:{start_node(serving(answers)).port}"
    environment = {"PATH": "/usr/bin", "HOME": "/nonexistent", "TERM": "xterm", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    words = [sys.executable, "-m", "tools.proxy", *command.split(), "--server", server]
    with Session(words, environment=environment, directory=ROOT, columns=1000) as terminal:
        terminal.wait_until_ended()
        assert STEERING_SHOWN in terminal.output
        assert "\x1b" not in terminal.output
        assert "\x9b" not in terminal.output
        assert "\u202e" not in terminal.output


def test_a_text_with_a_line_end_of_another_kind_stays_one_sample(talk: Callable[..., Result]) -> None:
    sample = {"name": "a_total", "labels": {"b": "one\u2028two\x85"}, "value": 1}
    families = [{"name": "a", "type": "counter", "help": "", "samples": [sample]}]
    answers = frontend(entry("n"), metrics={"state": "ok", "reason": None, "data": {"families": families}})
    result = talk(answers, "metrics", "n", "--format", "prom")
    assert result.out.split("\n") == ["# TYPE a counter", 'a_total{b="one\u2028two\x85"} 1.0', ""]


# Frontends that break off


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (999, "warning: cut off; where the frontend still runs, the action goes on: actions id7\n"),
        (None, "lmcache-proxy: the frontend broke off after 1 of 2 nodes; see: actions id7\n"),
    ],
)
def test_an_action_whose_answer_breaks_off_is_no_success(
    start_node: StartNode, length: int | None, expected: str
) -> None:
    line = {"node": "a", "outcome": "done", "status": 200, "detail": "", "seconds": 0.1}
    body = "".join(f"{json.dumps(one)}\n" for one in ({"id": "id7", "nodes": 2}, line)).encode()
    answers = frontend(entry("a"), entry("b"))

    def script(visit: Visit) -> None:
        head = visit.read_head().decode()
        path = head.split(" ")[1]
        given = body if path == "/api/fleet/actions" else json.dumps(answers(path)).encode()
        told = length if length and given is body else len(given)
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (told, given))

    server = f"http://127.0.0.1:{start_node(script).port}"
    result = run("loglevel", "--all", "lmcache", "INFO", "--server", server)
    assert (result.status, result.out) == (1, "")
    assert expected in result.err
