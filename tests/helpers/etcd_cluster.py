# SPDX-License-Identifier: Apache-2.0
"""Real etcd members as processes, to be killed, stopped and brought back. Source: the command line of etcd 3.4."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.helpers.parts import program
from tests.helpers.ports import free_port
from tests.helpers.waiting import wait_until

_PACKAGE = "etcd-server"
_END_LIMIT_S = 10.0


class Member:
    """One member; it keeps its ports and its data when it is killed."""

    def __init__(self, name: str, directory: Path) -> None:
        """Take two free ports."""
        self.name = name
        self.port = free_port(following=1)
        self.peer_url = f"http://127.0.0.1:{self.port + 1}"
        self.directory = directory / name
        self._log_path = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, cluster: str, *options: str) -> None:
        """Start the process; wait for it elsewhere."""
        client_url = f"http://127.0.0.1:{self.port}"
        words = [program("etcd", _PACKAGE), f"--name={self.name}", f"--data-dir={self.directory}"]
        words += [f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}"]
        words += [f"--listen-peer-urls={self.peer_url}", f"--initial-advertise-peer-urls={self.peer_url}"]
        words += [f"--initial-cluster={cluster}", *options]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        """Send a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_LIMIT_S)
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process, which may have been stopped."""
        return self._process is not None

    def is_ready(self) -> bool:
        """Tell whether the member serves, which takes a leader."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection:
            try:
                connection.request("GET", "/health")
                return b'"true"' in connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                return False


class Cluster:
    """Members that know each other."""

    def __init__(self, directory: Path, size: int, *options: str) -> None:
        """Take ports and start nobody yet."""
        self.members = [Member(f"member{number}", directory) for number in range(size)]
        self._names = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        self._options = options

    @property
    def authority(self) -> str:
        """The members as they stand in an address."""
        return _authority(self.members)

    def start(self, *members: Member) -> None:
        """Start these members, or all, and wait until they serve."""
        for member in members or self.members:
            member.start(self._names, *self._options)
        self.wait(*members)

    def wait(self, *members: Member) -> None:
        """Wait until these members, or all, serve."""
        for member in members or self.members:
            wait_until(member.is_ready, 30)

    def kill(self) -> None:
        """End all members."""
        for member in self.members:
            member.kill()

    def wipe(self) -> None:
        """End all members and delete their data."""
        self.kill()
        for member in self.members:
            shutil.rmtree(member.directory)

    def leader(self) -> Member:
        """Give the member that leads."""
        shown = self.control("endpoint", "status")
        lines = [line.split(", ") for line in shown.splitlines()]
        [number] = [number for number, line in enumerate(lines) if line[4] == "true"]
        return self.members[number]

    def control(self, *words: str, members: Sequence[Member] = ()) -> str:
        """Run etcdctl on these members, or all, and give what it prints."""
        command = [program("etcdctl", "etcd-client"), f"--endpoints={_authority(members or self.members)}", *words]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _authority(members: Sequence[Member]) -> str:
    return ",".join(f"127.0.0.1:{member.port}" for member in members)


@contextmanager
def running_cluster(directory: Path, size: int, *options: str) -> Iterator[Cluster]:
    """Run a cluster that serves."""
    cluster = Cluster(directory, size, *options)
    try:
        cluster.start()
        yield cluster
    finally:
        for member in cluster.members:
            if member.is_running:
                member.signal(signal.SIGCONT)
        cluster.kill()
