# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The line between page and frontend: streams, a hidden tab, silence, a cut, a reverse proxy, the weight of it all."""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.helpers.dashboard import ask, running_frontend
from tests.helpers.nginx import nginx_before
from tests.helpers.tunnel import Tunnel, tunnel
from tests.helpers.webdriver import Browser

FLOOR_BYTES = 120_000
MANY = 1000
POLLS = "asks for them"
# What was loaded for the page itself, each file once, with the heads of the answers.
LOADED = """
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
const sizes = new Map();
for (const { name, transferSize } of entries) {
  if (!new URL(name).pathname.includes("/api/")) sizes.set(name, Math.max(sizes.get(name) ?? 0, transferSize));
}
return [...sizes];
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """A few simulated nodes, looked at every second."""
    with running_frontend("--demo", "8", "--poll-interval", "1") as address:
        yield address


@contextmanager
def another_tab(page: Browser) -> Iterator[None]:
    """Open a second tab before the first, which is hidden by it, and close it at the end."""
    first = page.command("GET", "window")
    second = page.command("POST", "window/new", {"type": "tab"})["handle"]
    page.command("POST", "window", {"handle": second})
    try:
        yield
    finally:
        page.command("DELETE", "window")
        page.command("POST", "window", {"handle": first})


def events_asked(line: Tunnel) -> int:
    return len([target for target in line.asked if "api/fleet/events" in target])


def wait_for_events(page: Browser) -> None:
    """Wait until what is shown came through the stream."""
    page.wait(lambda: page.run("return performance.getEntriesByName('fleet-read').length"), "an event")
    page.wait(lambda: POLLS not in str(page.find("#link[data-link='up']").attribute("title")))


def wait_for_link(page: Browser, state: str) -> None:
    page.find(f"#link[data-link='{state}']")


def test_hidden_tab_closes_its_stream_and_asks_for_nothing(page: Browser, demo: str) -> None:
    with tunnel(demo) as line:
        page.open(line.address)
        wait_for_link(page, "up")
        page.wait(lambda: line.streams == 1, "the stream")
        with another_tab(page):
            page.wait(lambda: line.streams == 0, "the stream of the hidden tab to be closed")
            before = len(line.asked)
            snapshot = json.loads(ask(demo, "api/fleet"))["snapshot"]
            page.wait(lambda: json.loads(ask(demo, "api/fleet"))["snapshot"] > snapshot + 2, "three more looks")
            assert line.asked[before:] == []
        page.wait(lambda: line.streams == 1, "the stream to be opened again")
        wait_for_link(page, "up")
        page.open("about:blank")
        page.wait(lambda: line.streams == 0, "the stream of the closed page to end")


@pytest.mark.parametrize(
    "place", ["#/?q=mp", "#/node/demo_worker0?tab=overview", "#/node/demo_mp0?tab=metrics", "#/manage"]
)
def test_each_view_keeps_one_stream(page: Browser, demo: str, place: str) -> None:
    with tunnel(demo) as line:
        page.open(line.address)
        wait_for_link(page, "up")
        page.wait(lambda: line.streams == 1, "the stream")
        page.open(line.address + place)
        page.find("h1")
        page.wait(lambda: not page.all(".loading"))
        assert line.streams == 1
        assert events_asked(line) == 1
        page.open("about:blank")


def test_data_that_grows_old_is_marked_and_the_mark_goes(page: Browser, demo: str) -> None:
    with tunnel(demo) as line:
        page.open(line.address)
        page.wait(lambda: line.streams == 1, "the stream")
        line.hold()
        page.find("#link[data-link='stale'], #link[data-link='down']", "old")
        assert page.all(".rows .row")
        line.go_on()
        wait_for_link(page, "up")
        page.wait(lambda: page.find("#link-text").text == "Live")
        page.open("about:blank")


def test_cut_connections_are_made_again(page: Browser, demo: str) -> None:
    with tunnel(demo) as line:
        page.open(line.address)
        wait_for_events(page)
        line.cut()
        page.wait(lambda: events_asked(line) == 2 and line.streams == 1, "the stream to be opened again")
        wait_for_link(page, "up")
        page.open("about:blank")
    page.console()


def test_page_polls_while_streams_are_refused_and_streams_again(page: Browser, demo: str) -> None:
    with tunnel(demo) as line:
        line.refuses_streams = True
        page.open(line.address)
        page.wait(lambda: POLLS in str(page.find("#link").attribute("title")), "the page to poll")
        wait_for_link(page, "up")
        seen = page.find("#link").attribute("title")
        page.wait(lambda: page.find("#link").attribute("title") != seen, "what is newer")
        line.refuses_streams = False
        page.wait(lambda: line.streams == 1, "the stream", 60)
        wait_for_events(page)
        page.open("about:blank")
    page.console()


def test_nginx_passes_events_on_under_a_sub_path(page: Browser, demo: str, tmp_path: Path) -> None:
    with nginx_before(demo, "/lmcache/", tmp_path) as address:
        page.open(address)
        wait_for_link(page, "up")
        page.find(".rows .row", "demo_worker0")
        page.find("#role", "viewer")
        wait_for_events(page)
        page.click(".node-link", "demo_worker0")
        page.find(".figures", "Hit rate")
        page.click("#tab-threads")
        page.find(".threads", "MainThread")
        page.run("location.reload()")
        page.find(".threads", "MainThread")
        assert page.run("return location.pathname") == "/lmcache/"
        fetched = page.run("return performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)")
        assert [path for path in fetched if not path.startswith("/lmcache/")] == []
        page.open("about:blank")


def test_first_load_is_within_its_budget(page: Browser, demo: str) -> None:
    page.cdp("Network.enable")
    page.cdp("Network.clearBrowserCache")
    page.open(demo)
    page.find(".rows .row")
    page.find(".heat-canvas")
    page.wait(lambda: not page.all(".loading"))
    sizes = page.run(LOADED)
    assert len(sizes) > 10
    assert 10_000 < sum(size for _, size in sizes) <= FLOOR_BYTES


def test_every_file_is_named_before_it_is_needed(demo: str) -> None:
    """What the first view imports is asked for at once, not file by file as each is read."""
    text = ask(demo, "")
    named = set(re.findall(r'(?:href|src)="(static/js/[^"]+)"', text))
    needed: set[str] = set()
    waiting = ["static/js/app.js", "static/js/views/fleet.js"]
    while waiting:
        path = waiting.pop()
        if path in needed:
            continue
        needed.add(path)
        directory = path.rpartition("/")[0]
        for found in re.findall(r'^(?:import|export)\b[^"]*?from "(\.[^"]+)";', ask(demo, path), re.MULTILINE):
            waiting.append(str(Path("/", directory, found).resolve())[1:])
    assert named == needed


def test_answers_are_compressed(demo: str) -> None:
    for path in ("", "static/js/app.js", "static/css/components.css", "api/fleet"):
        with urllib.request.urlopen(urllib.request.Request(demo + path, headers={"Accept-Encoding": "gzip"})) as answer:
            body = answer.read()
            assert answer.headers["Content-Encoding"] == "gzip", path
        assert gzip.decompress(body)


def test_a_thousand_nodes_are_listed_filtered_and_followed(page: Browser) -> None:
    with running_frontend("--demo", str(MANY), "--poll-interval", "5") as address:
        page.open(address)
        page.wait(lambda: page.find(".nodes").attribute("aria-rowcount") == str(MANY + 1), "all rows", 60)
        assert 0 < len(page.all(".rows > .row")) < 60
        page.run("scrollTo(0, 1e7)")
        page.find(f".rows [aria-rowindex='{MANY + 1}']")
        assert len(page.all(".rows > .row")) < 60
        page.run("scrollTo(0, 0)")
        page.find("input[type=search]").type("kind:mp")
        page.wait(lambda: re.fullmatch(rf"\d+ of {MANY:,} nodes", page.find(".tally").text), "the tally")
        page.wait(lambda: page.find(".tally").text != f"{MANY:,} of {MANY:,} nodes", "fewer nodes")
        seen = page.find("#link").attribute("title")
        page.wait(lambda: page.find("#link").attribute("title") != seen, "the next look", 60)
        page.find(".heat-canvas")
        page.open("about:blank")
