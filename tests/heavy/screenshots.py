# SPDX-License-Identifier: Apache-2.0
"""Write a picture of every view of the dashboard, in both themes, over simulated nodes.

Run as ``python3 -m tests.heavy.screenshots OUTDIR``. Each file is ``{view}-{light|dark}.png`` at 1280 x 800;
``{view}-narrow.png`` shows some views 360 pixels wide.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.helpers.dashboard import ask, running_frontend
from tests.helpers.webdriver import Browser, browsing, missing_browser, running_driver

SIZE = (1280, 800)
NARROW = (360, 740)
TABS = ("overview", "metrics", "threads", "loglevel", "config", "meta", "inference", "environment")
PROBED = "return [...document.querySelectorAll('.state')].every(mark => mark.textContent !== 'Checking')"
NODES = {"worker": "demo_worker0", "scheduler": "demo_scheduler", "mp": "demo_mp0"}


def views() -> dict[str, str]:
    """Give the views to be taken: ``{name: fragment}``."""
    tabs = {f"{short}-{tab}": f"#/node/{name}?tab={tab}" for short, name in NODES.items() for tab in TABS}
    return {"fleet": "#/", "manage": "#/manage", "manage-add": "#/manage?add=node", **tabs}


def take(browser: Browser, address: str, path: Path) -> None:
    """Load one view anew and write what is seen once nothing is being read any more."""
    browser.open("about:blank")
    browser.open(address)
    browser.find("#link[data-link='up']")
    browser.wait(lambda: not browser.all(".loading, [aria-busy]"), "the view to be loaded")
    browser.wait(lambda: browser.run(PROBED), "all nodes to be probed")
    browser.screenshot(path)


@contextmanager
def populated() -> Iterator[str]:
    """Run a frontend with simulated nodes, a second frontend behind it, and one node that does not answer."""
    with ExitStack() as stack:
        address = stack.enter_context(running_frontend("--demo", "8"))
        demo = json.loads(ask(address, "api/nodes"))["nodes"][0]["children"]
        sockets = [child["port"] for child in demo if "worker" in child["name"]][:3]
        far = [{"name": f"rack-b_worker{i}", "host": "127.0.0.1", "port": port} for i, port in enumerate(sockets)]
        far.append({"name": "rack-b_worker3", "host": "127.0.0.1", "port": 9})
        allowed = [word for port in sockets for word in ("--allow-target", port)]
        child = stack.enter_context(running_frontend("--nodes", json.dumps(far), *allowed))
        port = int(child.rstrip("/").rpartition(":")[2])
        ask(address, "api/proxies", {"name": "rack-b", "host": "127.0.0.1", "port": port})
        ask(address, "api/proxies/rack-b/refresh", {})
        yield address


def main(arguments: list[str]) -> int:
    """Write the pictures; the exit status says whether it could."""
    reason = missing_browser()
    if len(arguments) != 1 or reason:
        print(reason or "usage: python3 -m tests.heavy.screenshots OUTDIR", file=sys.stderr)
        return 2
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    with populated() as address, running_driver() as driver, browsing(driver) as browser:
        for theme in ("light", "dark"):
            browser.emulate(prefers_color_scheme=theme)
            browser.resize(*SIZE)
            for name, fragment in views().items():
                take(browser, address + fragment, directory / f"{name}-{theme}.png")
        browser.emulate(prefers_color_scheme="light")
        browser.resize(*NARROW)
        for name in ("fleet", "manage", "worker-overview", "worker-config", "worker-threads", "mp-loglevel"):
            take(browser, address + views()[name], directory / f"{name}-narrow.png")
        browser.resize(*SIZE)
        with running_frontend() as empty:
            take(browser, empty, directory / "empty-light.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
