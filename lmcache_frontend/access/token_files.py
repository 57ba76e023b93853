# SPDX-License-Identifier: Apache-2.0
"""Where tokens come from: files, a variable, or one of our own making, which is kept beside the state.

The one module of this folder that opens files. What a token file looks like is the business of `tokens`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from binascii import b2a_base64
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lmcache_frontend.access.rules import Role
from lmcache_frontend.access.tokens import LONGEST, Token, Tokens, make_token, parse_tokens
from lmcache_frontend.errors import BadRequest, StartError
from lmcache_frontend.files import read_text
from lmcache_frontend.settings import Settings
from lmcache_frontend.store.opening import default_path

logger = logging.getLogger(__name__)

FILE_LIMIT_BYTES = 1024 * 1024
MADE_NAME = "token made at the start"
_RANDOM_BYTES = 32


class Origins(NamedTuple):
    """Where tokens are to be had; None for what is not there.

    ``variable`` is the name and the value of the environment's; ``made`` is the path of the file that one of our own
    making is kept in, for where no other makes an operator.
    """

    operators: str | None = None
    viewers: str | None = None
    variable: tuple[str, str] | None = None
    made: str | None = None


class TokenFiles:
    """Reads all tokens, as often as asked."""

    def __init__(self, origins: Origins) -> None:
        """Take where they are; nothing is opened yet."""
        self._origins = origins
        # The token that was made, to be shown to who starts the service; and why it could not be kept.
        self.made = ""
        self.fault = ""

    @property
    def made_path(self) -> str:
        """Give the file of the token that is of our own making, empty where there is none."""
        return self._origins.made or ""

    def load(self) -> Tokens:
        """Read them.

        Raises: StartError, naming the file and the line, never with a token in it.
        """
        origins = self._origins
        tokens: list[Token] = []
        if origins.variable is not None:
            name, text = origins.variable
            try:
                tokens.append(make_token(text.strip(), name, Role.OPERATOR))
            except BadRequest as exc:
                raise StartError(f"{name}: {exc}") from exc
        for path, flag, role in (
            (origins.operators, "--token-file", Role.OPERATOR),
            (origins.viewers, "--viewer-token-file", Role.VIEWER),
        ):
            if path is not None:
                tokens += _read(Path(path), flag, role)
        if origins.made is not None:
            tokens.append(make_token(self._make(origins.made), MADE_NAME, Role.OPERATOR))
        return Tokens(tokens)

    def _make(self, path: str) -> str:
        """Give the token in our own file; a file that was deleted asks for another token."""
        text = _kept_token(path)
        if not text:
            text = self.made if self.fault else _random_text()
            try:
                _write(path, text)
                self.fault = ""
            except OSError as exc:
                self.fault = f"{path} cannot be written: {exc.strerror}"
                logger.warning("the token made at this start is kept nowhere: %s", self.fault)
        self.made = text
        return text


def origins_of(
    settings: Settings, variable: tuple[str, str] | None, environment: Mapping[str, str], *, makes_token: bool = True
) -> Origins:
    """Say where the tokens of a service come from; ``settings`` hold the port that it listens on.

    One is made where operators could come from elsewhere and none of theirs is configured.
    """
    if settings.token_file or variable or not makes_token or settings.anonymous == "operator":
        is_due = False
    else:
        is_due = not is_loopback(settings.host) and (not settings.read_only or settings.anonymous == "none")
    state_path = default_path(settings.port, environment)
    made = f"{state_path.removesuffix('.db')}.token" if is_due and state_path else None
    return Origins(settings.token_file, settings.viewer_token_file, variable, made)


def is_loopback(host: str) -> bool:
    """Say whether an address to listen on can be reached from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _random_text() -> str:
    text = b2a_base64(os.urandom(_RANDOM_BYTES), newline=False).decode("ascii")
    return text.rstrip("=").replace("+", "-").replace("/", "_")


def _read(path: Path, flag: str, role: Role) -> list[Token]:
    try:
        tokens = parse_tokens(read_text(path, limit_bytes=FILE_LIMIT_BYTES), role)
    except BadRequest as exc:
        raise StartError(f"{flag} {path}: {exc}") from exc
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            logger.warning("%s %s can be read by other users of this machine: chmod 600 is due", flag, path)
    return tokens


def _kept_token(path: str) -> str:
    """Give the token that was kept; empty where there is none, or where others could have read or written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        status = os.fstat(descriptor)
        is_ours = status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077
        if not stat.S_ISREG(status.st_mode) or not is_ours:
            return ""
        text = os.read(descriptor, LONGEST).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    try:
        make_token(text, MADE_NAME, Role.OPERATOR)
    except BadRequest:
        return ""
    return text


def _write(path: str, text: str) -> None:
    """Put a token into a file that nobody else can read, whole or not at all.

    Raises: OSError.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    new_path = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new_path)
    descriptor = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.replace(new_path, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new_path)
        raise
