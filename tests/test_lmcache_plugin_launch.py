# SPDX-License-Identifier: Apache-2.0
"""What each LMCache release tells a plugin, and how the dashboard is started from it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NamedTuple

import pytest

from lmcache_frontend.errors import UsageError
from lmcache_frontend.lmcache_plugin import launch, node_layout
from tests.helpers.lmcache_plugins import api, current, legacy

HEX = "0123456789abcdef0123456789abcdef"
SECRET = "hunter2-is-secret"


class Case(NamedTuple):
    """One LMCache release: the environment it gives to a plugin, and what has to come of it."""

    release: str
    environment: dict[str, str]
    nodes: list[tuple[str, str, int | str]]
    arguments: tuple[str, ...] = ()
    port: int = 8000


CASES = [
    Case(
        "0.3.4",
        legacy("KVConnectorRole.SCHEDULER", json.dumps(api(), indent=2), 2),
        [
            ("lmcache_default_instance_scheduler", "127.0.0.1", 6999),
            ("lmcache_default_instance_worker0", "127.0.0.1", 7000),
            ("lmcache_default_instance_worker1", "127.0.0.1", 7001),
        ],
    ),
    Case(
        "0.3.9",
        legacy(
            "KVConnectorRole.SCHEDULER",
            json.dumps(
                api(
                    lmcache_instance_id=f"lmcache_instance_{HEX}",
                    internal_api_server_include_index_list=[0, 2],
                    internal_api_server_host="::",
                    extra_config={
                        "plugin.frontend.port": 9000,
                        "plugin.frontend.node_timeout": 30,
                        "remote_password": SECRET,
                    },
                )
            ),
            2,
        ),
        [
            (f"lmcache_instance_{HEX}_scheduler", "::1", 6999),
            (f"lmcache_instance_{HEX}_worker1", "::1", 7001),
        ],
        ("--node-timeout=30",),
        9000,
    ),
    Case(
        "0.3.15",
        current(
            "scheduler",
            json.dumps(
                api(
                    lmcache_instance_id=None,
                    internal_api_server_include_index_list=[],
                    internal_api_server_socket_path_prefix="/run/lmcache/socket",
                    extra_config={"plugin.frontend.demo": True, "plugin.frontend.config": False},
                )
            ),
            1,
        ),
        [
            ("None_scheduler", "localhost", "/run/lmcache/socket_6999"),
            ("None_worker0", "localhost", "/run/lmcache/socket_7000"),
        ],
        ("--demo",),
    ),
    Case(
        "0.4.7",
        current(
            "scheduler",
            json.dumps(
                api(
                    lmcache_instance_id=f"lmcacheengineconfig_{HEX}",
                    pd_allocation_timeout_sec=float("inf"),
                    hit_miss_ratio=float("nan"),
                    enable_scheduler_bypass_lookup=True,
                )
            ),
            2,
        ),
        [
            (f"lmcacheengineconfig_{HEX}_worker0", "127.0.0.1", 7000),
            (f"lmcacheengineconfig_{HEX}_worker1", "127.0.0.1", 7001),
        ],
    ),
    Case(
        "0.5.6",
        current(
            "scheduler",
            json.dumps(
                api(
                    lmcache_instance_id="prefill",
                    internal_api_server_host="127.0.0.1",
                    internal_api_server_port_start=9090,
                    internal_api_server_socket_path_prefix="run/socket",
                    internal_api_server_include_index_list=[1],
                    pd_allocation_timeout_sec=float("inf"),
                    extra_config={"plugin.frontend.port": "9001", "plugin.frontend.log-level": "debug"},
                ),
                indent=2,
            ),
            4,
        ),
        [("prefill_worker0", "localhost", "/srv/node/run/socket_9091")],
        ("--log-level=debug",),
        9001,
    ),
    Case(
        "MP 0.4.4",
        current(
            "",
            json.dumps(
                {
                    "mp_config": {
                        "host": "localhost",
                        "port": 5555,
                        "runtime_plugin_config": {
                            "locations": ["/x.py"],
                            "extra_config": {"plugin.frontend.port": 8100, "plugin.frontend.host": "127.0.0.1"},
                        },
                    },
                    "storage_manager_config": {},
                    "obs_config": {},
                    "http_config": {"http_host": "0.0.0.0", "http_port": 8085},
                }
            ),
            1,
        ),
        [("lmcache_server", "127.0.0.1", 8085)],
        ("--host=127.0.0.1",),
        8100,
    ),
    Case(
        "MP 0.5.6",
        current(
            "",
            json.dumps(
                {
                    "mp_config": {
                        "instance_id": "1c0f3b0e-14a5-4c3e-8a41-1f9f0c7f1d11",
                        "runtime_plugin_config": {"extra_config": {"plugin.frontend.port": 8100}},
                    },
                    "http_config": {"http_host": "127.0.0.1", "http_port": 8080},
                    "runtime_plugin_extra_config": {
                        "plugin.frontend.port": 8200,
                        "plugin.frontend.port_strict": True,
                        "other.plugin.port": 1,
                    },
                }
            ),
            1,
        ),
        [("lmcache_server", "127.0.0.1", 8080)],
        (),
        8200,
    ),
    Case(
        "MP 0.5.6 named",
        current(
            "",
            json.dumps({"mp_config": {"instance_id": "mp-7"}, "http_config": {"http_host": "::", "http_port": 1}}),
            1,
        ),
        [("mp-7", "::1", 1)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.release for case in CASES])
def test_plan_of_each_release(case: Case) -> None:
    plan = launch.plan_from(case.environment, directory="/srv/node")
    nodes = [word for word in plan.arguments if word.startswith("--nodes=")]
    assert json.loads(nodes[0].partition("=")[2]) == [
        {"name": name, "host": host, "port": port} for name, host, port in case.nodes
    ]
    assert tuple(word for word in plan.arguments if word not in nodes) == case.arguments
    assert plan.port == case.port
    assert plan.port_is_strict is (case.release == "MP 0.5.6")
    assert plan.remarks == ()
    assert SECRET not in str(plan)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (current("scheduler", json.dumps(api(internal_api_server_enabled=False)), 1), "internal API is off"),
        (current("scheduler", json.dumps(api(internal_api_server_include_index_list=[7])), 2), "include_index_list"),
        (current("", json.dumps({"mp_config": {}}), 1), "no HTTP address"),
        (current("scheduler", json.dumps(api(internal_api_server_port_start="x")), 1), "not a whole number"),
        (current("scheduler", "{" + SECRET, 1), "LMCACHE_RUNTIME_PLUGIN_CONFIG is not JSON"),
        (legacy("KVConnectorRole.SCHEDULER", f'["{SECRET}"]', 1), "LMCACHE_PLUGIN_CONFIG is not a JSON object"),
        ({}, "no LMCache configuration"),
    ],
)
def test_without_nodes_it_starts_and_says_why_in_one_line(environment: dict[str, str], words: str) -> None:
    plan = launch.plan_from(environment, directory="/")
    assert plan.arguments == ("--nodes=[]",)
    (remark,) = plan.remarks
    assert words in remark
    assert "\n" not in remark
    assert SECRET not in remark


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([{"name": "a", "host": "h", "port": 1}], '[{"name": "a", "host": "h", "port": 1}]'),
        ('[{"name":"a","host":"h","port":1}]', '[{"name":"a","host":"h","port":1}]'),
        ([], "[]"),
    ],
)
def test_nodes_given_by_name_are_taken_as_they_are(given: object, written: str) -> None:
    configuration = json.dumps(api(extra_config={"plugin.frontend.nodes": given}))
    plan = launch.plan_from(current("scheduler", configuration, 3), directory="/")
    assert plan.arguments == (f"--nodes={written}",)


def test_options_become_arguments() -> None:
    extra = {
        "plugin.frontend.socket_dir": "/run/sockets",
        "plugin.frontend.allow-host": "-odd",
        "plugin.frontend.allow_target": ["10.0.0.*:69??", "/run/*"],
        "plugin.frontend.read-only": True,
        "plugin.frontend.demo": False,
        "plugin.frontend.settings": None,
        "plugin.frontend.connect-timeout": 2.5,
        "plugin.frontend.node-timeout": 30.0,
        "plugin.frontend.labels": {"rack": "7"},
        "plugin.frontend.": "nothing",
        "plugin.frontendport": 1,
        "internal_api_server_log_level": "info",
    }
    assert launch.arguments_from(launch.options_in({"extra_config": extra})) == [
        "--socket-dir=/run/sockets",
        "--allow-host=-odd",
        "--allow-target=10.0.0.*:69??",
        "--allow-target=/run/*",
        "--read-only",
        "--connect-timeout=2.5",
        "--node-timeout=30",
        '--labels={"rack": "7"}',
    ]
    assert launch.options_in({"extra_config": json.dumps({"plugin.frontend.host": "::1"})}) == {"host": "::1"}
    assert launch.options_in({"extra_config": ["plugin.frontend.host"]}) == {}


@pytest.mark.parametrize(
    ("configured", "variable", "port"),
    [(None, None, 8000), (None, "8300", 8300), (8400, "8300", 8400), (8400.0, None, 8400), ("0", None, 0)],
)
def test_port_from_configuration_variable_or_default(configured: object, variable: str | None, port: int) -> None:
    environment = current("scheduler", json.dumps(api(extra_config={"plugin.frontend.port": configured})), 1)
    if variable is not None:
        environment["LMCACHE_FRONTEND_PORT"] = variable
    assert launch.plan_from(environment, directory="/").port == port


@pytest.mark.parametrize("port", ["eighty", -1, 65536, 80.5, [80]])
def test_an_impossible_port_is_refused(port: object) -> None:
    environment = current("scheduler", json.dumps(api(extra_config={"plugin.frontend.port": port})), 1)
    with pytest.raises(UsageError, match=r"^plugin\.frontend\.port has an impossible value: expected a whole number"):
        launch.plan_from(environment, directory="/")


@pytest.mark.parametrize("option", ["port", "log_level", "node-timeout", "max-connections"])
def test_an_impossible_value_is_never_shown(option: str) -> None:
    environment = current("scheduler", json.dumps(api(extra_config={f"plugin.frontend.{option}": SECRET})), 1)
    with pytest.raises(UsageError) as caught:
        launch.plan_from(environment, directory="/")
    assert SECRET not in str(caught.value)
    assert f"plugin.frontend.{option.replace('_', '-')} has" in str(caught.value)


def test_an_unknown_option_is_refused_by_its_name_alone() -> None:
    extra = {"plugin.frontend.heartbeat_address": f"http://user:{SECRET}@host"}
    with pytest.raises(UsageError, match=r"^plugin\.frontend\.heartbeat-address is not an option of the dashboard$"):
        launch.plan_from(current("scheduler", json.dumps(api(extra_config=extra)), 1), directory="/")


def test_nodes_and_host_of_other_settings_are_heard(tmp_path: Path) -> None:
    environment = current("scheduler", json.dumps(api()), 1)
    environment["LMCACHE_FRONTEND_NODES"] = '[{"name":"a","host":"h","port":1}]'
    environment["LMCACHE_FRONTEND_HOST"] = "127.0.0.1"
    settings = tmp_path / "settings.json"
    settings.write_text('{"port": 8500, "host": "::1"}')
    environment["LMCACHE_FRONTEND_SETTINGS"] = str(settings)
    assert launch.plan_from(environment, directory="/") == launch.Plan((), "127.0.0.1", 8500, False, ())


def test_worker_count_that_is_missing_means_one_worker() -> None:
    environment = {"LMCACHE_PLUGIN_CONFIG": json.dumps(api())}
    (nodes,) = launch.plan_from(environment, directory="/").arguments
    assert [node["port"] for node in json.loads(nodes.partition("=")[2])] == [6999, 7000]


def test_mp_server_on_a_socket() -> None:
    configuration = {"http_config": {"http_host": "0.0.0.0", "http_port": 1, "http_socket_path": "mp.sock"}}
    layout = node_layout.nodes_of(configuration, worker_count=1, directory="/run")
    assert layout.nodes == (node_layout.NodeEntry("lmcache_server", "localhost", "/run/mp.sock"),)


def test_parent_is_gone_when_its_number_changes() -> None:
    assert not launch.parent_is_gone(7, current=lambda: 7)
    assert launch.parent_is_gone(7, current=lambda: 1)


def test_port_is_taken_only_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert launch.port_is_taken("127.0.0.1", port)
        assert launch.port_is_taken("0.0.0.0", port)
    assert not launch.port_is_taken("127.0.0.1", port)
    # Not an address of ours, or no address at all: that is for the service to say.
    assert not launch.port_is_taken("192.0.2.1", port)


def test_a_port_lost_between_question_and_start_gives_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def frontend(arguments: list[str], environment: object, *, must_be_heard: bool) -> int:
        assert must_be_heard
        asked.append(int(arguments[-1].partition("=")[2]))
        return 1 if len(asked) == 1 else 0

    # Free when asked, taken once the start has failed.
    monkeypatch.setattr(launch, "port_is_taken", lambda host, port: len(asked) == 1 and port == 8000)
    monkeypatch.setattr("lmcache_frontend.command.run", frontend)
    assert launch.run(launch.Plan((), "127.0.0.1", 8000, port_is_strict=False, remarks=())) == 0
    assert asked == [8000, 8001]


def test_another_failure_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def frontend(arguments: list[str], environment: object, *, must_be_heard: bool) -> int:
        assert must_be_heard
        asked.append(arguments)
        return 1

    monkeypatch.setattr(launch, "port_is_taken", lambda host, port: False)
    monkeypatch.setattr("lmcache_frontend.command.run", frontend)
    assert launch.run(launch.Plan(("--nodes=[]",), "127.0.0.1", 8000, port_is_strict=False, remarks=())) == 1
    assert asked == [["--nodes=[]", "--port=8000"]]


def test_no_free_port_ends_in_one_line_that_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "port_is_taken", lambda host, port: True)
    assert launch.run(launch.Plan((), "127.0.0.1", 65530, port_is_strict=False, remarks=())) == 1
    assert capsys.readouterr().out == "lmcache-frontend: the ports 65530 to 65535 are all taken\n"
