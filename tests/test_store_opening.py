# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lmcache_frontend.errors import ServiceUnavailable, StartError, UsageError
from lmcache_frontend.store.opening import default_path, open_store
from lmcache_frontend.store.pid_lock import InUse
from lmcache_frontend.store.protocol import Put, Store
from lmcache_frontend.store.unavailable import UnavailableStore
from tests.helpers.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[1]
Warnings = Callable[[], list[str]]


def open_at(spec: str | None, **environment: str) -> Store:
    return open_store(spec, port=8080, environment=environment)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/lmcache-frontend/8080.db"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/lmcache-frontend/8080.db"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/me"}, "/home/me/.local/state/lmcache-frontend/8080.db"),
        ({"XDG_STATE_HOME": "not/absolute", "HOME": "/home/me"}, "/home/me/.local/state/lmcache-frontend/8080.db"),
        ({"HOME": "not/absolute"}, ""),
    ],
)
def test_the_default_place_follows_the_environment(environment: dict[str, str], path: str) -> None:
    assert default_path(8080, environment) == path


def test_the_default_place_is_used(tmp_path: Path, warnings: Warnings) -> None:
    with closing(open_at(None, XDG_STATE_HOME=str(tmp_path))) as store:
        assert store.where == f"sqlite:{tmp_path}/lmcache-frontend/8080.db"
        assert store.fault == ""
        store.put("a", b"1")
    with closing(open_at(None, XDG_STATE_HOME=str(tmp_path))) as store:
        assert store.get("a") is not None
    assert warnings() == []


def test_a_store_is_opened_by_name(tmp_path: Path) -> None:
    with closing(open_at("memory:")) as store:
        assert (store.where, store.fault, store.put("a", b"1")) == ("memory:", "", 1)
    with closing(open_at(f"sqlite:{tmp_path}/x.db")) as store:
        assert (store.where, store.fault, store.put("a", b"1")) == (f"sqlite:{tmp_path}/x.db", "", 1)


def test_a_relative_path_is_one_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_at("sqlite:x.db")) as store:
        assert store.where == f"sqlite:{tmp_path}/x.db"


@pytest.mark.parametrize("spec", ["", "memory", "memory:x", "sqlite", "sqlite:", "sqlite:a\0b", "/x.db", "redis://h"])
def test_what_names_no_store_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="--store: expected memory:, sqlite:PATH or etcd://HOST:PORT/PREFIX, got one"):
        open_at(spec)


def test_a_refusal_shows_no_password() -> None:
    with pytest.raises(UsageError) as caught:
        open_at("https://user:hidden@host")
    assert "hidden" not in str(caught.value)


def test_a_named_place_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"something else" * 1000)
    with pytest.raises(StartError, match="no store of ours"):
        open_at(f"sqlite:{tmp_path}/x.db")
    with pytest.raises(StartError, match="/dev/null/x.db cannot be used: "):
        open_at("sqlite:/dev/null/x.db")


def test_a_named_etcd_that_is_not_there_ends_the_start() -> None:
    port = free_port()
    with pytest.raises(StartError, match=f"etcd://127.0.0.1:{port}/x cannot be used: .*: Connection refused") as caught:
        open_at(f"etcd://me:hidden@127.0.0.1:{port}/x")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("environment", [{"XDG_STATE_HOME": "/proc"}, {"HOME": "/dev/null"}, {"HOME": "nowhere"}])
def test_without_a_default_place_the_service_runs_without_one(environment: dict[str, str], warnings: Warnings) -> None:
    store = open_at(None, **environment)
    [line] = warnings()
    assert line == f"no state is kept, and edits are refused until --store names another place: {store.fault}"
    assert isinstance(store, UnavailableStore)


def test_a_default_file_that_is_damaged_is_not_written_over(tmp_path: Path, warnings: Warnings) -> None:
    path = tmp_path / "lmcache-frontend" / "8080.db"
    path.parent.mkdir()
    path.write_bytes(b"something else" * 1000)
    store = open_at(None, XDG_STATE_HOME=str(tmp_path))
    assert "left as it is" in store.fault
    assert len(warnings()) == 1
    assert path.read_bytes() == b"something else" * 1000


def test_a_default_file_that_is_in_use_ends_the_start(tmp_path: Path) -> None:
    with closing(open_at(None, XDG_STATE_HOME=str(tmp_path))), pytest.raises(InUse, match="in use by process"):
        open_at(None, XDG_STATE_HOME=str(tmp_path))
    open_at(None, XDG_STATE_HOME=str(tmp_path)).close()


def test_what_a_default_file_holds_that_cannot_be_written_is_read(tmp_path: Path, warnings: Warnings) -> None:
    with closing(open_at(None, XDG_STATE_HOME=str(tmp_path))) as store:
        store.put("a", b"1")
        path = Path(store.where.removeprefix("sqlite:"))
    lock = Path(f"{path}.lock")
    lock.unlink()
    lock.mkdir()
    store = open_at(None, XDG_STATE_HOME=str(tmp_path))
    assert f"{path} cannot be used: Is a directory" in store.fault
    assert len(warnings()) == 1
    assert store.get("a") == ("a", b"1", 1)
    assert store.list("") == ((("a", b"1", 1),), 1)
    with pytest.raises(ServiceUnavailable, match="nothing can be stored"):
        store.put("a", b"2")
    assert store.list("").revision == 1


def test_an_unavailable_store_has_nothing_and_takes_nothing() -> None:
    store: Store = UnavailableStore("the disk is gone")
    assert store.get("a") is None
    assert store.list("") == ((), 0)
    assert not store.is_shared
    for act in (
        lambda: store.put("a", b""),
        lambda: store.delete("a"),
        lambda: store.transact([Put("a", b"")]),
        lambda: store.renew("a", 1),
    ):
        with pytest.raises(
            ServiceUnavailable, match="nothing can be stored: the disk is gone; name another .* --store"
        ):
            act()
    store.close()


def test_a_watch_of_an_unavailable_store_waits_until_it_is_closed() -> None:
    watch = UnavailableStore("x").watch("", 0)
    assert watch.next(0.01) == []
    thread = threading.Thread(target=watch.next, args=(60,))
    thread.start()
    watch.close()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_not_used_is_not_imported() -> None:
    program = "import sys; from lmcache_frontend.store.opening import open_store; "
    program += "open_store('memory:', port=1, environment={}); print({'sqlite3', 'http.client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert done.stdout == "set()\n"
