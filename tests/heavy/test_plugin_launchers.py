# SPDX-License-Identifier: Apache-2.0
"""The runtime plugin under the two launchers of LMCache 0.5.6 itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lmcache_frontend.lmcache_plugin import node_layout, scheduler_lmc_frontend_plugin
from tests.helpers import lmcache_nodes
from tests.helpers.lmcache_nodes import Answer, Running
from tests.helpers.ports import free_port

PLUGIN = Path(scheduler_lmc_frontend_plugin.__file__)
CHECKOUT = PLUGIN.parents[2]

# Stands in for vLLM: it loads a configuration as LMCache does, has the plugins launched from a thread that ends at
# once, says their process numbers and lives until its standard input closes.
DRIVER = """
import json, sys, threading
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.plugin.runtime_plugin_launcher import RuntimePluginLauncher
config = LMCacheEngineConfig.from_file(sys.argv[1])
launcher = RuntimePluginLauncher(config, role=sys.argv[2], worker_count=2, worker_id=-1)
thread = threading.Thread(target=launcher.launch_plugins)
thread.start()
thread.join()
print("plugins " + json.dumps([process.pid for process in launcher.plugin_processes]), flush=True)
sys.stdin.read()
"""

INFOS = """
import json, sys
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.internal_api_server.utils import get_all_server_infos
out = []
for keys in json.load(sys.stdin):
    config = LMCacheEngineConfig.from_dict(keys)
    out.append([json.loads(config.to_json()), get_all_server_infos(config, 3)])
print("infos " + json.dumps(out), flush=True)
"""


class Parent(NamedTuple):
    """The process that launched plugins, and their process numbers."""

    process: subprocess.Popen[str]
    running: Running
    plugins: list[int]


def placed(directory: Path, how: str) -> Path:
    """Put the plugin file into a folder of its own, as a copy or as a symlink."""
    folder = directory / "plugins"
    folder.mkdir()
    path = folder / PLUGIN.name
    if how == "copy":
        shutil.copy(PLUGIN, path)
    else:
        path.symlink_to(PLUGIN)
    return path


def variables(how: str) -> dict[str, str]:
    """Give what the launched file needs: this Python on PATH and, for a copy, the folder of the package."""
    # The interpreter is the one that PATH gives for the file's first line; LMCache's own has no need to know us.
    found = {"PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    return found | ({"LMCACHE_FRONTEND_HOME": str(CHECKOUT)} if how == "copy" else {})


@contextlib.contextmanager
def launched(directory: Path, location: Path, port: int, how: str, role: str = "scheduler") -> Iterator[Parent]:
    """Have LMCache's launcher for vLLM start what is at the location."""
    extra = {"plugin.frontend.port": port, "plugin.frontend.host": "127.0.0.1", "plugin.frontend.port_strict": True}
    configuration = {
        "internal_api_server_enabled": True,
        "internal_api_server_host": "0.0.0.0",
        "internal_api_server_port_start": 9090,
        "lmcache_instance_id": "prefill",
        "runtime_plugin_locations": [str(location)],
        "extra_config": extra,
    }
    path = directory / "node.yaml"
    path.write_text(json.dumps(configuration))
    log_path = directory / "launcher.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [lmcache_nodes.interpreter(), "-c", DRIVER, str(path), role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=directory,
            env=lmcache_nodes.quiet_environment() | variables(how),
        )
    running = Running(process, log_path)  # type: ignore[arg-type]
    try:
        yield Parent(process, running, plugins_of(process, running))
    finally:
        process.kill()
        process.communicate()


def plugins_of(process: subprocess.Popen[str], running: Running) -> list[int]:
    """Read which processes were launched; LMCache logs to standard output as well."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("plugins "):
            numbers: list[int] = json.loads(line.removeprefix("plugins "))
            return numbers
    raise AssertionError(running.log())


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and that nobody has asked for is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def dashboard_nodes(port: int) -> list[tuple[str, str, str]]:
    """Give name, host and port of each node that the dashboard on the port lists."""
    answer: Answer = lmcache_nodes.ask(port, "GET", "/api/nodes")
    assert answer.status == 200
    found = json.loads(answer.body)["nodes"]
    children = [child for entry in found for child in entry.get("children", [])]
    return [(child["name"], child["host"], str(child["port"])) for child in children]


VLLM_NODES = [
    ("prefill_scheduler", "127.0.0.1", "9090"),
    ("prefill_worker0", "127.0.0.1", "9091"),
    ("prefill_worker1", "127.0.0.1", "9092"),
]


@pytest.mark.parametrize("how", ["copy", "symlink"])
@pytest.mark.parametrize("end", ["leave", "SIGTERM", "SIGKILL"])
def test_launcher_for_vllm(tmp_path: Path, how: str, end: str) -> None:
    port = free_port()
    with launched(tmp_path, placed(tmp_path, how), port, how) as parent:
        (plugin,) = parent.plugins
        parent.running.wait_until(lambda: lmcache_nodes.answers(port, "/health"), "the dashboard answers", 20)
        assert lmcache_nodes.ask(port, "GET", "/").status == 200
        assert dashboard_nodes(port) == VLLM_NODES
        if end == "leave":
            parent.process.communicate(timeout=30)
        else:
            parent.process.send_signal(signal.Signals[end])
            parent.process.wait(30)
        wait_until_ended(parent.running, plugin)
        assert not lmcache_nodes.answers(port, "/health")


def wait_until_ended(running: Running, plugin: int) -> None:
    """Wait until the plugin has followed its parent."""
    deadline = time.monotonic() + 30
    while alive(plugin):
        assert time.monotonic() < deadline, f"the plugin outlives its parent\n{running.log()}"
        time.sleep(0.05)


def test_a_worker_does_not_run_it(tmp_path: Path) -> None:
    port = free_port()
    with launched(tmp_path, placed(tmp_path, "copy"), port, "copy", role="worker") as parent:
        assert parent.plugins == []


def test_the_whole_folder_may_be_the_location(tmp_path: Path) -> None:
    port = free_port()
    with launched(tmp_path, PLUGIN.parent, port, "folder") as parent:
        parent.running.wait_until(lambda: lmcache_nodes.answers(port, "/health"), "the dashboard answers", 20)
        assert dashboard_nodes(port) == VLLM_NODES
        parent.process.communicate(timeout=30)
        for plugin in parent.plugins:
            wait_until_ended(parent.running, plugin)


@pytest.mark.parametrize(("how", "end"), [("copy", "SIGTERM"), ("symlink", "SIGKILL")])
def test_launcher_of_the_mp_server(tmp_path: Path, how: str, end: str) -> None:
    lmcache_nodes.interpreter()
    port = free_port()
    extra = json.dumps({"plugin.frontend.port": port, "plugin.frontend.host": "127.0.0.1"})
    options = ["--runtime-plugin-locations", str(placed(tmp_path, how)), "--runtime-plugin-config", extra]
    node = lmcache_nodes.start_mp("mp-server", tmp_path, *options, **variables(how))
    with lmcache_nodes.running_nodes(node):
        node.running.wait_until(lambda: lmcache_nodes.answers(port, "/health"), "the dashboard answers", 20)
        assert dashboard_nodes(port) == [("lmcache_server", "127.0.0.1", str(node.port))]
        answer = lmcache_nodes.ask(port, "GET", "/proxy2/lmcache_server/healthcheck")
        assert (answer.status, answer.json) == (200, {"status": "healthy"})
        (plugin,) = children(node.running.process.pid, PLUGIN.name)
        node.running.process.send_signal(signal.Signals[end])
        node.running.process.wait(30)
        wait_until_ended(node.running, plugin)


def children(parent: int, word: str) -> list[int]:
    """List the children of a process whose command line has the word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent and word in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def test_nodes_are_those_that_lmcache_itself_works_out() -> None:
    cases: list[dict[str, object]] = [
        {"lmcache_instance_id": "a", "internal_api_server_enabled": True},
        {
            "lmcache_instance_id": "b",
            "internal_api_server_enabled": True,
            "internal_api_server_host": "10.0.0.7",
            "internal_api_server_port_start": 9090,
            "internal_api_server_include_index_list": [0, 3],
        },
        {
            "internal_api_server_enabled": True,
            "internal_api_server_host": "localhost",
            "internal_api_server_socket_path_prefix": "/run/lmcache/socket",
        },
    ]
    got = subprocess.run(
        [lmcache_nodes.interpreter(), "-c", INFOS],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        env=lmcache_nodes.quiet_environment(),
        timeout=lmcache_nodes.START_LIMIT_S,
        check=False,
    )
    lines = [line for line in got.stdout.splitlines() if line.startswith("infos ")]
    assert lines, got.stderr
    answers = json.loads(lines[0].removeprefix("infos "))
    assert len(answers) == len(cases)
    for configuration, infos in answers:
        layout = node_layout.nodes_of(configuration, worker_count=3, directory="/")
        assert [entry._asdict() for entry in layout.nodes] == infos
