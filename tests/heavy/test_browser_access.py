# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixture is imported, and parameters bear its name
"""Who may do what, in the page: viewers, signing in and out, sessions that end, read-only, nothing without a token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.heavy.browser_fixtures import browser  # noqa: F401
from tests.helpers.certificates import path_of
from tests.helpers.dashboard import forwarding, running_frontend
from tests.helpers.webdriver import Browser

OPERATOR_TOKEN = "operator-token-0123"
VIEWER_TOKEN = "viewer-token-012345"
WRONG_TOKEN = "wrong-token-0123456"
WORKER = "demo_worker1"
ESCAPE, ENTER, SPACE, DOWN = "\ue00c", "\ue007", "\ue00d", "\ue015"
TABS = (
    ("loglevel", "tr[data-logger='lmcache'] select"),
    ("config", "tr[data-key='chunk_size'] button[aria-label='Edit chunk_size']"),
    ("backends", "[data-card='freeze'] [data-act]"),
    ("backends", "[data-card='clear'] [data-act]"),
    ("script", ".panel button.primary"),
)
# What the reader of a locked control is told: the reason, as it is announced.
TOLD = """
const control = arguments[0];
const reason = document.getElementById(control.getAttribute('aria-describedby'));
return [control.getAttribute('aria-disabled'), reason?.textContent ?? ''];
"""
# Answers that refuse are lines of the console, and are what is tried here.
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (401|403|429)")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The arguments that name a file of tokens for each role, of which that of operators has another name in it."""
    folder = tmp_path_factory.mktemp("tokens")
    for name, text in (("operators", f"ci: {OPERATOR_TOKEN}"), ("viewers", f"wall: {VIEWER_TOKEN}")):
        (folder / name).write_text(f"{text}\n")
        (folder / name).chmod(0o600)
    return ("--token-file", str(folder / "operators"), "--viewer-token-file", str(folder / "viewers"))


@pytest.fixture(scope="module")
def strict(files: tuple[str, ...]) -> Iterator[str]:
    """A frontend to which this machine is like any other."""
    with running_frontend("--demo", "8", "--no-trust-loopback", *files) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """A browser without a session; at the end its console has nothing but answers that refuse."""
    browser.resize(1280, 800)
    browser.open("about:blank")
    browser.cdp("Network.clearBrowserCookies")
    browser.console()
    yield browser
    browser.open("about:blank")
    levels = ("INFO", "DEBUG")
    messages = [entry["message"] for entry in browser.console() if entry["level"] not in levels]
    assert [message for message in messages if not _REFUSED.search(message)] == []


def enter_token(page: Browser, token: str) -> None:
    field = page.find("#sign-in-token")
    field.clear()
    field.type(token + ENTER)


def sign_in(page: Browser, address: str, place: str = "", token: str = OPERATOR_TOKEN) -> None:
    """Come with an invitation, as it is shown on the terminal, and go to a place."""
    page.open("about:blank")
    page.open(f"{address}sign-in?token={token}")
    page.find(".rows .row")
    if place:
        page.open(address + place)


def told(page: Browser, css: str, text: str | None = None) -> list[str]:
    control = page.find(css, text)
    given = page.run(TOLD, {"element-6066-11e4-a52e-4f735466cecf": control.identifier})
    assert isinstance(given, list)
    return given


def wait_for_role(page: Browser, role: str) -> None:
    page.wait(lambda: role in page.find("#role").text, f"the role {role}")


def test_a_viewer_finds_every_control_in_its_place_with_the_reason(page: Browser, strict: str) -> None:
    page.open(strict)
    wait_for_role(page, "viewer")
    for tab, css in TABS:
        page.open(f"{strict}#/node/{WORKER}?tab={tab}")
        disabled, reason = told(page, css)
        assert (disabled, "changes need an operator" in reason) == ("true", True), tab
        page.find(".lock-note", "changes need an operator")
    page.open(f"{strict}#/manage")
    for css in (f"button[aria-label='Delete {WORKER}']", ".tools button.primary"):
        assert told(page, css)[0] == "true"
    page.open(f"{strict}#/configuration")
    assert told(page, ".tools button.primary", "Add a rule")[0] == "true"
    page.open(f"{strict}#/")
    page.click(".head input")
    assert told(page, ".bar-actions button", "Log level")[0] == "true"
    assert told(page, ".bar-actions select")[0] == "true"
    assert page.find(".bar-actions button", "Compare").attribute("aria-disabled") is None


def test_the_reason_is_shown_to_the_keyboard_and_nothing_can_be_set(page: Browser, strict: str) -> None:
    page.open(f"{strict}#/node/{WORKER}?tab=loglevel")
    wait_for_role(page, "viewer")
    box = page.find("tr[data-logger='lmcache'] select")
    level = box.property("value")
    page.run("document.querySelector(\"tr[data-logger='lmcache'] select\").focus()")
    page.wait(lambda: "changes need an operator" in page.find(".why:popover-open").text)
    box.type(DOWN + DOWN + "D")
    assert box.property("value") == level
    page.run("document.activeElement.blur()")
    page.wait(lambda: not page.all(".why:popover-open"))


def test_a_viewer_reads_what_is_masked_and_is_asked_to_sign_in_for_more(page: Browser, strict: str) -> None:
    page.open(f"{strict}#/node/{WORKER}?tab=environment")
    wait_for_role(page, "viewer")
    show = "tr[data-key='HF_TOKEN'] button"
    page.find("tr[data-key='HF_TOKEN'] .mask")
    assert "secrets are shown to operators only" in told(page, show)[1]
    page.click(show)
    page.find("dialog.sign-in", "Sign in to do this")
    enter_token(page, WRONG_TOKEN)
    page.find("dialog.sign-in .notice-bad", "not known")
    enter_token(page, OPERATOR_TOKEN)
    # What was asked for goes on.
    page.find("button[aria-label='Hide the value of HF_TOKEN']")
    page.wait(lambda: not page.all("tr[data-key='HF_TOKEN'] .mask"))
    assert not page.all("dialog[open]")
    wait_for_role(page, "operator")
    audit = page.run("return fetch('api/audit?what=read*').then(answer => answer.text())")
    assert "read env with secrets" in audit
    assert '"ci"' in audit


@pytest.mark.parametrize("tab", ["config", "meta", "inference", "environment"])
def test_viewers_read_what_was_for_operators_before(page: Browser, strict: str, tab: str) -> None:
    page.open(f"{strict}#/node/{WORKER}?tab={tab}")
    wait_for_role(page, "viewer")
    page.find(".panel .grid tbody tr")
    assert not page.all(".panel .notice-bad")


@pytest.mark.parametrize("part", ["rules", "preview", "revisions", "clients"])
def test_viewers_read_the_configuration(page: Browser, strict: str, part: str) -> None:
    page.open(f"{strict}#/configuration?view={part}")
    wait_for_role(page, "viewer")
    page.find("#panel .tools, #panel .card, #panel .empty, #panel .revisions")
    assert "You may not read" not in page.page_text()
    page.open(f"{strict}#/configuration?view=audit")
    page.find("#panel .notice-info .sign-in-button")


def test_a_change_goes_on_once_somebody_has_signed_in(page: Browser, strict: str) -> None:
    page.open(f"{strict}#/node/{WORKER}?tab=backends")
    wait_for_role(page, "viewer")
    page.find("[data-card='freeze']", "Storing")
    page.find("[data-card='freeze'] [data-act]", "Freeze").type(ENTER)
    page.find("dialog.sign-in h2", "Freeze")
    enter_token(page, OPERATOR_TOKEN)
    page.find("[data-card='freeze'] [data-act]", "Unfreeze")
    page.wait(lambda: not page.all(".lock-note *"))
    page.click("[data-card='freeze'] [data-act]", "Unfreeze")
    page.find("[data-card='freeze'] [data-act]", "Freeze")


def test_a_viewers_token_shows_and_an_operators_can_take_its_place(page: Browser, strict: str) -> None:
    sign_in(page, strict, token=VIEWER_TOKEN)
    wait_for_role(page, "viewer")
    page.find("#role", "wall")
    page.click("#role")
    page.find("#who-menu", "You have signed in with the token wall")
    page.click("#who-menu button", "Sign in as somebody else")
    enter_token(page, OPERATOR_TOKEN)
    wait_for_role(page, "operator")
    page.click("#role")
    page.find("#who-menu h2", "Operator")
    page.find("#who-menu", "token ci")
    page.click("#who-menu button", "Sign out")
    wait_for_role(page, "viewer")
    assert page.run("return fetch('api/whoami').then(answer => answer.json())")["how"] == "anonymous"


def test_the_menu_is_left_by_the_keyboard(page: Browser, strict: str) -> None:
    page.open(strict)
    wait_for_role(page, "viewer")
    page.find("#role").type(ENTER)
    page.find("#who-menu", "You have not signed in")
    page.wait(lambda: page.run("return document.activeElement.textContent") == "Sign in")
    page.find("#who-menu button").type(ESCAPE)
    page.wait(lambda: not page.all("#who-menu"))
    page.wait(lambda: page.run("return document.activeElement.id") == "role")


def test_the_events_come_again_with_another_role(page: Browser, strict: str) -> None:
    page.open(strict)
    wait_for_role(page, "viewer")
    opened = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/events')).length"
    page.wait(lambda: page.run("return document.querySelector('#link').dataset.link") == "up")
    page.run("performance.clearResourceTimings()")
    page.click("#role")
    page.click("#who-menu button", "Sign in")
    enter_token(page, OPERATOR_TOKEN)
    wait_for_role(page, "operator")
    # The stream that is given up is noted when it ends, the new one once it does.
    page.wait(lambda: page.run(opened) >= 1, "the end of the stream of before")
    page.wait(lambda: page.run("return document.querySelector('#link').dataset.link") == "up")


def test_a_session_that_ends_says_so_and_keeps_what_is_not_saved(page: Browser, strict: str) -> None:
    sign_in(page, strict, f"#/node/{WORKER}?tab=config")
    wait_for_role(page, "operator")
    page.click("tr[data-key='chunk_size'] button[aria-label='Edit chunk_size']")
    field = page.find("tr[data-key='chunk_size'] input")
    field.clear()
    field.type("512" + ENTER)
    page.find("tr[data-key='chunk_size'].edited")
    page.cdp("Network.clearBrowserCookies")
    page.click(".unsaved button.primary")
    page.click("dialog button.primary", "Send to the node")
    page.find("dialog.sign-in")
    page.find("#ended", "Your session has ended")
    page.find("dialog.sign-in button", "Cancel").click()
    page.find("tr[data-key='chunk_size'].edited")
    page.find(".unsaved", "1 change not saved")
    page.click("#ended .sign-in-button")
    enter_token(page, OPERATOR_TOKEN)
    page.wait(lambda: not page.find("#ended").text)
    page.find("tr[data-key='chunk_size'].edited", "512")
    page.click(".unsaved button", "Discard")


def test_wrong_invitations_open_the_dialog_and_too_many_say_how_long(page: Browser, files: tuple[str, ...]) -> None:
    with running_frontend("--demo", "4", "--no-trust-loopback", *files) as address:
        page.open(f"{address}sign-in?token={WRONG_TOKEN}")
        page.find("dialog.sign-in .notice-bad", "The token in the address is not known here")
        assert page.run("return location.href") == f"{address}#/"
        for _ in range(6):
            if page.all("dialog.sign-in .sign-in-wait"):
                break
            enter_token(page, WRONG_TOKEN)
            page.wait(lambda: not page.all("dialog.sign-in .loading"))
        page.find(".sign-in-wait", "Try again in")
        assert not page.find("dialog.sign-in .dialog-buttons .primary").enabled
        page.open("about:blank")
        page.open(f"{address}sign-in?token={WRONG_TOKEN}")
        page.find("dialog.sign-in .notice-bad", "Too many wrong tokens")
        # Whoever has the right one does not wait.
        enter_token(page, OPERATOR_TOKEN)
        wait_for_role(page, "operator")
        page.open("about:blank")


def test_where_there_is_no_token_it_is_told_how_to_make_one(page: Browser) -> None:
    with running_frontend("--demo", "4", "--no-trust-loopback") as address:
        page.open(address)
        wait_for_role(page, "viewer")
        page.click("#role")
        page.click("#who-menu button", "How to become an operator")
        page.find("dialog.sign-in", "--token-file")
        page.find("dialog.sign-in", "openssl rand")
        page.click("dialog.sign-in button", "Close")
        page.open(f"{address}sign-in?token={WRONG_TOKEN}")
        page.find("dialog.sign-in", "Nobody can sign in here")
        page.open("about:blank")


def test_under_read_only_operators_change_nothing_but_see_secrets(page: Browser) -> None:
    with running_frontend("--demo", "4", "--read-only") as address:
        page.open(f"{address}#/node/demo_worker0?tab=backends")
        page.find("#role", "read-only")
        disabled, reason = told(page, "[data-card='freeze'] [data-act]")
        assert (disabled, "read-only" in reason) == ("true", True)
        page.click("[data-card='freeze'] [data-act]")
        page.find(".why:popover-open", "read-only")
        assert not page.all("dialog")
        page.open(f"{address}#/node/demo_worker0?tab=environment")
        page.click("button[aria-label='Show the value of HF_TOKEN']")
        page.find("button[aria-label='Hide the value of HF_TOKEN']")
        page.open("about:blank")


def test_nobody_sees_anything_without_a_token_where_that_is_asked_for(page: Browser, files: tuple[str, ...]) -> None:
    arguments = ("--demo", "4", "--no-trust-loopback", "--anonymous", "none", *files)
    with running_frontend(*arguments) as address, forwarding(address, "/lmcache/") as behind:
        for start in (f"{behind}#/manage", f"{address}#/node/demo_worker0?tab=config"):
            page.open("about:blank")
            page.cdp("Network.clearBrowserCookies")
            page.open(start)
            page.find(".door", "Sign in to see the fleet")
            assert not page.all(".notice-bad, .outage:not([hidden])")
            assert "demo_worker0" not in page.page_text()
            enter_token(page, WRONG_TOKEN)
            page.find(".door .notice-bad", "not known")
            enter_token(page, VIEWER_TOKEN)
            page.find("main [data-key='chunk_size'], main .manage", None)
            assert page.run("return location.hash") == f"#{urlsplit(start).fragment}"
        page.click("#role")
        page.click("#who-menu button", "Sign out")
        page.find(".door", "Sign in to see the fleet")
        page.open("about:blank")


def test_signed_out_elsewhere_the_page_keeps_what_it_shows(page: Browser, files: tuple[str, ...]) -> None:
    with running_frontend("--demo", "4", "--no-trust-loopback", "--anonymous", "none", *files) as address:
        sign_in(page, address)
        page.run("return fetch('api/session', { method: 'DELETE' }).then(() => true)")
        page.run("document.dispatchEvent(new Event('visibilitychange'))")
        page.find("#ended", "Your session has ended")
        page.find("#link", "Not signed in")
        page.find(".rows .row", "demo_worker0")
        page.click("#ended .sign-in-button")
        enter_token(page, OPERATOR_TOKEN)
        wait_for_role(page, "operator")
        page.wait(lambda: page.run("return document.querySelector('#link').dataset.link") == "up")
        page.open("about:blank")


def test_an_operators_secrets_are_edited_as_they_are(page: Browser, strict: str) -> None:
    key = "remote_url"
    sign_in(page, strict)
    url = "redis://user:secret-word@10.0.0.9:6379"
    page.run(
        "return fetch('api/fleet/actions', {method: 'POST', body: arguments[0],"
        " headers: {'Content-Type': 'application/json'}}).then(answer => answer.text())",
        f'{{"action": "conf", "nodes": ["{WORKER}"], "arguments": {{"values": {{"{key}": "{url}"}}}}}}',
    )
    page.open(f"{strict}#/node/{WORKER}?tab=config")
    row = f"tr[data-key='{key}']"
    page.find(row, "********")
    assert "secret-word" not in str(page.run("return document.documentElement.outerHTML"))
    page.click(f"{row} button[aria-label='Edit {key}']")
    page.wait(lambda: page.find(f"{row} input").property("value") == url, "the value itself")
    page.find(f"{row} input").type(ESCAPE)
    page.find(row, "********")
    page.click(f"{row} button[aria-label='Show the value of {key}']")
    page.find(row, "secret-word")


def test_what_is_refused_in_the_console_goes_on_after_signing_in(page: Browser, strict: str) -> None:
    page.open(f"{strict}#/node/{WORKER}?tab=console")
    wait_for_role(page, "viewer")
    assert page.find(".console-form button.primary", "Send").enabled
    page.find(".console-method").choose("POST")
    assert not page.find(".console-form button.primary", "Send").enabled
    page.find(".console-method").choose("GET")
    page.click(".console-try button", "/conf")
    page.find("dialog.sign-in", "Sign in to do this")
    enter_token(page, OPERATOR_TOKEN)
    page.find(".answer .answer-status", "200")
    page.find(".answer .raw", "chunk_size")


def test_rules_are_masked_for_viewers_and_read_anew_for_operators(page: Browser, strict: str) -> None:
    rule = {"name": "stores", "match": {}, "items": [{"key": "remote_url", "value": "redis://me:secret-word@store:1"}]}
    sign_in(page, strict)
    body = json.dumps({"rules": [rule], "message": "a store"})
    options = "{method: 'PUT', body: arguments[0], headers: {'Content-Type': 'application/json'}}"
    assert page.run(f"return fetch('api/config/rules', {options}).then(answer => answer.status)", body) == 200
    page.open("about:blank")
    page.cdp("Network.clearBrowserCookies")
    page.open(f"{strict}#/configuration")
    wait_for_role(page, "viewer")
    page.click(".rule .unfold")
    field = page.find(".rule-edit input[aria-label='Value of remote_url']")
    assert "secret-word" not in str(field.property("value"))
    assert told(page, ".rule-edit input[aria-label='Setting']")[0] == "true"
    field.type("x")
    assert not page.all(".unsaved *")
    assert not page.find(".rule-handle").enabled
    page.click(".rule-tools button", "Duplicate")
    enter_token(page, OPERATOR_TOKEN)
    page.wait(lambda: len(page.all(".rule")) == 2, "the duplicate")
    values = "return [...document.querySelectorAll('.rule-edit input')].map(({ value }) => value)"
    page.wait(lambda: "redis://me:secret-word@store:1" in page.run(values))
    assert not any("***" in value for value in page.run(values))
    page.click(".unsaved button", "Discard")
    page.click("dialog .danger")
    page.wait(lambda: len(page.all(".rule")) == 1)


def test_over_tls_the_session_is_kept_from_plain_http_and_scripts(page: Browser, files: tuple[str, ...]) -> None:
    certificate = ("--tls-cert", path_of("server"))
    page.cdp("Security.setIgnoreCertificateErrors", ignore=True)
    try:
        with running_frontend("--demo", "4", "--no-trust-loopback", *certificate, *files) as address:
            assert address.startswith("https:")
            sign_in(page, address)
            wait_for_role(page, "operator")
            page.click("#role")
            page.find("#who-menu", "The connection is encrypted")
            (cookie,) = page.cdp("Network.getCookies", urls=[address])["cookies"]
            assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
            assert page.run("return document.cookie") == ""
            page.wait(lambda: page.run("return document.querySelector('#link').dataset.link") == "up")
            page.open(f"{address}#/node/demo_worker0?tab=backends")
            page.click("[data-card='freeze'] [data-act]", "Freeze")
            page.find("[data-card='freeze'] [data-act]", "Unfreeze")
            page.open("about:blank")
    finally:
        page.cdp("Security.setIgnoreCertificateErrors", ignore=False)


def test_small_and_dark_pages_have_room_for_it(page: Browser, strict: str) -> None:
    page.resize(360, 740)
    page.open(strict)
    wait_for_role(page, "viewer")
    page.click("#role")
    page.find("#who-menu", "Viewer")
    page.click("#who-menu button", "Sign in")
    page.find("dialog.sign-in")
    assert page.run("return document.documentElement.scrollWidth") == 360
    assert page.run("return document.querySelector('dialog.sign-in').getBoundingClientRect().right") <= 360
    sign_in(page, strict)
    wait_for_role(page, "operator")
    assert page.run("return document.documentElement.scrollWidth") == 360
