# SPDX-License-Identifier: Apache-2.0
"""Read node entries as people and peers write them, and write them back. Pure.

Two forms: a flat list ``[{"name", "host", "port"}]`` of our own nodes, and a list of proxies, each with ``"nodes"``.
A bad entry is refused by name, the good ones beside it load.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from typing import Any, NamedTuple

from lmcache_frontend.cluster.model import LOCAL_PROXY, Cluster, Node, Proxy, Source
from lmcache_frontend.errors import BadRequest
from lmcache_frontend.http1.client import Endpoint

NAME_LIMIT = 255
SOCKET_PATH_LIMIT_BYTES = 107
EXTRA_DEPTH_LIMIT = 32
_OWN_FIELDS = frozenset({"name", "host", "port", "labels", "nodes", "id", "is_proxy", "proxy_id", "children"})
_SECURITY_FIELDS = frozenset({"scheme", "tls", "token_file"})
_has_control = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search
_match_host = re.compile(r"[A-Za-z0-9._:%-]{1,253}").fullmatch
_HUGE = 10**18
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Listing(NamedTuple):
    """What a list of entries comes to: ``{proxy_name: Proxy}``, and a line for each entry that was refused."""

    proxies: dict[str, Proxy]
    faults: list[str]


def read_listing(document: Any, source: Source) -> Listing:
    """Read a flat list or a list of proxies.

    Raises: BadRequest where the document is no list of entries at all.
    """
    if not isinstance(document, list):
        raise BadRequest(f"expected a list of nodes or of proxies, got {_kind(document)}")
    is_tree = any(isinstance(entry, dict) and "nodes" in entry for entry in document)
    faults: list[str] = []
    if not is_tree:
        nodes = _read_nodes(document, LOCAL_PROXY, source, faults)
        return Listing({LOCAL_PROXY: Proxy(LOCAL_PROXY, None, nodes)}, faults)
    proxies: dict[str, Proxy] = {}
    for position, entry in enumerate(document, 1):
        try:
            proxy = read_proxy(entry, source, faults)
        except BadRequest as exc:
            faults.append(f"{_label(entry, position)}: {exc}")
            continue
        if proxy.name in proxies:
            faults.append(f"{_label(entry, position)}: the name is taken by an earlier entry")
        else:
            proxies[proxy.name] = proxy
    return Listing(proxies, faults)


def read_proxy(entry: Any, source: Source, faults: list[str]) -> Proxy:
    """Read a proxy's entry; refused nodes within it are added to ``faults``.

    Raises: BadRequest.
    """
    name = _read_name(entry)
    if "/" in name:
        raise BadRequest("the name of a proxy holds a slash, which parts proxy and node in full names")
    nodes = entry.get("nodes")
    if nodes is None:
        nodes = []
    if not isinstance(nodes, list):
        raise BadRequest(f"nodes is {_kind(nodes)}, expected a list")
    refused: list[str] = []
    children = _read_nodes(nodes, name, source, refused)
    faults.extend(f"{_shown(name)}, {line}" for line in refused)
    if name == LOCAL_PROXY:
        return Proxy(name, None, children)
    return Proxy(name, read_node(entry, LOCAL_PROXY, source), children)


def read_node(entry: Any, proxy: str, source: Source) -> Node:
    """Read a node's entry.

    Raises: BadRequest, saying which field is wrong, what was got and what was expected.
    """
    name = _read_name(entry)
    port = _read_port(entry)
    host = _read_host(entry, required=isinstance(port, int) or not port.startswith("/"))
    if isinstance(port, str) and port.startswith("/"):
        endpoint = Endpoint(port, 0)
    else:
        bare = host.strip("[]")
        endpoint = Endpoint(_WILDCARDS.get(bare, bare), int(port))
    extra = _read_extra(entry)
    if not _SECURITY_FIELDS.isdisjoint(entry):
        from lmcache_frontend.cluster.node_security import read_security

        security = read_security(entry, endpoint.host, source, is_socket=not endpoint.port)
        endpoint = endpoint._replace(tls=security.tls, token_file=security.token_file)
        extra |= security.shown
    return Node(name, host, port, endpoint, source, proxy, _read_labels(entry), extra)


def write_node(node: Node, *, hides: bool = False) -> dict[str, Any]:
    """Give a node's entry as it was configured, without the names of files of this machine.

    With ``hides``, secrets in fields that are none of ours are masked.
    """
    extra = node.extra
    if hides and extra:
        from lmcache_frontend.masking import masked_mapping

        extra = masked_mapping(extra)
    entry: dict[str, Any] = {"name": node.name, "host": node.host, "port": node.port, **extra}
    if node.labels:
        entry["labels"] = dict(node.labels)
    if node.proxy != LOCAL_PROXY:
        entry["proxy_id"] = node.proxy
    return entry


def write_tree(cluster: Cluster, own_host: str, own_port: int, *, hides: bool = False) -> list[dict[str, Any]]:
    """Give the whole cluster as ``GET /api/nodes`` shows it; our own nodes first, where there are any."""
    tree = []
    for proxy in sorted(cluster.proxies.values(), key=lambda proxy: proxy.address is not None):
        if proxy.address is None and not proxy.nodes:
            continue
        tree.append(
            {
                **({} if proxy.address is None else write_node(proxy.address, hides=hides)),
                "id": f"proxy_{proxy.name}",
                "name": proxy.name,
                "host": own_host if proxy.address is None else proxy.address.host,
                "port": own_port if proxy.address is None else proxy.address.port,
                "is_proxy": True,
                "children": [
                    {
                        **write_node(node, hides=hides),
                        "id": f"node_{node.name}",
                        "is_proxy": False,
                        "proxy_id": proxy.name,
                    }
                    for node in proxy.nodes.values()
                ],
            }
        )
    return tree


def children_of_tree(document: Any, proxy: str, faults: list[str]) -> dict[str, Node]:
    """Read the nodes of another frontend from its ``GET /api/nodes``.

    A name is given as that frontend understands it: nodes of its own keep theirs, those behind further frontends are
    called ``frontend/node`` where the bare name stands for several. Raises: BadRequest where it is no such tree.
    """
    tree = document.get("nodes") if isinstance(document, dict) else None
    if not isinstance(tree, list):
        raise BadRequest('expected {"nodes": [...]}')
    groups = _group_by_holder(tree, faults)
    nodes = [(key, node) for key in groups for node in _read_nodes(groups[key], proxy, Source.PROXY, faults).values()]
    bearers = Counter(node.name for _, node in nodes)
    found: dict[str, Node] = {}
    for holder, node in nodes:
        names_a_frontend = node.name in groups and node.name != LOCAL_PROXY
        is_clear = not names_a_frontend and (holder == LOCAL_PROXY or bearers[node.name] == 1)
        name = node.name if is_clear else f"{holder}/{node.name}"
        found[name] = node._replace(name=name)
    return found


def _group_by_holder(tree: list[Any], faults: list[str]) -> dict[str, list[Any]]:
    """Give the node entries of a tree by the frontend that holds them; loose ones belong to its own."""
    groups: dict[str, list[Any]] = {LOCAL_PROXY: []}
    for position, top in enumerate(tree, 1):
        if not isinstance(top, dict) or not top.get("is_proxy"):
            groups[LOCAL_PROXY].append(top)
            continue
        try:
            holder = _read_name(top)
        except BadRequest as exc:
            faults.append(f"{_label(top, position)}: {exc}")
            continue
        children = top.get("children")
        groups.setdefault(holder, []).extend(children if isinstance(children, list) else [])
    return groups


def _read_nodes(entries: list[Any], proxy: str, source: Source, faults: list[str]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for position, entry in enumerate(entries, 1):
        try:
            node = read_node(entry, proxy, source)
        except BadRequest as exc:
            faults.append(f"{_label(entry, position)}: {exc}")
            continue
        if node.name in nodes:
            faults.append(f"{_label(entry, position)}: the name is taken by an earlier entry")
        else:
            nodes[node.name] = node
    return nodes


def _read_name(entry: Any) -> str:
    if not isinstance(entry, dict):
        raise BadRequest(f"expected an object with name, host and port, got {_kind(entry)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadRequest(f"name is {_shown(name)}, expected a text that is not empty")
    if len(name) > NAME_LIMIT:
        raise BadRequest(f"name has {len(name)} characters, at most {NAME_LIMIT} are taken")
    if _has_control(name):
        raise BadRequest("name holds a control character")
    return name


def _read_host(entry: dict[str, Any], *, required: bool) -> str:
    host = entry.get("host", "" if required else "localhost")
    if not isinstance(host, str):
        raise BadRequest(f"host is {_kind(host)}, expected a text")
    in_brackets = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if in_brackets else host
    is_host = _match_host(bare) and (_is_ipv6(bare) if in_brackets or ":" in bare or "%" in bare else True)
    if (host or required) and not is_host:
        raise BadRequest(f"host is {_shown(host)}, expected a host name or an IP address")
    return host


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _read_port(entry: dict[str, Any]) -> int | str:
    port = entry.get("port")
    if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536:
        return port
    if isinstance(port, str):
        if re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536:
            return port
        if port.startswith("/"):
            return _checked_path(port)
    raise BadRequest(f"port is {_shown(port)}, expected a number from 1 to 65535 or the absolute path of a socket")


def _checked_path(path: str) -> str:
    if _has_control(path):
        raise BadRequest("port is a socket path that holds a control character")
    size = len(path.encode())
    if size > SOCKET_PATH_LIMIT_BYTES:
        raise BadRequest(f"port is a socket path of {size} bytes, the system takes {SOCKET_PATH_LIMIT_BYTES}")
    return path


def _read_labels(entry: dict[str, Any]) -> dict[str, str]:
    labels = entry.get("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise BadRequest("labels is not an object of texts")
    return labels


def _read_extra(entry: dict[str, Any]) -> dict[str, Any]:
    """Give the fields that are none of ours, if they can be given back as strict JSON."""
    extra = {key: value for key, value in entry.items() if key not in _OWN_FIELDS and key not in _SECURITY_FIELDS}
    for key, value in extra.items():
        if not _can_be_given_back(value, EXTRA_DEPTH_LIMIT):
            raise BadRequest(f"{_shown(key)} holds a number that is not finite, or nests too deeply")
    return extra


def _can_be_given_back(value: Any, depth: int) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, (dict, list)):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_can_be_given_back(part, depth - 1) for part in parts)


def _label(entry: Any, position: int) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"entry {position}" + (f" ({_shown(name)})" if isinstance(name, str) else "")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    if isinstance(value, (int, float)):
        return repr(value) if isinstance(value, float) or abs(value) < _HUGE else "a huge number"
    if not isinstance(value, str):
        return _kind(value)
    return ascii(value if len(value) <= 60 else value[:57] + "...")
