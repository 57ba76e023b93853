# SPDX-License-Identifier: Apache-2.0
"""A node whose every answer tries to break the page that shows it, and one question that it never answers.

It answers as an in-process node of LMCache 0.5.6 would, but with markup, right-to-left marks, emoji and very long
words in every place that a node fills.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.helpers.dashboard import serving

MARKUP = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
REVERSED = "\u202egnp.tpircs\u202c \u05e9\u05dc\u05d5\u05dd \U0001f600"
LONG = "x" * 10_000
_ESCAPED = MARKUP.replace('"', '\\"')
BAD = f"{MARKUP} {REVERSED}"

_CONF = json.dumps({"chunk_size": 256, BAD: BAD, "long": LONG, "list": [1, BAD]})
_ANSWERS = {
    "/version": json.dumps(BAD),
    "/conf": _CONF[:-1] + ', "endless": Infinity, "big": 1795289308514334093, "text": "NaN, Infinity"}',
    "/meta": json.dumps({"role": "worker", "model_name": BAD, "long": LONG, "nothing": None}),
    "/env": json.dumps({"API_KEY": "hidden-value", "KEYBOARD": "seen-value", BAD: BAD, "LONG": LONG}),
    "/inference_info": json.dumps({"vllm_config": LONG, "name": BAD}),
    "/loglevel": f"=== Loggers and Levels ===\n{BAD}: Level 5\na: b: ODD\nlmcache: INFO\n{LONG}: DEBUG\n",
    "/metrics": (
        f'# HELP lmcache:odd {BAD}\n# TYPE lmcache:odd gauge\nlmcache:odd{{label="{_ESCAPED}",role="worker"}} +Inf\n'
        f"# HELP lmcache:long {LONG}\n# TYPE lmcache:long counter\n"
    ),
    "/threads": (
        f"Thread: <Thread({BAD}, (a), started daemon 77)>\nStack trace:\n"
        f'  File "/{LONG}.py", line 3, in {MARKUP}\n    {BAD}\n\n\n'
        "Thread: <Thread(quiet, initial)>\nNo stack trace available\n\n\n=== Thread Summary ===\nTotal threads: 2\n"
    ),
    "/periodic-threads-health": json.dumps(
        {"healthy": False, "unhealthy_count": 1, "unhealthy_threads": [{"name": BAD, "last_run_ago": None}]}
    ),
}


class HostileNode:
    """The node's address, and whether the question it never answers was asked and given up."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.asked = threading.Event()
        self.given_up = threading.Event()


@contextmanager
def hostile_node(silent_path: str = "") -> Iterator[HostileNode]:
    """Serve the node; ``silent_path`` is read but not answered until its caller hangs up."""
    node = HostileNode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == silent_path:
                node.asked.set()
                if not self.connection.recv(1):
                    node.given_up.set()
                self.close_connection = True
                return
            body = _ANSWERS.get(path, '{"detail": "Not Found"}').encode()
            self.send_response_only(200 if path in _ANSWERS else 404)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as address:
        node.port = int(str(urlsplit(address).port))
        yield node
