# SPDX-License-Identifier: Apache-2.0
"""What the benchmark reads out of wrk's report and out of /proc, and what it makes of the figures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bench.parsing import (
    MemoryUse,
    WrkReport,
    parse_cpu_ticks,
    parse_duration_s,
    parse_memory,
    parse_wrk,
)
from tests.bench.report import Budget, Line, mark, ratio, table
from tests.bench.stand import METRICS_BYTES, metrics_body

REPORT = """\
Running 3s test @ http://127.0.0.1:18931/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.53ms  817.41us   7.81ms   73.09%
    Req/Sec     1.55k    37.92     1.61k    60.00%
  Latency Distribution
     50%  243.00us
     75%    2.96ms
     90%    3.54ms
     99%    1.05s
  1547 requests in 3.01s, 563.51KB read
Requests/sec:   1546.23
Transfer/sec:    563.23KB
"""
SOCKET_ERRORS = "  Socket errors: connect 1, read 2, write 3, timeout 40\n"
BAD_STATUSES = "  Non-2xx or 3xx responses: 1872\n"


def with_lines(*lines: str) -> str:
    return REPORT.replace("Requests/sec:", "".join(lines) + "Requests/sec:")


def test_a_clean_wrk_report_is_read() -> None:
    report = parse_wrk(REPORT)
    assert report == WrkReport(1547, 1546.23, pytest.approx(243e-6), pytest.approx(1.05), 0, 0, 0)


def test_errors_and_bad_statuses_of_wrk_are_counted() -> None:
    report = parse_wrk(with_lines(SOCKET_ERRORS, BAD_STATUSES))
    assert (report.socket_errors, report.timeouts, report.bad_statuses) == (6, 40, 1872)


@pytest.mark.parametrize("line", ["requests in", "Requests/sec", " 50% ", " 99% "])
def test_a_wrk_report_without_a_needed_line_is_refused(line: str) -> None:
    cut = "".join(kept for kept in REPORT.splitlines(keepends=True) if line not in kept)
    with pytest.raises(ValueError, match="expected a line like"):
        parse_wrk(cut)


def test_the_message_of_a_failed_wrk_is_refused() -> None:
    with pytest.raises(ValueError, match="Connection refused"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("58.00us", 58e-6), ("0.00us", 0.0), ("1.20ms", 1.2e-3), ("2.01s", 2.01), ("1.50m", 90.0), ("1h", 3600.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "12", "ms", "1.2 ms", "1.2ns", "-1ms", "1.2msx"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration_s(text)


def test_memory_is_read_in_bytes() -> None:
    status = "Name:\tpython3\nVmPeak:\t  40000 kB\nVmHWM:\t   21504 kB\nVmRSS:\t   20480 kB\nRssAnon:\t 9000 kB\n"
    assert parse_memory(status) == MemoryUse(resident_bytes=20_971_520, peak_bytes=22_020_096)


def test_the_status_of_an_ended_process_is_refused() -> None:
    with pytest.raises(ValueError, match="VmRSS"):
        parse_memory("Name:\tpython3\nState:\tZ (zombie)\nPid:\t7\n")


@pytest.mark.parametrize("name", ["nginx", "a b", "odd) S 1 (name"])
def test_processor_time_is_user_and_system_whatever_the_name(name: str) -> None:
    assert parse_cpu_ticks(f"4242 ({name}) S 1 4242 4242 0 -1 4194560 900 80 3 2 171 29 5 6 20 0 1 0 99 0\n") == 200


@pytest.mark.parametrize("stat", ["", "4242 (nginx)", "4242 nginx S 1 2 3 4 5 6 7 8 9 10 11 12 13 14"])
def test_other_texts_have_no_processor_time(stat: str) -> None:
    with pytest.raises(ValueError, match="/proc/PID/stat"):
        parse_cpu_ticks(stat)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs the /proc of Linux")
def test_the_running_system_writes_what_is_expected() -> None:
    own = Path("/proc") / str(os.getpid())
    assert parse_memory((own / "status").read_text()).resident_bytes > 0
    assert parse_cpu_ticks((own / "stat").read_text()) >= 0


def line(budget: Budget, ours: tuple[float, ...], peer: tuple[float, ...], *, ours_errors: int = 0) -> Line:
    return Line("case", "unit", budget, ours=ours, peer=peer, ours_errors=ours_errors)


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    # The ratio of the medians would be 2.0.
    budget = Budget(floor=0.25, goal=0.5, more_is_better=True, of_ratio=True)
    assert ratio(line(budget, (1.0, 2.0, 9.0), (1.0, 4.0, 1.0))) == 1.0


@pytest.mark.parametrize(("ours", "expected"), [(50.0, "goal"), (49.0, "floor"), (25.0, "floor"), (24.0, "below")])
def test_marks_where_more_is_better(ours: float, expected: str) -> None:
    budget = Budget(floor=0.25, goal=0.5, more_is_better=True, of_ratio=True)
    assert mark(line(budget, (ours,), (100.0,))) == expected


@pytest.mark.parametrize(("ours", "expected"), [(10.0, "goal"), (11.0, "floor"), (20.0, "floor"), (21.0, "below")])
def test_marks_of_our_own_figure_where_less_is_better(ours: float, expected: str) -> None:
    budget = Budget(floor=20.0, goal=10.0, more_is_better=False, of_ratio=False)
    assert mark(line(budget, (ours,), (0.0,))) == expected


def test_a_failed_request_is_below_however_fast_the_others_were() -> None:
    budget = Budget(floor=0.25, goal=0.5, more_is_better=True, of_ratio=True)
    assert mark(line(budget, (100.0,), (1.0,), ours_errors=1)) == "below"


def test_the_table_is_aligned_and_names_the_mark() -> None:
    budget = Budget(floor=0.25, goal=0.5, more_is_better=True, of_ratio=True)
    rows = table([line(budget, (30.0,), (100.0,)), line(budget, (123456.0,), (100.0,))]).splitlines()
    assert len({len(row) for row in rows}) == 1
    assert "0.300" in rows[2]
    assert "floor" in rows[2]
    assert "123,456" in rows[3]
    assert "goal" in rows[3]


def test_the_metrics_page_has_the_size_its_row_names() -> None:
    body = metrics_body()
    assert len(body) == METRICS_BYTES
    assert body.endswith(b"\n")
