# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lmcache_frontend.store import snapshot
from lmcache_frontend.store.snapshot import read_snapshot
from lmcache_frontend.store.sqlite import FORMAT
from lmcache_frontend.store.sqlite_file import open_sqlite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a ü?" / "store.db"
    with closing(open_sqlite(str(path))) as store:
        store.put("a", b"1")
        store.put("b", b"2", ttl_s=1000)
        store.put("gone", b"3", ttl_s=0.001)
    return path


def test_what_a_file_holds_is_read(path: Path) -> None:
    kept = read_snapshot(str(path))
    assert kept is not None
    assert kept.where == f"sqlite:{path}"
    assert kept.list("", limit=2) == ((("a", b"1", 1), ("b", b"2", 2)), 3)


def test_what_is_only_in_the_log_of_writes_is_read(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(open_sqlite(str(path))) as store:
        store.put("c", b"4")
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{copy}{end}")
        for each in (path, copy):
            kept = read_snapshot(str(each))
            assert kept is not None
            assert kept.get("c") is not None


def test_what_is_not_sound_is_not_read(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty, torn, newer = tmp_path / "empty.db", tmp_path / "torn.db", tmp_path / "newer.db"
    empty.touch()
    torn.write_bytes(path.read_bytes()[:-4096])
    shutil.copy(path, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    for each in (empty, torn, newer, tmp_path, tmp_path / "missing.db"):
        assert read_snapshot(str(each)) is None
    monkeypatch.setattr(snapshot, "SIZE_LIMIT_BYTES", 4096)
    assert read_snapshot(str(path)) is None
