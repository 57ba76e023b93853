# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the browser suites: one browser and one frontend with simulated nodes for each file of tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.helpers.dashboard import running_frontend
from tests.helpers.parts import missing
from tests.helpers.webdriver import Browser, browsing, missing_browser, running_driver

# A node that lacks something answers 4xx or 5xx, as rules that are refused do, and the browser notes each such answer
# in its console.
_EXPECTED = re.compile(
    r"/(proxy2|api/(nodes|proxies|config/(rules|rollback|preview)))/?\S* - "
    r"Failed to load resource: the server responded with a status"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    reason = missing_browser()
    if reason:
        missing(reason)
    with running_driver() as driver, browsing(driver) as opened:
        yield opened


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with running_frontend("--demo", "8") as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """A browser of the usual size that, at the end, has logged no error and asked no other host for anything."""
    browser.resize(1280, 800)
    browser.emulate(prefers_color_scheme="light")
    browser.open("about:blank")
    browser.console()
    yield browser
    assert_clean(browser)


def assert_clean(browser: Browser) -> None:
    entries = [entry for entry in browser.console() if entry["level"] not in ("INFO", "DEBUG")]
    unexpected = [entry["message"] for entry in entries if not _EXPECTED.search(entry["message"])]
    assert not unexpected, unexpected
    fetched = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    here = browser.run("return location.origin")
    foreign = [address for address in fetched if not address.startswith(here + "/")]
    assert not foreign, foreign
