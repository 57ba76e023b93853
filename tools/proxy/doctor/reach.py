# SPDX-License-Identifier: Apache-2.0
"""Checks of ``doctor`` on reaching nodes: who listens where, under which names, of which release. Pure.

Source: LMCache 0.3.4 to 0.5.6: ``internal_api_server_*`` of its configuration, ``--http-host`` of MP servers, and the
ports that it derives: the first for the scheduler, the next for worker 0, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote

from lmcache_frontend.cluster.adapters.kinds import Release, in_words

from .facts import (
    CRITICAL,
    IN_PROCESS,
    NOTICE,
    WARNING,
    Finding,
    FleetFacts,
    NodeFacts,
    is_made_up,
    number_in,
    place_in,
)

_SWITCH_ON = "internal_api_server_enabled: true (LMCACHE_INTERNAL_API_SERVER_ENABLED=true), which is off by default"
_LISTEN = (
    "internal_api_server_host: 0.0.0.0 (LMCACHE_INTERNAL_API_SERVER_HOST) in an engine, --http-host 0.0.0.0 for an MP"
    " server"
)
_PORTS = "internal_api_server_port_start, 6999 by default, is the scheduler's port, the next is worker 0's"
# What a node in an engine cannot do before a release.
_LACKS: tuple[tuple[Release, str], ...] = (
    ((0, 3, 6), "say its version"),
    ((0, 3, 10), "show its environment"),
    ((0, 3, 11), "be frozen"),
    ((0, 3, 13), "say how it is, or fetch its configuration"),
    ((0, 3, 14), "be configured while it runs"),
    ((0, 3, 15), "show, bypass or recreate its backends"),
)
_MP_LACKS: tuple[tuple[Release, str], ...] = (
    ((0, 4, 1), "say how it is"),
    ((0, 4, 5), "show metrics, configuration, threads and log levels on this port"),
)
_OLD_IS_WRONG_BEFORE: Release = (0, 3, 14)


def check_reach(node: NodeFacts, fleet: FleetFacts) -> Iterator[Finding]:
    """Find why a node is not reached, or who is there in its place."""
    reason = "; ".join(node.reasons) or "no reason is known"
    if node.level == "answering":
        advice = (
            f"another program has this port: `ss -ltnp 'sport = :{node.port}'` on its machine names it"
            if node.port
            else "another program listens on this socket"
        )
        yield Finding(CRITICAL, node.name, "not_lmcache", f"{node.address} answers, but not as LMCache does", advice)
    elif node.level == "degraded":
        name = quote(node.name)
        advice = f"`lmcache-proxy node {name}` and `lmcache-proxy threads {name} --diff 5` show more"
        yield Finding(WARNING, node.name, "degraded", reason, advice)
    elif not node.is_reached and node.reasons != ("not asked yet",):
        yield _unreachable(node, reason, fleet.nodes)


def check_address(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find an address to listen on where one to be reached at is needed."""
    if node.is_reached and node.is_at_any_address:
        yield Finding(
            NOTICE,
            node.name,
            "any_address",
            f"its address is {node.address}, which is reached only from its own machine",
            "enter the address of its machine: LMCache writes where it listens into its lists of nodes",
        )


def check_kind(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find frontends that are entered as nodes."""
    if node.kind == "frontend":
        seen = f"{node.address} is a frontend, and is entered as a node: what is behind it is counted as one, or twice"
        advice = f"remove it, and enter it as a proxy: `lmcache-proxy add {quote(node.short_name)} ADDRESS --is-proxy`"
        yield Finding(WARNING, node.name, "frontend_as_node", seen, advice)


def check_version(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find what a node is too old for."""
    release = node.release
    table = _LACKS if node.kind in IN_PROCESS else _MP_LACKS if node.kind == "mp" else ()
    if not table or not node.is_reached:
        return
    if node.version is None:
        before = in_words(_LACKS[0][0] if table is _LACKS else _MP_LACKS[-1][0])
        seen = f"it does not say its version, as LMCache before {before}: most can neither be seen nor set there"
        yield Finding(WARNING, node.name, "too_old", seen, f"install LMCache {in_words(table[-1][0])} or later")
    if release is None:
        return
    missing = [words for since, words in table if release < since]
    if missing:
        severity = WARNING if release < _OLD_IS_WRONG_BEFORE else NOTICE
        seen = f"LMCache {in_words(release)} is too old to {'; to '.join(missing)}"
        yield Finding(severity, node.name, "too_old", seen, f"install LMCache {in_words(table[-1][0])} or later")


def check_name(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find names that stand for no instance, or for another one."""
    advice = "set lmcache_instance_id (LMCACHE_LMCACHE_INSTANCE_ID), the same for all processes of an instance"
    if node.short_name.startswith("None_"):
        seen = "its name begins with None, as LMCache 0.3.12 to 0.4.2 write where no instance is named"
        yield Finding(WARNING, node.name, "no_instance", seen, advice)
    elif (
        node.kind in IN_PROCESS
        and "lmcache_instance_id" in (node.conf or {})
        and not node.setting("lmcache_instance_id")
    ):
        yield Finding(WARNING, node.name, "no_instance", "it belongs to no named instance", advice)
    elif node.instance and is_made_up(node.instance):
        seen = f"its instance is called {node.instance}, which each process makes up anew"
        yield Finding(NOTICE, node.name, "made_up_instance", seen, advice)


def check_port(node: NodeFacts, _: FleetFacts) -> Iterator[Finding]:
    """Find a node in whose place another process answers."""
    place = place_in(node.short_name)
    advice = "give each instance on a machine ports of its own: internal_api_server_port_start"
    if place and node.instance and not is_made_up(node.instance) and place[0] not in (node.instance, "None"):
        seen = f"at {node.address} a process of the instance {node.instance} answers"
        yield Finding(CRITICAL, node.name, "port_collision", seen, advice)
    elif place and node.kind in IN_PROCESS and not place[1].startswith(node.kind):
        seen = f"at {node.address} a {node.kind} answers"
        if node.setting("enable_scheduler_bypass_lookup"):
            advice = "enable_scheduler_bypass_lookup gives the scheduler the port of worker 0; switch it off"
        yield Finding(CRITICAL, node.name, "port_collision", seen, advice)
    elif node.setting("enable_scheduler_bypass_lookup") is True and node.kind in IN_PROCESS:
        seen = "enable_scheduler_bypass_lookup is on, with which scheduler and worker 0 want the same port"
        yield Finding(WARNING, node.name, "port_collision", seen, "switch it off, or expect only one of them to answer")


def check_ports(fleet: FleetFacts) -> Iterator[Finding]:
    """Find addresses that several nodes have, and instances on one machine whose ports overlap."""
    by_address: dict[tuple[str, str], list[str]] = {}
    for node in fleet.nodes:
        by_address.setdefault((node.proxy, node.address), []).append(node.name)
    for (_, address), names in by_address.items():
        if len(names) > 1:
            seen = f"{', '.join(names)} have the same address {address}"
            advice = (
                "remove the entries that are wrong (`lmcache-proxy remove NODE`), or give the processes other ports"
            )
            yield Finding(WARNING, names[0], "same_address", seen, advice)
    ranges = _port_ranges(fleet.nodes)
    for at, (host, instance, first, last) in enumerate(ranges):
        for other_host, other, other_first, other_last in ranges[at + 1 :]:
            if host == other_host and instance != other and first <= other_last and other_first <= last:
                seen = f"{instance} uses the ports {first}-{last} of {host[1]}, {other} {other_first}-{other_last}"
                advice = "move one of them with internal_api_server_port_start: who comes second there gets no port"
                yield Finding(WARNING, None, "port_collision", seen, advice)


def _port_ranges(nodes: Sequence[NodeFacts]) -> list[tuple[tuple[str, str], str, int, int]]:
    """Give machine, instance, first and last port of the instances that listen on TCP."""
    found: dict[tuple[tuple[str, str], str], tuple[int, int]] = {}
    for node in nodes:
        start = number_in(node.conf, "internal_api_server_port_start")
        size = number_in(node.meta, "world_size") or 1
        if start is None or node.is_socket or not node.instance or is_made_up(node.instance):
            continue
        first, last = int(start), int(start + size)
        key = ((node.proxy, node.host), node.instance)
        known = found.get(key, (first, last))
        found[key] = (min(known[0], first), max(known[1], last))
    return [(host, instance, first, last) for (host, instance), (first, last) in found.items()]


def _unreachable(node: NodeFacts, reason: str, nodes: Sequence[NodeFacts]) -> Finding:
    code, advice = "unreachable", "see whether its process runs, and whether the address is right"
    seen = f"{node.address} is unreachable: {reason}"
    left_out = _left_out(node, nodes)
    if left_out:
        return Finding(CRITICAL, node.name, "api_off", seen, left_out)
    if node.is_socket:
        code, advice = _socket_advice(node, reason)
    elif "timed out" in reason or "no route" in reason:
        advice = "a firewall or another network is between, or the process hangs: try it from its own machine"
    elif "resolve" in reason or "not known" in reason:
        advice = f"the name {node.host} is not known to the frontend's machine: enter an address"
    elif "refused" in reason:
        code, advice = _refused_advice(node, nodes)
    return Finding(CRITICAL, node.name, code, seen, advice)


def _socket_advice(node: NodeFacts, reason: str) -> tuple[str, str]:
    if "permission" in reason.lower():
        return "unreachable", "the frontend's user may not use the socket, or not enter its folder"
    wanted = f"{_SWITCH_ON}; its socket is internal_api_server_socket_path_prefix, `_` and the port"
    return "api_off", f"nothing listens there: start the process with {wanted}; containers must share the folder"


def _refused_advice(node: NodeFacts, nodes: Sequence[NodeFacts]) -> tuple[str, str]:
    if node.is_at_any_address:
        return "any_address", f"{node.host} is where it listens, and not where it is: enter the address of its machine"
    if node.is_on_loopback:
        inside = "in a container, 127.0.0.1 is the container's own"
        return "api_off", f"nothing listens there: start it with {_SWITCH_ON}; {_PORTS}; {inside}"
    if any(other.is_reached and other.host == node.host and other.proxy == node.proxy for other in nodes):
        advice = f"others on {node.host} are reached: start this one with {_SWITCH_ON}; {_PORTS}"
        return "api_off", advice
    return "loopback", f"LMCache 0.5.6 listens on 127.0.0.1 alone: start it with {_LISTEN}; else with {_SWITCH_ON}"


def _left_out(node: NodeFacts, nodes: Sequence[NodeFacts]) -> str | None:
    """Say that a list in the configuration leaves the node out, as another of its instance tells."""
    place = place_in(node.short_name)
    if place is None:
        return None
    index = 0 if place[1] == "scheduler" else int(place[1].removeprefix("worker")) + 1
    for other in nodes:
        listed = other.setting("internal_api_server_include_index_list")
        if other.instance == place[0] and isinstance(listed, list) and listed and index not in listed:
            return f"internal_api_server_include_index_list is {listed}, and leaves out {index}, which this node is"
    return None
