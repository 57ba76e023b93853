# SPDX-License-Identifier: Apache-2.0
"""``quota``: what tenants of MP servers keep, and how much they may.

Source: LMCache's ``/quota`` of MP servers since 0.4.5; the tenant without a salt is called ``_default``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from lmcache_frontend.errors import UsageError

from ...command_line import Example
from ..acting import Change, act, add_action_options, confirm
from ..frame import Command, CommandContext, Needs
from ..output import Field
from ..reading import read_items, report
from ..selection import select
from ..wording import count, number_of, percent
from .facts import show_rows

_FIELDS = (
    Field("tenant"),
    Field("used_gb", "used GB", right=True, show=count),
    Field("limit_gb", "limit GB", right=True, show=count),
    Field("share", "used", right=True, show=percent),
)


def run(options: argparse.Namespace, context: CommandContext) -> int:
    """Show quotas, set one, or remove one."""
    selection = select(context, options.words)
    if len(selection.words) > 1:
        raise UsageError("expected NODE and at most one TENANT or TENANT=GB")
    wanted = selection.words[0] if selection.words else None
    tenant, equals, limit = (wanted or "").rpartition("=")
    if wanted is not None and not (tenant if equals else limit):
        raise UsageError(f"expected TENANT or TENANT=GB, got {wanted!r}")
    path = f"/quota/{quote(tenant or wanted or '', safe='')}"
    if options.remove:
        if wanted is None or equals:
            raise UsageError("--remove: expected NODE and TENANT")
        confirm(context, f"Remove the quota of {wanted} on {selection.names}?")
        return act(context, selection, Change("request", {"method": "DELETE", "path": path}))
    if equals:
        body = json.dumps({"limit_gb": _limit(limit)})
        fields = {"Content-Type": "application/json"}
        change = {"method": "PUT", "path": path, "headers": fields, "body": body}
        return act(context, selection, Change("request", change))
    readings = read_items(context, selection.nodes, "quota")
    show_rows(context, selection, readings, _FIELDS, lambda data: _rows(data, wanted), empty="no quotas are set")
    return report(context, readings, selection.nodes)


def _limit(text: str) -> float:
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit) or limit < 0:
        raise UsageError(f"expected TENANT=GB with a number of gigabytes, got {text!r}")
    return limit


def users_of(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give the quotas of an MP server by tenant; what a node says otherwise is nobody's."""
    users = data.get("users")
    return {tenant: one for tenant, one in users.items() if isinstance(one, dict)} if isinstance(users, dict) else {}


def _rows(data: Mapping[str, Any], wanted: str | None) -> list[dict[str, Any]]:
    """Give the quotas of an MP server."""
    rows = []
    for tenant, quota in users_of(data).items():
        used, limit = quota.get("current_usage_gb"), quota.get("limit_gb")
        used_number, limit_number = number_of(used), number_of(limit)
        share = None if used_number is None or not limit_number else used_number / limit_number
        rows.append({"tenant": tenant, "used_gb": used, "limit_gb": limit, "share": share})
    return [row for row in rows if wanted is None or row["tenant"] == wanted]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remove", action="store_true", help="remove the tenant's quota")
    add_action_options(parser)


COMMANDS = {
    "quota": Command(
        "NODE [TENANT[=GB]]",
        run,
        (
            Example("lmcache-proxy quota kind:mp", "who keeps how much where"),
            Example("lmcache-proxy quota kind:mp team-a=40", "40 GB for a tenant, on every MP server"),
            Example("lmcache-proxy quota mp-0 team-a --remove", "no limit for it any more"),
        ),
        _configure,
        needs=Needs.NODES,
    )
}
