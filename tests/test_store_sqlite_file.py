# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lmcache_frontend.errors import ServiceUnavailable, StartError
from lmcache_frontend.store.embedded import EmbeddedStore
from lmcache_frontend.store.pid_lock import InUse
from lmcache_frontend.store.protocol import Put
from lmcache_frontend.store.sqlite import FORMAT, SqliteTable
from lmcache_frontend.store.sqlite_file import open_sqlite
from tests.helpers.store_writer import killed_writer

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path) -> str:
    with pytest.raises(StartError) as caught:
        open_sqlite(str(path))
    return str(caught.value)


@contextlib.contextmanager
def altered(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def test_files_and_new_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "too" / "store.db"
    before = os.umask(0)
    try:
        with closing(open_sqlite(str(path))) as store:
            store.put("a", b"1")
            assert sorted(file.name for file in path.parent.iterdir()) == [
                "store.db",
                "store.db-shm",
                "store.db-wal",
                "store.db.lock",
            ]
            assert {mode(file) for file in path.parent.iterdir()} == {0o600}
            assert mode(path.parent) == 0o700
    finally:
        os.umask(before)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_sqlite(str(tmp_path / "store.db")).close()
    assert mode(tmp_path) == 0o755


def test_where_says_the_real_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with closing(open_sqlite(str(tmp_path / "link" / "odd ?#%41.db"))) as store:
        assert store.where == f"sqlite:{tmp_path.resolve()}/odd ?#%41.db"
        store.put("a", b"1")
    with closing(open_sqlite(str(tmp_path / "odd ?#%41.db"))) as store:
        assert store.get("a") is not None


@pytest.mark.parametrize(
    "content",
    [b"no database, though longer than the head of one would be" * 100, b"x", b"SQLite format 3\0" + bytes(4080)],
    ids=["text", "short", "only a head"],
)
def test_a_file_that_is_no_database_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "it was left as it is" in refusal(path)
    assert path.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir()) == ["store.db", "store.db.lock"]


def test_a_damaged_database_is_left_as_it_is(path: Path) -> None:
    with closing(open_sqlite(str(path))) as store:
        store.transact([Put(f"k{number}", bytes(range(256)) * 20) for number in range(50)])
    damaged = bytearray(path.read_bytes())
    damaged[4096:16384] = random.Random(1).randbytes(12288)
    path.write_bytes(damaged)
    assert "is damaged" in refusal(path)
    assert path.read_bytes() == damaged


def test_a_database_cut_short_is_left_as_it_is(path: Path) -> None:
    with closing(open_sqlite(str(path))) as store:
        store.transact([Put(f"k{number}", bytes(range(256)) * 20) for number in range(50)])
    cut = path.read_bytes()[:-40960]
    path.write_bytes(cut)
    assert "is damaged" in refusal(path)
    assert path.read_bytes() == cut


def test_a_newer_format_is_left_as_it_is(path: Path) -> None:
    open_sqlite(str(path)).close()
    with altered(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = path.read_bytes()
    says = (
        f"written by a newer release (has format {FORMAT + 1}, this release reads up to {FORMAT}); it was left as it is"
    )
    assert says in refusal(path)
    assert path.read_bytes() == before


def test_a_newer_format_that_was_killed_is_left_as_it_is(path: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed" / "store.db"
    killed.parent.mkdir()
    with closing(open_sqlite(str(path))), altered(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        connection.commit()
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{killed}{end}")
    before = [killed.read_bytes(), killed.with_name("store.db-wal").read_bytes()]
    assert "written by a newer release" in refusal(killed)
    assert [killed.read_bytes(), killed.with_name("store.db-wal").read_bytes()] == before


def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    with altered(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert "another program's database; it was left as it is" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO entries VALUES ('text', x'00', 1, NULL)",
        "INSERT INTO entries VALUES (x'61', 'text', 1, NULL)",
        "INSERT INTO entries VALUES (x'61', x'00', 'one', NULL)",
        "INSERT INTO entries VALUES (x'61', x'00', 1, 'never')",
        "DELETE FROM counter",
        "UPDATE counter SET revision = 'many'",
        "UPDATE counter SET revision = 9223372036854775807",
        "UPDATE counter SET revision = -1",
    ],
)
def test_what_another_program_broke_is_left_as_it_is(path: Path, statement: str) -> None:
    open_sqlite(str(path)).close()
    with altered(path) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    assert refusal(path) == f"{path} is damaged (another program has written to it); it was left as it is"
    assert path.read_bytes() == before


def test_a_key_of_another_program_that_is_not_unicode_is_in_nobodys_way(path: Path) -> None:
    open_sqlite(str(path)).close()
    with altered(path) as connection:
        connection.execute("INSERT INTO entries VALUES (x'61FF', x'00', 1, NULL), (x'62FF', x'00', 1, 5)")
    with closing(open_sqlite(str(path))) as store:
        assert store.put("a", b"1") == 2
        assert [entry.key for entry in store.list("").entries] == ["a", "a\ufffd"]


@pytest.mark.parametrize("name", [b"\xff\xfe", "ü ? # %20".encode(), b"line\nbreak"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    path = os.path.join(str(tmp_path), os.fsdecode(name), "store.db")
    for _ in range(2):
        with closing(open_sqlite(path)) as store:
            store.put("a", b"1")
    assert sorted(os.listdir(tmp_path)) == [os.fsdecode(name)]


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with closing(open_sqlite(str(path))) as store:
        assert store.put("a", b"1") == 1


@pytest.mark.parametrize("place", ["/proc/store.db", "/dev/null/store.db", "/proc/1/none/store.db"])
def test_a_place_that_takes_no_files_is_refused(place: str) -> None:
    assert f"{place} cannot be used: " in refusal(Path(place))


def test_a_folder_is_no_place(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} cannot be used: Is a directory"


def test_a_network_file_system_is_refused(path: Path, tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 0 0:1 / {path.parent} rw - nfs4 server:/export rw\n")
    with pytest.raises(StartError, match=r"store.db cannot be used: it is on a network file system \(nfs4\)"):
        open_sqlite(str(path), mountinfo_path=str(mountinfo))
    assert not path.exists()


def test_a_second_opening_is_told_who_was_first(path: Path) -> None:
    says = f"store.db is in use by process {os.getpid()}$"
    with closing(open_sqlite(str(path))), pytest.raises(InUse, match=says):
        open_sqlite(str(path))
    open_sqlite(str(path)).close()


def test_a_second_process_is_told_who_was_first_and_a_killed_one_is_no_obstacle(path: Path) -> None:
    program = "import sys; from lmcache_frontend.store.sqlite_file import open_sqlite; "
    program += "store = open_sqlite(sys.argv[1]); store.put('a', b'1'); print('open', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", program, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, cwd=CHECKOUT) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"open\n"
        with pytest.raises(InUse, match=f"is in use by process {first.pid}$"):
            open_sqlite(str(path))
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    with closing(open_sqlite(str(path))) as store:
        assert store.get("a") == ("a", b"1", 1)


def test_a_store_whose_making_was_cut_off_is_made_again(path: Path) -> None:
    # Enough for SQLite to write to the file before the commit, with a journal to undo it by.
    program = "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    program += "for words in ('PRAGMA cache_size = 2', 'BEGIN', 'CREATE TABLE t (x)'): connection.execute(words)\n"
    program += "for _ in range(50): connection.execute('INSERT INTO t VALUES (zeroblob(9000))')\n"
    program += "os._exit(0)"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert path.with_name("store.db-journal").exists()
    with closing(open_sqlite(str(path))) as store:
        assert store.put("a", b"1") == 1
    assert not path.with_name("store.db-journal").exists()


def test_killed_writers_lose_nothing(path: Path) -> None:
    for number in range(3):
        killed_writer(path, delay_s=0.01 * number)


def test_without_room_nothing_is_written_and_all_is_read(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    lock = os.open(path, os.O_RDONLY)
    with closing(EmbeddedStore(SqliteTable(connection, str(path), lock))) as store:
        revision = store.put("a", b"1")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        for _ in range(2):
            with pytest.raises(ServiceUnavailable, match="store.db has no room left on its disk: nothing was written"):
                store.transact([Put("a", b"2"), Put("b", bytes(100_000))])
            assert store.list("") == ((("a", b"1", revision),), revision)
        assert store.put("c", b"3") == revision + 1
        connection.execute("PRAGMA max_page_count = 1000")
        assert store.put("b", bytes(100_000)) == revision + 2
        assert [event.key for event in store.watch("", revision).next(0)] == ["c", "b"]


def test_a_write_is_on_the_disk_before_it_is_acknowledged(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with closing(EmbeddedStore(SqliteTable(connection, str(path), os.open(path, os.O_RDONLY)))):
        full = 2
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)


def test_a_file_that_was_removed_is_not_written_to(path: Path) -> None:
    with closing(open_sqlite(str(path))) as store:
        store.put("a", b"1")
        path.rename(path.with_name("elsewhere.db"))
        for _ in range(2):
            with pytest.raises(ServiceUnavailable, match="was removed or replaced: nothing was written"):
                store.put("a", b"2")
            path.touch()
        assert store.get("a") == ("a", b"1", 1)


def test_a_file_that_another_program_locks_is_not_written_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmcache_frontend.store.sqlite_file.BUSY_TIMEOUT_S", 0.05)
    with closing(open_sqlite(str(path))) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceUnavailable, match=r"cannot be written \(database is locked\): nothing was written"):
            store.put("a", b"1")
        assert store.get("a") is None
        other.execute("ROLLBACK")
        assert store.put("a", b"1") == 1


def test_times_to_live_go_on_through_a_restart(path: Path) -> None:
    now_s = 1000.0
    with closing(open_sqlite(str(path), lambda: now_s)) as store:
        store.put("a", b"1", ttl_s=60)
        store.put("b", b"2", ttl_s=600)
    now_s += 100
    with closing(open_sqlite(str(path), lambda: now_s)) as store:
        assert [entry.key for entry in store.list("").entries] == ["b"]
        assert store.watch("", 2).next(0) == [("a", None, 3)]
