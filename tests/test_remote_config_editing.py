# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from typing import Any

import pytest

from lmcache_frontend.errors import BadRequest, RevisionConflict, ServiceUnavailable
from lmcache_frontend.remote_config.document import read_rules
from lmcache_frontend.remote_config.editing import Edit, carry_out, check_rules, check_words, compare
from lmcache_frontend.remote_config.refusals import LateEdit, RefusedRules
from lmcache_frontend.remote_config.revisions import Head, Revision, Revisions
from lmcache_frontend.remote_config.rules import Rule, Rules
from lmcache_frontend.store.memory import open_memory


def edit(*names: str, expected: int | None = None, author: str = "ann") -> Edit:
    return Edit(tuple(map(Rule, names)), expected, "why", author)


def make() -> Revisions:
    return Revisions(open_memory(), lambda: 1.0)


class Raced(Revisions):
    """Revisions to which somebody else appends just before us, some times."""

    def __init__(self, times: int) -> None:
        super().__init__(open_memory(), lambda: 1.0)
        self.times = times

    def append(self, head: Head, rules: Rules, *, message: str, author: str) -> Revision:
        if self.times and author != "other":
            self.times -= 1
            super().append(head, (Rule(f"other-{self.times}"),), message="theirs", author="other")
        return super().append(head, rules, message=message, author=author)


def test_an_edit_makes_a_revision_and_the_same_again_makes_none() -> None:
    revisions = make()
    outcome = carry_out(revisions, edit("a", expected=0))
    assert (outcome.revision.number, outcome.changed) == (1, True)
    assert [change["op"] for change in outcome.diff] == ["added"]
    for expected in (None, 1, 0, 99):
        outcome = carry_out(revisions, edit("a", expected=expected, author="bob"))
        assert (outcome.revision.number, outcome.changed, outcome.diff) == (1, False, [])
    assert revisions.head().revision.author == "ann"


def test_a_late_edit_is_told_what_the_others_changed() -> None:
    revisions = make()
    carry_out(revisions, edit("a"))
    carry_out(revisions, edit("a", "b", author="bob"))
    carry_out(revisions, edit("b", author="cy"))
    with pytest.raises(LateEdit) as caught:
        carry_out(revisions, edit("a", "c", expected=1))
    document: dict[str, Any] = caught.value.document
    assert [(change["op"], change["rule"]) for change in document.pop("diff")] == [("removed", "a"), ("added", "b")]
    assert document == {
        "detail": "the rules are at revision 3 by cy, not at 1 any more",
        "revision": 3,
        "author": "cy",
        "message": "why",
    }
    assert caught.value.status == 409
    assert str(caught.value) == document["detail"]
    assert revisions.head().revision.number == 3


def test_an_edit_of_a_revision_that_never_was_is_late_too() -> None:
    revisions = make()
    with pytest.raises(LateEdit, match="the rules are at revision 0, and there is no revision 7"):
        carry_out(revisions, edit("a", expected=7))
    carry_out(revisions, edit("a"))
    with pytest.raises(LateEdit, match="not at 0 any more") as caught:
        carry_out(revisions, edit("b", expected=0))
    assert [change["rule"] for change in caught.value.document["diff"]] == ["a"]


def test_one_who_is_overtaken_tries_again_or_is_late() -> None:
    revisions = Raced(2)
    outcome = carry_out(revisions, edit("a"))
    assert (outcome.revision.number, outcome.revision.parent) == (3, 2)
    assert [change["op"] for change in outcome.diff] == ["removed", "added"]
    with pytest.raises(LateEdit, match="at revision 1 by other, not at 0 any more"):
        carry_out(Raced(1), edit("a", expected=0))
    with pytest.raises(ServiceUnavailable, match="others change the rules all the time"):
        carry_out(Raced(9), edit("a"))


def test_of_many_who_edit_one_revision_at_once_one_succeeds() -> None:
    store = open_memory()
    outcomes: list[str] = []

    def run(name: str) -> None:
        try:
            carry_out(Revisions(store, lambda: 1.0), edit(name, expected=0))
            outcomes.append("done")
        except LateEdit:
            outcomes.append("late")

    threads = [threading.Thread(target=run, args=(f"rule-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["done"] + ["late"] * 7
    assert Revisions(store, lambda: 1.0).head().revision.number == 1


def test_comparing_writes_nothing() -> None:
    revisions = make()
    outcome = compare(revisions, revisions.head().revision, edit("a", expected=0))
    assert (outcome.revision.number, outcome.changed, len(outcome.diff)) == (0, False, 1)
    with pytest.raises(LateEdit):
        compare(revisions, revisions.head().revision, edit("a", expected=3))
    assert revisions.history(5) == []


def rules(key: str, value: Any) -> Rules:
    return read_rules({"rules": [{"name": "r", "items": [{"key": key, "value": value}]}]})


def test_values_that_lmcache_refuses_are_refused() -> None:
    with pytest.raises(RefusedRules) as caught:
        check_rules((*rules("chunk_size", "3.9"), *rules("local_cpu", "yes")), strict=False)
    assert caught.value.status == 400
    assert str(caught.value).startswith("rule 'r', chunk_size: ")
    assert [finding["severity"] for finding in caught.value.document["findings"]][:2] == ["error", "surprise"]
    assert caught.value.document["detail"] == str(caught.value)
    two = (*rules("chunk_size", "x"), *rules("blend_min_tokens", "x"))
    with pytest.raises(RefusedRules, match="and 1 more"):
        check_rules(two, strict=False)


def test_names_that_lmcache_does_not_have_are_refused_only_if_strict() -> None:
    (finding,) = check_rules(rules("chunk_sizes", 5), strict=False)
    assert finding.severity == "unknown"
    with pytest.raises(RefusedRules, match="chunk_sizes"):
        check_rules(rules("chunk_sizes", 5), strict=True)
    assert check_rules(rules("local_cpu", "yes"), strict=True)[0].severity == "surprise"


def test_words_have_a_limit() -> None:
    check_words("x" * 2000, "x" * 200)
    with pytest.raises(BadRequest, match="message has 2001 characters, at most 2000 are taken"):
        check_words("x" * 2001, "")
    with pytest.raises(BadRequest, match="author has 201 characters"):
        check_words("", "x" * 201)


def test_a_conflict_of_the_store_is_not_shown_as_such() -> None:
    assert not issubclass(LateEdit, RevisionConflict)
