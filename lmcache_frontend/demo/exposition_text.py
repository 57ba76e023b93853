# SPDX-License-Identifier: Apache-2.0
"""Render figures as a node's ``/metrics``: the order and spelling of prometheus_client 0.24, fast enough to ask often.

What never changes is laid out once at import; a rendering joins it, puts the node's labels in, then the numbers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

from lmcache_frontend.demo.families import IN_PROCESS, Family
from lmcache_frontend.demo.figures import Figures, Histogram

_LABELS = "\0"


class Process(NamedTuple):
    """What the standard collectors tell about a process; sizes in bytes, times in seconds."""

    started_at: float
    uptime_s: float
    resident_bytes: int
    open_files: int


class _Layout(NamedTuple):
    """A family's constant text: ``head`` is all there is of a histogram without observations."""

    family: Family
    head: str
    samples: str


def format_value(value: float) -> str:
    """Write a number as prometheus_client does: Python's digits, with Go's exponent from a million on."""
    text = repr(float(value))
    dot = text.find(".")
    if value <= 0 or dot <= 6:
        return text
    digits = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
    return f"{digits}e+0{dot - 1}"


def render_in_process(
    process: Process, labels: Mapping[str, str], figures: Figures, gauges: Mapping[str, float]
) -> str:
    """Render all families of an in-process node; counters and gauges not given are zero."""
    parts: list[str] = []
    values: list[str] = []
    for layout in _LAYOUTS:
        kind, name = layout.family.kind, layout.family.name
        if kind == "gauge":
            parts.append(layout.samples)
            values.append(_number(gauges.get(name, 0)))
        elif kind == "counter":
            parts.append(layout.samples)
            values += (_number(figures.counters.get(name, 0)), format_value(figures.created_at))
        elif name in figures.histograms:
            parts.append(layout.samples)
            values += _histogram_values(figures.histograms[name])
            values.append(format_value(figures.created_at))
        else:
            parts.append(layout.head)
    own = render_labels(labels).replace("%", "%%")
    return render_process(process) + "".join(parts).replace(_LABELS, own) % tuple(values)


def render_labels(labels: Mapping[str, str]) -> str:
    """Render labels in alphabetical order, without the braces."""
    return ",".join(f'{name}="{_escape(labels[name])}"' for name in sorted(labels))


def render_family(kind: str, name: str, description: str, samples: Iterable[tuple[str, float]]) -> str:
    """Render one family from samples given as (labels without braces, value)."""
    lines = [f"# HELP {name} {description}\n# TYPE {name} {kind}\n"]
    lines += (
        f"{name}{{{labels}}} {format_value(value)}\n" if labels else f"{name} {format_value(value)}\n"
        for labels, value in samples
    )
    return "".join(lines)


def render_histogram(name: str, description: str, labels: Mapping[str, str], histogram: Histogram) -> str:
    """Render a histogram of a single series without the family of its creation time."""
    bounds = [*map(format_value, histogram.bounds), "+Inf"]
    values = _histogram_values(histogram)
    lines = [f"# HELP {name} {description}\n# TYPE {name} histogram\n"]
    for bound, value in zip(bounds, values, strict=False):
        lines.append(f"{name}_bucket{{{render_labels({**labels, 'le': bound})}}} {value}\n")
    inner = render_labels(labels)
    lines.append(f"{name}_count{{{inner}}} {values[-2]}\n{name}_sum{{{inner}}} {values[-1]}\n")
    return "".join(lines)


def render_process(process: Process) -> str:
    """Render the families of the standard Python and process collectors."""
    ages = [int(count * (1 + process.uptime_s / 900)) for count in (700, 62, 6)]
    generations = [f'generation="{number}"' for number in range(3)]
    runtime = 'implementation="CPython",major="3",minor="11",patchlevel="7",version="3.11.7"'
    rows: list[tuple[str, str, str, list[tuple[str, float]]]] = [
        (
            "counter",
            "python_gc_objects_collected_total",
            "Objects collected during gc",
            list(zip(generations, (ages[0] * 12, ages[1] * 16, ages[2] * 26), strict=True)),
        ),
        (
            "counter",
            "python_gc_objects_uncollectable_total",
            "Uncollectable objects found during GC",
            [(generation, 0) for generation in generations],
        ),
        (
            "counter",
            "python_gc_collections_total",
            "Number of times this generation was collected",
            list(zip(generations, ages, strict=True)),
        ),
        ("gauge", "python_info", "Python platform information", [(runtime, 1)]),
        ("gauge", "process_virtual_memory_bytes", "Virtual memory size in bytes.", [("", process.resident_bytes * 2)]),
        ("gauge", "process_resident_memory_bytes", "Resident memory size in bytes.", [("", process.resident_bytes)]),
        (
            "gauge",
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            [("", round(process.started_at, 2))],
        ),
        (
            "counter",
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            [("", round(7.29 + process.uptime_s * 0.04, 2))],
        ),
        ("gauge", "process_open_fds", "Number of open file descriptors.", [("", process.open_files)]),
        ("gauge", "process_max_fds", "Maximum number of open file descriptors.", [("", 65536)]),
    ]
    return "".join(render_family(*row) for row in rows)


def _number(value: float) -> str:
    return format_value(value) if value else "0.0"


def _histogram_values(histogram: Histogram) -> list[str]:
    """Give the cumulative buckets, the count and the sum."""
    cumulative = [_number(count) for count in accumulate(histogram.counts)]
    return [*cumulative, cumulative[-1], _number(histogram.total)]


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _layout(family: Family) -> _Layout:
    name = f"lmcache:{family.name}"
    created = _head(f"{name}_created", "gauge", family) + f"{name}_created{{{_LABELS}}} %s\n"
    if family.kind == "counter":
        head = _head(f"{name}_total", "counter", family)
        return _Layout(family, head, f"{head}{name}_total{{{_LABELS}}} %s\n{created}")
    head = _head(name, family.kind, family)
    if family.kind == "gauge":
        return _Layout(family, head, f"{head}{name}{{{_LABELS}}} %s\n")
    bounds = [*map(format_value, family.bounds), "+Inf"]
    lines = [f'{name}_bucket{{le="{bound}",{_LABELS}}} %s\n' for bound in bounds]
    lines += [f"{name}_count{{{_LABELS}}} %s\n", f"{name}_sum{{{_LABELS}}} %s\n"]
    return _Layout(family, head, head + "".join(lines) + created)


def _head(name: str, kind: str, family: Family) -> str:
    return f"# HELP {name} {family.help}\n# TYPE {name} {kind}\n".replace("%", "%%")


_LAYOUTS = tuple(_layout(family) for family in IN_PROCESS)
