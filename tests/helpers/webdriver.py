# SPDX-License-Identifier: Apache-2.0
"""A small WebDriver client for headless Chromium, so that browser tests need no package.

Starts Debian's `chromedriver` on a free port, drives one browser at a time, and ends what it started by its pid. A
missing part (no driver, no browser) is left to the caller to report: `missing_browser` says which it is.
Source: W3C WebDriver (https://www.w3.org/TR/webdriver2/), sections 8 to 18, and chromedriver's `goog:` extensions.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
START_S = 30.0
COMMAND_S = 60.0
WAIT_S = 30.0
BROWSER_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


Value = TypeVar("Value")
_TO_THE_MIDDLE = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })"
_TRIES = 10
_STARTS = 4
_PASSING = ("stale element", "no such element", "element click intercepted")


class WebDriverError(Exception):
    """The browser refused a command; the message holds its own words."""


class _NotStartedError(WebDriverError):
    """The driver ended, or said nothing, before it listened."""


def missing_browser() -> str | None:
    """Say which part of the browser is not installed, or None."""
    for names in (("chromedriver",), ("chromium", "chromium-browser", "google-chrome")):
        if not any(shutil.which(name) for name in names):
            return f"{names[0]} is not installed"
    return None


class Driver:
    """A running chromedriver, spoken to over one loopback port."""

    def __init__(self, port: int) -> None:
        """Speak to the driver that listens on `port`."""
        self.port = port

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one command and give its value. Raises WebDriverError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=COMMAND_S)
        payload = None if method in ("GET", "DELETE") else json.dumps(body or {})
        try:
            connection.request(method, path, payload, {"Content-Type": "application/json"} if payload else {})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(f"{value['error']}: {value.get('message', '')}")
        return value


class Element:
    """One element of the page; what `find` gave is found once more where the page was redrawn in between."""

    def __init__(self, browser: Browser, identifier: str, again: Callable[[], Element] | None = None) -> None:
        """Name the element by the driver's own identifier, and say how to find it `again`."""
        self.browser = browser
        self.identifier = identifier
        self._again = again

    @property
    def text(self) -> str:
        """The text as it is rendered."""
        return str(self._get("text"))

    @property
    def enabled(self) -> bool:
        """Whether a control can be used; one that is disabled with its reason cannot."""
        return bool(self._get("enabled")) and self.attribute("aria-disabled") != "true"

    def attribute(self, name: str) -> str | None:
        """Give an attribute as it stands in the page."""
        value = self._get(f"attribute/{name}")
        return None if value is None else str(value)

    def property(self, name: str) -> Any:
        """Give a property of the element, such as `value`."""
        return self._get(f"property/{name}")

    def click(self) -> None:
        """Scroll to the element and click it, in the middle of the page where a bar would be clicked in its place."""
        try:
            self._post("click")
        except WebDriverError as error:
            if not str(error).startswith("element click intercepted"):
                raise
            self._acting(lambda: self.browser.run(_TO_THE_MIDDLE, {ELEMENT: self.identifier}))
            self._post("click")

    def clear(self) -> None:
        """Empty a field."""
        self._post("clear")

    def type(self, text: str) -> None:
        """Type into a field."""
        self._post("value", {"text": text})

    def find(self, css: str) -> Element:
        """Give the first element inside this one that matches."""
        found = self._post("element", {"using": "css selector", "value": css})
        return Element(self.browser, found[ELEMENT])

    def choose(self, value: str) -> None:
        """Choose an option of a drop-down by its value."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
        self._acting(lambda: self.browser.run(script, {ELEMENT: self.identifier}, value))

    def _get(self, what: str) -> Any:
        return self._command("GET", what)

    def _post(self, what: str, body: dict[str, Any] | None = None) -> Any:
        return self._command("POST", what, body)

    def _command(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        return self._acting(lambda: self.browser.command(method, f"element/{self.identifier}/{what}", body))

    def _acting(self, act: Callable[[], Any]) -> Any:
        for _ in range(_TRIES):
            try:
                return act()
            except WebDriverError as error:
                if self._again is None or not str(error).startswith("stale element"):
                    raise
                self.identifier = self._again().identifier
        raise WebDriverError(f"the element was redrawn {_TRIES} times while it was asked for")


class Browser:
    """One headless browser with an empty profile."""

    def __init__(self, driver: Driver, session: str) -> None:
        """Drive the session named `session`."""
        self.driver = driver
        self.session = session

    def command(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send one command of this session."""
        return self.driver.call(method, f"/session/{self.session}/{path}", body)

    def open(self, url: str) -> None:
        """Load a page."""
        self.command("POST", "url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript as the body of a function and give what it returns."""
        return self.command("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def all(self, css: str) -> list[Element]:
        """Give every element that matches now."""
        found = self.command("POST", "elements", {"using": "css selector", "value": css})
        return [Element(self, item[ELEMENT]) for item in found]

    def find(self, css: str, text: str | None = None) -> Element:
        """Wait for an element that matches and, if given, whose text holds `text`. Raises AssertionError."""

        def look() -> Element | None:
            for element in self.all(css):
                if text is None or text in element.text:
                    return element
            return None

        found = self.wait(look, f"{css} with the text {text!r}" if text else css)
        return Element(self, found.identifier, lambda: self.find(css, text))

    def click(self, css: str, text: str | None = None) -> None:
        """Wait for an element as `find` does and click it, again where the page was redrawn in between."""

        def press() -> bool:
            self.find(css, text).click()
            return True

        self.wait(press, f"a click on {css}")

    def wait(
        self, condition: Callable[[], Value | None], what: str = "the condition", timeout_s: float = WAIT_S
    ) -> Value:
        """Ask until `condition()` is true and give its value. Raises AssertionError after the time-out."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                value = condition()
            except WebDriverError as error:
                # The page redraws while it is asked: an element may be gone between two commands.
                if not str(error).startswith(_PASSING):
                    raise
                value = None
            if value:
                return value
            time.sleep(0.03)
        raise AssertionError(f"waited {timeout_s:.0f} s for {what}; the page says: {self.page_text()[:600]!r}")

    def page_text(self) -> str:
        """The visible text of the whole page."""
        return str(self.run("return document.body.innerText"))

    def resize(self, width: int, height: int) -> None:
        """Make the page exactly `width` x `height` CSS pixels."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def emulate(self, **features: str) -> None:
        """Emulate media features, such as `prefers_color_scheme="dark"`."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=listed)

    def cdp(self, name: str, **parameters: Any) -> Any:
        """Send one command of the DevTools protocol."""
        return self.command("POST", "goog/cdp/execute", {"cmd": name, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.command("GET", "screenshot")))

    def console(self) -> list[dict[str, Any]]:
        """Give what the console has logged since the last call: `level`, `source`, `message`."""
        return list(self.command("POST", "se/log", {"type": "browser"}))


@contextmanager
def running_driver() -> Iterator[Driver]:
    """Start chromedriver on a free port; end it, and what it started, by pid."""
    for remaining in reversed(range(_STARTS)):
        process = subprocess.Popen(
            [shutil.which("chromedriver") or "chromedriver", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            yield Driver(_port_of(process))
            return
        except _NotStartedError:
            # It takes a port that is free for IPv4 and fails where that is taken for IPv6.
            if not remaining:
                raise
        finally:
            _end(process)


@contextmanager
def browsing(driver: Driver, *, names: tuple[str, ...] = ()) -> Iterator[Browser]:
    """Open a browser with an empty profile, to which some names mean this machine; close it and remove the profile."""
    # Nothing but this machine can be reached: a request to another host fails, and the console says so.
    known = "".join(f"MAP {name} 127.0.0.1, " for name in names)
    resolving = f"--host-resolver-rules={known}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with tempfile.TemporaryDirectory(prefix="lmcache-frontend-browser-", ignore_cleanup_errors=True) as profile:
        options = {"args": [*BROWSER_ARGUMENTS, resolving, f"--user-data-dir={profile}"]}
        binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if binary:
            options["binary"] = binary  # type: ignore[assignment]
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        browser = Browser(driver, session)
        try:
            yield browser
        finally:
            driver.call("DELETE", f"/session/{session}")


def _port_of(process: subprocess.Popen[str]) -> int:
    """Read the port from the driver's greeting."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        found = re.search(r"started successfully on port (\d+)", line)
        if found:
            return int(found.group(1))
        if not line:
            break
    raise _NotStartedError("chromedriver did not start")


def _end(process: subprocess.Popen[str]) -> None:
    """End the driver's own process group, first gently."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(10)
            break
        except subprocess.TimeoutExpired:
            continue
    if process.stdout is not None:
        process.stdout.close()
    process.wait(10)
