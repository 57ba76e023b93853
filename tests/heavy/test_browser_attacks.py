# SPDX-License-Identifier: Apache-2.0
"""A hostile page in a real browser on an operator's machine, and a node that was taken over, change and read nothing.

Everything here is loopback to the browser, so that it is our own rules that hold, and not the browser's guard of local
networks. Names without TLS other than localhost get no ``Sec-Fetch-Site`` from it: there `Origin` and `Referer` remain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.dashboard import ask, running_frontend
from tests.helpers.hostile_site import (
    SECRET,
    Answer,
    Server,
    attack,
    attempts,
    hostile_site,
    look,
    recording_node,
    watch,
)
from tests.helpers.parts import missing
from tests.helpers.ports import free_port
from tests.helpers.waiting import wait_until
from tests.helpers.webdriver import ELEMENT, Browser, browsing, missing_browser, running_driver

TOKEN = "operator-token-0123"
READ = (
    "api/nodes",
    "api/fleet",
    "metrics",
    "proxy2/n1/version",
    "proxy2/n1/conf",
    "api/nodes/n1/env?reveal=1",
    "config",
)
TRUSTS = {
    # An operator by place; by a session; by address, which every request of the browser has.
    "local": ("127.0.0.1", ()),
    "session": ("frontend", ("--no-trust-loopback",)),
    "network": ("frontend", ("--operator-network", "127.0.0.0/8")),
}
# Another port of the same host is another origin, though of the same site: cookies are sent to it.
FOREIGN = ("evil.example", "same host")


class Stage(NamedTuple):
    """A frontend at an address that the browser knows, whose operator the browser is, and a node behind it."""

    address: str
    node: Server

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://").partition(":")[0]

    def foreign(self, site: Server, name: str) -> str:
        return f"http://{self.host if name == 'same host' else name}:{site.port}/"

    def names(self) -> list[str]:
        """Give the nodes that are registered, as an operator sees them."""
        port = self.address.rpartition(":")[2]
        return [
            node["name"]
            for node in json.loads(ask(f"http://127.0.0.1:{port}", "api/proxies/local_proxy/nodes"))["nodes"]
        ]

    def assert_unchanged(self) -> None:
        assert self.node.changes == []
        assert self.names() == ["n1", "n2"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = missing_browser()
    if reason:
        missing(reason)
    names = ("localhost", "frontend", "evil.example", "rebound.example", "rebound")
    with running_driver() as driver, browsing(driver, names=names) as opened:
        yield opened


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stage]]:
    tokens = Path(tmp_path_factory.mktemp("tokens")) / "tokens"
    tokens.write_text(TOKEN)
    tokens.chmod(0o600)
    with ExitStack() as cleanup:

        def started(host: str, *words: str, port: int = 0) -> Stage:
            node = cleanup.enter_context(recording_node())
            nodes = json.dumps([{"name": name, "host": "127.0.0.1", "port": node.port} for name in ("n1", "n2")])
            own = cleanup.enter_context(
                running_frontend("--nodes", nodes, "--token-file", str(tokens), "--store", "memory:", *words, port=port)
            )
            return Stage(own.replace("127.0.0.1", host), node)

        yield started


@pytest.fixture(scope="module", params=TRUSTS)
def stage(request: pytest.FixtureRequest, browser: Browser, start: Callable[..., Stage]) -> Iterator[Stage]:
    host, words = TRUSTS[request.param]
    stage = start(host, *words)
    if request.param == "session":
        browser.open(f"{stage.address}sign-in?token={TOKEN}")
        assert browser.run("return location.href") == stage.address
    yield stage
    browser.open("about:blank")
    browser.command("DELETE", "cookie")


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    with hostile_site() as served:
        yield served


def wait_for(browser: Browser, address: str) -> None:
    browser.wait(lambda: browser.run("return location.href") == address, address)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_page_of_another_origin_changes_and_reads_nothing(
    foreign: str, browser: Browser, stage: Stage, site: Server
) -> None:
    browser.open(stage.foreign(site, foreign))
    attack(browser, stage.address)
    assert look(browser, stage.address, READ) == {}
    assert watch(browser, stage.address) == ""
    stage.assert_unchanged()


def test_a_page_without_an_origin_changes_and_reads_nothing(browser: Browser, stage: Stage, site: Server) -> None:
    browser.open(f"{stage.foreign(site, 'same host')}framing")
    browser.command("POST", "frame", {"id": {ELEMENT: browser.find("#box").identifier}})
    assert browser.run("return origin") == "null"
    attack(browser, stage.address)
    assert look(browser, stage.address, READ) == {}
    stage.assert_unchanged()


def test_the_attempts_arrive_where_nothing_stands_against_them(browser: Browser, site: Server) -> None:
    with recording_node() as node:
        browser.open(f"http://evil.example:{site.port}/")
        attack(browser, f"http://127.0.0.1:{node.port}/")
        # What is asked for beforehand is not allowed by anybody here; of two a service worker is never another site's.
        absent = {"put", "delete", "post-json", "service-worker", "fetch-other-agent"}
        wait_until(lambda: missed(node) <= absent, 20)


def missed(server: Server) -> set[str]:
    """Give the names of the attempts of which none arrived."""
    got = "".join(f"{target} {text}" for _, target, text in server.asked)
    return {name for name in attempts() if f"={name}" not in got and f'"{name}"' not in got}


@pytest.mark.parametrize("trust", TRUSTS)
def test_the_same_attempts_from_the_page_itself_succeed(
    trust: str, browser: Browser, start: Callable[..., Stage]
) -> None:
    host, words = TRUSTS[trust]
    stage = start(host, *words)
    browser.open(f"{stage.address}sign-in?token={TOKEN}")
    attack(browser, stage.address)
    got = {f"logger_name={name}&" for name in ("img", "script", "stylesheet", "fetch", "fetch-no-cors", "xhr")}
    got |= {"by=put", "by=delete", "by=keepalive", "by=post-node"}
    wait_until(lambda: all(name in str(stage.node.changes) for name in got), 20)
    wait_until(lambda: {"post-no-cors", "post-json", "beacon"} <= set(stage.names()), 20)
    seen = look(browser, stage.address, READ)
    assert all(f"fetch {path}" in seen for path in READ if path != "config"), seen.keys()
    assert SECRET in seen["fetch proxy2/n1/conf"]
    assert SECRET in seen["xhr api/nodes/n1/env?reveal=1"]
    assert watch(browser, stage.address) == "open"


@pytest.mark.parametrize("name", ["rebound.example", "rebound"])
def test_a_page_whose_name_comes_to_mean_this_machine(name: str, browser: Browser, start: Callable[..., Stage]) -> None:
    port = free_port()
    with hostile_site(port):
        browser.open(f"http://{name}:{port}/")
    stage = start("127.0.0.1", port=port)
    # To the browser the frontend is now the page's own origin, which can read whatever it answers.
    there = f"http://{name}:{port}/"
    attack(browser, there)
    seen = look(browser, there, (*READ, "api/sd", "config?appId=x", "health"))
    stage.assert_unchanged()
    assert SECRET not in str(seen)
    if name == "rebound.example":
        assert {said for said in seen.values() if "--allow-host" not in said} == set()
    # A name without a dot is one of the network that this machine is in: there one is what everybody is.
    else:
        assert "lmcache_frontend_node_up" in seen["fetch metrics"]
        assert not any(path.startswith("config") for path in seen)


def test_neither_the_page_nor_an_answer_is_framed(browser: Browser, stage: Stage, site: Server) -> None:
    browser.open(f"{stage.foreign(site, 'evil.example')}")
    browser.run(
        "return new Promise((resolve) => { const frame = document.createElement('iframe'); frame.id = 'framed';"
        " frame.onload = resolve; frame.src = arguments[0]; document.body.append(frame); })",
        stage.address,
    )
    browser.command("POST", "frame", {"id": {ELEMENT: browser.find("#framed").identifier}})
    assert browser.run("return location.protocol") == "chrome-error:"
    browser.command("POST", "frame", {"id": None})


def test_a_window_that_a_hostile_page_opened_is_closed_to_it(browser: Browser, stage: Stage, site: Server) -> None:
    browser.open(stage.foreign(site, "evil.example"))
    first = browser.command("GET", "window")
    browser.run("window.opened = window.open(arguments[0])", stage.address)
    handles = browser.wait(lambda: [name for name in browser.command("GET", "window/handles") if name != first])
    browser.command("POST", "window", {"handle": handles[0]})
    browser.wait(lambda: browser.run("return location.origin + document.readyState") == f"{stage.address[:-1]}complete")
    # A browser cuts the tie to the opener where it knows the address to be this machine's; it reads nothing without.
    is_cut = stage.host == "127.0.0.1"
    assert browser.run("return window.opener === null") is is_cut
    browser.command("POST", "window", {"handle": first})
    assert browser.run(PEEPING) in ("", "about:blank")
    for there in ("proxy2/n1/loglevel?logger_name=opened&level=DEBUG", "proxy2/n1/cache/clear"):
        browser.run("window.opened.location = arguments[0]", stage.address + there)
        if not is_cut:
            browser.command("POST", "window", {"handle": handles[0]})
            wait_for(browser, stage.address + there)
            browser.command("POST", "window", {"handle": first})
    browser.cdp("Target.closeTarget", targetId=handles[0])
    browser.wait(lambda: browser.command("GET", "window/handles") == [first])
    stage.assert_unchanged()


@pytest.mark.parametrize("policy", ["no-referrer", "unsafe-url"])
def test_nobody_is_led_to_a_change(policy: str, browser: Browser, stage: Stage, site: Server) -> None:
    browser.open(stage.foreign(site, "same host"))
    target = f"{stage.address}proxy2/n1/loglevel?logger_name={policy}&level=DEBUG"
    browser.run(
        "const link = document.createElement('a'); link.href = arguments[0]; link.referrerPolicy = arguments[1];"
        " document.body.append(link); link.click()",
        target,
        policy,
    )
    wait_for(browser, target)
    assert "a change asked for by" in browser.page_text() or "a GET that changes" in browser.page_text()
    stage.assert_unchanged()


PEEPING = """
  const tries = [
    () => window.opened.document.body.innerText, () => window.opened.localStorage.length,
    () => window.opened.location.href, () => window.opened.fetch("api/nodes"),
  ];
  return tries.map((act) => { try { return act() || ""; } catch { return ""; } }).join("");
"""
ESCAPES = {
    "page": Answer("text/html", "{}"),
    "allowed": Answer(
        "text/html", "{}", {"Content-Security-Policy": "sandbox allow-scripts allow-same-origin allow-forms"}
    ),
    "xhtml": Answer("application/xhtml+xml", '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'),
    "svg": Answer(
        "image/svg+xml",
        '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject width="9" height="9">'
        '<div xmlns="http://www.w3.org/1999/xhtml">{}</div></foreignObject></svg>',
    ),
}
ESCAPE = """
<meta name="referrer" content="unsafe-url" />
<img src="{target}img" /><img referrerpolicy="no-referrer" src="{target}img-no-referrer" />
<link rel="stylesheet" href="{target}stylesheet" /><iframe src="{target}iframe"></iframe>
<object data="{target}object"></object><video src="{target}video"></video>
<form id="form" method="post" action="{own}"><input name="x" /></form>
<script>
  document.title = "ran";
  navigator.serviceWorker.register("sw.js", {{ scope: "/" }});
  fetch("{target}fetch");
  fetch("{own}", {{ method: "POST", body: '{{"name": "escaped", "host": "127.0.0.1", "port": 9}}' }});
  document.getElementById("form").submit();
</script>
"""


@pytest.mark.parametrize("kind", ESCAPES)
def test_an_answer_of_a_node_does_nothing_in_our_name(kind: str, browser: Browser, stage: Stage) -> None:
    text = ESCAPE.format(target="/proxy2/n2/loglevel?level=DEBUG&amp;logger_name=", own="/api/nodes")
    body = ESCAPES[kind]
    stage.node.answers["/quota/escape"] = body._replace(text=body.text.replace("{}", text))
    browser.open(f"{stage.address}proxy2/n1/quota/escape")
    assert browser.run("return origin") == "null"
    assert browser.run("return document.title") != "ran"
    stage.assert_unchanged()


def test_an_answer_of_a_node_leads_nowhere(browser: Browser, stage: Stage) -> None:
    target = "proxy2/n2/loglevel?logger_name={}&level=DEBUG"
    hops = {
        "relative": f"../../{target.removeprefix('proxy2/')}",
        "encoded": f"%2e%2e/..\\{target.removeprefix('proxy2/')}",
        "absolute": f"{stage.address}{target}",
    }
    for name, location in hops.items():
        stage.node.answers[f"/quota/{name}"] = Answer("text/html", "", {"Location": location.format(name)}, 302)
        refresh = f'<meta http-equiv="refresh" content="0; url={location.format("refresh")}">'
        stage.node.answers[f"/quota/refresh-{name}"] = Answer("text/html", refresh)
        stage.node.answers[f"/quota/head-{name}"] = Answer(
            "text/html", "", {"Refresh": f"0; url={location.format('head')}"}
        )
    # Each is opened from the page itself, whose wishes are granted otherwise.
    for path in [path for path in stage.node.answers if path.endswith(tuple(hops))]:
        browser.open(stage.address)
        browser.find(".nodes", "n1")
        browser.run("location.assign(arguments[0])", f"proxy2/n1{path}")
        if "refresh" in path:
            # What a sandbox holds does not move by what stands in it, though by a field of its head.
            wait_for(browser, f"{stage.address}proxy2/n1{path}")
        else:
            browser.wait(lambda: "loglevel" in browser.run("return location.href"), path)
    stage.assert_unchanged()


def test_a_node_sets_no_session_of_ours(browser: Browser, stage: Stage) -> None:
    port = stage.address.strip("/").rpartition(":")[2]
    browser.open(stage.address)
    before = cookies(browser)
    for value in (f"lmcache_frontend_{port}=node; Path=/", f"=lmcache_frontend_{port}=node; Path=/"):
        stage.node.answers["/quota/cookie"] = Answer("text/plain", "", {"Set-Cookie": value})
        browser.open(f"{stage.address}proxy2/n1/quota/cookie")
        browser.open(stage.address)
        assert cookies(browser) == before, value
    stage.node.answers["/quota/cookie"] = Answer("text/plain", "", {"Set-Cookie": "other=node; Path=/"})
    browser.open(f"{stage.address}proxy2/n1/quota/cookie")
    browser.open(stage.address)
    assert {*cookies(browser)} == {*before, "other"}


def cookies(browser: Browser) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in browser.command("GET", "cookie")}
