# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy watch``: the event stream as changes of state, through broken connections, until something is so."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.errors import BadGateway, UsageError
from tests.helpers.proxy_tool import run
from tests.helpers.scripted import ScriptedNode, Visit, always
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until
from tools.proxy.events import EventReader, as_event, is_reached, read_document, step, wanted_nodes
from tools.proxy.snapshots import read_node, read_snapshot

VERSION = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"0.5.6"'


def node(name: str, level: str = "healthy", *reasons: str, proxy: str = "local_proxy", **changes: Any) -> Any:
    return {"name": name, "proxy": proxy, "level": level, "reasons": list(reasons), "kind": "worker", **changes}


def event(*changed: Any, gone: Any = (), complete: bool = False) -> dict[str, Any]:
    return {"taken_at": 100.0, "changed": list(changed), "gone": list(gone), "complete": complete}


def everything(_: object) -> bool:
    return True


def read(*lines: str) -> list[Any]:
    reader = EventReader()
    return [found for line in lines if (found := reader.read(line)) is not None]


def test_events_are_put_together_from_lines() -> None:
    assert read("id: 7", "event: snapshot", "data: {}", "") == [("{}", "7")]
    assert read(": comment", "", "data:a", "data: b", "") == [("a\nb", None)]
    assert read("id: 1", "data: a", "", "data: b", "") == [("a", "1"), ("b", "1")]
    assert read("retry: 5", "nonsense", "id: a\0b", "data: x", "") == [("x", None)]
    assert read("data: never ended") == []


@pytest.mark.parametrize("data", ["", "no", "[]", "{}", '{"changed": [], "gone": []}', '"changed gone taken_at"'])
def test_what_is_no_state_of_a_fleet_is_refused(data: str) -> None:
    with pytest.raises(BadGateway):
        read_document(data)


@pytest.mark.parametrize("document", [{}, {"nodes": [{}]}, [], None, {"nodes": 5, "snapshot": 1}])
def test_a_document_of_something_else_is_refused(document: Any) -> None:
    with pytest.raises(BadGateway):
        read_snapshot(document)


def test_a_level_of_a_later_age_is_shown_as_a_reason() -> None:
    state = read_node(node("a", "sleeping", "tired"))
    assert (state.level.value, state.reasons) == ("answering", ("its state is sleeping", "tired"))


def test_changes_are_told_once() -> None:
    first = step({}, event(node("a"), node("b", "degraded", "why"), complete=True), everything)
    assert [(change.node, change.before, change.after, change.reasons) for change in first.changes] == [
        ("a", None, "healthy", ()),
        ("b", None, "degraded", ("why",)),
    ]
    assert step(first.levels, event(node("a"), node("b", "degraded", "another reason")), everything).changes == ()
    later = step(first.levels, event(node("a", "unreachable", "refused"), gone=["b", "unknown"]), everything)
    assert [(change.node, change.before, change.after) for change in later.changes] == [
        ("b", "degraded", None),
        ("a", "healthy", "unreachable"),
    ]
    assert later.levels == {"a": "unreachable"}


def test_who_is_not_in_a_complete_event_is_gone() -> None:
    result = step({"a": "healthy", "p/b": "healthy"}, event(node("b", proxy="p"), complete=True), everything)
    assert [(change.node, change.after) for change in result.changes] == [("a", None)]
    assert result.levels == {"p/b": "healthy"}


def test_a_node_that_was_not_asked_yet_has_no_state() -> None:
    waiting = node("a", "unreachable", "not asked yet")
    first = step({}, event(waiting, complete=True), everything)
    assert first.changes == ()
    assert not is_reached(first.levels, "unreachable", by_any=True)
    assert step(first.levels, event(node("a")), everything).changes[0][2:4] == (None, "healthy")
    # After a restart of the frontend it is as it was, until it is known again.
    assert step({"a": "healthy"}, event(waiting, complete=True), everything) == ({"a": "healthy"}, ())


def test_the_whole_fleet_is_an_event_too() -> None:
    assert step({"a": "healthy"}, as_event({"taken_at": 1.0, "nodes": [node("b")]}), everything).levels == {
        "b": "healthy"
    }


@pytest.mark.parametrize(
    ("levels", "state", "by_any", "expected"),
    [
        (["healthy", "healthy"], "healthy", False, True),
        (["healthy", "degraded"], "healthy", False, False),
        (["healthy", "degraded"], "degraded", True, True),
        (["healthy"], "serving", False, True),
        (["degraded"], "serving", False, False),
        (["degraded"], "answering", False, True),
        (["unknown"], "answering", False, False),
        ([], "healthy", False, False),
        ([], "gone", False, True),
        (["healthy"], "gone", True, False),
    ],
)
def test_a_state_is_reached_by_all_or_any(levels: list[str], state: str, by_any: bool, expected: bool) -> None:
    assert is_reached({str(at): level for at, level in enumerate(levels)}, state, by_any=by_any) == expected


@pytest.mark.parametrize(
    ("names", "filter_text", "expected"),
    [
        ([], None, ["a1", "a2", "p/b"]),
        (["a1"], None, ["a1"]),
        (["a*"], None, ["a1", "a2"]),
        (["a1,b"], None, ["a1", "p/b"]),
        (["p/b"], None, ["p/b"]),
        ([], "proxy:p", ["p/b"]),
        (["a*"], "2", ["a2"]),
        (["x"], None, []),
    ],
)
def test_nodes_are_chosen_by_name_glob_and_filter(
    names: list[str], filter_text: str | None, expected: list[str]
) -> None:
    wanted = wanted_nodes(names, filter_text)
    nodes = map(read_node, [node("a1"), node("a2"), node("b", proxy="p")])
    assert [one.key for one in nodes if wanted(one)] == expected


@pytest.mark.parametrize("text", ["colour:red", "label:zone=a"])
def test_a_filter_that_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        wanted_nodes([], text)


# Against a frontend


def address(app: App) -> str:
    return f"http://127.0.0.1:{app.settings.port}"


@pytest.fixture
def watched(start_app: Callable[..., App], start_node: Callable[..., ScriptedNode]) -> App:
    app = start_app([start_node(always(VERSION)).entry], collecting=True, poll_interval_s=0.5)
    wait_until(lambda: is_known(ask(app.settings.port, "GET", "/api/fleet").body))
    return app


def is_known(body: bytes) -> bool:
    return b'"level"' in body and b"not asked yet" not in body


def test_states_are_printed_as_lines_and_as_json(watched: App) -> None:
    result = run("watch", "--initial", "--for", "0.5", "--server", address(watched))
    assert (result.status, result.err) == (0, "")
    assert " node  new -> " in result.out
    result = run("watch", "node", "--initial", "--for", "0.5", "--format", "jsonl", "--server", address(watched))
    assert [(line["node"], line["before"]) for line in result.lines] == [("node", None)]
    assert set(result.lines[0]) == {"at", "node", "before", "after", "reasons"}
    fields = run("watch", "--initial", "--for", "0.5", "--fields", "node,before", "--server", address(watched))
    assert fields.out == "node  -\n"


def test_it_ends_when_the_state_is_reached_and_fails_when_the_time_is_over(watched: App) -> None:
    level = json.loads(ask(watched.settings.port, "GET", "/api/fleet").body)["nodes"][0]["level"]
    assert run("watch", "--until", level, "--server", address(watched)).status == 0
    late = run("watch", "--until", "unreachable", "--for", "0.5", "--server", address(watched))
    assert late.status == 4
    assert f"not unreachable within 0.5 s: node is {level}" in late.err
    assert run("watch", "nobody", "--until", "gone", "--server", address(watched)).status == 0
    unknown = run("watch", "nobody", "--until", "healthy", "--for", "0.5", "--server", address(watched))
    assert unknown.status == 4
    assert "no node is called nobody yet" in unknown.err


def test_any_without_until_is_a_usage_error() -> None:
    assert run("watch", "--any").status == 2
    assert run("watch", "--until", "asleep").status == 2


def test_nobody_there_is_told_with_a_status_of_its_own() -> None:
    assert run("watch", "--server", "http://127.0.0.1:9").status == 3


def stream(*events: Any) -> bytes:
    pieces = [f"id: {number}\nevent: snapshot\ndata: {json.dumps(one)}\n\n" for number, one in enumerate(events, 1)]
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"
    return (head + "".join(pieces)).encode()


def test_a_broken_stream_is_taken_up_again_where_it_ended(start_node: Callable[..., ScriptedNode]) -> None:
    heads: list[bytes] = []

    def script(visit: Visit) -> None:
        heads.append(visit.read_head())
        if visit.number == 0:
            visit.send(stream(event(node("a"), complete=True), event(node("a", "degraded", "why"))))
        elif visit.number == 1:
            # Nothing at all, and the next time what happened meanwhile.
            return
        else:
            visit.send(stream(event(node("a", "unreachable", "refused"))))

    server = start_node(script)
    result = run(
        "watch", "--until", "unreachable", "--format", "jsonl", "-v", "--server", f"http://127.0.0.1:{server.port}"
    )
    assert result.status == 0
    assert [(line["before"], line["after"]) for line in result.lines] == [
        ("healthy", "degraded"),
        ("degraded", "unreachable"),
    ]
    assert b"Last-Event-ID" not in heads[0]
    assert b"Last-Event-ID: 2\r\n" in heads[2]
    assert "it is taken up again" in result.err


def test_without_a_stream_the_fleet_is_asked_for(start_node: Callable[..., ScriptedNode]) -> None:
    fleet = {"snapshot": 1, "taken_at": 1.0, "interval_s": 10.0, "totals": {}, "nodes": [node("a")], "problems": []}

    def script(visit: Visit) -> None:
        if b"/api/fleet/events" in visit.read_head():
            visit.send(b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            body = json.dumps(fleet).encode()
            visit.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    server = start_node(script)
    result = run("watch", "--until", "healthy", "--initial", "--server", f"http://127.0.0.1:{server.port}")
    assert result.status == 0
    assert "a  new -> healthy" in result.out


def test_a_refusal_is_final(start_node: Callable[..., ScriptedNode]) -> None:
    refusal = b"HTTP/1.1 401 Who\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    server = start_node(always(refusal))
    assert run("watch", "--server", f"http://127.0.0.1:{server.port}").status == 5


def test_hostile_names_are_escaped(start_node: Callable[..., ScriptedNode]) -> None:
    hostile = event(node("\x1b[2Jx\r\ny", "degraded", "\x07\u202e"), complete=True)
    server = start_node(always(stream(hostile)))
    result = run("watch", "--initial", "--until", "degraded", "--server", f"http://127.0.0.1:{server.port}")
    assert result.out.count("\n") == 1
    assert result.out.rstrip("\n").isprintable()


def test_what_is_no_stream_of_events_is_told(start_node: Callable[..., ScriptedNode]) -> None:
    page = start_node(always(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"))
    result = run("watch", "--until", "healthy", "--for", "20", "--server", f"http://127.0.0.1:{page.port}")
    assert result.status == 1
    assert "answered something other than events: is a frontend there?" in result.err


@pytest.mark.parametrize("document", [{}, [], None, 5, {"taken_at": "x", "nodes": []}])
def test_a_fleet_of_something_else_is_no_event(document: Any) -> None:
    with pytest.raises(BadGateway):
        as_event(document)


def test_who_is_better_than_wanted_is_not_missed(start_node: Callable[..., ScriptedNode]) -> None:
    told = json.dumps(event(node("well"), node("ill", "degraded"), complete=True))
    body = f"id: 1\ndata: {told}\n\n".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    let_go = threading.Event()

    def script(visit: Visit) -> None:
        visit.read_head()
        visit.send(head + body)
        let_go.wait(20)

    server = start_node(script)
    result = run("watch", "--until", "serving", "--for", "0.5", "--server", f"http://127.0.0.1:{server.port}")
    let_go.set()
    assert result.status == 4
    assert result.err == "warning: not serving within 0.5 s: ill is degraded\n"
