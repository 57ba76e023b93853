# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy`` as people use it: on a terminal, with questions, bars, Ctrl-C and pipes that close."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.helpers.pseudo_terminal import Session
from tests.helpers.scripted import ScriptedNode, Visit, always
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "tools.proxy")
VERSION = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"0.5.6"'
Talk = Callable[..., Session]


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    settings = Settings(host="127.0.0.1", port=0, demo=3, poll_interval_s=1.0, drain_timeout_s=1.0, store="memory:")
    running = App(settings)
    running.start()
    try:
        wait_until(lambda: ask(running.settings.port, "GET", "/api/fleet").body.count(b'"level":"healthy"') == 3)
        yield running
    finally:
        running.stop()


def environment(server: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "TERM": "xterm", "PYTHONUTF8": "1", "LMCACHE_FRONTEND_URL": server}


def session(app: App | None, *arguments: str, columns: int = 100, **variables: str) -> Session:
    server = f"http://127.0.0.1:{app.settings.port}" if app else "http://127.0.0.1:1"
    variables = {**environment(server), **variables}
    return Session([*COMMAND, *arguments], environment=variables, directory=ROOT, columns=columns)


def value(app: App) -> object:
    reply = ask(app.settings.port, "GET", "/proxy2/demo_worker0/conf?names=blocking_timeout_secs")
    return json.loads(reply.body)["blocking_timeout_secs"]


@pytest.mark.parametrize(("answer", "status", "expected"), [("n", 1, 10), ("", 1, 10), ("yes", 0, 20)])
def test_conf_asks_and_does_as_told(app: App, answer: str, status: int, expected: int) -> None:
    assert value(app) == 10
    with session(app, "conf", "demo_worker0", "blocking_timeout_secs=20") as terminal:
        shown = terminal.wait_for("[y/N] ")
        assert "\x1b[31m-blocking_timeout_secs: 10\x1b[0m\r\n" in shown
        assert "\x1b[32m+blocking_timeout_secs: 20\x1b[0m\r\n" in shown
        assert "Change this on demo_worker0?" in shown
        assert value(app) == 10
        terminal.send(f"{answer}\n")
        assert terminal.wait_until_ended() == status
        assert ("nothing was changed" in terminal.output) == (status == 1)
    assert value(app) == expected
    if expected == 20:
        with session(app, "conf", "demo_worker0", "blocking_timeout_secs=10", "-y") as terminal:
            assert terminal.wait_until_ended() == 0


def test_a_question_left_with_control_c_changes_nothing(app: App) -> None:
    with session(app, "conf", "demo_worker0", "blocking_timeout_secs=20") as terminal:
        terminal.wait_for("[y/N] ")
        terminal.send("\x03")
        assert terminal.wait_until_ended() == 130
    assert value(app) == 10


def test_a_bar_shows_how_far_an_action_is_and_goes_away(app: App) -> None:
    with session(app, "loglevel", "--all", "lmcache", "INFO") as terminal:
        assert terminal.wait_until_ended() == 0
        assert re.search(r"\r\x1b\[K\x1b\[36m[█░ ▏▎▍▌▋▊▉]+ 3/3 3 done\x1b\[0m", terminal.output)
        assert terminal.output.rindex("\x1b[K") < terminal.output.index("NODE")
        assert "\x1b[1mNODE\x1b[0m" in terminal.output
        assert "\x1b[32mdone\x1b[0m" in terminal.output


def test_no_colour_means_none(app: App) -> None:
    for variables, arguments in (({"NO_COLOR": "1"}, ()), ({"TERM": "dumb"}, ()), ({}, ("--color", "never"))):
        with session(app, "nodes", *arguments, **variables) as terminal:
            assert terminal.wait_until_ended() == 0
            assert "\x1b" not in terminal.output
            assert "demo_worker0" in terminal.output


def test_control_c_stops_an_action_and_says_what_was_done(
    start_app: Callable[..., App], start_node: Callable[..., ScriptedNode]
) -> None:
    let_go = threading.Event()

    def hang(visit: Visit) -> None:
        visit.read_head()
        let_go.wait(20)

    slow, quick = start_node(hang), start_node(always(VERSION))
    names = [("quick", quick), ("slow", slow), ("later", quick)]
    app = start_app([{"name": name, "host": "127.0.0.1", "port": node.port} for name, node in names])
    with session(app, "get", "quick,slow,later", "/version", "--parallel", "1") as terminal:
        terminal.wait_for("1/3 1 done")
        terminal.send("\x03")
        assert terminal.wait_until_ended() == 130
        assert "stopped; until then: 1 done; what was under way is finished: actions " in terminal.output

    def listed() -> dict[str, object]:
        answer: dict[str, object] = json.loads(ask(app.settings.port, "GET", "/api/fleet/actions").body)["actions"][0]
        return answer

    assert listed()["state"] == "stopping"
    let_go.set()
    slow.close()
    assert wait_until(lambda: listed() if listed()["state"] == "ended" else None)["summary"] == {
        **{"done": 1, "failed": 1, "unsupported": 0, "skipped": 1, "planned": 0}
    }


def test_control_c_in_a_change_of_settings_tells_the_way_back(
    start_app: Callable[..., App], start_node: Callable[..., ScriptedNode]
) -> None:
    let_go = threading.Event()

    def script(visit: Visit) -> None:
        head = visit.read_head()
        if head.startswith(b"POST"):
            let_go.wait(20)
            return
        body = (
            b'"0.5.6"' if b"/version" in head else b'{"role": "worker", "chunk_size": 256, "save_decode_cache": false}'
        )
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    app = start_app([{"name": "n", "host": "127.0.0.1", "port": start_node(script).port}])
    server = f"http://127.0.0.1:{app.settings.port}"
    words = ("conf", "n", "save_decode_cache=true", "--yes", "--server", server)
    with session(None, *words, columns=200) as terminal:
        terminal.wait_for("0/1")
        terminal.send("\x03")
        assert terminal.wait_until_ended() == 130
        back = f"to put it back: lmcache-proxy conf n save_decode_cache=false --server {server}"
        assert back in terminal.output
    let_go.set()


def test_control_c_does_not_stop_what_one_only_looks_at(
    start_app: Callable[..., App], start_node: Callable[..., ScriptedNode]
) -> None:
    let_go = threading.Event()

    def hang(visit: Visit) -> None:
        visit.read_head()
        let_go.wait(20)
        visit.send(VERSION)

    app = start_app([{"name": name, "host": "127.0.0.1", "port": start_node(hang).port} for name in ("one", "two")])
    port = app.settings.port
    body = {"action": "request", "nodes": ["one", "two"], "arguments": {"method": "GET", "path": "/version"}}
    begun = threading.Thread(target=ask, args=(port, "POST", "/api/fleet/actions", {**body, "parallel": 1}))
    begun.start()

    def listed() -> dict[str, object]:
        found = json.loads(ask(port, "GET", "/api/fleet/actions").body)["actions"]
        return found[0] if found else {}

    try:
        identity = str(wait_until(lambda: listed().get("id")))
        with session(app, "actions", identity, "--follow") as terminal:
            terminal.wait_for("0/2")
            terminal.send("\x03")
            assert terminal.wait_until_ended() == 130
            assert f"it goes on; to stop it: actions {identity} --stop" in terminal.output
        assert listed()["state"] == "running"
    finally:
        let_go.set()
        begun.join(10)
    assert listed()["summary"] == {"done": 2, "failed": 0, "unsupported": 0, "skipped": 0, "planned": 0}


def test_control_c_before_the_frontend_has_answered_says_what_may_be(start_node: Callable[..., ScriptedNode]) -> None:
    let_go = threading.Event()
    fleet = b'{"nodes": [{"name": "n", "proxy": "local_proxy"}]}'
    nodes = b'{"nodes": [{"name": "local_proxy", "children": [{"name": "n"}]}]}'
    asked = threading.Event()

    def script(visit: Visit) -> None:
        target = visit.read_head().split(b" ")[1]
        if target == b"/api/fleet/actions":
            asked.set()
            let_go.wait(20)
            return
        body = fleet if target == b"/api/fleet" else nodes
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    server = f"http://127.0.0.1:{start_node(script).port}"
    with session(None, "loglevel", "n", "lmcache", "INFO", "--server", server) as terminal:
        assert asked.wait(20)
        terminal.send("\x03")
        assert terminal.wait_until_ended() == 130
        assert "nothing was answered yet; if the action was begun, it goes on: actions" in terminal.output
    let_go.set()


def test_control_c_leaves_a_watch(app: App) -> None:
    with session(app, "nodes", "--watch=1", "--fields", "node") as terminal:
        terminal.wait_for("every 1 s")
        terminal.forget()
        assert "\x1b[H\x1b[2J" in terminal.wait_for("demo_mp0")
        terminal.send("\x03")
        assert terminal.wait_until_ended() == 130
        assert "Traceback" not in terminal.output


def test_a_watch_outlives_its_frontend(start_app: Callable[..., App]) -> None:
    app = start_app()
    with session(app, "nodes", "--watch=0.1") as terminal:
        terminal.wait_for("there are no nodes")
        app.stop()
        assert "cannot be reached" in terminal.wait_for("cannot be reached")
        terminal.signal(signal.SIGINT)
        assert terminal.wait_until_ended() == 130


def test_a_watch_that_never_succeeds_ends() -> None:
    with session(None, "nodes", "--watch") as terminal:
        assert terminal.wait_until_ended() == 3


def test_a_token_is_asked_for_and_not_shown(app: App) -> None:
    with session(app, "nodes", "--ask-token") as terminal:
        terminal.wait_for("Token: ")
        terminal.send("very-secret\n")
        terminal.wait_until_ended()
        assert "very-secret" not in terminal.output


def test_what_is_no_text_is_not_shown(start_node: Callable[..., ScriptedNode]) -> None:
    binary = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x00\x1b["
    with session(None, "get", "--direct", f":{start_node(always(binary)).port}", "/x") as terminal:
        assert terminal.wait_until_ended() == 1
        assert "the answer is no text: save it with -o FILE" in terminal.output


def test_what_could_steer_a_terminal_is_escaped(start_node: Callable[..., ScriptedNode]) -> None:
    body = "a\tb\r\nü\x1b[2J\x9b2J".encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with session(None, "get", "--direct", f":{start_node(always(answer)).port}", "/x") as terminal:
        assert terminal.wait_until_ended() == 0
        assert terminal.output == "a\tb\r\nü\\x1b[2J\\x9b2J\r\n"


def test_a_pipe_that_closes_ends_it_quietly(app: App) -> None:
    url = f"http://127.0.0.1:{app.settings.port}"
    with subprocess.Popen(
        [*COMMAND, "metrics", "--all", "--format", "jsonl"],
        cwd=ROOT,
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert (process.stderr.read(), process.wait(20)) == (b"", 141)


def test_a_watch_whose_reader_is_gone_ends_though_nothing_changes(app: App) -> None:
    url = f"http://127.0.0.1:{app.settings.port}"
    with subprocess.Popen(
        [*COMMAND, "watch", "demo_worker0", "--initial"],
        cwd=ROOT,
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"demo_worker0" in process.stdout.readline()
        process.stdout.close()
        assert (process.wait(20), process.stderr.read()) == (141, b"")
