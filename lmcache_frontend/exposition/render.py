# SPDX-License-Identifier: Apache-2.0
"""Write families: heads for a merge, and whole expositions of figures of our own.

Leaves text that came from nodes to ``blocks`` and ``merge``. Source: the Prometheus text format 0.0.4, where a
counter's family bears its ``_total``, and OpenMetrics 1.0, where only the sample does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lmcache_frontend.exposition.labels import escape, render_pairs

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END_OF_OPENMETRICS = b"# EOF\n"


class Metric(NamedTuple):
    """A family of our own: ``samples`` are (suffix to the name, labels, value); a counter's name ends in ``_total``."""

    name: str
    type: str
    help: str
    samples: Sequence[tuple[str, Mapping[str, str], float]]


def histogram_samples(
    bounds: Sequence[float], counts: Sequence[int], total: float, labels: Mapping[str, str]
) -> list[tuple[str, Mapping[str, str], float]]:
    """Give the samples of a histogram: ``counts`` is per bucket and one for what is past the last bound."""
    samples: list[tuple[str, Mapping[str, str], float]] = []
    seen = 0
    for bound, count in zip((*bounds, math.inf), counts, strict=True):
        seen += count
        samples.append(("_bucket", {**labels, "le": format_value(bound)}, float(seen)))
    return [*samples, ("_sum", labels, total), ("_count", labels, float(seen))]


def render(metrics: Iterable[Metric], *, openmetrics: bool = False) -> bytes:
    """Render a whole exposition; names are taken to be right and different from each other."""
    parts = []
    for metric in metrics:
        name, kind = in_openmetrics(metric.name, metric.type) if openmetrics else (metric.name, metric.type)
        parts.append(render_head(name, kind, metric.help, openmetrics=openmetrics))
        for suffix, labels, value in metric.samples:
            inner = render_pairs(labels.items())
            braces = f"{{{inner}}}" if inner else ""
            parts.append(f"{metric.name}{suffix}{braces} {format_value(value)}\n".encode("utf-8", "replace"))
    if openmetrics:
        parts.append(END_OF_OPENMETRICS)
    return b"".join(parts)


def in_openmetrics(name: str, kind: str) -> tuple[str, str]:
    """Give the name and type that OpenMetrics has for a family of the text format.

    A counter's samples must end in ``_total`` there; of one whose do not the type is left open.
    """
    if kind == "counter":
        base, total, rest = name.rpartition("_total")
        return (base, kind) if base and total and not rest else (name, "unknown")
    return name, "unknown" if kind == "untyped" else kind


def render_head(name: str, kind: str, said: str, *, openmetrics: bool = False) -> bytes:
    """Render the HELP line, left out where there is nothing to say, and the TYPE line."""
    text = f"# TYPE {name} {kind}\n"
    if said:
        escaped = escape(said) if openmetrics else said.replace("\\", "\\\\").replace("\n", "\\n")
        text = f"# HELP {name} {escaped}\n{text}"
    return text.encode("utf-8", "replace")


def format_value(value: float) -> str:
    """Write a number so that it reads back as the same one."""
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
