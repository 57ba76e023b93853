# SPDX-License-Identifier: Apache-2.0
"""Nodes of every kind and release of LMCache as tables of answers, behind a function that asks them.

The tables hold which release has which path, and what it answers where that differs from 0.5.6; the rest is what
recorded nodes of 0.5.6 said. Long texts are short here; real nodes give them at length.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lmcache_frontend.errors import FrontendError
from lmcache_frontend.http1.fetch import Answer
from lmcache_frontend.http1.heads import ResponseHead
from tests.helpers.demo import recording

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"

IN_PROCESS_RELEASES = (
    *("0.3.4", "0.3.5", "0.3.6", "0.3.7", "0.3.9", "0.3.10", "0.3.11", "0.3.12", "0.3.13", "0.3.14", "0.3.15"),
    *("0.4.1", "0.4.2", "0.4.3", "0.4.4", "0.4.5", "0.4.6", "0.4.7"),
    *("0.5.0", "0.5.1", "0.5.2", "0.5.3", "0.5.4", "0.5.5", "0.5.6"),
)
MP_RELEASES = IN_PROCESS_RELEASES[IN_PROCESS_RELEASES.index("0.3.13") :]

# What is asked of a node and when it came, as the release notes of each path.
IN_PROCESS_SINCE = {
    "/conf": "0.3.4",
    "/meta": "0.3.4",
    "/metrics": "0.3.4",
    "/threads": "0.3.4",
    "/loglevel": "0.3.4",
    "/version": "0.3.6",
    "/lmc_version": "0.3.6",
    "/inference_info": "0.3.7",
    "/inference_version": "0.3.7",
    "/env": "0.3.10",
    "/controller/workers": "0.3.10",
    "/periodic-threads": "0.3.13",
    "/periodic-threads-health": "0.3.13",
    "/backends": "0.3.15",
}


THREADS = """Thread: <_MainThread(MainThread, started 139989222169472)>
Stack trace:
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/usr/lib/python3/asyncio/runners.py", line 190, in run
    return runner.run(main)


Thread: <Thread(PinMonitor-thread, started daemon 139988319590080)>
No stack trace available


=== Thread Summary ===
Total threads: 2
"""
LOGGERS = """=== Loggers and Levels ===
lmcache.v1.platform: INFO
lmcache: INFO
concurrent.futures: NOTSET
"""
MP_METRICS = """# HELP lmcache_mp_l1_usage_ratio L1 used/total → ratio
# TYPE lmcache_mp_l1_usage_ratio gauge
lmcache_mp_l1_usage_ratio{backend="dram",l1_tag="_default"} 0.0
"""


class Said(NamedTuple):
    """One answer of a table."""

    status: int
    content_type: str
    body: str | bytes


NOT_FOUND = Said(404, JSON, '{"detail":"Not Found"}')


class TableNode:
    """A node that answers from a table by path and query, by path, or with 404; it keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Said | FrontendError]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    def __call__(self, target: str, timeout_s: float | None) -> Answer:
        self.asked.append(target)
        said = self.answers.get(target) or self.answers.get(target.partition("?")[0], NOT_FOUND)
        if isinstance(said, FrontendError):
            raise said
        body = said.body.encode("utf-8") if isinstance(said.body, str) else said.body
        fields = [("content-type", said.content_type), ("content-length", str(len(body)))]
        return Answer(ResponseHead(said.status, "", 1, fields, dict(fields)), body)

    def but(self, **answers: Said | FrontendError) -> TableNode:
        """Give the same node with other answers; ``_`` in a name stands for ``/``, ``__`` for ``-``."""
        changed = {"/" + name.replace("__", "-").replace("_", "/"): said for name, said in answers.items()}
        return TableNode({**self.answers, **changed})


def said_json(document: Any, status: int = 200) -> Said:
    """Give an answer of FastAPI."""
    return Said(status, JSON, json.dumps(document, separators=(",", ":")))


def numbers(release: str) -> tuple[int, ...]:
    """Give a release in a form that compares."""
    return tuple(map(int, release.split(".")))


def recorded(kind: str) -> dict[str, Said]:
    """Give what a recorded node said to GETs, by target."""
    answers: dict[str, Said] = {}
    for answer in recording(kind)["answers"]:
        if answer["method"] == "GET" and "text" in answer:
            answers.setdefault(answer["path"], Said(answer["status"], answer["content_type"], answer["text"]))
    answers["/threads"] = Said(200, TEXT, THREADS)
    answers["/loglevel"] = Said(200, TEXT, LOGGERS)
    return answers


def in_process(release: str, role: str = "worker", **changes: Said | FrontendError) -> TableNode:
    """Give a worker or scheduler of a release, inside vLLM."""
    now = numbers(release)
    answers = {path: said for path, said in recorded("in_process").items() if path in IN_PROCESS_SINCE}
    answers["/env"] = Said(200, TEXT, '{\n  "HOME": "/root",\n  "WORN": "\\udc80"\n}')
    answers["/version"] = said_json(f"{release}-g1234567")
    answers["/lmc_version"] = said_json(release)
    answers["/inference_info"] = said_json({"vllm_version": "0.9", "lmcache_version": release})
    if now < (0, 3, 13):
        answers["/inference_version"] = said_json({"vllm_version": "0.9"})
    answers["/metrics"] = Said(200, TEXT, "\n".join(_metrics(now, role)) + "\n")
    conf = _conf(now)
    answers["/conf"] = Said(200, TEXT, json.dumps(conf, indent=2))
    names = ("chunk_size", "lmcache_instance_id")
    answers["/conf?names=chunk_size,lmcache_instance_id"] = said_json({name: conf[name] for name in names})
    answers.update(_meta(now, role))
    if role == "scheduler":
        unavailable = {"error": "/backends API is unavailable", "message": "LMCache engine not configured."}
        answers["/backends"] = said_json(unavailable, 503)
    present = {path for path, since in IN_PROCESS_SINCE.items() if numbers(since) <= now}
    kept = {target: said for target, said in answers.items() if target.partition("?")[0] in present}
    return TableNode(kept).but(**changes)


def _metrics(now: tuple[int, ...], role: str) -> Iterator[str]:
    labels = 'model_name="m",worker_id="0"' + (f',role="{role}"' if now >= (0, 3, 10) else "")
    yield "# HELP lmcache:num_lookup_requests_total Total number of lookup requests"
    yield "# TYPE lmcache:num_lookup_requests_total counter"
    yield f"lmcache:num_lookup_requests_total{{{labels}}} 7.0"
    if now >= (0, 3, 13):
        yield "# HELP lmcache:lmcache_is_healthy Whether LMCache is healthy"
        yield "# TYPE lmcache:lmcache_is_healthy gauge"
        yield f"lmcache:lmcache_is_healthy{{{labels}}} 0.0"


def _conf(now: tuple[int, ...]) -> dict[str, Any]:
    conf: dict[str, Any] = {"chunk_size": 256, "lmcache_instance_id": "lmcache_default_instance"}
    if (0, 3, 12) <= now < (0, 4, 3):
        conf["lmcache_instance_id"] = None
    if now >= (0, 4, 5):
        conf["pd_allocation_timeout_sec"] = float("inf")
    return conf


def _meta(now: tuple[int, ...], role: str) -> dict[str, Said]:
    if role == "scheduler" and now <= (0, 3, 10):
        return {"/meta": Said(500, TEXT, "/meta api only work for lmcache_engine")}
    meta: dict[str, Any] = {"model_name": "m", "world_size": 1, "worker_id": 0, "kv_shape": [2, 2, 256, 4, 16]}
    if now >= (0, 3, 10):
        meta["role"] = role
    few = {name: meta[name] for name in ("role", "worker_id") if name in meta}
    return {"/meta": Said(200, TEXT, json.dumps(meta, indent=2)), "/meta?names=role,worker_id": said_json(few)}


def mp(release: str, **changes: Said | FrontendError) -> TableNode:
    """Give an MP server of a release."""
    now = numbers(release)
    all_answers = recorded("multiprocess")
    config = json.loads(all_answers["/config"].body)
    answers = {"/": said_json({"status": "ok", "service": "LMCache HTTP API"})}
    healthy = said_json({"status": "healthy"})
    if (0, 3, 15) <= now <= (0, 4, 4):
        answers["/api/healthcheck"] = healthy
    if (0, 4, 1) <= now <= (0, 4, 4):
        answers["/api/status"] = all_answers["/status"]
    if now >= (0, 4, 5):
        common = ("/threads", "/loglevel", "/periodic-threads", "/periodic-threads-health", "/status")
        answers.update({path: all_answers[path] for path in common})
        answers["/env"] = Said(200, TEXT, '{"HOME": "/root"}')
        answers["/healthcheck"] = healthy
        answers["/metrics"] = Said(200, TEXT, MP_METRICS)
        answers["/version"] = said_json(f"{release}-g1234567")
        answers["/lmc_version"] = said_json(release)
        answers["/conf" if now < (0, 5, 1) else "/config"] = Said(200, JSON, json.dumps(config, indent=2))
    if (0, 4, 7) <= now < (0, 5, 1):
        answers["/reconfigure/backends"] = said_json({"backends": []})
    if now >= (0, 5, 1):
        answers["/config/adapters"] = said_json({"adapters": []})
    return TableNode(answers).but(**changes)


def coordinator(*, with_metrics: bool = True) -> TableNode:
    """Give a coordinator (0.4.7 and later; with metrics since 0.5.4)."""
    answers = {"/healthz": said_json({"status": "healthy"}), "/instances": said_json({"instances": []})}
    if with_metrics:
        text = "# TYPE lmcache_coordinator_key_directory_placements gauge\n"
        text += 'lmcache_coordinator_key_directory_placements{tier="l2"} 3\n'
        answers["/metrics"] = Said(200, "text/plain; version=1.0.0; charset=utf-8", text)
    return TableNode(answers)


def controller(release: str) -> TableNode:
    """Give a controller; up to 0.3.9 it takes POSTs only."""
    not_allowed = Said(405, JSON, '{"detail":"Method Not Allowed"}')
    answers = dict.fromkeys(("/health", "/query_instance", "/lookup", "/clear", "/move"), not_allowed)
    node = recorded("in_process")
    if numbers(release) >= (0, 3, 10):
        answers["/controller/workers"] = said_json({"workers": [], "total_count": 0})
        answers["/env"] = Said(200, TEXT, "{}")
        answers["/metrics"] = Said(200, TEXT, "# TYPE lmcache:cache_controller_x gauge\nlmcache:cache_controller_x 1\n")
        answers.update({path: node[path] for path in ("/threads", "/loglevel")})
    if numbers(release) >= (0, 3, 13):
        answers.update({path: node[path] for path in ("/periodic-threads", "/periodic-threads-health")})
    return TableNode(answers)


def frontend(*, ours: bool = True) -> TableNode:
    """Give another frontend, of this project or upstream's."""
    answers = {
        "/": Said(200, HTML, "<!DOCTYPE html>\n<title>LMCache</title>"),
        "/health": said_json({"status": "healthy", "service": "lmcache-monitor"}),
        "/api/nodes": said_json({"nodes": []}),
        "/metrics": Said(200, TEXT, ""),
    }
    if ours:
        answers["/api/whoami"] = said_json({"role": "viewer", "how": "anonymous", "version": "1.2.3"})
    return TableNode(answers)
