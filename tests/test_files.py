# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from lmcache_frontend.errors import BadRequest
from lmcache_frontend.files import read_text, stamp_of


def test_text_is_read_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + "ü".encode())
        assert read_text(path, limit_bytes=10) == "ü"


@pytest.mark.parametrize(("content", "said"), [(b"x" * 11, "over 10 bytes"), (b"ab\xff", r"not UTF-8 text \(byte 2\)")])
def test_what_is_no_text_or_too_much_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match=said):
        read_text(path, limit_bytes=10)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="not a file"):
        read_text(tmp_path, limit_bytes=10)
    with pytest.raises(BadRequest, match="cannot be read: No such file"):
        read_text(tmp_path / "none", limit_bytes=10)


def test_a_stamp_tells_one_file_from_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert stamp_of(path) is None
    path.write_text("a")
    first = stamp_of(path)
    assert first == stamp_of(path)
    other = tmp_path / "other"
    other.write_text("a")
    other.replace(path)
    assert stamp_of(path) != first
