# SPDX-License-Identifier: Apache-2.0
"""The runtime plugin's file: which processes run it, where it finds the package, and its life beside a parent."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lmcache_frontend.lmcache_plugin import scheduler_lmc_frontend_plugin
from tests.helpers.lmcache_plugins import api, current
from tests.helpers.ports import free_port

PLUGIN = Path(scheduler_lmc_frontend_plugin.__file__)
CHECKOUT = PLUGIN.parents[2]
SECRET = "hunter2-is-secret"


def launcher_runs(stem: str, role: str | None, worker_id: int) -> bool:
    """Apply the name rule of LMCache's launchers; ``role`` is None in MP mode."""
    words = stem.lower().split("_")
    if len(words) < 2 or role is None:
        return True
    if words[0] not in ("all", role):
        return False
    return not (len(words) > 2 and words[1].isdigit() and int(words[1]) != worker_id)


@pytest.mark.parametrize(
    ("role", "worker_id", "runs"),
    [("scheduler", -1, True), ("scheduler", 0, True), ("worker", 0, False), ("worker", 3, False), (None, 0, True)],
)
def test_the_launchers_run_the_file_where_it_belongs(role: str | None, worker_id: int, runs: bool) -> None:
    assert PLUGIN.suffix == ".py"
    assert launcher_runs(PLUGIN.stem, role, worker_id) is runs


def test_first_line_is_one_program_that_path_has() -> None:
    program = PLUGIN.read_text().splitlines()[0].removeprefix("#!")
    assert shutil.which(program)
    # 0.3.4 to 0.3.9 start that very text.
    answer = subprocess.run([program, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    assert answer.stdout == "42\n"


@pytest.mark.parametrize(
    ("environment", "role"),
    [
        ({"LMCACHE_PLUGIN_ROLE": "KVConnectorRole.SCHEDULER"}, "scheduler"),
        ({"LMCACHE_PLUGIN_ROLE": "KVConnectorRole.WORKER"}, "worker"),
        ({"LMCACHE_RUNTIME_PLUGIN_ROLE": "scheduler", "LMCACHE_PLUGIN_ROLE": "worker"}, "scheduler"),
        ({"LMCACHE_RUNTIME_PLUGIN_ROLE": "", "LMCACHE_PLUGIN_ROLE": ""}, ""),
        ({}, ""),
    ],
)
def test_role_in_both_spellings(environment: dict[str, str], role: str) -> None:
    assert scheduler_lmc_frontend_plugin.role_in(environment) == role


# From here on: the file itself, as a process.


class Plugin(NamedTuple):
    """The plugin running under a parent of its own, which stands in for LMCache."""

    parent: subprocess.Popen[bytes]
    pid: int
    log: Path


PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"), stderr=subprocess.STDOUT)
print(child.pid, flush=True)
sys.exit(child.wait())
"""


def variables(configuration: dict[str, object], role: str = "scheduler") -> dict[str, str]:
    """Give the whole environment of a plugin process that can find this checkout only by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LMCACHE_", "PYTHONPATH"))}
    return kept | current(role, json.dumps(configuration), 2)


def run_file(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a file that is expected to end by itself, away from the checkout."""
    # -S and the folder: neither an installed package nor the checkout may be found by accident.
    return subprocess.run(
        [sys.executable, "-S", str(path)],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def wait_until(condition: Callable[[], bool], what: Callable[[], str], limit_s: float = 30.0) -> None:
    """Wait for a condition; ``what`` is said where it never holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@contextlib.contextmanager
def running(directory: Path, path: Path, environment: dict[str, str]) -> Iterator[Plugin]:
    """Run the plugin file under a parent process until the block ends; then both are killed, whoever still runs."""
    log = directory / "plugin.log"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log), sys.executable, "-S", str(path)],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=directory,
        start_new_session=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    try:
        yield Plugin(parent, pid, log)
    finally:
        # The parent leads a group of its own, which its child is in.
        if parent.returncode is None:
            os.killpg(parent.pid, signal.SIGKILL)
            parent.wait()
        parent.stdout.close()
        wait_until(lambda: not alive(pid), log.read_text)


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and that nobody has asked for is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answers(port: int) -> bool:
    """Tell whether our service answers on the port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health")
            return b"lmcache-monitor" in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False


def frontend_configuration(port: int, **more: object) -> dict[str, object]:
    """Give a configuration with a dashboard on a loopback port."""
    extra = {"plugin.frontend.port": port, "plugin.frontend.host": "127.0.0.1", **more}
    return api(extra_config=extra, remote_url=f"redis://user:{SECRET}@cache")


def copied(directory: Path) -> Path:
    """Copy the file alone somewhere else."""
    return Path(shutil.copy(PLUGIN, directory / PLUGIN.name))


def linked(directory: Path) -> Path:
    """Make a symlink to the file somewhere else."""
    path = directory / PLUGIN.name
    path.symlink_to(PLUGIN)
    return path


@pytest.mark.parametrize("role", ["worker", "KVConnectorRole.WORKER"])
def test_a_worker_ends_quietly(tmp_path: Path, role: str) -> None:
    ended = run_file(copied(tmp_path), variables(api(), role))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_copy_without_the_package_says_so_in_one_line(tmp_path: Path) -> None:
    ended = run_file(copied(tmp_path), variables(api()))
    assert ended.returncode == 1
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1
    assert "LMCACHE_FRONTEND_HOME" in ended.stdout


@pytest.mark.parametrize("name", ["__init__.py", "launch.py", "node_layout.py"])
def test_other_files_of_the_folder_do_nothing_when_launched(name: str) -> None:
    ended = run_file(PLUGIN.parent / name, variables(api()))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_impossible_port_ends_in_one_line(tmp_path: Path) -> None:
    ended = run_file(linked(tmp_path), variables(api(extra_config={"plugin.frontend.port": "eighty"})))
    assert (ended.returncode, ended.stderr) == (2, "")
    assert ended.stdout.count("\n") == 1
    assert "plugin.frontend.port" in ended.stdout


@pytest.mark.parametrize("place", [copied, linked])
def test_dashboard_starts_lists_the_nodes_and_ends_on_sigterm(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    port = free_port()
    environment = variables(frontend_configuration(port))
    if place is copied:
        environment["LMCACHE_FRONTEND_HOME"] = str(CHECKOUT)
    with running(tmp_path, place(tmp_path), environment) as plugin:
        wait_until(lambda: answers(port), plugin.log.read_text)
        assert {f"lmcache_default_instance_{end}" for end in ("scheduler", "worker0", "worker1")} <= node_names(port)
        os.kill(plugin.pid, signal.SIGTERM)
        assert plugin.parent.wait(30) == 0
        assert SECRET not in plugin.log.read_text()


def node_names(port: int) -> set[str]:
    """Give the names of all nodes that the dashboard lists."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/api/nodes")
        entries = json.loads(connection.getresponse().read())["nodes"]
    return {child["name"] for entry in entries for child in entry.get("children", [])}


def test_a_copy_finds_the_package_in_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "lmcache_frontend").symlink_to(CHECKOUT / "lmcache_frontend")
    (tmp_path / "plugins").mkdir()
    port = free_port()
    with running(tmp_path, copied(tmp_path / "plugins"), variables(frontend_configuration(port))) as plugin:
        wait_until(lambda: answers(port), plugin.log.read_text)


def test_another_package_of_the_same_name_is_passed_over(tmp_path: Path) -> None:
    other = tmp_path / "other" / "lmcache_frontend"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (tmp_path / "lmcache_frontend").symlink_to(CHECKOUT / "lmcache_frontend")
    (tmp_path / "plugins").mkdir()
    port = free_port()
    environment = variables(frontend_configuration(port)) | {"LMCACHE_FRONTEND_HOME": str(other.parent)}
    with running(tmp_path, copied(tmp_path / "plugins"), environment) as plugin:
        wait_until(lambda: answers(port), plugin.log.read_text)


def test_files_beside_a_copy_do_not_shadow_the_library(tmp_path: Path) -> None:
    (tmp_path / "socket.py").write_text("raise SystemExit('the wrong socket')")
    port = free_port()
    environment = variables(frontend_configuration(port)) | {"LMCACHE_FRONTEND_HOME": str(CHECKOUT)}
    with running(tmp_path, copied(tmp_path), environment) as plugin:
        wait_until(lambda: answers(port), plugin.log.read_text)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, linked(tmp_path), variables(frontend_configuration(port))) as plugin:
        wait_until(lambda: answers(port), plugin.log.read_text)
        plugin.parent.kill()
        wait_until(lambda: not alive(plugin.pid), plugin.log.read_text)
        assert not answers(port)


def test_it_ends_when_its_parent_was_gone_before_it_could_look(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    # We live on as its parent: nothing but the line that nobody can read any more ends it.
    subprocess.run(
        [sys.executable, "-S", str(linked(tmp_path))],
        stdout=writer,
        stderr=writer,
        env=variables(frontend_configuration(free_port())),
        timeout=30,
        check=False,
    )
    os.close(writer)


def test_a_taken_port_gives_the_next_one_and_says_so(tmp_path: Path) -> None:
    port = free_port(following=1)
    environment = variables(frontend_configuration(port))
    with socket.create_server(("127.0.0.1", port)), running(tmp_path, linked(tmp_path), environment) as plugin:
        wait_until(lambda: answers(port + 1), plugin.log.read_text)
        assert f"port {port} is taken: the dashboard is on port {port + 1}\n" in plugin.log.read_text()


def test_a_taken_port_that_is_strict_ends_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        environment = variables(frontend_configuration(port, **{"plugin.frontend.port-strict": True}))
        ended = run_file(linked(tmp_path), environment)
    assert ended.returncode == 1
    assert (ended.stdout + ended.stderr).count("\n") == 1
    assert str(port) in ended.stdout + ended.stderr
