# SPDX-License-Identifier: Apache-2.0
"""What a rule is: whom it is for, and what it sets or that it denies. Values that cannot change, to any depth. Pure."""

from __future__ import annotations

import ipaddress
import json
from enum import Enum
from typing import Any, NamedTuple

from lmcache_frontend.remote_config.globs import Glob

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
WHOLE_ROLLOUT = 100.0


class Operator(Enum):
    """What a condition asks of a variable or a setting."""

    EQUALS = "equals"
    GLOB = "glob"
    PRESENT = "present"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Condition(NamedTuple):
    """One thing asked of a variable or a setting.

    ``operand`` is a `Glob` for `Operator.GLOB`, a boolean for PRESENT, a number for AT_LEAST and AT_MOST, and JSON text
    for EQUALS.
    """

    name: str
    operator: Operator
    operand: Any


class Network(NamedTuple):
    """A network of clients, as written and as compared."""

    text: str
    network: IpNetwork


class Match(NamedTuple):
    """Whom a rule is for; what is not given is not asked, and all that is given must hold."""

    app_id: tuple[Glob, ...] = ()
    environment: tuple[Condition, ...] = ()
    config: tuple[Condition, ...] = ()
    client: tuple[Network, ...] = ()
    rollout_percent: float | None = None
    rollout_by: str | None = None


class Item(NamedTuple):
    """A setting: its value as JSON text, and whether it goes over what the worker's own user has set."""

    key: str
    text: str
    override: bool = True

    @property
    def value(self) -> Any:
        """Give the value, a fresh one each time."""
        return json.loads(self.text)


class Rule(NamedTuple):
    """A rule; ``deny`` refuses those whom it matches."""

    name: str
    description: str = ""
    enabled: bool = True
    deny: bool = False
    match: Match = Match()
    items: tuple[Item, ...] = ()


Rules = tuple[Rule, ...]
