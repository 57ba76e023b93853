# SPDX-License-Identifier: Apache-2.0
"""What is to be said of rules before they are saved: values that LMCache refuses, reads as others, or does not know.

Pure. What LMCache makes of a value is decided in `lmcache_frontend.remote_config.coerce`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from lmcache_frontend.masking import MASK, masked
from lmcache_frontend.remote_config.catalogue import LATEST, catalogue
from lmcache_frontend.remote_config.coerce import Severity, Verdict, coerce
from lmcache_frontend.remote_config.rules import Item, Operator, Rule, Rules
from lmcache_frontend.remote_config.values import equal, shown, strict

# Releases after which LMCache read values otherwise: it began to convert them, to split local_disk, and to convert
# the locations. Source: LMCache 0.3.13 to 0.5.6.
OLDER_RELEASES = ("0.5.2", "0.4.3", "0.3.13")


class Finding(NamedTuple):
    """Something to be said of a setting in a rule; the severity is that of `Severity`."""

    rule: str
    key: str
    severity: str
    text: str


def findings(rules: Rules, *, version: str = LATEST) -> list[Finding]:
    """Say what LMCache of a release would refuse, change or not know, and what an older one would read otherwise."""
    return [finding for rule in rules for finding in _of_rule(rule, version)]


def _of_rule(rule: Rule, version: str) -> Iterator[Finding]:
    known = catalogue(version)
    for name in _hidden(rule):
        text = f"got {MASK}, which is shown in place of a secret; expected the secret itself"
        yield Finding(rule.name, name, Severity.ERROR.value, text)
    for name in dict.fromkeys(condition.name for condition in rule.match.config):
        if name not in known:
            text = f"the rule asks for the setting {name}, which LMCache {version} does not have"
            yield Finding(rule.name, name, Severity.UNKNOWN.value, text)
    for item in rule.items:
        verdict = coerce(item.key, item.value, version=version)
        if verdict.severity is not Severity.FINE:
            yield Finding(rule.name, item.key, verdict.severity.value, verdict.text)
        if verdict.severity in (Severity.FINE, Severity.SURPRISE):
            yield from _of_older_releases(rule, item, verdict)
        if rule.deny:
            text = "the rule denies, so that nobody gets this setting"
            yield Finding(rule.name, item.key, Severity.SURPRISE.value, text)


def _hidden(rule: Rule) -> Iterator[str]:
    """Yield what has a mask for a value, copied from where it was shown; as a pattern it would match everything."""
    for name, operator, operand in (*rule.match.environment, *rule.match.config):
        if MASK in (operand.text if operator is Operator.GLOB else str(operand)):
            yield name
    for item in rule.items:
        if MASK in item.text:
            yield item.key


def _of_older_releases(rule: Rule, item: Item, verdict: Verdict) -> Iterator[Finding]:
    """Say what the newest of the older releases that differ makes of a value; that they lack a key says its meaning."""
    value: Any = item.value
    for release in OLDER_RELEASES:
        older = coerce(item.key, value, version=release)
        # Of what is odd with the newest release too, that has been said.
        if older.severity is Severity.UNKNOWN or older.severity is verdict.severity is Severity.SURPRISE:
            continue
        are_alike = isinstance(older.value, str) is isinstance(verdict.value, str)
        if older.severity is Severity.ERROR or not (are_alike and equal(older.value, verdict.value)):
            what = older.text or f"it holds {shown(strict(masked(item.key, older.value)))}"
            yield Finding(rule.name, item.key, Severity.SURPRISE.value, f"LMCache {release} reads it otherwise: {what}")
            return
