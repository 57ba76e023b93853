# SPDX-License-Identifier: Apache-2.0
"""A SQLite store on a disk that is full or read-only, and under writers that are killed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from lmcache_frontend.store.sqlite_file import open_sqlite
from tests.helpers import parts
from tests.helpers.store_writer import killed_writer

CHECKOUT = Path(__file__).resolve().parents[2]

# Of one process that has mounts of its own: gives {step: what it said or did}.
_FULL_DISK = """
import contextlib, json, os, sys
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.store.opening import open_store
from lmcache_frontend.store.protocol import Put

def outcome(act):
    try:
        return act()
    except FrontendError as exc:
        return f"{type(exc).__name__}: {exc}"

folder = sys.argv[1]
open_it = lambda: open_store(f"sqlite:{folder}/x.db", port=0, environment={})
def fill():
    # The last blocks may be refused for a moment before they are given.
    with open(f"{folder}/ballast", "ab", buffering=0) as ballast:
        for _ in range(10_000):
            if not os.statvfs(folder).f_bavail:
                return
            with contextlib.suppress(OSError):
                ballast.write(bytes(4096))
    raise AssertionError("the disk has no end")

said = {}
store = open_it()
store.put("a", b"1")
store.close()
fill()
said["start without any room"] = outcome(open_it)
os.unlink(f"{folder}/ballast")
store = open_it()
fill()
revision = 1
while isinstance(revision, int):
    last, revision = revision, outcome(lambda: store.put("b", os.urandom(20_000)))
said["put"] = revision
said["put again"] = outcome(lambda: store.transact([Put("c", b"x" * 20_000), Put("a", b"2")]))
said["get"] = outcome(lambda: store.get("a").value.decode())
said["list"] = outcome(lambda: [entry.key for entry in store.list("").entries])
said["revision moved"] = store.list("").revision - last
store.close()
reopened = outcome(open_it)
said["start"] = reopened if isinstance(reopened, str) else reopened.get("a").value.decode()
if not isinstance(reopened, str):
    reopened.close()
os.unlink(f"{folder}/ballast")
store = open_it()
said["after"] = outcome(lambda: store.put("c", b"x" * 20_000)) - last
said["kept"] = store.get("a").value.decode()
store.close()
print(json.dumps(said))
"""
_READ_ONLY = """
import json, logging, sys
from lmcache_frontend.errors import FrontendError
from lmcache_frontend.store.opening import open_store

folder = sys.argv[1]
said = {}
for name in ("x.db", "new.db", "new/x.db"):
    try:
        open_store(f"sqlite:{folder}/{name}", port=0, environment={})
    except FrontendError as exc:
        said[name] = f"{type(exc).__name__}: {exc}"
store = open_store(None, port=8080, environment={"XDG_STATE_HOME": folder})
said["default"] = store.fault
said["kept"] = [entry.key for entry in store.list("").entries]
print(json.dumps(said))
"""


def with_mounts(script: str, program: str, folder: Path) -> Any:
    """Run a shell script that mounts something at a folder, then a program, in a namespace that ends with them."""
    unshare = parts.program("unshare", "util-linux")
    if subprocess.run([unshare, "-rm", "true"], capture_output=True).returncode:
        parts.missing("mount namespaces cannot be made here")
    words = [unshare, "-rm", "sh", "-ec", f'{script}; shift; exec "$@"', "sh", str(folder)]
    words += [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=CHECKOUT, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_refuses_writes_and_loses_nothing(tmp_path: Path) -> None:
    said = with_mounts('mount -t tmpfs -o size=400k tmpfs "$1"', _FULL_DISK, tmp_path)
    full = f"ServiceUnavailable: sqlite:{tmp_path}/x.db has no room left on its disk: nothing was written"
    assert said.pop("put") == said.pop("put again") == full
    refusal = said.pop("start without any room")
    assert refusal.startswith(f"StartError: {tmp_path}/x.db cannot be used: ")
    assert refusal.endswith("; its disk is full")
    assert said == {"get": "1", "list": ["a"], "revision moved": 0, "start": "1", "after": 1, "kept": "1"}


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    for name in ("x.db", "lmcache-frontend/8080.db"):
        with closing(open_sqlite(str(tmp_path / name))) as store:
            store.put("a", b"1")
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"'
    said = with_mounts(script, _READ_ONLY, tmp_path)
    reason = "cannot be used: Read-only file system"
    assert said.pop("kept") == ["a"]
    assert said.pop("default").startswith(f"{tmp_path}/lmcache-frontend/8080.db {reason}")
    assert list(said) == ["x.db", "new.db", "new/x.db"]
    for name, line in said.items():
        assert line.startswith(f"StartError: {tmp_path}/{name} {reason}")


def test_two_hundred_killed_writers_lose_nothing(tmp_path: Path) -> None:
    source = random.Random(0)
    promised = [killed_writer(tmp_path / "store.db", source.uniform(0, 0.02)) for _ in range(200)]
    assert len(promised) == 200
    assert sum(promised) > 400


def test_a_store_whose_maker_was_killed_is_made_all_the_same(tmp_path: Path) -> None:
    program = "import sys; from lmcache_frontend.store.sqlite_file import open_sqlite; print(flush=True)\n"
    program += "open_sqlite(sys.argv[1]).put('a', b'1')"
    source = random.Random(0)
    for number in range(60):
        path = tmp_path / f"{number}.db"
        with subprocess.Popen(
            [sys.executable, "-S", "-c", program, path], stdout=subprocess.PIPE, cwd=CHECKOUT
        ) as maker:
            assert maker.stdout is not None
            maker.stdout.readline()
            time.sleep(source.uniform(0, 0.004))
            maker.kill()
        with closing(open_sqlite(str(path))) as store:
            assert store.list("").revision in (0, 1)
