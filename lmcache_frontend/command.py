# SPDX-License-Identifier: Apache-2.0
"""The service's command line, for the entry points: arguments in, exit status out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType

from lmcache_frontend import logs
from lmcache_frontend.app import App
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.settings import read_settings


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the service until SIGTERM or Ctrl-C; give the exit status: 0 ended, 1 cannot start, 2 usage."""
    try:
        settings = read_settings(arguments, environment)
        logs.configure(settings.log_level, settings.log_format)
        app = App(settings)
    except FrontendError as exc:
        print(f"lmcache-frontend: {logs.escaped(str(exc))}", file=sys.stderr)
        return exc.exit_status
    except SystemExit as exc:
        return int(exc.code or 0)
    told_to_end = threading.Event()
    _end_on_signals(told_to_end)
    app.start()
    count = app.node_count
    print(f"LMCache dashboard at {app.address} with {count} node{'' if count == 1 else 's'}", flush=True)
    # A bare wait would not let Python run signal handlers on every platform.
    while not told_to_end.wait(3600):
        pass
    app.stop()
    return 0


def _end_on_signals(told_to_end: threading.Event) -> None:
    """Let SIGTERM and Ctrl-C end the service gently, and a second one at once; only the main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        return

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        told_to_end.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
