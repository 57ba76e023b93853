# SPDX-License-Identifier: Apache-2.0
"""Carry an action out: so many nodes at once, each within its time, until enough have failed or somebody stops it.

With a canary one node goes first, which must be well before and stay so, or the rest is left alone. Nothing is sent
twice, and nothing at all to a node that cannot do it. All I/O goes through the functions that are passed in.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lmcache_frontend.actions.arguments import Request, RunScript, describe
from lmcache_frontend.actions.judging import Doubt, judge, may_be_done
from lmcache_frontend.actions.ledger import Progress
from lmcache_frontend.actions.outcomes import DONE, FAILED, PLANNED, SKIPPED, UNSUPPORTED, Line, Verdict
from lmcache_frontend.actions.requests import ActionRequest
from lmcache_frontend.actions.targets import Target
from lmcache_frontend.actions.verbs import SLOW_TIMEOUT_S, Plan, plan
from lmcache_frontend.actions.wording import error_line, shown_question
from lmcache_frontend.cluster.adapters.answers import hear
from lmcache_frontend.cluster.adapters.health import HEALTHY, SERVING, UNREACHABLE
from lmcache_frontend.cluster.adapters.kinds import UNKNOWN, Ask, Identity, Kind
from lmcache_frontend.cluster.adapters.probe import probe
from lmcache_frontend.cluster.adapters.read import read
from lmcache_frontend.cluster.model import Node
from lmcache_frontend.errors import BadGateway, FrontendError, GatewayTimeout, NotFound
from lmcache_frontend.http1.fetch import Answer, Question

logger = logging.getLogger(__name__)

HEALTH_TIMEOUT_S = 10.0
# After a change a node may take a moment to fall ill.
HEALTH_CHECKS = 3
HEALTH_PAUSE_S = 1.0
CANARY_CANDIDATES = 5
_FIT = (SERVING, HEALTHY)
_INTERNAL = "internal error; the log has more"

# Node, what was done, outcome and detail: for the audit trail.
Record = Callable[[str, str, str, str], None]


class Tools(NamedTuple):
    """What an action is carried out with.

    ``send(node, question, timeout_s)`` sends to a node, through the frontend that it is behind, and raises
    FrontendError; ``identity(key)`` is what a node was found to be, None where that is not known; ``clock`` gives
    seconds since the epoch, ``steady_clock`` those of a clock that nobody sets.
    """

    send: Callable[[Node, Question, float], Answer]
    identity: Callable[[str], Identity | None]
    node_timeout_s: float
    clock: Callable[[], float]
    steady_clock: Callable[[], float]
    health_pause_s: float = HEALTH_PAUSE_S


class Job(NamedTuple):
    """An action and all that it needs."""

    request: ActionRequest
    targets: Sequence[Target]
    progress: Progress
    tools: Tools
    record: Record


class Condition(NamedTuple):
    """How a node is: a level of the adapters', and the reasons for it."""

    level: str
    reasons: str

    def __str__(self) -> str:
        return f"{self.level} ({self.reasons})" if self.reasons else self.level


def perform(job: Job) -> None:
    """Do it all; the lines are in the job's progress. Raises nothing."""
    remaining = deque(job.targets)
    everything = _counted(len(job.targets))
    _write_down(job, everything, "started", "")
    try:
        if job.request.canary and not job.request.dry_run:
            _go_first(job, remaining)
        _spread(job, remaining)
    except Exception:
        logger.exception("action %s failed", job.request.action)
        job.progress.stop(_INTERNAL)
    told, left = {line.node for line in job.progress.lines}, {target.key for target in remaining}
    for target in job.targets:
        if target.key not in told:
            is_left = target.key in left
            reason = job.progress.stop_reason if is_left else _INTERNAL
            job.progress.add(Line(target.key, SKIPPED if is_left else FAILED, reason))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in job.progress.summary.items() if count)
    _write_down(job, everything, "ended", counts)
    job.progress.end(job.tools.clock())


def _write_down(job: Job, node: str, outcome: str, detail: str) -> None:
    if job.request.dry_run:
        return
    try:
        job.record(node, describe(job.request.arguments), outcome, detail)
    except Exception:
        logger.exception("what was done to %s was not written down", node)


def _counted(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _spread(job: Job, remaining: deque[Target]) -> None:
    """Work the rest off, in this thread and in as many others as were asked for."""

    def work() -> None:
        while remaining and not _is_over(job):
            try:
                target = remaining.popleft()
            except IndexError:
                # Another thread was faster.
                return
            _finish(job, _act(job, target))

    others = []
    for number in range(1, min(job.request.parallel, len(remaining))):
        thread = threading.Thread(target=work, name=f"action-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            break
        others.append(thread)
    work()
    for thread in others:
        thread.join()


def _is_over(job: Job) -> bool:
    limit, failures = job.request.max_failures, job.progress.failures
    if limit is not None and failures >= limit:
        job.progress.stop(f"stopped after {failures} failure{'' if failures == 1 else 's'}")
    return bool(job.progress.stop_reason)


def _finish(job: Job, line: Line) -> None:
    """Say what came of a node, and write down what was done."""
    job.progress.add(line)
    if line.outcome in (DONE, FAILED):
        has_content = line.outcome == DONE and isinstance(job.request.arguments, (Request, RunScript))
        # What nodes say of themselves is for who asked, not to be kept for months.
        detail = f"answered {line.status}" if has_content else line.detail
        _write_down(job, line.node, line.outcome, detail)


def _go_first(job: Job, remaining: deque[Target]) -> None:
    """Do it on one node alone; where that one is not well afterwards, stop.

    A node that cannot do it, or is not reached, is no canary; one that was not well before waits with the others.
    """
    unfit: list[Target] = []
    faults: list[str] = []
    while remaining and not _is_over(job) and len(unfit) < CANARY_CANDIDATES:
        target = remaining.popleft()
        begun_s = job.tools.steady_clock()
        planned = _plan(job, target)
        if isinstance(planned, Verdict):
            _finish(job, _line(job, target, planned, begun_s))
            continue
        before = _condition(job, target)
        if before.level not in _FIT:
            unfit.append(target)
            faults.append(f"{target.key} is {before}")
            continue
        remaining.extendleft(reversed(unfit))
        _watch_over(job, target, planned, before)
        return
    remaining.extendleft(reversed(unfit))
    if unfit and not job.progress.stop_reason:
        job.progress.stop(f"no node is fit to go first: {'; '.join(faults)}")


def _watch_over(job: Job, target: Target, planned: Plan, before: Condition) -> None:
    begun_s = job.tools.steady_clock()
    verdict, status = _carry_out(job, target, planned)
    if verdict.outcome == DONE:
        after = _condition_after(job, target, before)
        if _is_no_worse(before, after):
            verdict = verdict._replace(detail=f"{verdict.detail}; went first and is {after.level}")
        else:
            words = f"{verdict.detail}; but it was {before.level} and is {after} now"
            verdict = verdict._replace(outcome=FAILED, detail=words)
    if verdict.outcome != DONE:
        job.progress.stop(f"{target.key} went first and failed")
    _finish(job, _line(job, target, verdict, begun_s, status))


def _condition_after(job: Job, target: Target, before: Condition) -> Condition:
    """Look several times, until the node is worse than before."""
    after = before
    for number in range(HEALTH_CHECKS):
        if number and job.progress.wait_for_stop(job.tools.health_pause_s):
            break
        after = _condition(job, target)
        if not _is_no_worse(before, after):
            break
    return after


def _is_no_worse(before: Condition, after: Condition) -> bool:
    return after.level in _FIT and _FIT.index(after.level) >= _FIT.index(before.level)


def _condition(job: Job, target: Target) -> Condition:
    try:
        data = read(_identity(job, target), "health", _asking(job, target)).data
    except FrontendError as exc:
        return Condition(UNREACHABLE, error_line(exc))
    return Condition(data["level"], "; ".join(data["reasons"]))


def _act(job: Job, target: Target) -> Line:
    """Do it on a node; whatever happens becomes a line."""
    begun_s = job.tools.steady_clock()
    status = None
    try:
        planned = _plan(job, target)
        if isinstance(planned, Verdict):
            verdict = planned
        elif job.request.dry_run:
            verdict = Verdict(PLANNED, shown_question(planned.question))
        else:
            verdict, status = _carry_out(job, target, planned)
    except Exception:
        logger.exception("action on %s failed", target.key)
        verdict = Verdict(FAILED, _INTERNAL)
    return _line(job, target, verdict, begun_s, status)


def _line(job: Job, target: Target, verdict: Verdict, begun_s: float, status: int | None = None) -> Line:
    seconds = round(max(0.0, job.tools.steady_clock() - begun_s), 3)
    return Line(target.key, verdict.outcome, verdict.detail, status, seconds, verdict.keys)


def _plan(job: Job, target: Target) -> Plan | Verdict:
    """Say what is to be sent, or why nothing can be."""
    try:
        identity = UNKNOWN if isinstance(job.request.arguments, Request) else _identity(job, target)
    except FrontendError as exc:
        return Verdict(FAILED, error_line(exc))
    planned = plan(job.request.arguments, identity)
    return Verdict(UNSUPPORTED, planned) if isinstance(planned, str) else planned


def _identity(job: Job, target: Target) -> Identity:
    """Give what a node is; who was never reached is asked.

    Raises: FrontendError.
    """
    known = None
    if not target.is_frontend:
        try:
            known = job.tools.identity(target.key)
        except NotFound:
            # It was added just now.
            known = None
    return known or probe(_asking(job, target), Kind.FRONTEND if target.is_frontend else Kind.UNKNOWN)


def _asking(job: Job, target: Target) -> Ask:
    usual_s = min(HEALTH_TIMEOUT_S, job.request.timeout_s or job.tools.node_timeout_s)
    return lambda path, timeout_s: job.tools.send(target.node, Question("GET", path), timeout_s or usual_s)


def _carry_out(job: Job, target: Target, planned: Plan) -> tuple[Verdict, int | None]:
    """Send it and judge the answer; give its status as well."""
    arguments = job.request.arguments
    usual_s = max(SLOW_TIMEOUT_S, job.tools.node_timeout_s) if planned.is_slow else job.tools.node_timeout_s
    timeout_s = job.request.timeout_s or usual_s
    status = None
    try:
        answer = job.tools.send(target.node, planned.question, timeout_s)
        status = answer.head.status
        verdict = judge(arguments, planned, hear(answer))
        if isinstance(verdict, Doubt):
            verdict = verdict.judge(hear(job.tools.send(target.node, verdict.question, timeout_s)))
    except FrontendError as exc:
        words = error_line(exc)
        is_open = isinstance(exc, (BadGateway, GatewayTimeout)) and may_be_done(str(exc))
        if planned.changes and is_open:
            words += "; it may have been done all the same"
        return Verdict(FAILED, words), status
    return verdict, status
