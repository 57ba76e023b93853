# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re

import pytest

from tests.helpers.demo import ManualClock, ask, recording, scheduler, server, shape, status, worker

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

# Where a node inside vLLM says more than the standalone one that was recorded.
RICHER = {"/conf", "/meta", "/inference_info", "/cache/kvcache/info", "/openapi.json", "/status"}


def cases():
    for kind, make in (("in_process", worker), ("multiprocess", server)):
        for number, row in enumerate(recording(kind)["answers"]):
            yield pytest.param(make, row, id=f"{kind}-{number}-{row['method']}-{row['path']}")


@pytest.mark.parametrize(("make", "row"), list(cases()))
def test_status_type_and_shape_are_those_of_a_real_node(make, row):
    node = make(ManualClock())
    path, _, query = row["path"].partition("?")
    answer = node.answer(row["method"], path, query, (row["request_body"] or "").encode())
    assert (answer.status, answer.content_type) == (row["status"], row["content_type"])
    if "text" not in row:
        return
    try:
        expected = json.loads(row["text"])
    except ValueError:
        assert answer.body.decode() == row["text"]
        return
    got = json.loads(answer.body)
    if path in RICHER:
        assert shape(got).keys() >= shape(expected).keys()
    else:
        assert shape(got) == shape(expected)
    indented = row["text"].startswith("{\n") and len(row["text"]) > 2
    assert answer.body.startswith(b"{\n") == indented or path == "/inference_info"


def test_conf_holds_every_key_in_order_and_bare_infinity():
    recorded = next(row["text"] for row in recording("in_process")["answers"] if row["path"] == "/conf")
    body = worker(ManualClock()).answer("GET", "/conf").body.decode()
    assert list(json.loads(body)) == list(json.loads(recorded))
    assert '\n  "pd_allocation_timeout_sec": Infinity,\n' in body


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH"])
def test_a_method_that_a_path_lacks_is_405_and_allow_names_only_its_first_method(method):
    answer = worker(ManualClock()).answer(method, "/conf")
    assert (answer.status, answer.body) == (405, b'{"detail":"Method Not Allowed"}')
    assert dict(answer.fields)["allow"] == "GET"
    put = server(ManualClock()).answer("POST", "/quota/tenant")
    assert (put.status, dict(put.fields)["allow"]) == (405, "PUT")


def test_a_slash_too_many_is_redirected_to_the_full_address():
    answer = worker(ManualClock()).answer("GET", "/version/", "a=%20", host="node.example:7000")
    assert (answer.status, answer.body) == (307, b"")
    assert dict(answer.fields)["location"] == "http://node.example:7000/version?a=%20"


@pytest.mark.parametrize("path", ["/nope/", "//", "/", "/version/x", "/backends/a%2Fb", "/conf%00"])
def test_what_is_not_there_is_404(path):
    answer = worker(ManualClock()).answer("GET", path)
    assert (answer.status, answer.body) == (404, b'{"detail":"Not Found"}')


def test_a_path_is_decoded_and_the_last_of_repeated_parameters_counts():
    node = worker(ManualClock())
    assert node.answer("GET", "/%76ersion").status == 200
    assert ask(node, "GET", "/conf?names=local_cpu&names=chunk_size") == {"chunk_size": 256}


def test_a_parameter_of_the_wrong_type_is_422_with_details():
    node = worker(ManualClock())
    for target, kind in (("/threads?thread_id=x", "int_parsing"), ("/periodic-threads?running_only=x", "bool_parsing")):
        assert status(node, "GET", target) == 422
        detail = ask(node, "GET", target)["detail"][0]
        assert (detail["type"], detail["loc"][0], detail["input"]) == (kind, "query", "x")
        assert detail.keys() == {"type", "loc", "msg", "input"}


def test_the_environment_is_made_up_sorted_and_has_something_to_mask(monkeypatch):
    monkeypatch.setenv("VERY_OWN_VARIABLE", "of this process")
    for make in (worker, scheduler, server):
        answer = make(ManualClock()).answer("GET", "/env")
        values = json.loads(answer.body)
        assert answer.content_type == TEXT
        assert list(values) == sorted(values)
        assert "VERY_OWN_VARIABLE" not in values
        assert {"HF_TOKEN", "REDIS_PASSWORD"} <= values.keys()


@pytest.mark.parametrize(("make", "kind"), [(worker, "in_process"), (server, "multiprocess")])
def test_every_path_and_method_of_a_real_node_is_there_and_no_other(make, kind):
    paths = ask(make(ManualClock()), "GET", "/openapi.json")["paths"]
    got = {re.sub(r"\{\w+\}", "{}", path): sorted(methods) for path, methods in paths.items()}
    assert got == recording(kind)["paths"]
