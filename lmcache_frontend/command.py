# SPDX-License-Identifier: Apache-2.0
"""The service's command line, for the entry points: arguments in, exit status out."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lmcache_frontend import logs
from lmcache_frontend.app import App
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.settings import read_settings


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the service until SIGTERM or Ctrl-C; give the exit status: 0 ended, 1 cannot start, 2 usage.

    SIGHUP reads the file of nodes again. To be called in the main thread.
    """
    try:
        settings = read_settings(arguments, environment)
        logs.configure(settings.log_level, settings.log_format)
        app = App(settings)
    except FrontendError as exc:
        print(f"lmcache-frontend: {logs.escaped(str(exc))}", file=sys.stderr)
        return exc.exit_status
    except SystemExit as exc:
        return int(exc.code or 0)
    with _signals() as next_signal:
        app.start()
        count = app.node_count
        print(f"LMCache dashboard at {app.address} with {count} node{'' if count == 1 else 's'}", flush=True)
        while next_signal() == signal.SIGHUP:
            app.reload()
    app.stop()
    return 0


@contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """Give a function that waits for SIGTERM, SIGINT or SIGHUP and gives its number.

    The kernel may deliver a signal to any thread, and Python would run a handler only once the main thread does
    something; the wake-up descriptor is written to in whichever thread it is. Afterwards a second SIGTERM or Ctrl-C
    ends the process at once.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        yield lambda: ours.recv(1)[0]
    finally:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        ours.close()
        theirs.close()
