# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from lmcache_frontend.cluster.adapters.grammars import parse_lenient_json, parse_loggers, parse_threads

SUMMARY = "\n\n=== Thread Summary ===\nTotal threads: {}\n"


def dump(*blocks: str) -> str:
    return "\n\n".join(blocks) + SUMMARY.format(len(blocks))


def block(title: str, *lines: str, stack: str = "Stack trace:") -> str:
    return "\n".join((f"Thread: {title}", stack, *lines)) + "\n"


def test_a_thread_dump_without_threads():
    assert parse_threads(SUMMARY.format(0)) == ([], 0)


@pytest.mark.parametrize(
    ("title", "kind", "name", "state", "daemon", "ident"),
    [
        ("<_MainThread(MainThread, started 140)>", "_MainThread", "MainThread", "started", False, 140),
        ("<Thread(a, b (c), started daemon 7)>", "Thread", "a, b (c)", "started", True, 7),
        ("<Thread(a, started 1)>, started 2)>", "Thread", "a, started 1)>", "started", False, 2),
        ("<Timer(Thread-3, initial)>", "Timer", "Thread-3", "initial", False, None),
        ("<_DummyThread(Dummy-1, stopped daemon -5)>", "_DummyThread", "Dummy-1", "stopped", True, -5),
        ("<Worker(, started 1)>", "Worker", "", "started", False, 1),
        ("<Thread(two\nlines, started 1)>", "Thread", "two\nlines", "started", False, 1),
        ("<Thread(ü=== Thread Summary ===, started 1)>", "Thread", "ü=== Thread Summary ===", "started", False, 1),
        ("my own thread", "", "my own thread", "unknown", False, None),
        (f"<Thread(a, started {'9' * 5000})>", "", f"<Thread(a, started {'9' * 5000})>", "unknown", False, None),
    ],
)
def test_how_threads_are_named(title: str, kind: str, name: str, state: str, daemon: bool, ident: int | None):
    (thread,) = parse_threads(dump(block(title))).threads
    said = {key: thread[key] for key in ("class", "name", "state", "daemon", "ident")}
    assert said == {"class": kind, "name": name, "state": state, "daemon": daemon, "ident": ident}


def test_frames():
    text = block(
        "<Thread(t, started 1)>",
        '  File "/a "b"/c.py", line 12, in <lambda>',
        "    return f(x)",
        '  File "<frozen importlib._bootstrap>", line 241, in _call',
        '  File "/d.py", line 7, in g',
        "    g()",
        "  [Previous line repeated 995 more times]",
        '  File "/e.py", line 9, in h',
        "    self.call(",
        "        1,",
        "    ^^^^^^^^^^",
        "  [Previous line repeated 1 more time]",
    )
    (thread,) = parse_threads(dump(text)).threads
    said = [(frame["file"], frame["line"], frame["function"], frame["source"]) for frame in thread["frames"]]
    assert said == [
        ('/a "b"/c.py', 12, "<lambda>", "return f(x)"),
        ("<frozen importlib._bootstrap>", 241, "_call", ""),
        ("/d.py", 7, "g", "g()"),
        ("/e.py", 9, "h", "self.call(\n    1,"),
    ]
    assert [frame["repeated"] for frame in thread["frames"]] == [0, 0, 995, 1]
    assert thread["note"] is None


@pytest.mark.parametrize("note", ["No stack trace available", "Stack trace unavailable"])
def test_threads_without_a_stack_say_why(note: str):
    first, second = parse_threads(dump(block("<T(a, started 1)>", stack=note), block("<T(b, started 2)>"))).threads
    assert (first["note"], first["frames"]) == (note, [])
    assert second["name"] == "b"


def test_a_thread_dump_that_ends_early_keeps_what_it_has():
    whole = dump(block("<T(a, started 1)>", '  File "/a.py", line 1, in f'), block("<T(b, started 2)>"))
    found = parse_threads(whole[: whole.index("Thread: <T(b") + 12])
    assert found.total is None
    assert [thread["name"] for thread in found.threads] == ["a", "<T(b"]


def test_a_source_line_that_looks_like_the_end_is_a_source_line():
    text = block(
        "<T(a, started 1)>", '  File "/a.py", line 1, in f', "    Thread: <T(x)>", "    === Thread Summary ==="
    )
    (thread,) = parse_threads(dump(text)).threads
    assert thread["frames"][0]["source"] == "Thread: <T(x)>\n=== Thread Summary ==="


@pytest.mark.parametrize("text", ["", "Thread: ", "Thread: \n" * 3, "\x00", "=== Thread Summary ===", "<html>"])
def test_what_is_no_thread_dump_gives_no_total(text: str):
    assert parse_threads(text).total is None


@pytest.mark.parametrize(
    ("text", "loggers"),
    [
        ("=== Loggers and Levels ===\n", []),
        (
            "=== Loggers and Levels ===\na.b: INFO\nc: d: DEBUG\ne: Level 5\nf: LOUD AND CLEAR\n: NOTSET\n",
            [("a.b", "INFO"), ("c: d", "DEBUG"), ("e", "Level 5"), ("f", "LOUD AND CLEAR"), ("", "NOTSET")],
        ),
        ("=== Loggers and Levels ===\r\na: INFO\r\nno level here\r\n", [("a", "INFO")]),
        ("lmcache: INFO", [("lmcache", "INFO")]),
        ("x: y: Level 15", [("x: y", "Level 15")]),
        ("Set a: b level to DEBUG (including all handlers)", [("a: b", "DEBUG")]),
    ],
)
def test_loggers(text: str, loggers: list[tuple[str, str]]):
    assert [(logger["name"], logger["level"]) for logger in parse_loggers(text)] == loggers


@pytest.mark.parametrize("text", ["", "null", "nothing", "<html>\na: b\n</html>", "one: INFO\ntwo: INFO\n"])
def test_what_is_no_list_of_loggers(text: str):
    with pytest.raises(ValueError, match="no list of loggers"):
        parse_loggers(text)


def test_numbers_that_json_does_not_have_become_strings():
    text = '{"a": Infinity, "b": {"c": [1, -Infinity, NaN]}, "d": "Infinity", "e": 1e999, "f": -1e999, "g": 1.5}'
    value, infinite = parse_lenient_json(text)
    assert value == {
        "a": "Infinity",
        "b": {"c": [1, "-Infinity", "NaN"]},
        "d": "Infinity",
        "e": "Infinity",
        "f": "-Infinity",
        "g": 1.5,
    }
    assert infinite == ["a", "b.c[1]", "b.c[2]", "e", "f"]
    assert json.dumps(value, allow_nan=False)
    assert {type(item) for item in value["b"]["c"]} == {int, str}


def test_lone_surrogates_are_replaced_and_pairs_are_kept():
    value, _ = parse_lenient_json(r'{"\ud800": ["\udc80x", "\ud83d\ude00", "é"]}')
    assert value == {"\ufffd": ["\ufffdx", "\U0001f600", "é"]}
    assert json.dumps(value, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON: .* line 1, column 1"),
        ("{\n 'a'}", "not JSON: .* line 2, column 2"),
        ('{"a": 1', "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("1" * 5000, "too many digits"),
        ("[" * 200 + "]" * 200, "nested more than 100 levels deep"),
        ("[" * 200_000, "nested more than 100 levels deep"),
        ('{"a":' * 200_000, "nested more than 100 levels deep"),
    ],
)
def test_what_is_no_json_is_said(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        parse_lenient_json(text)
