# SPDX-License-Identifier: Apache-2.0
"""Requests to nodes: ``/proxy2/{node}/{path}`` by name, ``/proxy/{host}/{port_or_socket}/{path}`` by address.

Path and query pass to the node byte for byte; the name and the address are decoded to find it.
"""

from __future__ import annotations

import os
import re
from time import perf_counter
from urllib.parse import quote, unquote_to_bytes

from lmcache_frontend.access import clients, rules, targets
from lmcache_frontend.cluster.entries import SOCKET_PATH_LIMIT_BYTES
from lmcache_frontend.cluster.model import Cluster, Node
from lmcache_frontend.errors import (
    BadRequest,
    Forbidden,
    FrontendError,
    MethodNotAllowed,
    NotFound,
    PeerClosed,
)
from lmcache_frontend.http1.client import Endpoint, resolve
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.relay import Destination, relay
from lmcache_frontend.routes.node_addresses import NodeAddresses
from lmcache_frontend.routes.services import Services

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SLOW_TIMEOUT_S = 600.0
# What requests to targets that are no nodes are counted as: their names are the clients' to choose.
STRANGER = ""


def by_name(exchange: Exchange, services: Services) -> None:
    """Serve ``/proxy2/{node}/{path}``; a proxy's child is asked for at its proxy, by the same form of address.

    Raises: NotFound, Conflict, Forbidden, and what `relay` raises.
    """
    request = exchange.request
    cluster = services.registry.snapshot
    known = exchange.stream.facts.get("passed")
    if known is not None and known[0] is request and known[1] is cluster:
        _relay(exchange, services, known[2], known[3])
        return
    _require_reader(exchange, services)
    name, rest = _split(request.target[len("/proxy2/") :])
    way = cluster.find(_decoded(name) if "%" in name else name)
    need = rules.node_need(request.method, rest, is_frontend=way.is_frontend)
    target = rest if way.child is None else f"/proxy2/{quote(way.child, safe='')}{rest}"
    destination = Destination(way.node.endpoint, way.node.authority, target)
    label = way.node.name if way.child is None else f"{way.node.name}/{way.child}"
    if services.gate.passes_anyone(need):
        # The same request to the same cluster on this connection may pass again without being looked at.
        exchange.stream.facts["passed"] = (request, cluster, destination, label)
    _forward(exchange, services, destination, need, label)


def by_address(exchange: Exchange, services: Services) -> None:
    """Serve ``/proxy/{host}/{port_or_socket}/{path}``.

    Raises: BadRequest, Forbidden, and what `relay` raises.
    """
    _require_reader(exchange, services)
    host, rest = _split(exchange.request.target[len("/proxy/") :])
    port_or_socket, target = _split(rest[1:])
    cluster = services.registry.snapshot
    wanted = _read_address(_decoded(host), _decoded(port_or_socket))
    node = cluster.targets.get((wanted.host.lower() if wanted.port else wanted.host, wanted.port))
    endpoint = wanted if node is None else node.endpoint
    if node is None:
        if not services.settings.allow_target and all(
            known.endpoint.port != wanted.port for known in cluster.targets.values()
        ):
            # No name can turn out to be a node's: nobody but an operator gets it resolved.
            _check_stranger(exchange, services, wanted)
        endpoint, node = _pin_down(cluster, wanted, services.node_addresses)
    if node is not None:
        is_frontend = any(proxy.address is node for proxy in cluster.proxies.values())
        need = rules.node_need(exchange.request.method, target, is_frontend=is_frontend)
        _forward(exchange, services, Destination(endpoint, node.authority, target), need, node.name)
        return
    need = _need_of_stranger(exchange, services, wanted, endpoint, target)
    authority = str(wanted) if wanted.port else "localhost"
    _forward(exchange, services, Destination(endpoint, authority, target), need, STRANGER)


def _require_reader(exchange: Exchange, services: Services) -> None:
    """Let nobody find out by our answers which nodes there are who may not even read.

    Raises: Unauthorized, TooManyRequests, Forbidden.
    """
    if not services.gate.passes_anyone(rules.READS):
        services.gate.authorize(exchange, rules.READS)


def _forward(exchange: Exchange, services: Services, destination: Destination, need: rules.Need, label: str) -> None:
    method = exchange.request.method
    if not services.gate.passes_anyone(need):
        if method not in METHODS:
            allowed = ", ".join(METHODS)
            raise MethodNotAllowed(f"{method[:20]} is not passed on, expected {allowed}", fields=(("Allow", allowed),))
        services.gate.authorize(exchange, need)
        if need.changes:
            _change(exchange, services, destination, label)
            return
        if need.role > rules.Role.VIEWER:
            from lmcache_frontend.routes import auditing

            auditing.note_reading(exchange, services, destination.target, label or str(destination.endpoint))
    _relay(exchange, services, destination, label)


def _change(exchange: Exchange, services: Services, destination: Destination, label: str) -> None:
    """Carry out what changes something, write it down, and have the node looked at again."""
    from lmcache_frontend.routes import auditing

    target = destination.target
    node = label or str(destination.endpoint)
    auditing.carry_out(exchange, services, target, node, lambda: _relay(exchange, services, destination, label))
    if exchange.request.method not in rules.READ_METHODS or "/loglevel?" in target:
        services.collector().renew(label)


def _relay(exchange: Exchange, services: Services, destination: Destination, label: str) -> None:
    """Carry the request out and count it under the name of the node."""
    begun_s = perf_counter()
    status = 0
    timeout_s = services.settings.node_timeout_s
    if "/run_script" in destination.target or "/cache/" in destination.target:
        timeout_s = max(timeout_s, SLOW_TIMEOUT_S)
    try:
        relay(
            exchange, destination, services.pool, node_timeout_s=timeout_s, own=services.gate.own_credentials(exchange)
        )
        status = exchange.status
    except PeerClosed:
        raise
    except FrontendError as exc:
        status = exc.status
        raise
    finally:
        services.traffic.note(label, exchange.request.method, status, perf_counter() - begun_s)


def _split(rest: str) -> tuple[str, str]:
    """Split what follows a prefix into its first segment and the target behind it.

    Raises: NotFound where there is no slash behind the segment: relative links would lead astray.
    """
    segment, slash, target = rest.partition("/")
    if not segment or not slash or "?" in segment:
        raise NotFound("expected /proxy2/{node}/{path} or /proxy/{host}/{port_or_socket}/{path}")
    return segment, "/" + target


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest("the path is percent-encoded, but not from UTF-8") from exc


def _read_address(host: str, port_or_socket: str) -> Endpoint:
    """Read the two segments, decoded once; a socket path may have been encoded twice.

    Raises: BadRequest.
    """
    if not port_or_socket.startswith("/") and port_or_socket[:3].lower() == "%2f":
        port_or_socket = _decoded(port_or_socket)
    if port_or_socket.startswith("/"):
        size = len(port_or_socket.encode())
        if "\0" in port_or_socket or size > SOCKET_PATH_LIMIT_BYTES:
            raise BadRequest(f"socket path of {size} bytes, the system takes {SOCKET_PATH_LIMIT_BYTES} and no NUL")
        return Endpoint(port_or_socket, 0)
    if not re.fullmatch("[0-9]{1,5}", port_or_socket) or not 0 < int(port_or_socket) < 65536:
        raise BadRequest(
            f"port_or_socket is {port_or_socket[:60]!a}, expected a number from 1 to 65535 "
            "or the percent-encoded absolute path of a socket"
        )
    name = clients.host_name(f"[{host}]" if ":" in host and not host.startswith("[") else host)
    if name is None:
        raise BadRequest(f"host is {host[:60]!a}, expected a host name or an IP address")
    return Endpoint(name, int(port_or_socket))


def _pin_down(cluster: Cluster, wanted: Endpoint, known: NodeAddresses) -> tuple[Endpoint, Node | None]:
    """Resolve an address that is not a node's as written; give what to connect to, and the node that it is after all.

    Raises: BadGateway where the name is unknown.
    """
    if not wanted.port:
        real_path = os.path.realpath(wanted.host)
        for node in cluster.targets.values():
            if not node.endpoint.port and os.path.realpath(node.endpoint.host) == real_path:
                return node.endpoint._replace(host=real_path), node
        return Endpoint(real_path, 0), None
    addresses = [clients.plain_address(address) for address in resolve(wanted.host, wanted.port)]
    for node in cluster.targets.values():
        if node.endpoint.port == wanted.port:
            for address in known.of(node.endpoint):
                if address in addresses:
                    return node.endpoint._replace(host=address), node
    return Endpoint(addresses[0], wanted.port), None


def _need_of_stranger(
    exchange: Exchange, services: Services, wanted: Endpoint, endpoint: Endpoint, target: str
) -> rules.Need:
    """Say what a request to an unregistered target needs.

    Raises: Forbidden, naming the flag, for who may not and for sockets outside the socket directory.
    """
    settings = services.settings
    patterns = settings.allow_target
    if endpoint.port:
        allowed = targets.is_address_allowed(wanted.host, endpoint.host, endpoint.port, patterns)
    else:
        allowed = targets.is_socket_allowed(endpoint.host, patterns)
    if allowed:
        return rules.node_need(exchange.request.method, target)
    _check_stranger(exchange, services, wanted)
    directory = os.path.realpath(settings.socket_dir)
    if not endpoint.port and not targets.socket_is_open_to_operators(endpoint.host, directory):
        raise Forbidden(f"{endpoint} is no node and lies outside {directory}; --allow-target {endpoint} allows it")
    return rules.CHANGES


def _check_stranger(exchange: Exchange, services: Services, wanted: Endpoint) -> None:
    reason = services.gate.why_not_at_home(exchange)
    if reason:
        exc = Forbidden(f"{wanted} is no node of this frontend; --allow-target {wanted} allows it to all ({reason})")
        services.gate.on_refused(services.gate.identify(exchange), exchange, exc)
        raise exc
