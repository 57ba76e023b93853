# SPDX-License-Identifier: Apache-2.0
"""Who a client turned out to be."""

from __future__ import annotations

from typing import NamedTuple

from lmcache_frontend.access.rules import Role

LOCAL = "local"
NETWORK = "network"
TOKEN = "token"
SESSION = "session"
ANONYMOUS = "anonymous"


class Identity(NamedTuple):
    """A client's role and name, how they were found out, and the address it comes from, trusted proxies passed over.

    ``name`` is what the audit trail shows: a user of this machine, a token's name, ``network 172.17.0.0/16``, or
    ``anonymous``. ``how`` is one of the words above.
    """

    role: Role
    name: str
    how: str
    address: str
