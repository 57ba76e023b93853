# SPDX-License-Identifier: Apache-2.0
"""Write a picture of every view of the dashboard, in both themes, over simulated nodes some of which are sick.

Run as ``python3 -m tests.heavy.screenshots OUTDIR [--only NAME] [--after SECONDS]``. Each file is
``{view}-{light|dark}.png`` at 1280 x 800; ``{view}-narrow.png`` shows each view 360 pixels wide. ``--only`` takes the
views whose names hold NAME. The longer the service has run before (``--after``, 60), the more there is over time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.helpers.dashboard import ask, running_frontend
from tests.helpers.webdriver import Browser, browsing, missing_browser, running_driver

SIZE = (1280, 800)
_IS_DRAWN = """
const panel = document.querySelector("#panel");
return !document.querySelector(".loading, [aria-busy]") && (!panel || panel.innerText.trim().length > 0);
"""
# What is in the page is seen a frame later.
_SHOWN = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
NARROW = (360, 740)
TABS = (
    *("overview", "metrics", "threads", "loglevel", "config", "meta", "inference", "environment"),
    *("periodic", "backends", "script", "console"),
)
NODES = {"worker": "demo1_worker3", "scheduler": "demo_scheduler", "mp": "demo_mp0"}
FAULTS = ("frozen:demo1_worker3", "drift", "slow", "late-thread", "down", "old-version")
RULES = [
    {
        "name": "larger chunks in production",
        "match": {"env": {"POD_NAMESPACE": "inference"}},
        "items": [{"key": "chunk_size", "value": 512, "override": True}],
    },
    {
        "name": "a fifth tries the disk tier",
        "description": "Until Friday.",
        "match": {"config": {"max_local_cpu_size": {"at_most": 20}}, "rollout_percent": 20, "rollout_by": "POD_NAME"},
        "items": [
            {"key": "local_disk", "value": "/var/cache/lmcache", "override": True},
            {"key": "max_local_disk_size", "value": 200, "override": True},
        ],
    },
]
WORKERS = [
    {
        "current_config": {"chunk_size": 256, "max_local_cpu_size": 20, "lmcache_instance_id": f"prod-{number}"},
        "env_variables": {"POD_NAMESPACE": "inference", "POD_NAME": f"llm-{number}", "HOSTNAME": f"llm-{number}"},
    }
    for number in range(6)
]


def views() -> dict[str, str]:
    """Give the views to be taken: ``{name: fragment}``."""
    tabs = {f"{short}-{tab}": f"#/node/{name}?tab={tab}" for short, name in NODES.items() for tab in TABS}
    compared = "demo1_worker3,demo_worker0,demo2_worker1,demo3_worker2"
    parts = ("rules", "preview", "revisions", "clients", "audit")
    return {
        "fleet": "#/",
        "fleet-state": "#/?heat=level&group=instance",
        "fleet-problems": "#/?q=kind:worker&sort=lookup_hit_rate",
        **tabs,
        "compare": f"#/compare?nodes={compared}",
        **{f"configuration-{part}": f"#/configuration?view={part}" for part in parts},
        "manage": "#/manage",
        "manage-add": "#/manage?add=node",
    }


def take(browser: Browser, address: str, path: Path) -> None:
    """Load one view anew and write what is seen once nothing is being read any more."""
    browser.open("about:blank")
    browser.open(address)
    browser.find("#link[data-link='up']")
    # A view may rest between two things that it reads.
    browser.wait(
        lambda: all(browser.run(_IS_DRAWN) and browser.run(_SHOWN) for _ in range(3)), f"the view {path.stem}", 40
    )
    browser.screenshot(path)


@contextmanager
def populated(after_s: float) -> Iterator[str]:
    """Run a frontend with simulated nodes, a second frontend behind it, rules, and workers that have asked for them."""
    with ExitStack() as stack:
        faults = [word for fault in FAULTS for word in ("--demo-fault", fault)]
        address = stack.enter_context(running_frontend("--demo", "50", *faults))
        demo = json.loads(ask(address, "api/nodes"))["nodes"][0]["children"]
        sockets = [child["port"] for child in demo if child["name"].startswith("demo5_worker")][:3]
        far = [{"name": f"llm{i}", "host": "127.0.0.1", "port": port} for i, port in enumerate(sockets)]
        allowed = [word for port in sockets for word in ("--allow-target", port)]
        child = stack.enter_context(running_frontend("--nodes", json.dumps(far), *allowed))
        port = int(child.rstrip("/").rpartition(":")[2])
        ask(address, "api/proxies", {"name": "rack-b", "host": "127.0.0.1", "port": port})
        ask(address, "api/proxies/rack-b/refresh", {})
        configure(address)
        time.sleep(after_s)
        yield address


def configure(address: str) -> None:
    """Edit the rules twice, and ask for the configuration as workers do."""
    for number, message in ((1, "Larger chunks in production"), (2, "Try the disk tier on a fifth")):
        expected = json.loads(ask(address, "api/config/rules"))["revision"]
        document = {"rules": RULES[:number], "expected_revision": expected, "message": message}
        ask(address, "api/config/rules", document, "PUT")
    for worker in WORKERS:
        ask(address, "config?appId=chat", worker)


def chosen(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.heavy.screenshots")
    parser.add_argument("directory", type=Path, metavar="OUTDIR")
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--after", type=float, default=60.0, metavar="SECONDS")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Write the pictures; the exit status says whether it could."""
    flags = chosen(arguments)
    reason = missing_browser()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    flags.directory.mkdir(parents=True, exist_ok=True)
    wanted = {name: fragment for name, fragment in views().items() if flags.only in name}
    with populated(flags.after) as address, running_driver() as driver, browsing(driver) as browser:
        for theme in ("light", "dark"):
            browser.emulate(prefers_color_scheme=theme)
            browser.resize(*SIZE)
            for name, fragment in wanted.items():
                take(browser, address + fragment, flags.directory / f"{name}-{theme}.png")
        browser.emulate(prefers_color_scheme="light")
        browser.resize(*NARROW)
        for name, fragment in wanted.items():
            take(browser, address + fragment, flags.directory / f"{name}-narrow.png")
        browser.resize(*SIZE)
        if flags.only in "empty":
            with running_frontend() as empty:
                take(browser, empty, flags.directory / "empty-light.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
