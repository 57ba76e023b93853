# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.remote_config.local import local_configuration
from lmcache_frontend.remote_config.yaml_subset import load
from tests.helpers.scripted import ScriptedNode, Visit
from tools.config_fetch import main

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [
    {"key": "chunk_size", "value": 512, "override": True},
    {"key": "max_local_cpu_size", "value": 3.5, "override": False},
    {"key": "extra_config", "value": {"remote_token": "s3cret"}, "override": False},
    {"key": "remote_url", "value": "redis://user:hunter2@h:6379", "override": True},
    {"key": "local_cpu", "value": "yes", "override": True},
    {"key": "min_retrieve_tokens", "value": "3.9", "override": True},
    {"key": "chnk_size", "value": 1, "override": True},
]
LOCAL = "# mine\nmax_local_cpu_size: 8\nextra_config: {b: 1}\nof_tomorrow: [1, 2]\n"


class Server:
    """A configuration server that notes what it is asked, and answers as it is told."""

    def __init__(self, start_node: Callable[..., ScriptedNode], answer: bytes) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers = [answer]
        self.port = start_node(self._script).port
        self.url = f"http://127.0.0.1:{self.port}/config"

    def _script(self, visit: Visit) -> None:
        head = visit.read_head().decode()
        if head:
            first, *lines = head.strip().split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = visit.read(int(fields.get("content-length", 0)))
            self.asked.append((first, fields, json.loads(body) if body else None))
            visit.send(self.answers[min(len(self.asked), len(self.answers)) - 1])


def answer(body: Any, status: str = "200 OK", fields: str = "") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n{fields}\r\n".encode() + data


@pytest.fixture
def serve(start_node: Callable[..., ScriptedNode]) -> Callable[..., Server]:
    return lambda body=None, *rest: Server(start_node, answer({"configs": CONFIGS} if body is None else body, *rest))


@pytest.fixture
def local(tmp_path: Path) -> str:
    path = tmp_path / "local.yaml"
    path.write_text(LOCAL)
    return str(path)


def fetch(server: Server, *arguments: str, **environment: str) -> int:
    return main(["--url", server.url, *arguments], environment)


def test_it_asks_as_a_worker_does(serve: Callable[..., Server], local: str) -> None:
    server = serve()
    server.url = server.url.replace("127.0.0.1", "us%40er:hunter2@127.0.0.1") + "?x=1"
    environment = {"POD_NAME": "p-0", "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "no", "LMCACHE_CHUNK_SIZE": "64"}
    assert fetch(server, "--config", local, "--app-id", "a b&c", **environment) == 0
    first, fields, body = server.asked[0]
    assert first == "GET /config?x=1&appId=a+b%26c HTTP/1.1"
    assert fields["content-type"] == "application/json"
    assert fields["authorization"] == "Basic dXNAZXI6aHVudGVyMg=="
    assert body["env_variables"] == {"POD_NAME": "p-0", "LMCACHE_CHUNK_SIZE": "64"}
    assert body["current_config"]["chunk_size"] == 64
    assert body["current_config"]["max_local_cpu_size"] == 8.0
    assert body["current_config"]["pd_allocation_timeout_sec"] == float("inf")
    assert len(body["current_config"]) == 108


def test_what_is_sent_of_the_environment_is_the_operators_choice(serve: Callable[..., Server]) -> None:
    environment = {"POD_NAME": "p-0", "HOME": "/root", "ZONE_A": "1"}
    for arguments, names in (
        (["--env-allow", "ZONE_*", "--env-allow", "HOME"], {"HOME", "ZONE_A"}),
        (["--send-all-env"], {"POD_NAME", "HOME", "ZONE_A"}),
    ):
        server = serve()
        assert fetch(server, *arguments, **environment) == 0
        assert set(server.asked[0][2]["env_variables"]) == names


def test_address_and_application_come_from_flag_variable_or_file(serve: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    asked = []
    for variables, arguments in (
        ({}, []),
        ({"LMCACHE_APP_ID": "of-variable"}, []),
        ({"LMCACHE_APP_ID": "of-variable"}, ["--app-id", "of-flag"]),
        ({}, ["--app-id", ""]),
    ):
        server = serve()
        path.write_text(f"remote_config_url: {server.url}/of-file\napp_id: of-file\n")
        assert main(arguments, {"LMCACHE_CONFIG_FILE": str(path), **variables}) == 0
        asked.append(server.asked[0][0].split()[1])
    assert asked == [
        "/config/of-file?appId=of-file",
        "/config/of-file?appId=of-variable",
        "/config/of-file?appId=of-flag",
        "/config/of-file",
    ]
    server = serve()
    assert main(["--config", str(path)], {"LMCACHE_REMOTE_CONFIG_URL": server.url}) == 0
    assert len(server.asked) == 1


def test_the_table_says_what_becomes_of_each_item_and_hides_secrets(
    serve: Callable[..., Server], local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(serve(), "--config", local) == 0
    out, err = capsys.readouterr()
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    assert rows[0] == ["KEY", "CURRENT", "REMOTE", "OVERRIDE", "RESULT", "WHY"]
    assert rows[1] == ["chunk_size", "256", "512", "yes", "512", "set"]
    assert rows[2][:5] == ["max_local_cpu_size", "8.0", "3.5", "no", "8.0"]
    assert rows[3][4] == '{"b": 1, "remote_token": "********"}'
    assert rows[4][4] == "redis://********@h:6379"
    assert rows[5][5].startswith('set: got "yes", of which LMCache makes false')
    assert rows[6][5].startswith("refused: ")
    assert rows[7][5].startswith("skipped: ")
    assert "hunter2" not in out + err
    assert "s3cret" not in out + err
    assert "pd_allocation_timeout_sec" in err
    assert "7 set, 4 of them otherwise than before: http" in err


def test_json_is_strict_and_hides_secrets_unless_told(
    serve: Callable[..., Server], local: str, capsys: pytest.CaptureFixture[str]
) -> None:
    infinite = [{"key": "pd_allocation_timeout_sec", "value": float("inf")}, *CONFIGS]
    assert fetch(serve({"configs": infinite}), "--config", local, "--format", "json", "-q") == 0
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert document["changed"] == 4
    assert document["rows"][0]["remote"] == "Infinity"
    assert document["rows"][1] == {
        "key": "chunk_size",
        "current": 256,
        "remote": 512,
        "override": True,
        "result": 512,
        "changed": True,
        "why": "set",
    }
    assert document["merged"]["remote_url"] == "redis://********@h:6379"
    assert fetch(serve(), "--config", local, "--format", "json", "--show-secrets") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["merged"]["extra_config"] == {"b": 1, "remote_token": "s3cret"}


def test_a_json_text_is_looked_through_for_secrets(
    serve: Callable[..., Server], capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ('{"api_key": "s3cret"}', '{"api_key": "s3cret"', '[{"token": "s3cret"}]'):
        assert fetch(serve({"configs": [{"key": "extra_config", "value": text}]})) == 0
    assert "s3cret" not in str(capsys.readouterr())


MERGED = {
    "max_local_cpu_size": 8,
    "extra_config": {"b": 1, "remote_token": "s3cret"},
    "of_tomorrow": [1, 2],
    "enable_p2p": False,
    "chunk_size": 512,
    "remote_url": "redis://user:hunter2@h:6379",
    "local_cpu": False,
}


def test_what_is_made_for_lmcache_holds_everything(
    serve: Callable[..., Server], local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "lmcache.yaml"
    arguments = ["--config", local, "--write", str(target), "--format", "yaml"]
    assert fetch(serve(), *arguments, LMCACHE_ENABLE_P2P="no") == 0
    assert load(target.read_text()) == MERGED
    assert list(load(target.read_text())) == list(MERGED)
    assert capsys.readouterr().out == target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_file_is_written_only_if_it_changes(serve: Callable[..., Server], local: str, tmp_path: Path) -> None:
    target = tmp_path / "lmcache.yaml"
    arguments = ["--config", local, "--write", str(target), "--mode", "640"]
    assert fetch(serve(), *arguments, "--check") == 4
    assert not target.exists()
    assert fetch(serve(), *arguments) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    before = target.stat()
    assert fetch(serve(), *arguments, "--check") == 0
    assert fetch(serve(), *arguments) == 0
    assert target.stat().st_ino == before.st_ino
    assert fetch(serve({"configs": []}), *arguments, "--check") == 4
    assert target.stat().st_ino == before.st_ino


def test_check_without_a_file_is_of_the_local_configuration(serve: Callable[..., Server], tmp_path: Path) -> None:
    assert fetch(serve(), "--check") == 4
    assert fetch(serve({"configs": []}), "--check") == 0
    assert fetch(serve({"configs": [{"key": "chunk_size", "value": 256}]}), "--check") == 0


def test_variables_are_quoted_for_a_shell(
    serve: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {
        "chunk_size": 512,
        "local_cpu": False,
        "blend_special_str": " $#`\\\" ' ",
        "p2p_init_ports": [1, 2],
        "retrieve_locations": ["a", "b,c"],
        "extra_config": {"a": "it's \n$HOME"},
        "remote_url": "redis://h:1/?a=b&c=d",
    }
    configs = [{"key": key, "value": value} for key, value in values.items()]
    arguments = ["--format", "env", "--output", str(tmp_path / "env")]
    assert fetch(serve({"configs": configs}), *arguments) == 0
    assert capsys.readouterr().out == ""
    text = (tmp_path / "env").read_text()
    assert "# LMCACHE_RETRIEVE_LOCATIONS: this list has no form as a variable\n" in text
    program = f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    script = f"set -a; . {shlex.quote(str(tmp_path / 'env'))}; {program}"
    seen = json.loads(subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={}).stdout)
    read = local_configuration({}, seen, version="0.5.6").values
    del values["retrieve_locations"]
    assert {key: read[key] for key in values} == values
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"<html>", "200 OK", "something other than JSON"),
        ({}, "200 OK", r"answered \{\}, expected .* local configuration"),
        ([], "200 OK", r"answered \[\]"),
        (None, "200 OK", None),
        (b"null", "200 OK", "answered null, expected"),
        ([1], "200 OK", "answered with a list, .* LMCache fails at its start"),
        (b'"text"', "200 OK", "answered with a text, .* fails"),
        ({"other": 1}, "200 OK", "there is no configs"),
        ({"configs": 7}, "200 OK", "configs is a number"),
        ({"configs": {"chunk_size": 1}}, "200 OK", "configs is an object"),
        ({"configs": [{"key": 7, "value": 1}]}, "200 OK", r"the key of configs\[0\] is a number, .* fails"),
        ({"detail": "the rule 'lab' denies"}, "403 Forbidden", "denies the configuration: the rule 'lab' denies"),
        (b"oh\nno", "500 Oops", "answered with status 500: oh no"),
        (b"", "404 Not Found", "answered with status 404: Not Found"),
        (b"", "304 Not Modified", "status 304"),
        (b"[" * 100_000, "200 OK", "other than JSON"),
    ],
)
def test_answers_that_are_no_configuration_write_nothing(
    serve: Callable[..., Server], body: Any, status: str, message: str | None, tmp_path: Path, capfd: Any
) -> None:
    target = tmp_path / "f"
    result = fetch(serve(body, status), "--write", str(target))
    err = capfd.readouterr().err
    if message is None:
        assert result == 0
    else:
        assert result == 1
        assert not target.exists()
        assert err.count("\n") == 1
        assert re.search(message, err), err


def test_an_empty_list_is_a_good_answer(serve: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(serve({"configs": []})) == 0
    assert capsys.readouterr().out == ""


def test_nobody_there_is_three_and_leaves_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "f"
    target.write_text("chunk_size: 1\n")
    arguments = ["--url", "http://u:hunter2@127.0.0.1:1/", "--write", str(target)]
    assert main(arguments, {}) == 3
    assert main([*arguments, "--keep-going"], {}) == 0
    assert target.read_text() == "chunk_size: 1\n"
    target.unlink()
    assert main([*arguments, "--keep-going"], {"LMCACHE_CHUNK_SIZE": "2"}) == 0
    assert load(target.read_text()) == {"chunk_size": 2}
    assert "hunter2" not in str(capsys.readouterr()) + target.read_text()


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "whom to ask"),
        (["--url", "ftp://h/"], {}, "--url: expected http"),
        (["--config", "/nowhere/c.yaml"], {}, "--config: cannot read /nowhere/c.yaml"),
        ([], {"LMCACHE_CONFIG_FILE": "/nowhere/c.yaml"}, "LMCACHE_CONFIG_FILE: cannot read"),
        (["--timeout", "0"], {}, "--timeout"),
        (["--mode", "rw"], {}, "--mode"),
        (["--form", "json"], {}, "unrecognized arguments"),
        (["--write", ""], {}, "--write: expected a path, got an empty text"),
        (["--config", ""], {}, "--config: expected a path"),
        (["--output", ""], {}, "--output: expected a path"),
        (["--lmcache-version", "newest"], {}, "--lmcache-version: expected a release of LMCache such as"),
        (["--url", "http://h.example/"], {"http_proxy": "socks5://p:1"}, "http_proxy: expected an http:// proxy"),
    ],
)
def test_usage_errors_are_two(
    arguments: list[str], environment: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, environment) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"), [("- a\n", "holds a list"), ("a: &b 1\n", "line 1"), ("a: 1\n--- \nb: 2\n", "line 2")]
)
def test_a_file_that_is_no_configuration_is_named(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    assert main(["--url", "http://127.0.0.1:1/", "--config", str(tmp_path / "c.yaml")], {}) == 2
    err = capsys.readouterr().err
    assert "c.yaml" in err
    assert message in err


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other"])
def test_some_redirects_lose_the_body_as_with_lmcache(
    serve: Callable[..., Server], status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    server.answers.insert(0, answer(b"", status, "Location: /other?appId=a\r\n"))
    assert fetch(server, "--app-id", "a", "--method", "POST") == 0
    first, fields, body = server.asked[1]
    assert first == "GET /other?appId=a HTTP/1.1"
    assert "content-type" not in fields
    assert body is None
    assert "rules that ask for them do not match" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["307 Temporary", "308 Permanent"])
def test_other_redirects_keep_it(serve: Callable[..., Server], status: str) -> None:
    server = serve()
    server.answers.insert(0, answer(b"", status, "Location: /other\r\n"))
    server.url = server.url.replace("127", "u:p@127")
    assert fetch(server, "--method", "POST") == 0
    assert server.asked[1][0] == "POST /other HTTP/1.1"
    assert server.asked[1][2] == server.asked[0][2]
    assert server.asked[1][1]["authorization"] == server.asked[0][1]["authorization"]


def test_user_information_does_not_follow_to_another_server(serve: Callable[..., Server]) -> None:
    other, server = serve(), serve()
    server.answers.insert(0, answer(b"", "307 Away", f"Location: {other.url.replace('127', 'x:y@127')}\r\n"))
    server.url = server.url.replace("127", "u:p@127")
    assert fetch(server) == 0
    assert "authorization" in server.asked[0][1]
    assert "authorization" not in other.asked[0][1]


def test_redirects_end(serve: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(b"", "307 Round", "Location: /config\r\n")
    assert fetch(server) == 1
    assert len(server.asked) == 10
    assert fetch(serve(b"", "307 Bad", "Location: ftp://h/\r\n")) == 1
    assert "no address" in capsys.readouterr().err


def test_an_old_lmcache_asks_nobody(serve: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(serve(), "--lmcache-version", "0.3.9", "--check") == 0
    out, err = capsys.readouterr()
    assert "asks no configuration server" in out
    assert "asks no configuration server" in err


def test_a_variable_that_would_go_over_the_file_is_told(
    serve: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(serve(), "--write", str(tmp_path / "f"), "-q", LMCACHE_CHUNK_SIZE="1") == 0
    assert "LMCACHE_CHUNK_SIZE is set here" in capsys.readouterr().err
    assert load((tmp_path / "f").read_text())["chunk_size"] == 512


def test_a_folder_that_is_missing_is_one(serve: Callable[..., Server], capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(serve(), "--write", "/nowhere/f") == 1
    assert "cannot write /nowhere/f" in capsys.readouterr().err


def test_it_runs_from_a_clone(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    environment = {"PATH": os.environ["PATH"], "LMCACHE_REMOTE_CONFIG_URL": server.url}
    command = [sys.executable, "-m", "tools.config_fetch", "--format", "yaml", "-q"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stderr.count("warning: ")) == (0, 2)
    assert load(result.stdout)["chunk_size"] == 512


@pytest.mark.parametrize("stdout", ["/dev/full", "closed"])
def test_the_file_is_written_whoever_reads_the_rest(serve: Callable[..., Server], tmp_path: Path, stdout: str) -> None:
    target = tmp_path / "lmcache.yaml"
    words = ["--url", serve().url, "--write", str(target)]
    command = f'"$0" -m tools.config_fetch "$@" {">&-" if stdout == "closed" else ">/dev/full"}'
    result = subprocess.run(
        ["sh", "-c", command, sys.executable, *words], cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True
    )
    assert result.returncode == (0 if stdout == "closed" else 1)
    assert b"Traceback" not in result.stderr
    assert load(target.read_text())["chunk_size"] == 512


def test_a_file_that_is_read_and_written_is_told(
    serve: Callable[..., Server], local: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.yaml").symlink_to(local)
    assert fetch(serve(), "--config", local, "--write", str(tmp_path / "other.yaml")) == 0
    assert "is read and written" not in capsys.readouterr().err
    assert fetch(serve(), "--write", local, LMCACHE_CONFIG_FILE=str(tmp_path / "link.yaml")) == 0
    assert "link.yaml is read and written: what the server no longer says stays" in capsys.readouterr().err
