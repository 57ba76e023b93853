# SPDX-License-Identifier: Apache-2.0
"""``request`` and its short forms: any request to a node, its body and the answer's passed on as they come.

On several nodes it is an action of the frontend's, with an outcome for each.
"""

from __future__ import annotations

import argparse
import re
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from lmcache_frontend.cluster.adapters.answers import Heard, error_words
from lmcache_frontend.errors import BadGateway, UsageError

from ...command_line import Example
from ...exchange import Incoming
from ...frontend_client import FrontendClient
from ..acting import Change, act, add_action_options, confirm
from ..frame import CONFLICT, DONE, FAILURE, NOT_ALLOWED, UNREACHABLE, Command, CommandContext, Needs
from ..selection import select
from .bodies import Body, body_of_data, body_of_form
from .saving import Sink, sink_to

PIECE_BYTES = 64 * 1024
READING_METHODS = ("GET", "HEAD", "OPTIONS")
# All that RFC 3986 allows in a path and a query, and escapes that are there already.
_SAFE_IN_TARGET = "/:@!$&'()*+,;=~-._%?"
_match_field = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)").fullmatch
_STATUSES = {401: NOT_ALLOWED, 403: NOT_ALLOWED, 409: CONFLICT, 502: UNREACHABLE, 504: UNREACHABLE}
_FRONTENDS_OWN = (401, 403, 502, 504)
_WITHOUT_BODY = (204, 304)


class Message(NamedTuple):
    """What is sent to a node."""

    method: str
    target: str
    fields: dict[str, str]
    body: Body | None


def run(method: str | None, options: argparse.Namespace, context: CommandContext) -> int:
    """Send a request to one node and pass its answer on; send it to several and say what came of it."""
    words = list(options.words)
    if method is None:
        if not words:
            raise UsageError("expected METHOD NODE PATH")
        method = words.pop(0).upper()
    if not re.fullmatch(r"[A-Z]{1,20}", method):
        raise UsageError(f"{method!r} is no method, expected GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS")
    selection = select(context, words)
    if len(selection.words) != 1:
        raise UsageError("expected the PATH that is asked for" + (" alone" if selection.words else ""))
    message = _message(method, selection.words[0], options)
    if selection.is_plural or options.dry_run:
        if method not in READING_METHODS:
            confirm(context, f"Send {method} {message.target} to {selection.names}?")
        return act(context, selection, Change("request", _arguments(message)))
    client, prefix = channel(context, selection.nodes[0].name)
    if options.node_timeout is not None:
        client = client._replace(wire=client.wire._replace(timeout_s=options.node_timeout))
    return pass_on(context, client, message._replace(target=prefix + message.target), fails=options.fail)


def channel(context: CommandContext, name: str) -> tuple[FrontendClient, str]:
    """Give what speaks HTTP with a node, and what goes in front of the paths there."""
    if context.direct is not None:
        return context.direct.client, ""
    return context.client, f"/proxy2/{quote(name, safe='')}"


def pass_on(context: CommandContext, client: FrontendClient, message: Message, *, fails: bool = False) -> int:
    """Send a message and write the answer to where results go, as it comes; give the exit status.

    With ``fails`` an answer of 400 and above is not written, and its status becomes the exit status. So it is always
    where it comes from a frontend in place of the node, which knows nothing of permissions and gateways.
    """
    body = None if message.body is None else message.body.pieces()
    options = context.options
    with client.stream(message.method, message.target, body, fields=message.fields, any_status=True) as incoming:
        is_frontends = context.direct is None and _is_frontends(incoming)
        if is_frontends or (fails and incoming.status >= 400):
            heard = Heard(incoming.status, incoming.read(4000).decode("utf-8", "replace"))
            context.console.warn(f"answered {incoming.status} {incoming.reason}: {error_words(heard)}".rstrip(": "))
            return _STATUSES.get(incoming.status, FAILURE)
        with sink_to(options.output, context.console.out) as sink:
            if getattr(options, "include", False):
                sink(_head(incoming))
            ends_line = _copy(incoming, message.method, sink)
            if not ends_line and context.console.out.interactive and options.output is None:
                sink(b"\n")
        context.console.detail(f"{message.method} {message.target}: {incoming.status} {incoming.reason}")
    return DONE


def _is_frontends(incoming: Incoming) -> bool:
    """Say whether a refusal is a frontend's in place of the node: it marks all that it passes on as sandboxed."""
    if incoming.status in _FRONTENDS_OWN:
        # It may as well be that of a frontend behind this one, whose answers are passed on.
        return True
    return incoming.status >= 400 and "sandbox" not in incoming.fields.get("Content-Security-Policy", "")


def _copy(incoming: Incoming, method: str, sink: Sink) -> bool:
    """Write the body as it comes, and say whether it ends a line.

    Raises: BadGateway where it ends before its length.
    """
    total, last = 0, b"\n"
    while piece := incoming.read_some(PIECE_BYTES):
        total += len(piece)
        sink(piece)
        last = piece[-1:]
    told = incoming.fields.get("Content-Length", "")
    has_body = method != "HEAD" and incoming.status not in _WITHOUT_BODY
    if has_body and told.isdigit() and "Transfer-Encoding" not in incoming.fields and total < int(told):
        raise BadGateway(f"the answer broke off after {total} of {told} bytes")
    return last == b"\n"


def _head(incoming: Incoming) -> bytes:
    lines = [f"HTTP/1.1 {incoming.status} {incoming.reason}".rstrip()]
    lines += [f"{name}: {value}" for name, value in incoming.fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _message(method: str, path: str, options: argparse.Namespace) -> Message:
    if options.data is not None and options.form:
        raise UsageError("-d and -F exclude each other")
    body = None
    if options.data is not None:
        body = body_of_data(options.data)
    elif options.form:
        body = body_of_form(options.form)
    fields = {"Accept": "*/*"}
    if body is not None:
        fields.update({"Content-Type": body.content_type, "Content-Length": str(body.size_bytes)})
    elif method in ("POST", "PUT", "PATCH"):
        fields["Content-Length"] = "0"
    given: dict[str, str] = {}
    for name, value in map(_field, options.header):
        # A field that is given twice is one with both values (RFC 9110, section 5.3).
        given[name] = f"{given[name]}, {value}" if name in given else value
    target = quote(path if path.startswith("/") else f"/{path}", safe=_SAFE_IN_TARGET)
    return Message(method, target, {**fields, **given}, body)


def _field(text: str) -> tuple[str, str]:
    match = _match_field(text)
    if match is None:
        raise UsageError(f"-H: expected 'NAME: VALUE', got {text!r}")
    return "-".join(part.capitalize() for part in match[1].split("-")), match[2]


def _arguments(message: Message) -> dict[str, Any]:
    """Give the arguments of the action ``request``, whose body is a text."""
    fields = {name: value for name, value in message.fields.items() if name not in ("Content-Length", "Accept")}
    try:
        text = None if message.body is None else message.body.read().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise UsageError("a body that is no UTF-8 text can be sent to one node only") from exc
    return {"method": message.method, "path": message.target, "headers": fields, "body": text}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d", "--data", metavar="DATA", help="the body: the text itself, @FILE, or @- for standard input"
    )
    parser.add_argument(
        "-F",
        "--form",
        metavar="FIELD",
        action="append",
        default=[],
        help="a form's NAME=TEXT or NAME=@FILE; repeatable",
    )
    parser.add_argument(
        "-H", "--header", metavar="'K: V'", action="append", default=[], help="a field of the head; repeatable"
    )
    parser.add_argument("-i", "--include", action="store_true", help="show the answer's head too")
    parser.add_argument("-o", dest="output", metavar="FILE", help="the same as --output")
    parser.add_argument(
        "-f", "--fail", action="store_true", help="fail, and show no body, at a status of 400 and above"
    )
    add_action_options(parser)


def _command(method: str | None, arguments: str, *examples: Example) -> Command:
    return Command(arguments, partial(run, method), examples, _configure, needs=Needs.NODES)


COMMANDS = {
    "request": _command(
        None,
        "METHOD NODE PATH",
        Example("lmcache-proxy request PUT worker-0 '/bypass/add?backend_name=RemoteBackend' --fail", "any request"),
        Example("lmcache-proxy request GET --direct :7000 /threads -o threads.txt", "a node without a frontend"),
    ),
    "get": _command(
        "GET",
        "NODE PATH",
        Example("lmcache-proxy get worker-0 '/conf?names=chunk_size'", "what a node answers, as it answers it"),
        Example("lmcache-proxy get worker-0 /metrics -o metrics.txt --fail", "a large answer, into a file"),
    ),
    "post": _command(
        "POST",
        "NODE PATH",
        Example("""lmcache-proxy post worker-0 /conf -d '{"blocking_timeout_secs": 20}'""", "a JSON document"),
        Example("lmcache-proxy post worker-0 /run_script -F script=@probe.py", "a form with a file"),
    ),
    "put": _command("PUT", "NODE PATH", Example("lmcache-proxy put worker-0 /freeze/enable -i", "with the head shown")),
    "delete": _command(
        "DELETE",
        "NODE PATH",
        Example("lmcache-proxy delete worker-0 /backends/RemoteBackend --fail", "fail where the node refuses"),
    ),
}
