# SPDX-License-Identifier: Apache-2.0
"""``lmcache-proxy top``: keys, what is chosen and how it is laid out; and all of it on a pseudo-terminal."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
from tests.helpers.proxy_tool import run
from tests.helpers.pseudo_terminal import Screen, Session
from tests.helpers.scripted import ScriptedNode, Visit
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until
from tools.proxy.amounts import ASCII, BLOCKS, bar, count, duration, glyphs_for, percent, size, sparkline
from tools.proxy.snapshots import read_snapshot
from tools.proxy.top.columns import SORTABLE, fitting, ordered
from tools.proxy.top.feed import News, extended, read_series
from tools.proxy.top.full_screen import ENTER, LEAVE, taken_over
from tools.proxy.top.keys import read_keys
from tools.proxy.top.layout import Layout, Shown, fleet_layout
from tools.proxy.top.pages import help_layout, last_top, node_layout
from tools.proxy.top.screen import Size, line_of, painted_line, safe, update
from tools.proxy.top.view import View, filter_for_frontend, matching, pressed, settled
from tools.terminal import width_of

ROOT = Path(__file__).resolve().parents[1]
SIZES = [Size(80, 24), Size(120, 40), Size(40, 12), Size(20, 4), Size(61, 9), Size(250, 60)]
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e漢字\u0301\u0301\u0301\u0301\r\nrm -rf"


def figure(value: float | None, state: str = "ok") -> dict[str, Any]:
    return {"value": value, "state": state}


def node(name: str, level: str = "healthy", **changes: Any) -> dict[str, Any]:
    figures = {
        "lookup_hit_rate": figure(0.5),
        "tokens_requested_per_s": figure(1234.0),
        "cpu_fill": figure(0.75),
        "evictions_per_s": figure(0.0),
        "cpu_used_bytes": figure(3 * 2**30),
    }
    return {
        "name": name,
        "proxy": "local_proxy",
        "address": "127.0.0.1:7000",
        "kind": "worker",
        "role": "worker",
        "version": "0.5.6",
        "instance": "demo",
        "level": level,
        "reasons": [] if level == "healthy" else ["a reason"],
        "last_seen": 1000.0,
        "figures": {**figures, **changes.pop("figures", {})},
        **changes,
    }


def document(*nodes: dict[str, Any], problems: Any = ()) -> dict[str, Any]:
    return {
        "snapshot": 7,
        "taken_at": 1003.0,
        "interval_s": 10.0,
        "totals": {"lookup_hit_rate": figure(0.5), "cpu_fill": figure(0.75)},
        "nodes": list(nodes),
        "problems": list(problems),
    }


def shown(*nodes: dict[str, Any], **changes: Any) -> Shown:
    problems = changes.pop("problems", ())
    values = [None, 1.0, 2.0, float("inf")]
    series = {one["name"]: {"tokens_requested_per_s": values} for one in nodes}
    return Shown("http://localhost:8000", read_snapshot(document(*nodes, problems=problems)), 3.0, {}, series)._replace(
        **changes
    )


def texts(layout: Layout) -> list[str]:
    return ["".join(cell.text for cell in line) for line in layout.lines]


# Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"jk/", ["j", "k", "/"]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1b[3~", ["page-up", "page-down", "home", "end", "delete"]),
        (b"\x1b[1;5A", ["up"]),
        (b"\r\n\x7f\x08\t", ["enter", "enter", "backspace", "backspace", "tab"]),
        (b"\x03\x0c", ["ctrl-c", "ctrl-l"]),
        ("é漢".encode(), ["é", "漢"]),
        (b"\xff\xfeq", ["q"]),
        (b"\x1b[200~q", ["q"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x00", []),
    ],
)
def test_keys_are_read(data: bytes, keys: list[str]) -> None:
    assert list(read_keys(data, complete=True).keys) == keys


def test_keys_are_the_same_however_their_bytes_come() -> None:
    data = b"a\x1b[A\x1b[5~" + "é漢".encode() + b"\x1bOB\x03"
    whole = read_keys(data, complete=True).keys
    for cut in range(1, len(data)):
        first = read_keys(data[:cut])
        assert first.keys + read_keys(first.rest + data[cut:], complete=True).keys == whole


def test_an_escape_waits_for_what_may_follow_and_not_for_ever() -> None:
    assert read_keys(b"\x1b") == ((), b"\x1b")
    assert read_keys(b"\x1b", complete=True) == (("escape",), b"")
    assert read_keys(b"\x1b[" + b"1" * 100).rest == b""


# Amounts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.656, "3.66"),
        (999, "999"),
        (999.7, "1.00k"),
        (2671.8, "2.67k"),
        (19_200_000, "19.2M"),
        (0.001, "<0.01"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert count(value) == text


def test_shares_sizes_and_times_have_their_units() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.7716, 0.99999, 1)] == [
        "0 %",
        "0.1 %",
        "77.2 %",
        "99.9 %",
        "100 %",
    ]
    assert [size(value) for value in (0, 1536, 16 * 2**30)] == ["0 B", "1.50 KiB", "16 GiB"]
    assert [duration(value) for value in (4.25, 99, 720, 5 * 3600, 8 * 86400)] == [
        "4.2 s",
        "99 s",
        "12 min",
        "5 h",
        "8 d",
    ]


def test_bars_are_as_wide_as_told_and_tell_something_from_nothing_and_from_all() -> None:
    for glyphs, share in itertools.product((BLOCKS, ASCII), [0, 0.001, 0.3, 0.5, 0.999, 1, 2, -1, float("nan")]):
        assert len(bar(share, 6, glyphs)) == 6
    assert bar(0, 4, BLOCKS) == "░░░░"
    assert bar(0.001, 4, BLOCKS) == "▏░░░"
    assert bar(0.999, 4, BLOCKS) == "███▉"
    assert bar(1, 4, BLOCKS) == "████"
    assert bar(0.5, 4, ASCII) == "##.."


def test_sparklines_show_the_newest_at_the_right() -> None:
    assert sparkline([0, 4, 8], 5, BLOCKS) == "  ▁▅█"
    assert sparkline([9, None, 8, 4], 3, BLOCKS) == " █▅"
    assert sparkline([0.5], 1, BLOCKS, top=1.0) == "▅"
    assert sparkline([], 3, BLOCKS) == "   "
    assert sparkline([1, 2], 0, BLOCKS) == ""
    assert sparkline([0, 0], 2, BLOCKS) == "▁▁"


def test_glyphs_are_those_that_the_encoding_has() -> None:
    assert glyphs_for("utf-8") is BLOCKS
    assert glyphs_for("ascii") is glyphs_for(None) is glyphs_for("no such") is ASCII


# What is chosen


def test_nodes_are_selected_and_opened() -> None:
    keys = ["a", "b", "c"]
    view = settled(View(), keys, 10)
    assert view.selected == "a"
    view = pressed(pressed(view, "down", keys, 10), "down", keys, 10)
    assert view.selected == "c"
    assert pressed(view, "down", keys, 10).selected == "c"
    assert pressed(view, "home", keys, 10).selected == "a"
    opened = pressed(view, "enter", keys, 10)
    assert opened.opened == "c"
    assert pressed(opened, "n", keys, 10).opened == "a"
    assert pressed(opened, "N", keys, 10).opened == "b"
    closed = pressed(opened, "escape", keys, 10)
    assert (closed.opened, closed.selected) == (None, "c")


def test_the_selection_stays_in_sight_and_on_something_that_is_there() -> None:
    keys = [f"n{number}" for number in range(50)]
    view = settled(View(), keys, 10)
    for _ in range(25):
        view = settled(pressed(view, "j", keys, 10), keys, 10)
    assert view.selected == "n25"
    assert view.top <= 25 < view.top + 10
    view = settled(pressed(view, "page-up", keys, 10), keys, 10)
    assert view.selected == "n15"
    assert settled(view, keys[:3], 10).selected in keys[:3]
    assert settled(view, [], 10) == view


def test_filters_are_typed_and_hold_at_once() -> None:
    nodes = shown(node("prefill-0"), node("decode-0", "degraded")).snapshot.nodes.values()
    view = View()
    for key in "/state:degradedX":
        view = pressed(view, key, [], 10)
    view = pressed(view, "backspace", [], 10)
    assert [one.name for one in matching(view, nodes).nodes] == ["decode-0"]
    assert pressed(view, "escape", [], 10).filter_in_force == ""
    kept = pressed(view, "enter", [], 10)
    assert (kept.entry, kept.filter_text) == (None, "state:degraded")
    assert pressed(kept, "escape", [], 10).filter_text == ""
    # Letters that are commands elsewhere are letters here.
    assert pressed(pressed(View(), "/", [], 10), "q", [], 10) == View(entry="q")
    assert pressed(View(entry="a b"), "ctrl-w", [], 10).entry == "a"
    assert pressed(View(entry="a b"), "ctrl-u", [], 10).entry == ""


def test_a_faulty_filter_is_told_and_hides_nothing() -> None:
    found = matching(View(filter_text="colour:red"), shown(node("a")).snapshot.nodes.values())
    assert len(found.nodes) == 1
    assert "colour:red" in (found.fault or "")


def test_labels_are_left_to_the_frontend() -> None:
    view = View(filter_text="label:zone=a kind:worker")
    assert filter_for_frontend(view) == "label:zone=a"
    assert filter_for_frontend(View(filter_text="x", entry="label:")) is None
    assert len(matching(view, shown(node("a")).snapshot.nodes.values()).nodes) == 1


def test_every_key_is_harmless_everywhere() -> None:
    views = [View(), View(entry="x"), View(opened="a"), View(helping=True), View(paused=True, selected="gone")]
    keys = ["up", "down", "left", "right", "home", "end", "page-up", "page-down", "delete", "enter", "escape", "tab"]
    for view, key in itertools.product(views, [*keys, "backspace", "ctrl-l", "ctrl-z", *map(chr, range(32, 127))]):
        for nodes in ([], ["a", "b"]):
            result = settled(pressed(view, key, nodes, 3), nodes, 3)
            assert result.ended == (key == "q" and view.entry is None)


def test_sorting_puts_first_what_matters_and_last_what_is_not_known() -> None:
    nodes = shown(
        node("b", figures={"evictions_per_s": figure(5.0)}),
        node("a", "unreachable", figures={"evictions_per_s": figure(None, "no_traffic")}),
        node("c", figures={"evictions_per_s": figure(9.0)}),
    ).snapshot.nodes.values()
    assert [one.name for one in ordered(nodes, "node", reverse=False)] == ["a", "b", "c"]
    assert [one.name for one in ordered(nodes, "evict", reverse=False)] == ["c", "b", "a"]
    assert [one.name for one in ordered(nodes, "evict", reverse=True)] == ["b", "c", "a"]
    assert [one.name for one in ordered(nodes, "state", reverse=False)] == ["a", "b", "c"]
    for name in SORTABLE:
        assert len(ordered(nodes, name, reverse=True)) == 3
    view = View()
    for name in (*SORTABLE[1:], SORTABLE[0]):
        view = pressed(view, "s", [], 1)
        assert view.sort == name


# Layout


@pytest.mark.parametrize("screen", SIZES)
@pytest.mark.parametrize("name", ["short", "a-very-long-name-of-a-node-that-goes-on-and-on-0123456789", HOSTILE])
def test_a_screen_is_just_as_large_as_the_terminal(screen: Size, name: str) -> None:
    content = shown(
        node(name, "degraded", reasons=[HOSTILE]),
        *[node(f"n{number}") for number in range(70)],
        problems=[{"severity": "critical", "node": name, "text": HOSTILE, "since": 0}],
        trouble=None,
    )
    for view in (View(), View(entry=HOSTILE * 3), View(filter_text="zzz"), View(paused=True), View(selected=name)):
        layouts = [
            fleet_layout(view, content, screen, BLOCKS),
            fleet_layout(view, content._replace(trouble=HOSTILE), screen, ASCII),
            node_layout(view._replace(opened=name), content, screen, BLOCKS),
            node_layout(view._replace(opened=HOSTILE), content, screen, BLOCKS),
            help_layout(view._replace(helping=True), content, screen),
        ]
        for layout in layouts:
            assert len(layout.lines) == screen.rows
            for line in layout.lines:
                painted = re.sub(r"\x1b\[[\d;]*m", "", painted_line(line, screen.columns, colored=True))
                assert painted.isprintable()
                assert width_of(painted) <= screen.columns


def test_hostile_texts_are_texts_of_one_line() -> None:
    shown_text = safe(HOSTILE)
    assert shown_text.isprintable()
    assert "\\x1b]0;owned\\x07" in shown_text
    assert shown_text.count("\u0301") == 2
    screen = Screen(80, 2)
    screen.write(update(None, [painted_line(line_of(HOSTILE), 80, colored=True), "second"]))
    assert screen.strange == []
    assert screen.lines[1] == "second"


def test_columns_come_with_the_width() -> None:
    nodes = list(shown(node("a-name-of-14-c"), node("b", "degraded")).snapshot.nodes.values())
    names = {width: [column.name for column in fitting(width, nodes)] for width in (20, 40, 80, 120, 200)}
    assert names[20] == ["node", "hit"]
    assert names[40] == ["node", "state", "hit", "tokens"]
    assert names[80] == ["node", "state", "hit", "tokens", "fill", "evict", "trend"]
    assert set(names[120]) > set(names[80])
    assert {"version", "reason"} < set(names[200])
    for width in range(1, 260):
        columns = fitting(width, nodes)
        assert sum(column.width for column in columns) + len(columns) - 1 <= width
    healthy = [one for one in nodes if one.name != "b"]
    assert "reason" not in [column.name for column in fitting(200, healthy)]


def test_the_table_says_what_is_known_and_what_is_not() -> None:
    idle = node(
        "idle", figures={"lookup_hit_rate": figure(None, "no_traffic"), "cpu_fill": figure(None, "unsupported")}
    )
    lines = texts(fleet_layout(View(), shown(node("busy"), idle), Size(80, 24), BLOCKS))
    busy, quiet = (next(line.split() for line in lines if line.startswith(name)) for name in ("busy", "idle"))
    assert busy[:10] == ["busy", "healthy", "50", "%", "1.23k", "████▌░", "75", "%", "0", "▅█"]
    assert quiet[:5] == ["idle", "healthy", "idle", "1.23k", "-"]
    assert "2 nodes  2 healthy  3 s old" in lines[0]
    assert "hit rate 50 %" in lines[1]
    assert "no problems" in lines[2]


def test_an_opened_node_shows_everything_and_can_be_moved_through() -> None:
    content = shown(
        node("a", "degraded"), problems=[{"severity": "warning", "node": "a", "text": "failing", "since": 0}]
    )
    view = View(opened="a")
    whole = "\n".join(texts(node_layout(view, content, Size(80, 60), BLOCKS)))
    for text in ("a reason", "warning: failing", "127.0.0.1:7000", "0.5.6", "cpu_used_bytes", "3 GiB", "tokens/s"):
        assert text in whole
    small = Size(80, 10)
    last = last_top(view, content, small, BLOCKS)
    assert last > 0
    assert "cpu_used_bytes" in "\n".join(texts(node_layout(view._replace(top=last), content, small, BLOCKS)))


def test_only_what_changed_is_sent() -> None:
    assert update(["a", "b"], ["a", "b"]) == ""
    assert update(["a", "b"], ["a", "c"]) == "\x1b[2;1H\x1b[2Kc"
    assert update(None, ["a"]).startswith("\x1b[0m\x1b[2J")


def test_colour_is_left_out_where_it_is_not_wanted() -> None:
    layout = fleet_layout(View(selected="a"), shown(node("a", "degraded")), Size(80, 24), BLOCKS)
    plain = "".join(painted_line(line, 80, colored=False) for line in layout.lines)
    assert set(re.findall(r"\x1b\[([\d;]*)m", plain)) <= {"0", "1", "2", "7"}
    assert "\x1b[7m" in plain


def test_series_go_on_with_each_snapshot() -> None:
    series = read_series({"series": {"tokens_requested_per_s": [1, None, "NaN", 2, None]}})
    assert series == {"tokens_requested_per_s": [1.0, None, None, 2.0]}
    before = News(read_snapshot(document(node("a"), node("b"))), 0.0, {}, {"a": series, "b": series})
    after = extended(before, read_snapshot(document(node("a"))))
    assert after == {"a": {"tokens_requested_per_s": [1.0, None, None, 2.0, 1234.0]}}


# The terminal itself


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_terminal_is_given_back_however_the_block_ends(
    terminal: tuple[int, int], error: type[BaseException] | None
) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGWINCH, signal.SIGTSTP)]

    def use() -> None:
        with taken_over(theirs, theirs) as screen:
            assert not termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO)
            screen.draw(["hello"])
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert termios.tcgetattr(theirs) == before
    written = ""

    def read() -> bool:
        nonlocal written
        with suppress(BlockingIOError):
            # It comes in pieces.
            written += os.read(ours, 10_000).decode()
        return written.endswith(LEAVE)

    wait_until(read)
    assert written.startswith(ENTER)
    assert written.count(LEAVE) == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGWINCH, signal.SIGTSTP)] == handlers


def test_waiting_ends_with_a_key_a_wake_or_the_time(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with taken_over(theirs, theirs) as screen:
        os.write(ours, b"\x1b[A")
        assert screen.wait(5).keys == ("up",)
        screen.wake()
        assert screen.wait(5).keys == ()
        os.write(ours, b"\x1b")
        assert screen.wait(5).keys == ()
        assert screen.wait(5).keys == ("escape",)
        signal.raise_signal(signal.SIGWINCH)
        assert screen.wait(5).redraw
        assert screen.wait(0.0) == ((), False)


# All together


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


def top(server: str, *arguments: str, columns: int = 80, rows: int = 24, **variables: str) -> Session:
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    environment = {**kept, "HOME": "/nonexistent", "TERM": "xterm", "PYTHONUTF8": "1", "LMCACHE_FRONTEND_URL": server}
    command = [sys.executable, "-m", "tools.proxy", "top", *arguments]
    return Session(command, environment={**environment, **variables}, directory=ROOT, columns=columns, rows=rows)


def at(app: App) -> str:
    return f"http://127.0.0.1:{app.settings.port}"


def assert_given_back(session: Session, before: list[Any]) -> None:
    assert session.screen.modes == {"1049": False, "25": True, "7": True}
    assert session.screen.strange == []
    assert termios.tcgetattr(session.descriptor) == before


def test_top_shows_the_fleet_and_does_as_the_keys_say(app: App) -> None:
    with top(at(app)) as session:
        before = termios.tcgetattr(session.descriptor)
        session.wait_until_shown("demo_worker0")
        assert session.screen.modes == {"1049": True, "25": False, "7": False}
        session.send("/kind:mp")
        session.wait_until_shown("/kind:mp")
        wait_shown(session, lambda text: "\ndemo_worker0" not in text and "\ndemo_mp0" in text)
        session.send("\x1b")
        session.wait_until_shown("\ndemo_worker0")
        session.send("s")
        session.wait_until_shown("STATE▲")
        session.send("\x1b[B\r")
        session.wait_until_shown("address")
        session.send("\x1b")
        wait_shown(session, lambda text: "address" not in text)
        session.send("?")
        session.wait_until_shown("this help")
        session.send("x")
        session.send("p")
        session.wait_until_shown("PAUSED")
        session.send("q")
        assert session.wait_until_ended() == 0
        assert_given_back(session, before)


def wait_shown(session: Session, is_right: Callable[[str], bool]) -> None:
    def look() -> bool:
        session.settle()
        return is_right(session.screen.text)

    wait_until(look)


def test_top_follows_the_size_of_the_terminal(app: App) -> None:
    with top(at(app)) as session:
        session.wait_until_shown("demo_worker0")
        for columns, rows in ((120, 40), (40, 12), (10, 3), (30, 5), (80, 24)):
            session.resize(columns, rows)
            expected = "too small" if columns < 20 else "q quit"
            session.wait_until_shown(expected)
            assert len(session.screen.lines) == rows
            if columns >= 20:
                assert "q quit" in session.screen.lines[-1]
        assert session.screen.strange == []
        session.send("q")
        assert session.wait_until_ended() == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 130)]
)
def test_signals_end_top_and_give_the_terminal_back(app: App, number: int, status: int) -> None:
    with top(at(app)) as session:
        before = termios.tcgetattr(session.descriptor)
        session.wait_until_shown("demo_worker0")
        session.signal(number)
        assert session.wait_until_ended() == status
        assert_given_back(session, before)


def test_control_c_ends_top(app: App) -> None:
    with top(at(app)) as session:
        session.wait_until_shown("demo_worker0")
        session.send("\x03")
        assert session.wait_until_ended() == 130
        assert not session.screen.modes["1049"]


def test_top_without_a_terminal_says_what_to_do_in_its_place(app: App) -> None:
    result = run("top", LMCACHE_FRONTEND_URL=at(app))
    assert (result.status, result.out) == (2, "")
    assert "needs a terminal" in result.err
    assert "lmcache-proxy nodes" in result.err
    with top(at(app), TERM="dumb") as session:
        assert session.wait_until_ended() == 2
        assert "TERM" in session.output
        assert "\x1b" not in session.output


def test_top_fails_before_it_takes_the_screen_where_nobody_answers() -> None:
    with top("http://127.0.0.1:9") as session:
        assert session.wait_until_ended() == 3
        assert "\x1b[?1049h" not in session.output


def test_a_faulty_filter_is_a_usage_error(app: App) -> None:
    with top(at(app), "colour:red") as session:
        assert session.wait_until_ended() == 2
        assert "colour:red" in session.output


def test_top_keeps_what_it_has_while_the_frontend_is_away_and_is_not_steered(
    start_node: Callable[..., ScriptedNode],
) -> None:
    body = json.dumps(document(node(HOSTILE), node("quiet"))).encode()

    def script(visit: Visit) -> None:
        visit.read_head()
        if visit.number == 0:
            visit.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            visit.send(b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    server = start_node(script)
    with top(f"http://127.0.0.1:{server.port}", "--interval", "0.5") as session:
        session.wait_until_shown("status 500")
        assert "quiet" in session.screen.text
        assert "\\x1b]0;owned" in session.screen.text
        assert session.screen.strange == []
        session.send("q")
        assert session.wait_until_ended() == 0
