# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a store until it is killed, and whether what it was promised is there afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from lmcache_frontend.store.protocol import Store
from lmcache_frontend.store.sqlite_file import open_sqlite

_CHECKOUT = Path(__file__).resolve().parents[2]
# Each round replaces one key, adds another, and prints the revision once the store has acknowledged it.
_PROGRAM = """\
import os, sys
from lmcache_frontend.store.protocol import Put
from lmcache_frontend.store.sqlite_file import open_sqlite
store = open_sqlite(sys.argv[1])
head = store.get("head")
number, revision = (int(head.value), head.revision) if head else (0, 0)
while True:
    number += 1
    text = b"%d" % number
    revision = store.transact([Put("head", text, revision), Put("log/%08d" % number, text * 200, 0)])
    os.write(1, b"%d %d\\n" % (number, revision))
"""


def killed_writer(path: Path, delay_s: float) -> int:
    """Kill a writer this long after its first write, check the store, and give how many writes it was promised."""
    words = [sys.executable, "-S", "-c", _PROGRAM, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=_CHECKOUT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
        promised = (first + process.stdout.read()).splitlines(keepends=True)
    # A line that was cut off was promised too, but cannot be read.
    last_number, last_revision = map(int, [line for line in promised if line.endswith(b"\n")][-1].split())
    with closing(open_sqlite(str(path))) as store:
        _check(store, last_number, last_revision)
    return len(promised)


def _check(store: Store, last_number: int, last_revision: int) -> None:
    head = store.get("head")
    assert head is not None
    number = int(head.value)
    # The write that was under way is there as a whole or not at all.
    assert number in (last_number, last_number + 1)
    assert head.revision == last_revision + number - last_number
    entries = store.list("log/").entries
    assert [entry.value for entry in entries] == [b"%d" % n * 200 for n in range(1, number + 1)]
    assert [entry.revision for entry in entries] == list(range(1, number + 1))
