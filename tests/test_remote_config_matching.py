# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from lmcache_frontend.masking import MASK
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.globs import compile_glob
from lmcache_frontend.remote_config.matching import Answer, Facts, match_rule, plain_address, rollout_key
from lmcache_frontend.remote_config.rollout import STEPS, place
from lmcache_frontend.remote_config.rules import Rule

ENVIRONMENT = {"POD_NAME": "vllm-0", "HOSTNAME": "host", "EMPTY": "", "SECRET": "hidden"}
CONFIG: dict[str, Any] = {
    "chunk_size": 256,
    "max_local_cpu_size": 5.0,
    "local_cpu": True,
    "remote_url": "redis://u:pw@h:1",
    "pd_buffer_size": None,
    "pd_allocation_timeout_sec": math.inf,
    "hit_miss_ratio": math.nan,
    "extra_config": {"a": [1], "api_key": "x"},
}
FACTS = Facts("llama", ENVIRONMENT, CONFIG, "10.1.2.3")
REMEMBERED = Facts(
    "llama",
    {"POD_NAME": "vllm-0", "POD_TOKEN": MASK},
    {**CONFIG, "remote_url": f"redis://{MASK}@h:1", "extra_config": {"a": [1], "api_key": MASK}},
    "10.1.2.3",
    partial=True,
    remembered=(compile_glob("POD_*"), compile_glob("HOSTNAME")),
    config_is_whole=True,
)


def rule(**match: Any) -> Rule:
    (read,) = read_rules({"rules": [{"name": "r", "match": match}]})
    return read


def ask(facts: Facts = FACTS, **match: Any) -> bool | None:
    answer = match_rule(rule(**match), facts)
    assert bool(answer.why) is not bool(answer.holds)
    return answer.holds


def why(facts: Facts = FACTS, **match: Any) -> str:
    return match_rule(rule(**match), facts).why


def test_a_rule_that_asks_nothing_is_for_everybody_unless_it_is_disabled() -> None:
    assert match_rule(Rule("r"), FACTS) == Answer(True)
    assert match_rule(Rule("r", enabled=False), FACTS) == Answer(False, "the rule is disabled")
    assert match_rule(Rule("r", enabled=False), REMEMBERED).holds is False


def test_applications() -> None:
    assert ask(app_id=["llama"])
    assert ask(app_id=["x", "ll*"])
    assert not ask(app_id=["LLAMA"])
    assert not ask(app_id=["x"])
    assert ask(FACTS._replace(app_id=""), app_id=["*"])
    assert not ask(FACTS._replace(app_id=""), app_id=["?*"])
    assert why(app_id=["x", "y*"]) == 'app_id is "llama", not x or y*'


@pytest.mark.parametrize(
    ("name", "condition", "expected"),
    [
        ("POD_NAME", "vllm-*", True),
        ("POD_NAME", "VLLM-*", False),
        ("POD_NAME", {"glob": "vllm-?"}, True),
        ("POD_NAME", {"equals": "vllm-0"}, True),
        ("POD_NAME", {"equals": "vllm-*"}, False),
        ("POD_NAME", {"present": True}, True),
        ("POD_NAME", {"present": False}, False),
        ("EMPTY", {"present": True}, True),
        ("EMPTY", "", True),
        ("EMPTY", "?*", False),
        ("OTHER", "*", False),
        ("OTHER", {"equals": ""}, False),
        ("OTHER", {"present": True}, False),
        ("OTHER", {"present": False}, True),
        ("pod_name", {"present": True}, False),
    ],
)
def test_variables(name: str, condition: Any, expected: bool) -> None:
    assert ask(env={name: condition}) is expected


def test_reasons_have_no_values_of_variables() -> None:
    for condition in ("other", {"equals": "other"}, {"present": False}):
        text = why(env={"SECRET": condition})
        assert "SECRET" in text
        assert "hidden" not in text
    assert why(env={"POD_NAME": "x*"}) == "the variable POD_NAME does not match x*"
    assert why(env={"OTHER": "x*"}) == "the variable OTHER is absent"


def test_reasons_have_no_secrets_that_a_rule_compares_with() -> None:
    facts = FACTS._replace(environment={"API_KEY": "x"}, config={"api_key": "x", "remote_url": "x"})
    for condition in ("sk-1", {"glob": "sk-1*"}, {"equals": "sk-1"}):
        assert "sk-1" not in why(facts, env={"API_KEY": condition})
    for match in ({"api_key": {"glob": "sk-1*"}}, {"api_key": "sk-1"}, {"remote_url": {"glob": "redis://u:sk-1@*"}}):
        assert "sk-1" not in why(facts, config=match)


@pytest.mark.parametrize(
    ("name", "condition", "expected"),
    [
        ("chunk_size", 256, True),
        ("chunk_size", 256.0, True),
        ("chunk_size", "256", False),
        ("chunk_size", {"equals": 257}, False),
        ("chunk_size", {"at_least": 256}, True),
        ("chunk_size", {"at_least": 256.1}, False),
        ("chunk_size", {"at_most": 256}, True),
        ("chunk_size", {"at_most": 255}, False),
        ("chunk_size", {"at_least": 200, "at_most": 300}, True),
        ("chunk_size", {"at_least": 200, "at_most": 250}, False),
        ("chunk_size", {"glob": "2*"}, False),
        ("local_cpu", True, True),
        ("local_cpu", 1, False),
        ("local_cpu", {"at_least": 0}, False),
        ("pd_buffer_size", None, True),
        ("pd_buffer_size", 0, False),
        ("pd_buffer_size", {"at_most": 5}, False),
        ("absent", None, False),
        ("remote_url", {"glob": "redis://*"}, True),
        ("remote_url", "redis://*", False),
        ("pd_allocation_timeout_sec", "Infinity", True),
        ("pd_allocation_timeout_sec", {"at_least": 10**300}, True),
        ("pd_allocation_timeout_sec", {"at_most": 10**300}, False),
        ("pd_allocation_timeout_sec", {"at_least": "Infinity"}, True),
        ("pd_allocation_timeout_sec", {"at_most": "Infinity"}, True),
        ("chunk_size", {"at_most": "Infinity"}, True),
        ("chunk_size", {"at_least": "-Infinity"}, True),
        ("hit_miss_ratio", "NaN", True),
        ("hit_miss_ratio", {"at_least": 0}, False),
        ("hit_miss_ratio", {"at_most": 0}, False),
        ("extra_config", {"equals": {"api_key": "x", "a": [1.0]}}, True),
        ("extra_config", {"equals": {"a": [1]}}, False),
    ],
)
def test_settings(name: str, condition: Any, expected: bool) -> None:
    assert ask(config={name: condition}) is expected


def test_settings_of_strict_json_compare_the_same() -> None:
    facts = FACTS._replace(config={"pd_allocation_timeout_sec": "Infinity"})
    assert ask(facts, config={"pd_allocation_timeout_sec": {"at_least": 5}})
    assert ask(facts, config={"pd_allocation_timeout_sec": "Infinity"})


def test_reasons_about_settings_are_masked() -> None:
    assert why(config={"chunk_size": {"at_least": 512}}) == "chunk_size is 256, not at least 512"
    assert why(config={"absent": 1}) == "there is no setting absent"
    assert "pw" not in why(config={"remote_url": {"glob": "x"}})
    facts = FACTS._replace(config={"api_key": "abc"})
    assert why(facts, config={"api_key": "def"}) == f'api_key is "{MASK}", not "{MASK}"'


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("10.1.2.3", ["192.168.0.0/16", "10.1.2.3"], True),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("10.1.2.3", ["::ffff:10.0.0.0/104"], True),
        ("11.1.2.3", ["::ffff:10.0.0.0/104"], False),
        ("10.1.2.3", ["::/0"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("::1", ["::1"], True),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("somewhere", ["0.0.0.0/0"], False),
    ],
)
def test_networks(address: str, networks: list[str], expected: bool) -> None:
    assert ask(FACTS._replace(address=address), client=networks) is expected


def test_addresses_are_written_plainly() -> None:
    assert [plain_address(text) for text in ("::ffff:10.1.2.3", "FE80::1%eth0", "x", "")] == [
        "10.1.2.3",
        "fe80::1",
        "x",
        "",
    ]


def test_what_a_rollout_goes_by() -> None:
    def key(by: str | None = None, **environment: str) -> tuple[str | None, str]:
        return tuple(rollout_key(Facts("a", environment, {"lmcache_instance_id": "i"}, "::ffff:10.1.2.3"), by))  # type: ignore[return-value]

    assert key(POD_NAME="p", HOSTNAME="h") == ("p", "POD_NAME")
    assert key(HOSTNAME="h") == ("h", "HOSTNAME")
    assert key(POD_NAME="", HOSTNAME="h") == ("h", "HOSTNAME")
    assert key() == ("10.1.2.3", "the address")
    assert key("RACK", RACK="r", POD_NAME="p") == ("r", "RACK")
    assert key("RACK", POD_NAME="p") == ("p", "POD_NAME")


def test_a_rollout_reaches_the_same_workers_of_an_engine() -> None:
    scheduler = FACTS._replace(config={"lmcache_instance_id": "one"})
    worker = FACTS._replace(config={"lmcache_instance_id": "two"}, environment={**ENVIRONMENT, "LOCAL_RANK": "1"})
    percent = place("llama", "vllm-0") * 100 / STEPS
    for facts in (scheduler, worker):
        assert not ask(facts, rollout_percent=percent)
        assert ask(facts, rollout_percent=round(percent + 0.01, 2))
        assert ask(facts, rollout_percent=100)
        assert not ask(facts, rollout_percent=0)
    assert why(rollout_percent=percent).endswith(f"by POD_NAME this worker comes after {percent:g} %")
    assert why(rollout_percent=0) == "the rollout is at 0 %"


def test_a_rollout_of_none_or_all_asks_for_no_name() -> None:
    nameless = REMEMBERED._replace(environment={}, remembered=())
    assert ask(nameless, rollout_percent=100) is True
    assert ask(nameless, rollout_percent=0) is False
    assert ask(nameless, rollout_percent=50) is None


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"env": {"POD_NAME": "vllm-*"}}, True),
        ({"env": {"POD_NAME": "x"}}, False),
        ({"env": {"POD_OTHER": "x"}}, False),
        ({"env": {"POD_OTHER": {"present": False}}}, True),
        ({"env": {"POD_TOKEN": "x"}}, None),
        ({"env": {"POD_TOKEN": {"present": True}}}, True),
        ({"env": {"POD_TOKEN": {"present": False}}}, False),
        ({"env": {"TEAM": "x"}}, None),
        ({"env": {"TEAM": {"present": False}}}, None),
        ({"env": {"TEAM": "x"}, "app_id": ["other"]}, False),
        ({"env": {"TEAM": "x"}, "client": ["11.0.0.0/8"]}, False),
        ({"env": {"TEAM": "x", "POD_NAME": "x"}}, False),
        ({"config": {"chunk_size": 256}}, True),
        ({"config": {"absent": 1}}, False),
        ({"config": {"remote_url": {"glob": "redis*"}}}, None),
        ({"config": {"extra_config": {"equals": {"a": 1}}}}, None),
        ({"config": {"remote_url": "x", "chunk_size": 1}}, False),
        ({"rollout_percent": 99.99}, True),
        ({"rollout_percent": 99.99, "rollout_by": "RACK"}, None),
        ({"rollout_percent": 99.99, "rollout_by": "POD_TOKEN"}, None),
    ],
)
def test_what_is_not_kept_of_a_remembered_worker_is_not_known(match: dict[str, Any], expected: bool | None) -> None:
    assert ask(REMEMBERED, **match) is expected


def test_settings_that_were_too_large_to_keep_are_not_known() -> None:
    facts = REMEMBERED._replace(config={}, config_is_whole=False)
    assert ask(facts, config={"chunk_size": 256}) is None
    assert why(facts, config={"chunk_size": 256}) == "the setting chunk_size is not kept"


def test_a_mask_that_a_worker_itself_sends_is_a_value() -> None:
    assert ask(FACTS._replace(environment={"A": MASK}), env={"A": {"equals": MASK}}) is True
