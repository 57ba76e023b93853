# SPDX-License-Identifier: Apache-2.0
"""How a node's entry says what is spoken with it: ``scheme``, ``tls`` and ``token_file``. Pure: no file is opened here.

Entries that come over HTTP may not name files of this machine: whoever may add a node could else have us send what is
in them to a place of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lmcache_frontend.cluster.model import Source
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import TlsOptions

_TLS_FILES = ("ca", "cert", "key")
_TLS_MEMBERS = ("verify", "server_name", *_TLS_FILES)
_PATH_LIMIT = 4096
_NAME_LIMIT = 253


class Security(NamedTuple):
    """What is spoken with a node; ``shown`` is what of the entry's fields may be seen by everybody."""

    tls: TlsOptions | None
    token_file: str
    shown: dict[str, Any]


def read_security(entry: dict[str, Any], host: str, source: Source, *, is_socket: bool) -> Security:
    """Read these fields of an entry for a node at ``host``.

    Raises: BadRequest.
    """
    if source is Source.PROXY:
        # Another frontend's nodes are its business; what its entry names are files of its own machine.
        return Security(None, "", {"scheme": entry["scheme"]} if isinstance(entry.get("scheme"), str) else {})
    scheme = entry.get("scheme", "http")
    if scheme not in ("http", "https"):
        raise BadRequest(f"scheme is {ascii(scheme)[:60]}, expected 'http' or 'https'")
    shown: dict[str, Any] = {"scheme": scheme} if "scheme" in entry else {}
    token_file = _path(entry, "token_file", source)
    if scheme == "http":
        if "tls" in entry:
            raise BadRequest("tls is given, but scheme is not 'https'")
        return Security(None, token_file, shown)
    if is_socket:
        raise BadRequest("scheme is 'https', which is not spoken over Unix sockets")
    options = _read_tls(entry.get("tls", {}), host, source)
    if "tls" in entry:
        shown["tls"] = {key: value for key, value in entry["tls"].items() if key not in _TLS_FILES}
    return Security(options, token_file, shown)


def _read_tls(tls: Any, host: str, source: Source) -> TlsOptions:
    if not isinstance(tls, dict):
        raise BadRequest("tls is no object, expected one with " + ", ".join(_TLS_MEMBERS))
    for name in tls:
        if name not in _TLS_MEMBERS:
            raise BadRequest(f"tls has the unknown member {ascii(name)[:60]}, expected {', '.join(_TLS_MEMBERS)}")
    verify = tls.get("verify", True)
    if not isinstance(verify, bool):
        raise BadRequest("verify in tls is neither true nor false")
    server_name = tls.get("server_name", host.partition("%")[0].removesuffix("."))
    if not isinstance(server_name, str) or not 0 < len(server_name) <= _NAME_LIMIT or not server_name.isprintable():
        raise BadRequest("server_name in tls is no name, expected the one that the node's certificate has")
    ca, certificate, key = (_path(tls, name, source) for name in _TLS_FILES)
    if key and not certificate:
        raise BadRequest("tls has a key without cert, expected the certificate that the key is of")
    if ca and not verify:
        raise BadRequest("tls has ca, which is of no use where verify is false")
    return TlsOptions(server_name, verify, ca, certificate, key)


def _path(fields: dict[str, Any], name: str, source: Source) -> str:
    path = fields.get(name, "")
    if path == "" and name not in fields:
        return ""
    if source not in (Source.FILE, Source.FLAG):
        raise BadRequest(f"{name} names a file of this machine, which only --nodes and the file of --config may")
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path or len(path) > _PATH_LIMIT:
        raise BadRequest(f"{name} is {ascii(path)[:60]}, expected the absolute path of a file")
    return path
