# SPDX-License-Identifier: Apache-2.0
"""The commands of ``lmcache-proxy`` against a frontend with simulated nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.app import App
from lmcache_frontend.exposition.parse import parse
from lmcache_frontend.settings import Settings
from tests.helpers.proxy_tool import Result, run
from tests.helpers.scripted import Script, ScriptedNode, Visit, answering
from tests.helpers.talking import ask
from tests.helpers.waiting import wait_until

NAMES = ["demo_scheduler", "demo_worker0", "demo_worker1", "demo_mp0"]
WORKERS = ["demo_worker0", "demo_worker1"]


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    settings = Settings(host="127.0.0.1", port=0, demo=4, poll_interval_s=1.0, drain_timeout_s=1.0, store="memory:")
    running = App(settings)
    running.start()
    try:
        wait_until(lambda: len([node for node in fleet(running)["nodes"] if node["level"] == "healthy"]) == 4)
        yield running
    finally:
        running.stop()


def fleet(app: App) -> Any:
    return json.loads(ask(app.settings.port, "GET", "/api/fleet").body)


def tool(app: App, *arguments: str, stdin: str = "", **environment: str) -> Result:
    return run(*arguments, stdin=stdin, LMCACHE_FRONTEND_URL=f"http://127.0.0.1:{app.settings.port}", **environment)


def rows(app: App, *arguments: str) -> list[dict[str, Any]]:
    result = tool(app, *arguments, "--format", "jsonl")
    assert result.err == "", result.err
    return result.lines


def outcomes(app: App, *arguments: str) -> dict[str, str]:
    result = tool(app, *arguments, "--format", "jsonl", "-q")
    return {line["node"]: line["outcome"] for line in result.lines}


def answering_with(document: Any) -> Script:
    body = json.dumps(document).encode()
    return answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def address(app: App, name: str) -> str:
    return next(str(node["address"]) for node in fleet(app)["nodes"] if node["name"] == name)


# Reading


def test_nodes_are_listed_with_what_matters(app: App) -> None:
    result = tool(app, "nodes")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0].split()[:4] == ["NODE", "STATE", "KIND", "VERSION"]
    assert [row[0] for row in result.rows[1:]] == NAMES
    assert result.rows[1][1:3] == ["healthy", "scheduler"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kind:worker"], WORKERS),
        (["kind:worker", "worker1"], ["demo_worker1"]),
        (["demo_w*"], WORKERS),
        (["*[01]"], [*WORKERS, "demo_mp0"]),
        (["state:unreachable"], []),
    ],
)
def test_nodes_are_filtered(app: App, words: list[str], expected: list[str]) -> None:
    assert [row["node"] for row in rows(app, "nodes", *words)] == expected


def test_nodes_have_their_figures_as_members(app: App) -> None:
    worker = next(row for row in rows(app, "nodes") if row["node"] == "demo_worker0")
    assert 0 < worker["lookup_hit_rate_total"] <= 1
    assert worker["level"] == "healthy"
    assert isinstance(worker["figure_states"], dict)
    found = tool(app, "nodes", "--fields", "node,kind", "--format", "json").document
    assert found[0] == {"node": "demo_scheduler", "kind": "scheduler"}
    assert [list(row) for row in found] == [["node", "kind"]] * 4


def test_nodes_are_sorted_and_who_has_no_value_is_last(app: App) -> None:
    found = rows(app, "nodes", "--sort=-cpu_used_bytes")
    used = [row.get("cpu_used_bytes") for row in found]
    assert used[-1] is None
    assert used[:-1] == sorted(used[:-1], reverse=True)
    assert tool(app, "nodes", "--sort", "nothing").status == 2


def test_nodes_are_given_to_prometheus(app: App) -> None:
    parsed = parse(tool(app, "nodes", "--format", "prom").out)
    assert parsed.faults == []
    samples = parsed.families["lmcache_fleet_node_cpu_used_bytes"].samples
    assert {dict(sample.labels)["node"] for sample in samples} == {*WORKERS, "demo_mp0"}


def test_a_malformed_filter_is_told(app: App) -> None:
    result = tool(app, "nodes", "colour:red")
    assert (result.status, result.out) == (1, "")
    assert "the filter term 'colour:red' is unknown" in result.err


def test_the_fleet_has_totals_and_problems(app: App) -> None:
    result = tool(app, "fleet")
    assert result.out.startswith("4 nodes: 4 healthy\nkinds: ")
    assert re.search(r"^hit rate +\S+", result.out, re.MULTILINE)
    document = tool(app, "fleet", "--format", "json").document
    assert document["levels"] == {"healthy": 4}
    assert document["kinds"] == {"scheduler": 1, "worker": 2, "mp": 1}
    assert {"totals", "problems", "versions", "snapshot", "taken_at"} < set(document)
    assert parse(tool(app, "fleet", "--format", "prom").out).families["lmcache_fleet_nodes"].samples[0].value == 4


def test_a_node_is_shown_on_one_screen(app: App) -> None:
    result = tool(app, "node", "demo_worker0")
    assert result.out.startswith("demo_worker0  healthy\nworker, LMCache 0.5.6-g3e11e108, ")
    for text in ("CONFIGURATION", "chunk_size", "BACKENDS", "ACTIVITY", "threads", "NOT READ"):
        assert text in result.out
    document = tool(app, "node", "demo_mp0", "--format", "json").document
    assert document["name"] == "demo_mp0"
    assert document["items"]["conf"]["state"] == "ok"
    assert document["items"]["meta"] == {
        "state": "unsupported",
        "reason": "an MP server of LMCache since 0.5.1 has no metadata",
        "data": None,
    }


def test_one_node_is_one(app: App) -> None:
    result = tool(app, "node", "demo_w*")
    assert (result.status, result.out) == (6, "")
    assert "expected one node, and 2 match: demo_worker0, demo_worker1" in result.err


def test_versions_of_all(app: App) -> None:
    assert rows(app, "version", "--all") == [{"node": name, "version": "0.5.6-g3e11e108"} for name in NAMES]
    assert 'lmcache_frontend_node_version_info{node="demo_mp0",version="0.5.6-g3e11e108"} 1.0\n' in (
        tool(app, "version", "--all", "--format", "prom").out
    )


def test_health_says_why_and_has_a_status(app: App) -> None:
    assert rows(app, "health", "demo_worker0") == [{"node": "demo_worker0", "level": "healthy", "reasons": []}]
    add = tool(app, "add", "nobody", "127.0.0.1:1")
    assert (add.status, add.out, add.err) == (0, "", "nobody: Node added\n")
    try:
        alone = tool(app, "health", "nobody", "--format", "jsonl")
        assert (alone.status, alone.lines[0]["level"]) == (3, "unreachable")
        both = tool(app, "health", "nobody,demo_worker0", "--format", "json")
        assert (both.status, [row["level"] for row in both.document]) == (4, ["unreachable", "healthy"])
        version = tool(app, "version", "nobody,demo_worker0", "--format", "jsonl")
        assert version.status == 4
        assert version.lines[-1]["state"] == "failed"
        assert version.err.startswith("warning: nobody: ")
        wait_until(lambda: tool(app, "version", "nobody").status == 3)
    finally:
        assert tool(app, "remove", "nobody", "--yes").status == 0
    assert tool(app, "health", "nobody").status == 1


def test_what_a_kind_has_not_is_no_failure_beside_others(app: App) -> None:
    result = tool(app, "meta", "--all", "--grep", "chunk_size")
    assert result.status == 0
    assert "warning: demo_mp0: an MP server of LMCache since 0.5.1 has no metadata\n" in result.err
    assert tool(app, "meta", "demo_mp0").status == 1


def test_secrets_are_hidden_unless_asked_for(app: App) -> None:
    assert rows(app, "env", "demo_worker0", "--grep", "^HF_TOKEN=")[0]["value"] == "********"
    assert rows(app, "env", "demo_worker0", "--grep", "^HF_TOKEN=", "--reveal")[0]["value"] != "********"
    assert tool(app, "node", "demo_worker0", "--reveal").err == ""
    deeds = rows(app, "audit", "--what", "with secrets", "--on", "demo_worker?")
    assert {"read env with secrets", "read conf with secrets"} <= {deed["what"] for deed in deeds}


def test_the_audit_trail_is_listed(app: App) -> None:
    for number in range(3):
        ask(app.settings.port, "DELETE", f"/api/nodes/nobody{number}")
    assert [deed["target"] for deed in rows(app, "audit", "--on", "nobody*", "--limit", "2")] == ["nobody2", "nobody1"]
    shown = tool(app, "audit", "--outcome", "refused", "--since", "1h", "--who", "*", "--on", "nobody0")
    assert shown.out.splitlines()[0].split()[:4] == ["AGO", "WHO", "ADDRESS", "WHAT"]
    assert "delete node" in shown.out
    assert "nothing was written down" in tool(app, "audit", "--who", "nobody at all").err
    for words in (("--since", "x"), ("--limit", "0"), ("--outcome", "x")):
        assert tool(app, "audit", *words).status == 2


def test_all_pages_of_the_audit_trail_are_read(start_node: Callable[..., ScriptedNode]) -> None:
    pages = [
        {"entries": [{"at": 2.0, "who": "a"}], "next_before": 2.0},
        {"entries": [], "next_before": 1.5},
        {"entries": [{"at": 1.0, "who": "b"}], "next_before": None},
    ]

    def script(visit: Visit) -> None:
        answering_with(pages[visit.number])(visit)

    node = start_node(script)
    found = run("audit", "--server", f"http://127.0.0.1:{node.port}", "--format", "jsonl").lines
    assert [deed["who"] for deed in found] == ["a", "b"]


def test_the_other_items_have_rows(app: App) -> None:
    assert {row["key"] for row in rows(app, "inference", "demo_worker0")} >= {"vllm_version", "model_config"}
    assert rows(app, "backends", "demo_worker0") == [
        {"node": "demo_worker0", "name": "LocalCPUBackend", "type": "LocalCPUBackend"}
    ]
    periodic = rows(app, "periodic", "demo_worker0")
    assert {"name", "level", "interval", "is_running", "is_active", "total_runs"} < set(periodic[0])
    assert tool(app, "periodic", "demo_worker0").out.splitlines()[0].split()[:3] == ["NAME", "LEVEL", "EVERY"]


def test_metrics_are_samples(app: App) -> None:
    found = rows(app, "metrics", "demo_worker0", "--grep", r"num_lookup_tokens_total\{")
    assert [row["name"] for row in found] == ["lmcache:num_lookup_tokens_total"]
    assert found[0]["type"] == "counter"
    assert found[0]["labels"]["worker_id"] == "0"
    assert found[0]["value"] > 0


def test_metrics_of_several_nodes_keep_apart(app: App) -> None:
    exposition = tool(app, "metrics", "kind:worker", "--format", "prom").out
    parsed = parse(exposition)
    assert parsed.faults == []
    counted = parsed.families["lmcache:num_lookup_tokens_total"].samples
    assert [dict(sample.labels)["node"] for sample in counted] == WORKERS
    family = parsed.families["lmcache:time_to_retrieve"]
    assert family.type == "histogram"
    assert {sample.name.rpartition("_")[2] for sample in family.samples} == {"bucket", "count", "sum"}


def test_rates_are_those_of_what_counts(app: App) -> None:
    result = tool(app, "metrics", "demo_worker0", "--rate", "0.05", "--format", "jsonl")
    found = {row["name"]: row for row in result.lines}
    assert "lmcache:num_lookup_tokens_total" in found
    assert "lmcache:local_cache_usage" not in found
    assert found["lmcache:num_lookup_tokens_total"]["increase"] >= 0
    assert result.err == "waiting 0.05 s\n"
    assert tool(app, "metrics", "demo_worker0", "--rate", "1", "--format", "prom").status == 2


def test_threads_are_listed_with_their_places(app: App) -> None:
    found = rows(app, "threads", "demo_worker0", "--name", "PINMON")
    assert [row["name"] for row in found] == ["PinMonitor-thread"]
    assert re.fullmatch(r"\w+ \(\w+\.py:\d+\)", found[0]["at"])
    assert found[0]["frames"][-1]["line"] > 0
    stacks = tool(app, "threads", "demo_worker0", "--name", "pinmon", "--stacks")
    assert stacks.out.startswith("PinMonitor-thread (started daemon, ")
    assert "periodic_thread.py:" in stacks.out


def test_threads_are_compared(app: App) -> None:
    result = tool(app, "threads", "demo_worker0", "--diff", "0.05", "--format", "jsonl")
    assert {row["change"] for row in result.lines} <= {"same", "moved", "new", "gone"}
    assert result.lines[0]["before"] is not None
    assert re.search(r"\d+ of \d+ threads are where they were\n$", result.err)


def test_drift_is_listed_by_value(start_node: Callable[..., ScriptedNode]) -> None:
    keys = [
        {"key": "chunk_size", "values": [{"value": 128, "nodes": ["w2"]}, {"value": 256, "nodes": ["w0", "w1"]}]},
        {"key": "api_token", "values": [{"value": "x", "nodes": ["w0"]}, {"value": None, "nodes": ["w1", "w2"]}]},
    ]
    versions = [{"version": "0.5.6", "nodes": ["w0", "w1"]}, {"version": "0.4.7", "nodes": ["w2"]}]
    document = {"groups": [{"kind": "worker", "nodes": 3, "keys": keys}], "versions": versions}
    server = f"http://127.0.0.1:{start_node(answering_with(document)).port}"
    assert run("drift", "--server", server, "--format", "json").document == document
    found = run("drift", "--server", server, "--format", "jsonl").lines
    assert [(row["key"], row["value"], row["count"]) for row in found] == [
        *(("chunk_size", 256, 2), ("chunk_size", 128, 1)),
        *(("api_token", None, 2), ("api_token", "********", 1)),
        *(("version", "0.5.6", 2), ("version", "0.4.7", 1)),
    ]
    assert found[0] == {"kind": "worker", "key": "chunk_size", "value": 256, "count": 2, "nodes": ["w0", "w1"]}
    assert [row[1] for row in run("drift", "chunk_size", "--server", server).rows[1:]] == ["chunk_size"] * 2
    same = {"groups": [], "versions": [versions[0]]}
    nothing = run("drift", "--server", f"http://127.0.0.1:{start_node(answering_with(same)).port}")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "nothing differs\n")


def test_the_dashboard_has_an_address(app: App) -> None:
    base = f"http://127.0.0.1:{app.settings.port}/"
    assert tool(app, "open").out == base + "\n"
    assert tool(app, "open", "rack 1/w").out == f"{base}#/node/rack%201%2Fw\n"


# Choosing nodes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["demo_worker1"], ["demo_worker1"]),
        (["demo_worker1,demo_mp0"], ["demo_worker1", "demo_mp0"]),
        (["demo_w*,demo_worker0"], WORKERS),
        (["kind:mp"], ["demo_mp0"]),
        (["state:healthy kind:scheduler"], ["demo_scheduler"]),
        (["--all"], NAMES),
        (["--filter", "worker"], WORKERS),
    ],
)
def test_nodes_are_chosen(app: App, words: list[str], expected: list[str]) -> None:
    assert [row["node"] for row in rows(app, "version", *words)] == expected


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "which nodes? expected a name, a glob, a filter, --all or --direct ADDRESS"),
        (["--all", "--filter", "x"], 2, "--all and --filter exclude each other"),
        (["--all", "demo_mp0"], 2, "unexpected words: demo_mp0"),
        (["demo_worker"], 1, "no node is called 'demo_worker': did you mean demo_worker1 or demo_worker0"),
        (["x*"], 1, "no node's name matches 'x*'"),
        (["state:degraded"], 1, "no node matches 'state:degraded'"),
        (["state:"], 1, "no node is called 'state:'"),
        ([""], 2, "NODE: expected a name, a glob or a filter, got ''"),
        ([" , "], 2, "NODE: expected a name, a glob or a filter, got ' , '"),
        (["--filter", " "], 2, "--filter: expected words or terms, got an empty text; --all means every node"),
    ],
)
def test_a_wrong_choice_is_told(app: App, words: list[str], status: int, message: str) -> None:
    result = tool(app, "version", *words)
    assert (result.status, result.out) == (status, "")
    assert message in result.err


# Changing


def test_a_level_is_set_on_a_role_and_read_back(app: App) -> None:
    result = tool(app, "loglevel", "kind:worker", "lmcache", "debug")
    assert result.status == 0
    assert [row[:3] for row in result.rows[1:]] == [[name, "done", "200"] for name in WORKERS]
    assert result.err == "2 done\n"
    assert [row["level"] for row in rows(app, "loglevel", "kind:worker", "lmcache")] == ["DEBUG", "DEBUG"]
    assert outcomes(app, "loglevel", "kind:worker", "lmcache", "INFO") == dict.fromkeys(WORKERS, "done")
    assert {row["logger"] for row in rows(app, "loglevel", "demo_worker0", "lmcache.*")} > {"lmcache.v1.cache_engine"}


def test_a_wrong_level_is_told_before_anything_is_sent(app: App) -> None:
    result = tool(app, "loglevel", "demo_worker0", "lmcache", "LOUD")
    assert (result.status, result.out) == (2, "")
    assert "expected one of NOTSET, DEBUG, " in result.err


def test_asking_for_a_logger_that_is_not_there_does_not_make_it(app: App) -> None:
    for _ in range(2):
        result = tool(app, "loglevel", "demo_worker0", "no.such")
        assert (result.status, result.out) == (0, "")


def test_conf_shows_values_by_name_and_glob(app: App) -> None:
    found = {row["key"]: row["value"] for row in rows(app, "conf", "demo_worker0", "chunk_size", "max_local_*")}
    assert found == {"chunk_size": 256, "max_local_cpu_size": 20.0, "max_local_disk_size": 0.0}
    result = tool(app, "conf", "demo_worker0", "no_such")
    assert (result.out, result.err) == ("", "nothing to show\nno key is called 'no_such' there\n")


def test_conf_shows_what_would_change_and_changes_nothing(app: App) -> None:
    result = tool(app, "conf", "kind:worker", "blocking_timeout_secs=20", "--dry-run")
    assert result.status == 0
    assert result.err == (
        "2 nodes: demo_worker0, demo_worker1\n-blocking_timeout_secs: 10\n+blocking_timeout_secs: 20\n2 planned\n"
    )
    assert [row[:2] for row in result.rows[1:]] == [[name, "planned"] for name in WORKERS]
    assert [row["value"] for row in rows(app, "conf", "kind:worker", "blocking_timeout_secs")] == [10, 10]


def test_conf_asks_nobody_where_nobody_is(app: App) -> None:
    result = tool(app, "conf", "kind:worker", "blocking_timeout_secs=20", stdin="y\n")
    assert (result.status, result.out) == (2, "")
    assert result.err.endswith(
        "Change this on demo_worker0, demo_worker1? There is no terminal to ask on: give --yes\n"
    )
    assert [row["value"] for row in rows(app, "conf", "kind:worker", "blocking_timeout_secs")] == [10, 10]


def test_conf_changes_with_a_canary_and_says_how_to_put_it_back(app: App) -> None:
    result = tool(app, "conf", "kind:worker", "blocking_timeout_secs=20", "--canary", "--yes")
    assert result.status == 0
    assert "went first and is healthy" in result.rows[1][-1]
    back = "conf demo_worker0,demo_worker1 blocking_timeout_secs=10"
    assert f"to put it back: lmcache-proxy {back}\n" in result.err
    again = tool(app, "conf", "kind:worker", "blocking_timeout_secs=20", "--yes")
    assert (again.status, again.out) == (0, "")
    assert again.err == "as wished already: demo_worker0, demo_worker1\nnothing is to be changed\n"
    assert tool(app, *back.split(), "--yes").status == 0
    assert [row["value"] for row in rows(app, "conf", "kind:worker", "blocking_timeout_secs")] == [10, 10]


def test_conf_tells_what_lmcache_makes_of_a_value(app: App) -> None:
    result = tool(app, "conf", "demo_worker0", "save_unfull_chunk=yes", "no_such_thing=1", "--dry-run")
    assert 'warning: save_unfull_chunk: got "yes", of which LMCache makes false' in result.err
    assert "warning: no_such_thing: LMCache 0.5.6 has no such key and ignores it\n" in result.err
    assert "+no_such_thing: 1 (no such key there so far)\n" in result.err


def test_a_change_that_not_all_can_do_is_done_in_part(app: App) -> None:
    result = tool(app, "conf", "--all", "lookup_timeout_ms=2500", "--yes", "--format", "jsonl")
    assert result.status == 4
    assert [line["outcome"] for line in result.lines] == ["done", "done", "done", "unsupported"]
    # The same once more: it is not on all nodes, though none is to be changed any more.
    assert tool(app, "conf", "--all", "lookup_timeout_ms=2500", "--yes", "-q").status == 4
    assert tool(app, "conf", "--all", "lookup_timeout_ms=3000", "--yes", "-q").status == 4
    assert tool(app, "conf", "demo_mp0", "lookup_timeout_ms=3000", "--yes").status == 1


def test_switches_are_turned_and_shown(app: App) -> None:
    assert outcomes(app, "freeze", "kind:worker", "on") == dict.fromkeys(WORKERS, "done")
    assert [row["enabled"] for row in rows(app, "freeze", "kind:worker")] == [True, True]
    assert outcomes(app, "freeze", "off", "kind:worker") == dict.fromkeys(WORKERS, "done")
    all_of_them = tool(app, "freeze", "--all", "--format", "json")
    assert {row["node"]: row.get("enabled") for row in all_of_them.document} == {
        **dict.fromkeys(WORKERS, False),
        "demo_scheduler": None,
        "demo_mp0": None,
    }
    assert all_of_them.status == 0
    assert outcomes(app, "hot-cache", "demo_worker0", "off") == {"demo_worker0": "done"}
    assert rows(app, "hot-cache", "demo_worker0")[0]["enabled"] is False
    assert outcomes(app, "hot-cache", "demo_worker0", "on") == {"demo_worker0": "done"}
    assert tool(app, "freeze", "demo_worker0", "maybe").status == 2
    assert "give --yes" in tool(app, "hot-cache", "kind:worker", "off").err


def test_caches_are_cleared_after_a_yes(app: App) -> None:
    refused = tool(app, "clear", "demo_worker0")
    assert (refused.status, refused.out) == (2, "")
    assert "Clear the cache of demo_worker0? There is no terminal to ask on: give --yes" in refused.err
    assert outcomes(app, "clear", "kind:worker", "--location", "LocalCPUBackend", "--yes") == (
        dict.fromkeys(WORKERS, "done")
    )
    assert outcomes(app, "clear", "demo_scheduler", "--yes") == {"demo_scheduler": "unsupported"}


def test_quotas_are_set_shown_and_removed(app: App) -> None:
    assert outcomes(app, "quota", "kind:mp", "team-a=40") == {"demo_mp0": "done"}
    found = rows(app, "quota", "demo_mp0", "team-a")
    assert [(row["tenant"], row["limit_gb"]) for row in found] == [("team-a", 40)]
    assert outcomes(app, "quota", "demo_mp0", "team-a", "--remove", "--yes") == {"demo_mp0": "done"}
    assert rows(app, "quota", "demo_mp0", "team-a") == []
    assert tool(app, "quota", "demo_mp0", "team-a=much").status == 2
    for nobody in ("=5", ""):
        result = tool(app, "quota", "demo_mp0", nobody)
        assert (result.status, result.err) == (2, f"lmcache-proxy: expected TENANT or TENANT=GB, got {nobody!r}\n")


def test_scripts_are_sent_and_their_refusal_is_told(app: App, tmp_path: Path) -> None:
    script = tmp_path / "probe.py"
    script.write_text("result = 1 + 1\n")
    alone = tool(app, "run-script", "demo_worker0", str(script), "--yes")
    assert (alone.status, alone.out) == (1, "")
    assert "run_script_api_enabled" in alone.err
    assert outcomes(app, "run-script", "kind:worker", str(script), "--yes") == dict.fromkeys(WORKERS, "unsupported")
    assert tool(app, "run-script", "demo_worker0", "/nonexistent/x.py", "--yes").status == 2


def test_actions_are_listed_and_looked_at_again(app: App) -> None:
    begun = tool(app, "loglevel", "kind:worker", "lmcache", "INFO", "-v")
    action_id = re.match(r"action (\S+)\n", begun.err)
    assert action_id
    listed = rows(app, "actions")
    assert listed[0]["id"] == action_id[1]
    assert (listed[0]["state"], listed[0]["outcomes"]) == ("ended", "2 done")
    again = tool(app, "actions", action_id[1], "--format", "jsonl", "-q")
    assert [line["outcome"] for line in again.lines] == ["done", "done"]
    assert tool(app, "actions", action_id[1], "--follow").status == 0
    assert tool(app, "actions", action_id[1], "--stop").status == 0
    for strange in ("nothing", "../../nodes", "a b", "?"):
        result = tool(app, "actions", strange)
        assert (result.status, "no action has this id" in result.err) == (1, True), strange
    assert tool(app, "actions", "--stop").status == 2


def test_requests_to_several_nodes_are_an_action(app: App) -> None:
    result = tool(app, "get", "kind:worker", "/version")
    assert [row[:2] for row in result.rows[1:]] == [[name, "done"] for name in WORKERS]
    assert '"0.5.6-g3e11e108"' in result.out
    refused = tool(app, "put", "kind:worker", "/freeze/disable")
    assert (refused.status, refused.out) == (2, "")
    assert outcomes(app, "put", "kind:worker", "/freeze/disable", "--yes") == dict.fromkeys(WORKERS, "done")
    post = ["post", "kind:worker", "/conf", "-d", '{"min_retrieve_tokens": 0}', "--yes"]
    assert outcomes(app, *post) == dict.fromkeys(WORKERS, "done")


def test_entries_are_added_edited_and_removed(app: App) -> None:
    assert tool(app, "add", "w9", "127.0.0.1:1", "--label", "zone=a").status == 0
    assert tool(app, "add", "w9", "127.0.0.1:1").status == 6
    assert tool(app, "edit", "w9", "--address", "[::1]:2", "--label", "rack=7", "--remove-label", "zone").status == 0
    tree = json.loads(ask(app.settings.port, "GET", "/api/nodes").body)["nodes"]
    entry = next(child for proxy in tree for child in proxy["children"] if child["name"] == "w9")
    assert (entry["host"], entry["port"], entry["labels"]) == ("::1", 2, {"rack": "7"})
    assert tool(app, "edit", "w9").status == 2
    assert tool(app, "edit", "w9", "--name", "w10").status == 0
    refused = tool(app, "remove", "w10")
    assert (refused.status, "Remove w10 from the frontend's list?" in refused.err) == (2, True)
    assert tool(app, "remove", "w10", "-y").status == 0
    assert tool(app, "remove", "w10", "-y").status == 1


def test_proxies_are_added_listed_and_refreshed(app: App) -> None:
    assert tool(app, "add", "rack", "127.0.0.1:1", "--is-proxy").status == 0
    try:
        assert [row["name"] for row in rows(app, "nodes", "--proxies")] == ["local_proxy", "rack"]
        assert tool(app, "refresh", "rack").status == 1
        assert tool(app, "refresh", "nobody").status == 1
        assert tool(app, "add", "x", "127.0.0.1:1", "--proxy", "rack", "--is-proxy").status == 2
    finally:
        assert tool(app, "remove", "rack", "-y").status == 0


def test_nodes_behind_another_frontend_are_reached(app: App, start_app: Callable[..., App]) -> None:
    children = [{"name": name, "host": "elsewhere", "port": 1} for name in NAMES]
    rack = {"name": "rack", "host": "127.0.0.1", "port": app.settings.port, "nodes": children}
    own = {"name": "local_proxy", "nodes": [{"name": "demo_mp0", "host": "127.0.0.1", "port": 1}]}
    parent = start_app([rack, own], collecting=True)

    def ask_parent(*arguments: str) -> Result:
        return run(*arguments, "--server", f"http://127.0.0.1:{parent.settings.port}")

    assert ask_parent("get", "rack/demo_worker0", "/version").out == '"0.5.6-g3e11e108"'
    assert ask_parent("get", "demo_worker0", "/version").out == '"0.5.6-g3e11e108"'
    level = ask_parent("loglevel", "rack/demo_w*", "lmcache", "INFO", "--format", "jsonl")
    assert [(line["node"], line["outcome"]) for line in level.lines] == [
        ("rack/demo_worker0", "done"),
        ("rack/demo_worker1", "done"),
    ]
    assert ask_parent("get", "rack", "/api/nodes").document["nodes"][0]["name"] == "local_proxy"
    expected = [{"node": "rack/demo_mp0", "version": "0.5.6-g3e11e108"}]
    wait_until(lambda: ask_parent("version", "rack/demo_mp0", "--format", "jsonl").lines == expected)


# Without a frontend


@pytest.mark.parametrize("name", ["demo_worker0", "demo_mp0"])
def test_a_node_is_spoken_to_directly(app: App, name: str) -> None:
    where = address(app, name)
    assert where.startswith("/") == (name == "demo_worker0")

    def direct(*arguments: str) -> Result:
        return run(*arguments, "--direct", where, LMCACHE_FRONTEND_URL="http://127.0.0.1:1")

    assert direct("version", "--format", "json").document == [{"node": where, "version": "0.5.6-g3e11e108"}]
    assert direct("health").status == 0
    assert direct("node").out.startswith(f"{where}  healthy\nLMCache 0.5.6-g3e11e108\n")
    assert direct("loglevel", "lmcache", "INFO").status == 0
    assert direct("get", "/version").out == '"0.5.6-g3e11e108"'
    assert direct("clear", "--yes").status == 0
    assert direct("metrics", "--format", "prom").out.startswith("# HELP ")
    assert "node=" not in direct("metrics", "--format", "prom").out


def test_a_change_without_a_frontend_is_judged_as_by_one(app: App) -> None:
    where = address(app, "demo_worker0")

    def direct(*arguments: str) -> Result:
        return run(*arguments, "--direct", where)

    done = direct("conf", "blocking_timeout_secs=20", "--yes")
    assert done.status == 0
    assert f"to put it back: lmcache-proxy conf --direct {where} blocking_timeout_secs=10\n" in done.err
    assert direct("conf", "blocking_timeout_secs=10", "--yes", "-q").err == ""
    assert direct("conf", "no_such=1", "--yes").status == 1
    assert direct("freeze", "on").status == direct("freeze", "off").status == 0
    assert direct("nodes").status == 2
    assert run("version", "--direct", "somewhere").status == 2
    assert run("version", "--direct", "/nonexistent/socket").status == 3


# Output


def test_a_result_goes_into_a_file_whole(app: App, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    result = tool(app, "nodes", "--format", "json", "--output", str(path))
    assert (result.status, result.out, result.err) == (0, "", "")
    assert [row["node"] for row in json.loads(path.read_text())] == NAMES


def test_a_dash_stands_for_standard_output(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (("nodes", "--fields", "node"), ("get", "demo_worker0", "/version"), ("get", "--all", "/version")):
        assert "demo" in (result := tool(app, *command, "--output", "-")).out or result.out.startswith('"')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (("--node-timeout", "nan"), "expected a number of seconds above 0, got 'nan'"),
        (("--node-timeout", "-1"), "expected a number of seconds above 0, got '-1'"),
        (("--node-timeout", "601"), "expected at most 600 seconds, got '601'"),
        (("--parallel", "65"), "expected a whole number from 1 to 64, got '65'"),
        (("--max-failures", "0"), "expected a whole number from 1 to 10000, got '0'"),
        (("--max-failures", "9" * 5000), "expected a whole number from 1 to 10000, got '999"),
    ],
)
def test_what_no_frontend_takes_is_a_usage_error(option: tuple[str, str], expected: str) -> None:
    result = run("loglevel", "--all", "lmcache", "INFO", *option, "--server", "http://127.0.0.1:1")
    assert result.status == 2
    assert expected in result.err


def test_titles_can_be_left_out(app: App) -> None:
    assert tool(app, "nodes", "kind:mp", "--fields", "node", "--no-headers").out == "demo_mp0\n"


def test_fields_that_are_not_there_are_told(app: App) -> None:
    result = tool(app, "nodes", "--fields", "node,colour")
    assert (result.status, result.out) == (2, "")
    assert "--fields: no field is called 'colour', expected some of node, level, " in result.err
    assert tool(app, "nodes", "--fields", ",").status == 2


def test_colour_is_there_when_wished(app: App) -> None:
    assert "\x1b[32mhealthy\x1b[0m" in tool(app, "health", "demo_worker0", "--color", "always").out
    assert "\x1b" not in tool(app, "health", "demo_worker0").out
