# SPDX-License-Identifier: Apache-2.0
"""The service's command line, for the entry points: arguments in, exit status out."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from lmcache_frontend import logs
from lmcache_frontend.app import App
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.settings import OPTIONS, SERVICE, Program, Settings, read_settings

# Remote configuration alone: no dashboard, no nodes, no proxy.
CONFIGURATION_SERVER = Program(
    "lmcache-config-server",
    "Serve remote configuration to LMCache workers, and nothing else.",
    "LMCACHE_CONFIG_SERVER_",
    tuple(
        option
        for option in OPTIONS
        if option.field.startswith(("config_", "strict_", "log_"))
        or option.field in ("host", "port", "store", "allow_host", "max_connections", "drain_timeout_s")
    ),
    Settings(port=8088),
)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    program: Program = SERVICE,
    *,
    must_be_heard: bool = False,
) -> int:
    """Run the service until SIGTERM or Ctrl-C; give the exit status: 0 ended, 1 cannot start or go on, 2 usage.

    SIGHUP reads the files of nodes and of rules again. To be called in the main thread. With ``must_be_heard`` it ends
    where nobody takes its greeting: then whoever started it is gone.
    """
    try:
        settings = read_settings(arguments, environment, program)
        logs.configure(settings.log_level, settings.log_format)
        app = App(settings, configuration_only=program is CONFIGURATION_SERVER)
    except FrontendError as exc:
        return _refused(program, exc)
    except SystemExit as exc:
        return int(exc.code or 0)
    with _signals() as next_signal:
        app.start(on_failure=lambda: signal.raise_signal(signal.SIGTERM))
        if _greeted(app.greeting) or not must_be_heard:
            while next_signal() == signal.SIGHUP:
                app.reload()
    app.stop()
    return 0 if app.failure is None else _refused(program, app.failure)


def _refused(program: Program, exc: FrontendError) -> int:
    print(f"{program.name}: {logs.escaped(str(exc))}", file=sys.stderr)
    return exc.exit_status


def _greeted(text: str) -> bool:
    """Say that we are there and whether that was taken; what was not must not fail once more at the end."""
    try:
        print(text, flush=True)
        return True
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
        return False


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
