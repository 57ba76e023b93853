# SPDX-License-Identifier: Apache-2.0
"""Which frontend a tool talks to, and with which token: flags, then variables, then the context in use."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from contextlib import suppress

from lmcache_frontend.access.tokens import split_line
from lmcache_frontend.errors import UsageError

from .contexts import Context, contexts_path, read_contexts
from .exchange import Wire, read_url
from .files import read_text
from .frontend_client import FrontendClient

DEFAULT_SERVER = "http://localhost:8000"
# A Kubernetes Service gives every pod beside it variables in the form of Docker's links; they are no settings.
_SERVICE_LINKS = ("tcp://", "udp://", "sctp://")
_LONGEST_TIMEOUT_S = 86_400.0


def add_connection_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--server``, ``--token-file``, ``--ask-token``, ``--timeout`` and ``--ca``."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--server",
        metavar="URL",
        help=f"the frontend; else LMCACHE_FRONTEND_URL, the context in use, {DEFAULT_SERVER}",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="send the token in this file; else LMCACHE_FRONTEND_TOKEN_FILE, LMCACHE_FRONTEND_TOKEN, the context's",
    )
    group.add_argument("--ask-token", action="store_true", help="ask for the token, on a terminal")
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="default: 10")
    group.add_argument("--ca", metavar="FILE", help="trust the certificates in this file instead of the system's")


def seconds(text: str) -> float:
    """Read a time-out for argparse: more than 0, at most a day."""
    with suppress(ValueError):
        if 0 < float(text) <= _LONGEST_TIMEOUT_S:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")


def client_of(options: argparse.Namespace, environment: Mapping[str, str]) -> FrontendClient:
    """Make the client that the flags of `add_connection_options` and the environment ask for.

    Raises: UsageError.
    """
    server, context = _server(options, environment)
    base = read_url(server, "--server" if options.server else "the frontend's address")
    if base.query:
        raise UsageError(f"--server: expected an address without a query, got {base.shown}")
    return FrontendClient(base, _token(options, environment, context), Wire(options.timeout, options.ca))


def _server(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, Context | None]:
    """Give the address, and the context that it is from: a context's token goes to no other address."""
    if options.server:
        return options.server, None
    if environment.get("LMCACHE_FRONTEND_URL"):
        return environment["LMCACHE_FRONTEND_URL"], None
    context = read_contexts(contexts_path(environment)).in_use
    return (DEFAULT_SERVER, None) if context is None else (context.server, context)


def _token(options: argparse.Namespace, environment: Mapping[str, str], context: Context | None) -> str | None:
    if options.ask_token:
        return _checked(_asked(), "the token")
    path = options.token_file
    if path is None and context is not None:
        path = context.token_file
    path = path or environment.get("LMCACHE_FRONTEND_TOKEN_FILE")
    if path and not path.startswith(_SERVICE_LINKS):
        lines = [line.strip() for line in read_text(path, "--token-file").splitlines()]
        first = next((line for line in lines if line and not line.startswith("#")), "")
        if not first:
            raise UsageError(f"--token-file: there is no token in {path}")
        # The frontend's own file of tokens will do: there a name may stand before each.
        named = split_line(first)
        return _checked(named[1] if named else first, path)
    token = environment.get("LMCACHE_FRONTEND_TOKEN", "").strip()
    return _checked(token, "LMCACHE_FRONTEND_TOKEN") if token and not token.startswith(_SERVICE_LINKS) else None


def _asked() -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--ask-token: there is no terminal to ask on")
    import getpass

    try:
        return getpass.getpass("Token: ", stream=sys.stderr).strip()
    except EOFError:
        raise UsageError("--ask-token: no token was given") from None


def _checked(token: str, where: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(f"{where}: a token has visible ASCII characters only")
    return token
