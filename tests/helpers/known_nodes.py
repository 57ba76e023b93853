# SPDX-License-Identifier: Apache-2.0
"""What is known of two nodes of LMCache 0.5.6, the requests that actions make of them, and what comes back."""

from __future__ import annotations

from lmcache_frontend.actions.arguments import Arguments
from lmcache_frontend.actions.verbs import Plan, plan
from lmcache_frontend.cluster.adapters.answers import Heard
from lmcache_frontend.cluster.adapters.kinds import Identity, Kind, Paths
from lmcache_frontend.demo.node import Node
from lmcache_frontend.http1.fetch import Question

WORKER = Identity(Kind.WORKER, "worker", "0.5.6", None, Paths.IN_PROCESS)
SERVER = Identity(Kind.MP, "", "0.5.6", None, Paths.MP_CONFIG)


def planned(arguments: Arguments, identity: Identity = WORKER) -> Plan:
    """Plan an action that such a node can do."""
    made = plan(arguments, identity)
    assert not isinstance(made, str), made
    return made


def heard(node: Node, question: Question) -> Heard:
    """Put a question to a simulated node."""
    path, _, query = question.target.partition("?")
    given = node.answer(question.method, path, query, question.body)
    return Heard(given.status, given.body.decode())
