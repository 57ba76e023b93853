# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend import __version__
from lmcache_frontend.errors import UsageError
from lmcache_frontend.remote_config.globs import PATTERN_LIMIT
from lmcache_frontend.settings import DEMO_DEFAULT_NODES, OPTIONS, Settings, read_settings, read_token


def read(*arguments: str, file: Path | None = None, **variables: str) -> Settings:
    environment = {f"LMCACHE_FRONTEND_{name}": value for name, value in variables.items()}
    return read_settings([*arguments, *(("--settings", str(file)) if file else ())], environment)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def refused(*arguments: str, file: Path | None = None, **variables: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*arguments, file=file, **variables)
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


def test_nothing_said_gives_the_defaults() -> None:
    assert read_settings([], {}) == Settings()
    assert read_settings([], {"PORT": "1", "LMCACHE_PORT": "2", "lmcache_frontend_port": "3"}) == Settings()


@pytest.mark.parametrize(
    ("field", "flags", "variable", "value_in_file", "expected"),
    [
        ("host", ["--host", "::1"], ("HOST", "10.0.0.1"), "10.0.0.2", ("::1", "10.0.0.1", "10.0.0.2")),
        ("port", ["--port", "1"], ("PORT", "2"), 3, (1, 2, 3)),
        ("port", ["--port=0"], ("PORT", "0"), "0", (0, 0, 0)),
        ("nodes", ["--nodes", "[1]"], ("NODES", "[2]"), [{"name": "n"}], ("[1]", "[2]", '[{"name": "n"}]')),
        ("config", ["--config", "/a"], ("CONFIG", "/b"), "/c", ("/a", "/b", "/c")),
        ("demo", ["--demo", "2"], ("DEMO", "3"), 4, (2, 3, 4)),
        ("demo", ["--demo"], ("DEMO", "0"), 1000, (DEMO_DEFAULT_NODES, 0, 1000)),
        (
            "demo_fault",
            ["--demo-fault", "down", "--demo-fault", "slow:demo_mp0"],
            ("DEMO_FAULT", "frozen,drift"),
            ["down"],
            (("down", "slow:demo_mp0"), ("frozen", "drift"), ("down",)),
        ),
        ("log_level", ["--log-level", "trace"], ("LOG_LEVEL", "warn"), "info", ("trace", "warn", "info")),
        ("log_format", ["--log-format", "json"], ("LOG_FORMAT", "text"), "json", ("json", "text", "json")),
        ("connect_timeout_s", ["--connect-timeout", "0.5"], ("CONNECT_TIMEOUT", "2"), 3, (0.5, 2.0, 3.0)),
        ("node_timeout_s", ["--node-timeout", "86400"], ("NODE_TIMEOUT", "10"), "2.5", (86400.0, 10.0, 2.5)),
        ("max_connections", ["--max-connections", "1"], ("MAX_CONNECTIONS", "2"), 100_000, (1, 2, 100_000)),
        (
            "allow_host",
            ["--allow-host", "A.example", "--allow-host", "b.example,c"],
            ("ALLOW_HOST", "d, E"),
            ["F", "g h"],
            (frozenset({"a.example", "b.example", "c"}), frozenset("de"), frozenset("fgh")),
        ),
        (
            "allow_target",
            ["--allow-target", "10.*:80", "--allow-target", "/run/X"],
            ("ALLOW_TARGET", "a:1 b:2"),
            "c:3",
            (("10.*:80", "/run/X"), ("a:1", "b:2"), ("c:3",)),
        ),
        ("socket_dir", ["--socket-dir", "a b"], ("SOCKET_DIR", "/s"), "/t", ("a b", "/s", "/t")),
        (
            "config_remember",
            ["--config-remember", "A_*,B", "--config-remember", "C"],
            ("CONFIG_REMEMBER", ""),
            ["D", "x" * PATTERN_LIMIT],
            (("A_*", "B", "C"), (), ("D", "x" * PATTERN_LIMIT)),
        ),
    ],
)
def test_a_flag_goes_before_a_variable_before_the_file_before_the_default(
    file: Path, field: str, flags: list[str], variable: tuple[str, str], value_in_file: Any, expected: Sequence[Any]
) -> None:
    key = next(option.name for option in OPTIONS if option.field == field)
    file.write_text(json.dumps({key: value_in_file}))
    variables = dict([variable])
    defaults = Settings()
    by_flag, by_variable, by_file = expected
    assert read(*flags, file=file, **variables) == defaults._replace(**{field: by_flag})
    assert read(file=file, **variables) == defaults._replace(**{field: by_variable})
    assert read(file=file) == defaults._replace(**{field: by_file})
    assert read(*flags) == defaults._replace(**{field: by_flag})
    assert read() == defaults


def test_settings_of_different_origins_go_together(file: Path) -> None:
    file.write_text('\ufeff{"connect_timeout": 1, "log-format": "json"}', encoding="utf-8")
    settings = read("--port", "1", file=file, HOST="::1")
    assert (settings.connect_timeout_s, settings.log_format, settings.port, settings.host) == (1.0, "json", 1, "::1")


def test_the_file_can_be_named_by_a_variable(file: Path, tmp_path: Path) -> None:
    file.write_text('{"port": 1}')
    other = tmp_path / "other.json"
    other.write_text('{"port": 2}')
    assert read(SETTINGS=str(file)).port == 1
    assert read(file=other, SETTINGS=str(file)).port == 2
    assert "cannot read the settings file" in refused(file=other.with_name("none"), SETTINGS=str(file))


def test_a_bad_value_is_refused_even_where_a_better_one_goes_before_it(file: Path) -> None:
    file.write_text('{"port": "x"}')
    assert "port in " in refused("--port", "1", file=file)
    assert "LMCACHE_FRONTEND_PORT is " in refused("--port", "1", PORT="x")


WHOLE = "expected a whole number from"
SECONDS = "expected seconds, more than 0 and at most 86400"
TEXT = "expected a text that is not empty"
LEVELS = "expected one of critical, error, warning, warn, info, debug, trace"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "", f"{WHOLE} 0 to 65535"),
        ("port", "x", f"{WHOLE} 0 to 65535"),
        ("port", "-1", f"{WHOLE} 0 to 65535"),
        ("port", "65536", f"{WHOLE} 0 to 65535"),
        ("port", "80.0", f"{WHOLE} 0 to 65535"),
        ("port", "0x10", f"{WHOLE} 0 to 65535"),
        ("port", "8_0", f"{WHOLE} 0 to 65535"),
        ("port", "\uff19", f"{WHOLE} 0 to 65535"),
        ("port", "9" * 5000, f"{WHOLE} 0 to 65535"),
        ("demo", "many", f"{WHOLE} 0 to 1000"),
        ("demo", "1001", f"{WHOLE} 0 to 1000"),
        ("max-connections", "0", f"{WHOLE} 1 to 100000"),
        ("connect-timeout", "", SECONDS),
        ("connect-timeout", "x", SECONDS),
        ("connect-timeout", "0", SECONDS),
        ("connect-timeout", "-1", SECONDS),
        ("connect-timeout", "nan", SECONDS),
        ("node-timeout", "inf", SECONDS),
        ("node-timeout", "1e5", SECONDS),
        ("node-timeout", "1 s", SECONDS),
        ("log-level", "INFO", LEVELS),
        ("log-level", "", LEVELS),
        ("log-format", "xml", "expected one of text, json"),
        ("host", "", TEXT),
        ("config", "", TEXT),
        ("config", "a\0b", TEXT),
        ("socket-dir", "", TEXT),
    ],
)
def test_a_bad_value_is_refused_by_flag_by_variable_and_by_key(
    file: Path, name: str, value: str, expected: str
) -> None:
    shown = ascii(value)[:80]
    variable = name.replace("-", "_").upper()
    assert refused(f"--{name}={value}") == f"--{name} is {shown}, {expected}"
    assert refused(**{variable: value}) == f"LMCACHE_FRONTEND_{variable} is {shown}, {expected}"
    file.write_text(json.dumps({name: value}))
    assert refused(file=file) == f"{name} in {file} is {shown}, {expected}"


def test_a_pattern_that_nothing_could_be_matched_with_is_refused_at_the_start() -> None:
    pattern = "x" * (PATTERN_LIMIT + 1)
    expected = f"expected patterns of at most {PATTERN_LIMIT} characters"
    assert refused("--config-remember", "HOST*", "--config-remember", pattern).endswith(expected)
    assert refused(CONFIG_REMEMBER=f"HOST* {pattern}").endswith(expected)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("port", None, f"{WHOLE} 0 to 65535"),
        ("port", True, f"{WHOLE} 0 to 65535"),
        ("port", 80.0, f"{WHOLE} 0 to 65535"),
        ("port", [80], f"{WHOLE} 0 to 65535"),
        ("demo", False, f"{WHOLE} 0 to 1000"),
        ("node-timeout", None, SECONDS),
        ("node-timeout", True, SECONDS),
        ("node-timeout", [1], SECONDS),
        ("node-timeout", {}, SECONDS),
        ("node-timeout", 10**400, SECONDS),
        ("node-timeout", float("nan"), SECONDS),
        ("log-level", ["info"], LEVELS),
        ("log-level", None, LEVELS),
        ("host", 7, TEXT),
        ("config", None, TEXT),
        ("config", ["a"], TEXT),
        ("allow-host", 7, "expected texts"),
        ("allow-host", None, "expected texts"),
        ("allow-host", {"a": 1}, "expected texts"),
        ("allow-target", ["a", 7], "expected texts"),
        ("allow-target", [""], "expected texts"),
    ],
)
def test_a_bad_kind_of_value_in_the_file_is_refused(file: Path, key: str, value: Any, expected: str) -> None:
    file.write_text(json.dumps({key: value}))
    assert refused(file=file) == f"{key} in {file} is {ascii(value)[:80]}, {expected}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"port": 1,}', "is not JSON: "),
        (b'{"port": "\xff"}', "is not JSON: "),
        (b'{"port": ' + b"9" * 5000 + b"}", "is not JSON: "),
        (b"[" * 100_000, "is not JSON: nested too deeply"),
        (b"[]", "does not hold a JSON object"),
        (b"null", "does not hold a JSON object"),
        (b'"port"', "does not hold a JSON object"),
        (b'{"settings": "x"}', "has the unknown key 'settings', expected one of host, port, nodes, "),
        (b'{"Port": 1}', "has the unknown key 'Port', expected one of "),
        (b'{"connect-timeout-s": 1}', "has the unknown key 'connect-timeout-s', expected one of "),
        (b'{"": 1}', "has the unknown key '', expected one of "),
    ],
)
def test_a_bad_file_is_refused(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    assert refused(file=file).startswith(f"the settings file {file} {says}")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert refused(file=missing) == f"cannot read the settings file {missing}: No such file or directory"
    assert refused(file=tmp_path) == f"cannot read the settings file {tmp_path}: Is a directory"
    assert "settings" in refused("--settings", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["extra"], "unrecognized arguments: extra"),
        (["--po", "1"], "unrecognized arguments: --po 1"),
        (["--port"], "argument --port: expected one argument"),
        (["--settings"], "argument --settings: expected one argument"),
        (["--connect-timeout-s", "1"], "unrecognized arguments: --connect-timeout-s 1"),
    ],
)
def test_a_flag_that_does_not_exist_or_lacks_its_value(arguments: list[str], says: str) -> None:
    assert refused(*arguments) == says


def test_the_last_of_a_repeated_flag_counts() -> None:
    assert read("--port", "1", "--port", "2").port == 2


@pytest.mark.parametrize(
    ("flag", "says"), [("--version", f"lmcache-frontend {__version__}\n"), ("--help", "--demo [N]")]
)
def test_asking_for_help_ends_well(capsys: pytest.CaptureFixture[str], flag: str, says: str) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings([flag], {})
    assert caught.value.code == 0
    assert says in capsys.readouterr().out


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["--help"], {})
    text = capsys.readouterr().out
    flags = [f"--{'no-' * (getattr(Settings(), option.field) is True)}{option.name}" for option in OPTIONS]
    assert [flag for flag in flags if f"{flag} " not in text and f"{flag}\n" not in text] == []
    assert {option.field for option in OPTIONS} == set(Settings._fields)


def test_what_is_on_by_default_is_switched_off_by_its_flag(tmp_path: Path) -> None:
    assert read_settings([], {}).trust_loopback is True
    assert read_settings(["--no-trust-loopback"], {}).trust_loopback is False
    assert read_settings([], {"LMCACHE_FRONTEND_TRUST_LOOPBACK": "false"}).trust_loopback is False
    path = tmp_path / "settings.json"
    path.write_text('{"trust-loopback": false, "read-only": true}')
    settings = read_settings(["--settings", str(path)], {})
    assert (settings.trust_loopback, settings.read_only) == (False, True)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "here", "fe80::%eth0/64"])
def test_a_network_that_is_none_is_refused(text: str) -> None:
    for flag in ("--operator-network", "--trusted-proxy"):
        with pytest.raises(UsageError, match="expected networks"):
            read_settings([flag, text], {})


def test_networks_may_be_repeated() -> None:
    settings = read_settings(["--operator-network", "172.17.0.0/16", "--operator-network", "fd00::/8,10.0.0.1"], {})
    assert settings.operator_network == ("172.17.0.0/16", "fd00::/8", "10.0.0.1")


def test_the_token_of_the_environment_is_no_setting() -> None:
    environment = {"LMCACHE_FRONTEND_TOKEN": " 0123456789abcdef\n"}
    assert "0123456789abcdef" not in repr(read_settings([], environment))
    assert read_token(environment) == ("LMCACHE_FRONTEND_TOKEN", "0123456789abcdef")
    assert read_token({"LMCACHE_FRONTEND_TOKEN": "tcp://10.0.0.1:80"}) is None
    assert read_token({}) is None
