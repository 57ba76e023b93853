# SPDX-License-Identifier: Apache-2.0
"""Entry point of the benchmark: flags in, table out.

The exit status says whether measuring worked, never how the figures turned out: 0 measured, 1 could not, 2 wrong
flags or a program missing, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.bench.fleet import fleet
from tests.bench.load import WRK
from tests.bench.page import page
from tests.bench.processes import MeasureError
from tests.bench.report import Line, as_json, table
from tests.bench.rows import ROWS, Plan
from tests.bench.stand import NGINX, write_files
from tests.helpers.webdriver import missing_browser

_ROWS = {**ROWS, "fleet": fleet, "page": page}
# These watch whole rounds of ten seconds.
_SLOW_ROWS = ("fleet", "page")
_CHECKOUT = Path(__file__).resolve().parents[2]
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen rows and return the exit status."""
    flags = _flags(arguments)
    missing = [program for program in (NGINX, WRK) if shutil.which(program, path=_search_path()) is None]
    if missing:
        print(f"missing: {', '.join(missing)}; the Debian packages are nginx-light and wrk", file=sys.stderr)
        return 2
    lacks_browser = missing_browser()
    if lacks_browser and "page" in (flags.only or ()):
        print(f"missing: {lacks_browser}; the Debian packages are chromium and chromium-driver", file=sys.stderr)
        return 2
    os.environ["PATH"] = _search_path()
    signal.signal(signal.SIGTERM, _interrupt)
    circumstances = _circumstances(flags)
    try:
        lines = _measure(flags)
    except KeyboardInterrupt:
        print("interrupted; everything started is ended", file=sys.stderr)
        return _INTERRUPTED
    except (MeasureError, OSError, ValueError) as exc:
        print(f"could not measure: {exc}", file=sys.stderr)
        return 1
    print(" · ".join(f"{name} {value}" for name, value in circumstances.items()) + "\n")
    print(table(lines), end="")
    if flags.json is not None:
        text = json.dumps(as_json(lines, circumstances), indent=2, ensure_ascii=False)
        flags.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description="Our proxy beside nginx, in one run.")
    parser.add_argument("--rounds", type=_positive, help="interleaved rounds a row (5)")
    parser.add_argument("--seconds", type=_positive, help="length of one measurement (3)")
    parser.add_argument("--only", action="append", choices=list(_ROWS), metavar="ROW", help=f"of {', '.join(_ROWS)}")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s unless said, no fleet, no page")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there as well")
    parser.add_argument("--checkout", type=Path, default=_CHECKOUT, metavar="DIR", help="source tree to measure (this)")
    flags = parser.parse_args(arguments)
    flags.rounds = flags.rounds or (2 if flags.quick else 5)
    flags.seconds = flags.seconds or (1 if flags.quick else 3)
    return flags


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text}")
    return number


def _measure(flags: argparse.Namespace) -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="lmcache_bench_") as name:
        directory = Path(name)
        write_files(directory / "files")
        plan = Plan(directory, flags.checkout.resolve(), flags.rounds, flags.seconds)
        chosen = flags.only or [row for row in _ROWS if not (flags.quick and row in _SLOW_ROWS)]
        if flags.only is None and "page" in chosen and missing_browser():
            print(f"page: left out, {missing_browser()}", file=sys.stderr)
            chosen.remove("page")
        return [line for row in _ROWS if row in chosen for line in _ROWS[row](plan)]


def _search_path() -> str:
    # Debian puts nginx into /usr/sbin, which the search path of an ordinary user leaves out.
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _circumstances(flags: argparse.Namespace) -> dict[str, object]:
    return {
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "Linux": platform.release(),
        "CPUs": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "Python": platform.python_version(),
        "nginx": _version([NGINX, "-v"]),
        "wrk": _version([WRK, "-v"]),
        "rounds": flags.rounds,
        "seconds": flags.seconds,
    }


def _version(arguments: list[str]) -> str:
    """Return the first word with a digit of what a program says of its version; both say it in their own way."""
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    words = (finished.stderr + " " + finished.stdout).replace("nginx/", "").split()
    return next((word for word in words if any(character.isdigit() for character in word)), "unknown")


if __name__ == "__main__":
    sys.exit(main())
