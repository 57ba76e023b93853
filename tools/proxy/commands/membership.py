# SPDX-License-Identifier: Apache-2.0
"""``add``, ``edit``, ``remove`` and ``refresh``: the frontend's list of nodes and proxies."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lmcache_frontend.cluster.model import LOCAL_PROXY
from lmcache_frontend.errors import Conflict, FrontendError, NotFound, UsageError

from ...command_line import Example
from ..acting import confirm
from ..frame import DONE, FAILURE, UNHEALTHY, Command, CommandContext
from ..output import Field, Listing, show
from ..reading import node_path

# What the server adds to entries when it shows them.
_SHOWN_ONLY = ("id", "children", "is_proxy")
_match_address = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/]*)):(?P<port>\d{1,5})").fullmatch
_NODE_FIELDS = (Field("name"), Field("host"), Field("port"))


def run_add(options: argparse.Namespace, context: CommandContext) -> int:
    """Add a node, or with ``--is-proxy`` a frontend with nodes behind it."""
    if options.is_proxy and options.proxy:
        raise UsageError("--proxy and --is-proxy exclude each other: a proxy is behind no other here")
    entry = {"name": options.name, **_address(options.address), "is_proxy": options.is_proxy}
    if options.proxy:
        entry["proxy_id"] = options.proxy
    _apply_extras(entry, options)
    answer = context.client.send("POST", "/api/nodes", entry)
    context.console.note(f"{options.name}: {answer['message']}")
    return DONE


def run_edit(options: argparse.Namespace, context: CommandContext) -> int:
    """Change what is named of an entry, and keep the rest."""
    name, entry = _find(context, options.name)
    is_proxy = bool(entry.get("is_proxy"))
    changed = {key: value for key, value in entry.items() if key not in _SHOWN_ONLY}
    changed["is_proxy"] = is_proxy
    if options.new_name:
        changed["name"] = options.new_name
    if options.address:
        changed.update(_address(options.address))
    if options.proxy:
        changed["proxy_id"] = options.proxy
    _apply_extras(changed, options)
    for label in options.remove_label:
        changed.get("labels", {}).pop(label, None)
    if changed == {**{key: value for key, value in entry.items() if key not in _SHOWN_ONLY}, "is_proxy": is_proxy}:
        raise UsageError("nothing is to be changed: name --address, --name, --proxy or --label")
    answer = context.client.send("PUT", node_path(name), changed)
    context.console.note(f"{name}: {answer['message']}")
    return DONE


def run_remove(options: argparse.Namespace, context: CommandContext) -> int:
    """Ask, and remove entries; the nodes themselves run on."""
    found = [_find(context, name) for name in options.names]
    behind = sum(len(entry.get("children", ())) for _, entry in found)
    also = f" and the {behind} nodes behind" if behind else ""
    confirm(context, f"Remove {', '.join(name for name, _ in found)}{also} from the frontend's list?")
    failures = 0
    for name, _ in found:
        try:
            answer = context.client.send("DELETE", node_path(name))
            context.console.note(f"{name}: {answer['message']}")
        except FrontendError as exc:
            if len(found) == 1:
                raise
            context.console.warn(f"{name}: {exc}")
            failures += 1
    if not failures:
        return DONE
    return FAILURE if failures == len(found) else UNHEALTHY


def run_refresh(options: argparse.Namespace, context: CommandContext) -> int:
    """Ask a proxy for its nodes."""
    nodes = context.client.send("POST", f"/api/proxies/{quote(options.proxy, safe='')}/refresh")["nodes"]
    show(context, Listing(_NODE_FIELDS, nodes, empty=f"{options.proxy} has no nodes"))
    return DONE


def _address(text: str) -> dict[str, Any]:
    """Read ``HOST:PORT`` or the path of a socket as an entry has it.

    Raises: UsageError.
    """
    if text.startswith("/"):
        return {"host": "localhost", "port": text}
    match = _match_address(text)
    if match is None:
        raise UsageError(f"expected HOST:PORT or the absolute path of a socket, got {text!r}")
    return {"host": match["six"] or match["host"] or "127.0.0.1", "port": int(match["port"])}


def _apply_extras(entry: dict[str, Any], options: argparse.Namespace) -> None:
    labels = dict(entry.get("labels", {}))
    for text in options.label:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"--label: expected KEY=VALUE, got {text!r}")
        labels[key] = value
    if labels:
        entry["labels"] = labels


def _find(context: CommandContext, name: str) -> tuple[str, Mapping[str, Any]]:
    """Find an entry by its name or full name; give the name that stands for it alone.

    Raises: NotFound.
    """
    tree = context.client.get("/api/nodes")["nodes"]
    for proxy in tree:
        if proxy["name"] == name and name != LOCAL_PROXY:
            return name, proxy
    children = [child for proxy in tree for child in proxy.get("children", ())]
    matching = [child for child in children if name in (_key(child), child["name"])]
    exact = [child for child in matching if _key(child) == name] or matching
    if len(exact) != 1:
        if exact:
            raise Conflict(f"{name!r} is the name of several nodes: {', '.join(map(_full, exact))}")
        raise NotFound(f"no node or proxy is called {name!r}")
    return _key(exact[0]), exact[0]


def _key(child: Mapping[str, Any]) -> str:
    proxy = child.get("proxy_id", LOCAL_PROXY)
    return str(child["name"]) if proxy == LOCAL_PROXY else f"{proxy}/{child['name']}"


def _full(child: Mapping[str, Any]) -> str:
    return f"{child.get('proxy_id', LOCAL_PROXY)}/{child['name']}"


def _add_extras(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label", metavar="KEY=VALUE", action="append", default=[], help="a label to find it by; repeatable"
    )


def _configure_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is to be called")
    parser.add_argument("address", metavar="ADDRESS", help="HOST:PORT or the absolute path of a socket")
    parser.add_argument("--is-proxy", action="store_true", help="it is a frontend with nodes behind it")
    parser.add_argument("--proxy", metavar="NAME", help="it is behind this proxy")
    _add_extras(parser)


def _configure_edit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it is called")
    parser.add_argument("--name", dest="new_name", metavar="NEW", help="what it is to be called")
    parser.add_argument("--address", metavar="ADDRESS", help="HOST:PORT or the absolute path of a socket")
    parser.add_argument("--proxy", metavar="NAME", help="the proxy that it is behind")
    _add_extras(parser)
    parser.add_argument("--remove-label", metavar="KEY", action="append", default=[], help="drop a label; repeatable")


def _configure_remove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="what they are called")
    parser.add_argument("-y", "--yes", action="store_true", help="do it without asking")


def _configure_refresh(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("proxy", metavar="PROXY", help="the name of a proxy; nodes --proxies lists them")


def _examples(*pairs: Sequence[str]) -> tuple[Example, ...]:
    return tuple(Example(f"lmcache-proxy {command}", meaning) for command, meaning in pairs)


COMMANDS = {
    "add": Command(
        "NAME ADDRESS",
        run_add,
        _examples(
            ("add worker-9 10.0.0.9:7000 --label zone=b", "a node by its address"),
            ("add mp-0 /run/lmcache/http_8080", "a node by its socket"),
            ("add rack-2 rack-2.internal:8000 --is-proxy", "another frontend, with its nodes"),
        ),
        _configure_add,
        formats=(),
    ),
    "edit": Command(
        "NAME",
        run_edit,
        _examples(("edit worker-9 --address 10.0.0.19:7000 --label zone=c", "what is not named stays")),
        _configure_edit,
        formats=(),
    ),
    "remove": Command(
        "NAME ...",
        run_remove,
        _examples(("remove worker-9 --yes", "take it off the list; the node itself runs on")),
        _configure_remove,
        formats=(),
    ),
    "refresh": Command(
        "PROXY", run_refresh, _examples(("refresh rack-2", "what is behind it now")), _configure_refresh
    ),
}
