# SPDX-License-Identifier: Apache-2.0
"""What LMCache tells a runtime plugin, turned into command line options, and the dashboard run with them.

Leaves to ``scheduler_lmc_frontend_plugin`` finding this package, to ``node_layout`` where the nodes listen, and to the
command line everything else. It runs in this very process, since LMCache's launcher ends its own child and no other.
The configuration may hold secrets: what is wrong in it is named by its key, never by its value. Source: the variables
set by the plugin launchers of LMCache 0.3.4 to 0.5.6.

LMCache starts each ``*.py`` of a folder that it is given, so this file does nothing when it is run by itself, and
imports the package only where it is called.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lmcache_frontend.lmcache_plugin.node_layout import Configuration

_OPTION_PREFIX = "plugin.frontend."
# As many neighbours as one host has accelerators to run a vLLM on, and some to spare.
_PORTS_TRIED = 50
_PARENT_CHECK_S = 0.5
# Longer than the drain of the service takes; after it the process ends the hard way.
_DRAIN_S = 30.0

Options = Mapping[str, object]


class Plan(NamedTuple):
    """How to start the dashboard: arguments without the port, where to listen, and whether no other port will do."""

    arguments: tuple[str, ...]
    host: str
    port: int
    port_is_strict: bool
    remarks: tuple[str, ...]


def main(parent_pid: int) -> int:
    """Run the dashboard as the environment says, until SIGTERM or the end of the parent; give the exit status."""
    from lmcache_frontend.errors import FrontendError

    _make_output_readable()
    watch_parent(parent_pid)
    try:
        plan = plan_from(os.environ, directory=os.getcwd())
    except FrontendError as exc:
        _say(str(exc))
        return exc.exit_status
    for remark in plan.remarks:
        _say(remark)
    return run(plan)


def plan_from(environment: Mapping[str, str], *, directory: str) -> Plan:
    """Work out how to start; ``directory`` is where relative socket paths start.

    Raises:
        UsageError: an option is unknown, or its value is impossible.
    """
    from lmcache_frontend.settings import read_settings

    configuration, remark = configuration_in(environment)
    options = options_in(configuration)
    strict = str(options.pop("port-strict", False)).lower() in ("true", "1")
    _refuse_unknown(options)
    _refuse_impossible(options)
    settings = read_settings(arguments_from(options), environment)
    arguments = arguments_from({name: value for name, value in options.items() if name != "port"})
    if not settings.nodes:
        nodes, why_none = _nodes_argument(configuration, _worker_count(environment), directory)
        arguments.append(nodes)
        remark = remark or why_none
    remarks = () if remark is None else (remark,)
    return Plan(tuple(arguments), settings.host, settings.port, port_is_strict=strict, remarks=remarks)


def configuration_in(environment: Mapping[str, str]) -> tuple[Configuration, str | None]:
    """Read LMCache's configuration, with a remark where it cannot be read; bare Infinity and NaN are accepted."""
    name = _variable(environment, "CONFIG")
    text = environment.get(name, "").strip()
    if not text:
        return {}, None
    try:
        configuration = json.loads(text)
    except ValueError:
        return {}, f"{name} is not JSON: starting without nodes"
    if not isinstance(configuration, dict):
        return {}, f"{name} is not a JSON object: starting without nodes"
    return configuration, None


def options_in(configuration: Configuration) -> dict[str, object]:
    """Collect ``plugin.frontend.<option>`` from wherever LMCache keeps extra configuration, named with dashes."""
    mp_config = configuration.get("mp_config")
    plugin_config = mp_config.get("runtime_plugin_config") if isinstance(mp_config, dict) else None
    places = [
        configuration.get("extra_config"),
        plugin_config.get("extra_config") if isinstance(plugin_config, dict) else None,
        configuration.get("runtime_plugin_extra_config"),
    ]
    options: dict[str, object] = {}
    for place in places:
        for key, value in _as_object(place).items():
            name = key[len(_OPTION_PREFIX) :].strip().replace("_", "-")
            if key.startswith(_OPTION_PREFIX) and name:
                options[name] = value
    return options


def arguments_from(options: Options) -> list[str]:
    """Write options as arguments: true is the flag alone, false and null are left out, texts in a list are repeated."""
    arguments = []
    for name, value in options.items():
        if value is True:
            arguments.append(f"--{name}")
        elif value is not False and value is not None:
            # In one word, so that a value that starts with a dash is not taken for an option.
            arguments += [f"--{name}={text}" for text in _texts(value)]
    return arguments


def run(plan: Plan) -> int:
    """Run the dashboard on the port wished for or, unless that is strict, on the first free one after it."""
    from lmcache_frontend.command import run as run_service

    if plan.port_is_strict or plan.port == 0:
        return run_service([*plan.arguments, f"--port={plan.port}"], os.environ, must_be_heard=True)
    ports = range(plan.port, min(plan.port + _PORTS_TRIED, 65536))
    for port in ports:
        if port_is_taken(plan.host, port):
            continue
        if port != plan.port:
            _say(f"port {plan.port} is taken: the dashboard is on port {port}")
        status = run_service([*plan.arguments, f"--port={port}"], os.environ, must_be_heard=True)
        # Another process may have taken the port between the question and the start: then the next one is tried.
        if status != 1 or not port_is_taken(plan.host, port):
            return status
    _say(f"the ports {ports.start} to {ports.stop - 1} are all taken")
    return 1


def port_is_taken(host: str, port: int) -> bool:
    """Tell whether another socket listens where we would; any other obstacle is for the command line to explain."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        return exc.errno == errno.EADDRINUSE
    return False


def watch_parent(parent_pid: int) -> threading.Thread:
    """Start a thread that ends this process in good order once its parent is gone, even by SIGKILL.

    Linux would send a signal by itself (``PR_SET_PDEATHSIG``), but when the *thread* that started us ends, and LMCache
    may launch plugins from a thread that ends long before its process. The parent's number changes with the process.
    """
    thread = threading.Thread(target=_end_with, args=(parent_pid,), name="parent-watch", daemon=True)
    thread.start()
    return thread


def parent_is_gone(parent_pid: int, *, current: Callable[[], int] = os.getppid) -> bool:
    """Tell whether the process that started us, whose number was ``parent_pid``, has ended."""
    return current() != parent_pid


def _end_with(parent_pid: int) -> None:
    while not parent_is_gone(parent_pid):
        time.sleep(_PARENT_CHECK_S)
    _discard_output()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_DRAIN_S)
    os._exit(1)


def _discard_output() -> None:
    """Write to nowhere from here on: the log of the dead parent would break each line that we say goodbye with."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _make_output_readable() -> None:
    """Keep to ASCII: LMCache stops reading at the first byte its locale cannot decode, and the full pipe blocks us."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii", errors="backslashreplace")


def _say(line: str) -> None:
    print(f"lmcache-frontend: {line}", flush=True)


def _variable(environment: Mapping[str, str], what: str) -> str:
    """Name the variable that LMCache set: 0.3.11 and later set both families alike, before there was only one."""
    name = f"LMCACHE_RUNTIME_PLUGIN_{what}"
    return name if name in environment else f"LMCACHE_PLUGIN_{what}"


def _worker_count(environment: Mapping[str, str]) -> int:
    text = environment.get(_variable(environment, "WORKER_COUNT"), "").strip()
    # A scheduler has at least one worker, also where the variable is missing.
    return max(1, int(text)) if text.isdigit() else 1


def _nodes_argument(configuration: Configuration, worker_count: int, directory: str) -> tuple[str, str | None]:
    from lmcache_frontend.lmcache_plugin import node_layout

    try:
        layout = node_layout.nodes_of(configuration, worker_count=worker_count, directory=directory)
    except ValueError as exc:
        layout = node_layout.Layout((), f"{exc}: starting without nodes")
    return f"--nodes={json.dumps([entry._asdict() for entry in layout.nodes])}", layout.remark


def _refuse_unknown(options: Options) -> None:
    """Refuse by name alone what the command line would refuse with its value, which may be a secret."""
    from lmcache_frontend.errors import UsageError
    from lmcache_frontend.settings import OPTIONS

    unknown = sorted(set(options) - {option.name for option in OPTIONS} - {"settings"})
    if unknown:
        raise UsageError(f"{_OPTION_PREFIX}{unknown[0]} is not an option of the dashboard")


def _refuse_impossible(options: Options) -> None:
    """Refuse by name alone, too, what is no possible value of its option."""
    from lmcache_frontend.errors import UsageError
    from lmcache_frontend.settings import OPTIONS

    for option in OPTIONS:
        for text in _values_given(options.get(option.name)):
            try:
                option.read(text)
            except ValueError as exc:
                raise UsageError(f"{_OPTION_PREFIX}{option.name} has an impossible value: {exc}") from None


def _values_given(value: object) -> list[str]:
    """Give the texts that follow an option's name; true, false and null have none."""
    return [] if value is None or isinstance(value, bool) else _texts(value)


def _as_object(value: object) -> dict[str, object]:
    """Give extra configuration as an object; it may have come as the text of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    """Write a value as the texts of one option, several where it is a list of texts."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return value
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [json.dumps(value) if isinstance(value, (list, dict)) else str(value)]
