# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from lmcache_frontend.errors import UsageError
from tools import files
from tools.files import WriteFailed, read_text, write_atomically


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_asked_for_or_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(str(tmp_path / "open"), b"x")
        write_atomically(str(tmp_path / "closed"), b"y", new_mode=0o600)
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "open"), mode_of(tmp_path / "closed")) == (0o640, 0o600)
    assert (tmp_path / "closed").read_bytes() == b"y"


def test_a_file_that_is_there_keeps_its_mode_and_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o604)
    with path.open() as still_open:
        write_atomically(str(path), b"new", new_mode=0o600)
        assert still_open.read() == "old"
    assert path.read_text() == "new"
    assert mode_of(path) == 0o604
    assert os.listdir(tmp_path) == ["f"]


def test_a_symbolic_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    write_atomically(str(tmp_path / "link"), b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"x"


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteFailed, match="No space left on device"):
        write_atomically(str(path), b"new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WriteFailed, match=r"none/f: No such file"):
        write_atomically(str(tmp_path / "none" / "f"), b"x")


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    write_atomically("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    reading, writing = os.pipe()
    try:
        write_atomically(f"/proc/self/fd/{writing}", b"piped")
        assert os.read(reading, 10) == b"piped"
    finally:
        os.close(reading)
        os.close(writing)


def test_text_is_read_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9\n")
    assert read_text(str(path), "--config") == "a: é\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b: 2")))
    assert read_text("-", "FILE") == "b: 2"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "--config: cannot read .*: No such file"), (b"a\xff", "--config: .* is not UTF-8 text: .* at byte 1")],
)
def test_unreadable_text_is_a_usage_error(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_text(str(tmp_path / "f"), "--config")


def test_a_text_past_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILE_LIMIT_BYTES", 3)
    (tmp_path / "f").write_bytes(b"1234")
    with pytest.raises(UsageError, match="larger than 3 bytes"):
        read_text(str(tmp_path / "f"), "--config")
