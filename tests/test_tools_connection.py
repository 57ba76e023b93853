# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from lmcache_frontend.errors import UsageError
from tools.connection import add_connection_options, client_of
from tools.contexts import Context, Contexts, contexts_path, read_contexts
from tools.frontend_client import FrontendClient


def client(environment: dict[str, str], *arguments: str) -> FrontendClient:
    parser = argparse.ArgumentParser()
    add_connection_options(parser)
    return client_of(parser.parse_args(arguments), environment)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def write_contexts(environment: dict[str, str], document: Any) -> None:
    path = contexts_path(environment)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))


def test_flag_before_variable_before_context_before_default(environment: dict[str, str], tmp_path: Path) -> None:
    assert client(environment).shown == "http://localhost:8000"
    (tmp_path / "token").write_text("of-the-context\n")
    context = {"server": "http://context:1", "token_file": str(tmp_path / "token")}
    write_contexts(environment, {"current": "c", "contexts": {"c": context}})
    assert client(environment).shown == "http://context:1"
    assert client(environment).token == "of-the-context"
    environment["LMCACHE_FRONTEND_URL"] = "https://variable/sub/"
    assert client(environment).shown == "https://variable/sub"
    assert client(environment).token is None, "a context's token goes to its own frontend alone"
    assert client(environment, "--server", "http://flag").shown == "http://flag"


def test_tokens_are_from_files_or_variables(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("# operators\n\n  first  \nsecond\n")
    environment["LMCACHE_FRONTEND_TOKEN"] = "variable"
    assert client(environment).token == "variable"
    assert client(environment, "--token-file", str(path)).token == "first"
    environment["LMCACHE_FRONTEND_TOKEN_FILE"] = str(path)
    assert client(environment).token == "first"


@pytest.mark.parametrize("content", ["", "# nothing\n", "two words", "é"])
def test_a_file_without_a_token_is_refused_without_showing_it(
    environment: dict[str, str], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        client(environment, "--token-file", str(path))
    assert str(path) in str(caught.value)
    assert "two words" not in str(caught.value)


def test_links_of_a_kubernetes_service_are_no_tokens(environment: dict[str, str]) -> None:
    environment["LMCACHE_FRONTEND_TOKEN"] = "tcp://10.0.0.1:80"
    assert client(environment).token is None


def test_a_token_is_only_asked_for_on_a_terminal(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no terminal"):
        client(environment, "--ask-token")


def test_time_outs_are_checked(environment: dict[str, str]) -> None:
    assert client(environment, "--timeout", "2.5").wire.timeout_s == 2.5
    for text in ("0", "-1", "nan", "inf", "soon"):
        with pytest.raises(SystemExit) as caught:
            client(environment, "--timeout", text)
        assert caught.value.code == 2


def test_an_address_with_a_query_is_none_of_a_frontend(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="without a query"):
        client(environment, "--server", "http://h/?a=b")


def test_the_place_of_the_contexts() -> None:
    assert str(contexts_path({"XDG_CONFIG_HOME": "/x"})) == "/x/lmcache-frontend/contexts.json"
    assert str(contexts_path({"XDG_CONFIG_HOME": "relative", "HOME": "/h"})).startswith("/h/.config/")
    assert contexts_path({}).is_absolute()


def test_contexts_are_read(environment: dict[str, str], tmp_path: Path) -> None:
    path = contexts_path(environment)
    assert read_contexts(path) == Contexts()
    write_contexts(environment, {"contexts": {"a": {"server": "http://a"}}})
    assert read_contexts(path) == Contexts(None, {"a": Context("http://a")})
    assert read_contexts(path).in_use is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"contexts": []},
        {"contexts": {"a": {}}},
        {"contexts": {"a": {"server": 1}}},
        {"current": "b"},
        {"current": []},
    ],
)
def test_contexts_that_cannot_be_understood_are_named(environment: dict[str, str], document: Any) -> None:
    write_contexts(environment, document)
    with pytest.raises(UsageError, match=r"contexts\.json"):
        client(environment)


def test_contexts_that_are_no_json_are_named(environment: dict[str, str]) -> None:
    write_contexts(environment, {})
    contexts_path(environment).write_text("{")
    with pytest.raises(UsageError, match="cannot read the contexts"):
        client(environment)


def test_a_token_may_stand_behind_its_name_as_in_the_frontends_own_file(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    path.write_text("# tokens\nci runner: 0123456789abcdef\nfedcba9876543210\n")
    assert client(environment, "--token-file", str(path)).token == "0123456789abcdef"
