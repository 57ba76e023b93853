# SPDX-License-Identifier: Apache-2.0
"""What a start costs: modules are imported where they are first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
# What only some requests, some settings or some nodes need.
LATER = (
    "lmcache_frontend.access.forwarded",
    "lmcache_frontend.actions",
    "lmcache_frontend.audit.trail",
    "lmcache_frontend.cluster.node_security",
    "lmcache_frontend.fleet",
    "lmcache_frontend.http1.node_tokens",
    "lmcache_frontend.http1.tls",
    "lmcache_frontend.masking",
    "lmcache_frontend.routes.auditing",
    "lmcache_frontend.routes.nodes",
    "lmcache_frontend.routes.sessions",
    "gzip",
    "hashlib",
    "hmac",
    "secrets",
    "tempfile",
)
PROGRAM = """
import http.client, json, sys
from lmcache_frontend.app import App
from lmcache_frontend.settings import Settings
nodes = json.dumps([{"name": "n", "host": "127.0.0.1", "port": 9}])
app = App(Settings(host="127.0.0.1", port=0, nodes=nodes, store="memory:", drain_timeout_s=0.1))
app.start(collecting=False)
connection = http.client.HTTPConnection("127.0.0.1", app.settings.port, timeout=20)
connection.request("GET", "/health")
assert connection.getresponse().status == 200
known = set(sys.modules)
connection.close()
app.stop()
print(*[name for name in sys.argv[1:] if name in known])
"""


def test_the_first_answer_needs_few_modules() -> None:
    command = [sys.executable, "-c", PROGRAM, *LATER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=CHECKOUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == []
