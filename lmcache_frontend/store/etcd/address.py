# SPDX-License-Identifier: Apache-2.0
"""Read the address of an etcd cluster: ``etcd://[user:password@]host:port,host:port/prefix``. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from lmcache_frontend.errors import UsageError

SCHEME = "etcd://"
DEFAULT_PORT = 2379
DEFAULT_PREFIX = "/lmcache-frontend/"
_match_endpoint = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?").fullmatch
_match_harmless = re.compile("[^:]*(:[0-9]{1,5})?").fullmatch


class Address(NamedTuple):
    """Members as ``(host, port)``, what every key starts with, and who asks, empty for nobody in particular."""

    endpoints: tuple[tuple[str, int], ...]
    prefix: str
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """The address without the password."""
        members = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.endpoints)
        return f"{SCHEME}{members}{self.prefix.rstrip('/')}"

    def __repr__(self) -> str:
        return self.shown


def read_address(text: str) -> Address:
    """Read an address; the port is 2379 and the prefix ``/lmcache-frontend`` where there is none.

    Raises: UsageError, whose message never holds the password.
    """
    if not text.startswith(SCHEME):
        raise UsageError("--store: expected etcd://HOST:PORT,HOST:PORT/PREFIX")
    authority, slash, path = text[len(SCHEME) :].partition("/")
    credentials, at, members = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    if at and not (user and colon):
        raise UsageError("--store: expected user:password before the @ of an etcd address")
    if any(sign in members + path for sign in "?#"):
        raise UsageError("--store: an etcd address ends with its prefix, expected no ? or # in it")
    endpoints = tuple(_read_endpoint(member) for member in members.split(","))
    prefix = f"/{unquote(path).strip('/')}/" if slash and path.strip("/") else DEFAULT_PREFIX
    return Address(endpoints, prefix, unquote(user), unquote(password))


def _read_endpoint(text: str) -> tuple[str, int]:
    match = _match_endpoint(text)
    port = int(match[2] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise UsageError(f"--store: {_shown(text)!a} is no member of an etcd cluster, expected HOST:PORT")
    return match[1].strip("[]"), port


def _shown(text: str) -> str:
    """Give a member as it can be shown: what is no port may be a password, cut off at a slash within it."""
    return text[:60] if _match_harmless(text) else f"{text.partition(':')[0][:60]}:..."
