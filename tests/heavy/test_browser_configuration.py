# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: F811 -- the fixtures are imported, and parameters bear their names
"""The configuration in a real browser: rules written, ordered, checked and saved, previews, history, workers, audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.browser_fixtures import browser, page  # noqa: F401
from tests.helpers.dashboard import ask, forwarding, running_frontend
from tests.helpers.webdriver import Browser

PARTS = ("rules", "preview", "revisions", "clients", "audit")
WAIT_S = 30.0
DOWN, UP, HOME = "\ue015", "\ue013", "\ue011"
STRANGER = {"X-Forwarded-For": "203.0.113.9"}
HOSTILE = "<img src=x onerror='window.ran = true'> \u202etxet \U0001f600"
CHUNKS: dict[str, Any] = {
    "name": "larger chunks",
    "match": {"app_id": ["chat", "chat-*"]},
    "items": [{"key": "chunk_size", "value": 512}],
}
DISK: dict[str, Any] = {
    "name": "disk for some",
    "match": {"env": {"POD_NAME": "llm-*"}, "rollout_percent": 20},
    "items": [{"key": "local_disk", "value": "/var/cache", "override": False}],
}
CPU: dict[str, Any] = {"name": "keep it in memory", "items": [{"key": "local_cpu", "value": True}]}
ODD: dict[str, Any] = {
    "name": "odd but true",
    "enabled": False,
    "match": {
        "env": {"A": {"equals": "a*"}, "B": {"present": False}, "C": "c?"},
        "config": {
            "chunk_size": {"at_least": 1, "at_most": 8},
            "local_disk": None,
            "extra_config": {"equals": {"a": 1}},
        },
        "client": ["10.0.0.0/8", "::1/128"],
        "rollout_percent": 0.25,
        "rollout_by": "HOSTNAME",
    },
    "items": [
        {"key": "max_local_cpu_size", "value": 5.0},
        {"key": "extra_config", "value": {"seed": 12345678901234567890, "list": [1, None, 2.0], "text": ""}},
        {"key": "remote_url", "value": None},
        {"key": "unknown_to_all", "value": "512"},
    ],
}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with running_frontend("--demo", "2") as address:
        yield address


def put(address: str, *rules: dict[str, Any], message: str = "") -> int:
    """Put rules in force past the page, and give their revision."""
    return int(
        json.loads(ask(address, "api/config/rules", {"rules": list(rules), "message": message}, "PUT"))["revision"]
    )


def in_force(address: str) -> list[dict[str, Any]]:
    return list(json.loads(ask(address, "api/config/rules"))["rules"])


def until(page: Browser, condition: Any, what: str) -> None:
    page.wait(condition, what, WAIT_S)


def open_part(page: Browser, address: str, part: str, query: str = "") -> None:
    # What another test left unsaved must not ask whether to leave.
    page.run("addEventListener('beforeunload', (event) => event.stopImmediatePropagation(), true)")
    page.open("about:blank")
    page.open(f"{address}#/configuration?view={part}{query}")
    until(page, lambda: page.all(".panel-body") and not page.all(".loading, [aria-busy]"), f"the part {part}")


def go(page: Browser, part: str) -> None:
    page.click(f"#tab-{part}")
    until(page, lambda: page.all(f"#tab-{part}[aria-selected='true']"), part)
    until(page, lambda: page.all(".panel-body") and not page.all(".loading, [aria-busy]"), f"the part {part}")


def retype(page: Browser, css: str, text: str) -> None:
    field = page.find(css)
    field.clear()
    field.type(text)


def save(page: Browser, message: str = "") -> None:
    page.click(".unsaved .primary")
    if message:
        page.find("#edit-message").type(message)
    page.click("dialog .dialog-buttons .primary")


def saved(page: Browser) -> None:
    until(page, lambda: page.all(".notice-ok") and not page.all("dialog, .unsaved strong"), "the rules to be saved")


def names(page: Browser) -> list[str]:
    return list(page.run("return [...document.querySelectorAll('.rule-name')].map((name) => name.textContent)"))


# Rules


def test_a_rule_is_written_with_meanings_and_put_in_force(page: Browser, service: str) -> None:
    put(service)
    open_part(page, service, "rules")
    page.find(".notice", "There are no rules")
    page.click(".tools .primary")
    retype(page, ".rule-words input", "chat gets more")
    page.click("[aria-label='Add a condition: Application']")
    page.find("[aria-label='Application is like one of']").type("chat, chat-*")
    page.click("[aria-label='Add a condition: Rollout']")
    retype(page, "[aria-label='Per cent of the workers']", "12.5")
    page.click("[aria-label='Add a setting']")
    assert page.run("return document.querySelector('#config-keys option[value=chunk_size]').textContent")
    page.find("[aria-label='Setting']").type("chunk_size")
    page.find(".part[data-part] .hint", "Tokens in a chunk")
    assert page.find("[aria-label='Value of chunk_size']").property("value") == "256"
    retype(page, "[aria-label='Value of chunk_size']", "twelve")
    page.find(".part-said", "must be a number")
    page.find("[aria-label='Value of chunk_size'][aria-invalid]")
    assert not page.find(".unsaved .primary").enabled
    retype(page, "[aria-label='Value of chunk_size']", "512")
    until(page, lambda: page.find(".unsaved .primary").enabled, "the rule to be fine")
    save(page, "a first rule")
    saved(page)
    (written,) = in_force(service)
    assert written["match"] == {"app_id": ["chat", "chat-*"], "rollout_percent": 12.5}
    assert written["items"] == [{"key": "chunk_size", "value": 512, "override": True}]
    assert json.loads(ask(service, "api/config/rules"))["message"] == "a first rule"


def test_what_the_server_says_stands_at_the_part_it_is_about(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    open_part(page, service, "rules")
    page.click(".rule .unfold")
    page.click("[aria-label='Add a setting']")
    page.all("[aria-label='Setting']")[1].type("chunk_sise")
    page.find(".part:has([aria-label='Value of chunk_sise']) .part-said", "has no such key")
    page.find(".rule-marks", "1 to look at")
    assert page.find(".unsaved .primary").enabled
    page.click("[aria-label='Add a condition: Address']")
    page.find("[aria-label='Address is in one of']").type("10.9.0.1/16")
    page.find("[data-kind='client'] .part-said", "which is an address within 10.9.0.0/16")
    page.find(".unsaved", "1 rule has an error to be mended first")
    retype(page, "[aria-label='Address is in one of']", "10.9.0.0/16")
    until(page, lambda: page.find(".unsaved .primary").enabled, "the network to be fine")
    page.find(".rule-marks", "1 to look at")


def test_rules_that_are_not_edited_go_back_as_they_came(page: Browser, service: str) -> None:
    put(service, ODD, CHUNKS)
    before = in_force(service)
    open_part(page, service, "rules")
    assert not page.all(".unsaved strong")
    for fold in page.all(".rule .unfold"):
        fold.click()
    retype(page, ".rule:nth-child(2) [aria-label='Value of chunk_size']", "1024")
    page.find(".unsaved", "1 change not saved")
    save(page)
    saved(page)
    after = in_force(service)
    assert json.dumps(after[0]) == json.dumps(before[0])
    assert after[1]["items"][0]["value"] == 1024


def test_rules_are_ordered_by_keys_and_by_pointer(page: Browser, service: str) -> None:
    put(service, CHUNKS, DISK, CPU)
    open_part(page, service, "rules")
    page.find(".rule:nth-child(1) .rule-handle").type(DOWN)
    until(page, lambda: names(page) == ["disk for some", "larger chunks", "keep it in memory"], "the rule to move")
    assert (
        page.run("return document.querySelector('[aria-live=assertive]').textContent") == "larger chunks is now 2 of 3"
    )
    assert page.run("return document.activeElement.ariaLabel").startswith("Move larger chunks: 2 of 3")
    page.find(".rule:nth-child(2) .rule-handle").type(UP + UP)
    page.find(".rule:nth-child(3) .rule-handle").type(HOME)
    until(page, lambda: names(page)[0] == "keep it in memory", "the rule to be first")
    drag(page, 3, 1)
    until(
        page, lambda: names(page) == ["disk for some", "keep it in memory", "larger chunks"], "the rule to be dragged"
    )
    save(page)
    page.find(".notice-ok", "in force")
    assert [one["name"] for one in in_force(service)] == ["disk for some", "keep it in memory", "larger chunks"]


def drag(page: Browser, place: int, to: int) -> None:
    """Drag the rule at a place to another by the pointer."""
    page.run("scrollTo(0, 0)")
    middle = (
        "const box = document.querySelector(arguments[0]).getBoundingClientRect(); "
        "return [box.x + box.width / 2, box.y + box.height / 2]"
    )
    x, y = page.run(middle, f".rule:nth-child({place}) .rule-handle")
    end = page.run(middle, f".rule:nth-child({to})")[1] - 20

    def mouse(kind: str, at: float) -> None:
        page.cdp("Input.dispatchMouseEvent", type=kind, x=x, y=at, button="left", buttons=1, clickCount=1)

    mouse("mousePressed", y)
    for step in range(1, 6):
        mouse("mouseMoved", y + (end - y) * step / 5)
    mouse("mouseReleased", end)


def test_a_rule_taken_out_can_be_put_back(page: Browser, service: str) -> None:
    put(service, CHUNKS, DISK)
    open_part(page, service, "rules")
    page.click(".rule .unfold")
    page.click(".rule-tools .danger-quiet")
    until(page, lambda: names(page) == ["disk for some"], "the rule to be gone")
    page.find(".unsaved", "1 change not saved")
    page.click(".undo-bar button")
    until(page, lambda: names(page) == ["larger chunks", "disk for some"], "the rule to be back")
    until(page, lambda: not page.all(".unsaved strong"), "nothing to be unsaved")


def test_edits_survive_a_look_elsewhere(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    open_part(page, service, "rules")
    page.click(".rule .unfold")
    retype(page, "[aria-label='Value of chunk_size']", "12x")
    page.find("#tab-rules[data-unsaved]")
    go(page, "audit")
    page.click("[data-place='fleet']")
    page.find("[data-place='configuration'][data-unsaved]")
    leaving = "return !dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.run(leaving) is True
    page.click("[data-place='configuration']")
    until(page, lambda: page.find("[aria-label='Value of chunk_size']").property("value") == "12x", "the edit")
    page.find(".part-said", "must be a number")
    page.click(".unsaved button", "Discard")
    page.click("dialog .danger")
    until(page, lambda: not page.all("[data-unsaved]"), "nothing to be unsaved")
    assert page.run(leaving) is False


def test_rules_are_edited_as_text(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    open_part(page, service, "rules")
    page.click(".tools button", "As text")
    text = json.loads(page.find("dialog textarea").property("value"))
    assert [one["name"] for one in text["rules"]] == ["larger chunks"]
    retype(page, "dialog textarea", json.dumps({"rules": [{**CHUNKS, "match": {"appid": "chat"}}]}))
    page.click("dialog .primary")
    page.find("dialog .problem", "there is no “appid” in a rule")
    retype(page, "dialog textarea", json.dumps({"rules": [CHUNKS, CPU]}))
    page.click("dialog .primary")
    until(page, lambda: names(page) == ["larger chunks", "keep it in memory"], "the text to be taken over")
    page.find(".unsaved", "1 change not saved")


# Conflicts


@contextmanager
def clashing(page: Browser, address: str) -> Iterator[dict[str, dict[str, Any]]]:
    """Edit a rule in the page that somebody else edits as well, and who adds another; then try to save."""
    put(address, CHUNKS, DISK)
    open_part(page, address, "rules")
    page.click(".rule .unfold")
    retype(page, "[aria-label='Value of chunk_size']", "768")
    page.find(".unsaved", "1 change not saved")
    others = {**CHUNKS, "items": [{"key": "chunk_size", "value": 1024}]}
    put(address, others, DISK, CPU, message="their reason")
    save(page)
    page.find("dialog.conflict", "their reason")
    yield {one["name"]: one for one in in_force(address)}


def test_a_late_edit_is_put_together_with_the_others(page: Browser, service: str) -> None:
    with clashing(page, service):
        page.find("dialog [data-clash]", "larger chunks")
        assert len(page.all("dialog [data-clash]")) == 1
        page.find("dialog [data-rule='larger chunks'] ins", "1024")
        page.find("dialog [data-rule='keep it in memory']", "they added it")
        page.click("dialog .primary")
    until(page, lambda: names(page) == ["larger chunks", "disk for some", "keep it in memory"], "both together")
    save(page)
    page.find(".notice-ok", "in force")
    found = {one["name"]: one["items"][0]["value"] for one in in_force(service)}
    assert found == {"larger chunks": 768, "disk for some": "/var/cache", "keep it in memory": True}


def test_theirs_is_taken_and_mine_comes_back(page: Browser, service: str) -> None:
    with clashing(page, service) as theirs:
        page.click("dialog button", "Take theirs")
    page.find(".notice", "Theirs is shown")
    until(page, lambda: not page.all(".unsaved strong"), "nothing of mine to be left")
    assert page.find("[aria-label='Value of chunk_size']").property("value") == "1024"
    page.click(".notice button", "Back to what I had")
    until(page, lambda: page.find("[aria-label='Value of chunk_size']").property("value") == "768", "mine to be back")
    page.find(".unsaved", "1 change not saved")
    assert in_force(service) == list(theirs.values())


def test_mine_is_kept_over_theirs(page: Browser, service: str) -> None:
    with clashing(page, service):
        page.click("dialog button", "Keep mine")
    page.find(".unsaved", "2 changes not saved")
    save(page)
    page.find(".notice-ok", "in force")
    assert [one["name"] for one in in_force(service)] == ["larger chunks", "disk for some"]


def test_what_others_change_meanwhile_is_told_before_saving(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    open_part(page, service, "rules")
    page.click(".rule .unfold")
    retype(page, "[aria-label='Value of chunk_size']", "768")
    put(service, CHUNKS, CPU, message="meanwhile")
    page.click(".page-head button", "Refresh")
    page.find(".late", "meanwhile")
    assert page.find("[aria-label='Value of chunk_size']").property("value") == "768"
    page.click(".late button")
    page.find("dialog.conflict", "Nobody changed what the other did")
    page.click("dialog .primary")
    until(page, lambda: names(page) == ["larger chunks", "keep it in memory"], "both together")


# Preview


def test_a_preview_says_why(page: Browser, service: str) -> None:
    put(service, CHUNKS, {**CPU, "items": [{"key": "chunk_size", "value": 128}]}, {**DISK, "match": {"app_id": ["x"]}})
    worker = {"current_config": {"chunk_size": 256, "lmcache_instance_id": "asked-one"}, "env_variables": {}}
    ask(service, "config?appId=chat", worker)
    open_part(page, service, "preview")
    page.find(".preview-settings [data-key='chunk_size']", "changes")
    page.find(".preview-settings .lost", "larger chunks said 512")
    page.find(".rule-lines", "Is not for it")
    page.find("#preview-who").choose("described")
    page.find(".preview-settings")
    page.find("#preview-app_id").type("x")
    page.find(".preview-settings [data-key='local_disk']", "/var/cache")
    page.find("#preview-env").type("nonsense")
    page.find(".preview-result .notice", "is not “name=value”")


def test_a_preview_tries_rules_that_are_not_saved(page: Browser, service: str) -> None:
    put(service, CPU)
    open_part(page, service, "rules")
    page.click(".rule .unfold")
    page.find("[aria-label='Value of local_cpu']").choose("false")
    page.find(".unsaved", "1 change not saved")
    go(page, "preview")
    page.find(".preview-result .notice", "by the rules as edited")
    page.find(".preview-settings [data-key='local_cpu'] td:nth-child(3)", "false")
    page.find("#preview-rules").choose("force")
    page.find(".preview-settings [data-key='local_cpu'] td:nth-child(3)", "true")


# History, workers, audit


def test_history_shows_differences_and_leads_back(page: Browser, service: str) -> None:
    first = put(service, CHUNKS, message="one")
    last = put(service, {**CHUNKS, "items": [{"key": "chunk_size", "value": 64}]}, CPU, message="two")
    open_part(page, service, "revisions")
    page.click(f"[data-revision='{last}'] .unfold")
    page.find(f"[data-revision='{last}'] [data-op='changed'] del", "512")
    page.find(f"[data-revision='{last}'] [data-op='added']", "keep it in memory")
    page.click(f"[data-revision='{first}'] button", "Go back to this")
    page.find("dialog [data-op='removed']", "keep it in memory")
    page.click("dialog .dialog-buttons .primary")
    page.find(".notice-ok", f"Revision {last + 1} is in force")
    page.find(f"[data-revision='{last + 1}'] .state-ok", "in force")
    assert [one["items"][0]["value"] for one in in_force(service)] == [512]
    open_part(page, service, "revisions", f"&from={first}&to={last}")
    page.find(".revision-compared [data-op='added']", "keep it in memory")


def test_workers_are_listed_with_what_they_got_and_would_get(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    for name in ("w-one", "w-two"):
        ask(service, "config?appId=chat", {"current_config": {"lmcache_instance_id": name}, "env_variables": {}})
    put(service, {**CHUNKS, "items": [{"key": "chunk_size", "value": 64}]})
    ask(service, "config?appId=chat", {"current_config": {"lmcache_instance_id": "w-two"}, "env_variables": {}})
    open_part(page, service, "clients", "&would=change")
    row = "tr[data-client]"
    page.find(".notice", "would get something else now")
    until(page, lambda: "w-two" not in page.page_text() and page.find(row, "w-one"), "the one that would change")
    page.click(f"{row} .unfold", "w-one")
    page.find(".client-settings tr.edited td:nth-child(2)", "512")
    page.find(".client-settings tr.edited td:nth-child(3)", "64")
    page.click(".client-more a")
    page.find(".preview-settings [data-key='chunk_size']", "64")


def test_the_audit_is_filtered_and_can_be_shared(page: Browser, service: str) -> None:
    put(service, CHUNKS)
    put(service, DISK)
    with pytest.raises(OSError, match="409"):
        ask(service, "api/config/rules", {"rules": [CPU], "expected_revision": 0}, "PUT")
    open_part(page, service, "audit")
    page.find("select[aria-label='Outcome']").choose("refused")
    until(page, lambda: all("refused" in one.text for one in page.all(".audit tbody tr")), "only what was refused")
    address = page.run("return location.href")
    assert "outcome=refused" in address
    page.open("about:blank")
    page.open(address)
    until(page, lambda: page.all(".audit tbody tr"), "the trail")
    assert all("refused" in one.text for one in page.all(".audit tbody tr"))
    page.find(".search").type("no such word")
    page.click(".nothing button")
    until(page, lambda: "done" in page.find(".audit").text, "the filters to be gone")


# Who may, from where, how wide


def test_rules_of_a_file_are_shown_and_not_edited(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"rules": [CHUNKS]}))
    with running_frontend("--config-rules", str(path)) as address:
        open_part(page, address, "rules")
        page.find(".notice", "These rules come from a file")
        assert path.name in page.find(".notice-text p").text
        page.click(".rule .unfold")
        page.find("fieldset[disabled]")
        assert not page.all(".tools .primary")
        assert not page.find("[aria-label='Value of chunk_size']").enabled
        go(page, "revisions")
        page.find(".notice", "There is no history here")
        page.open("about:blank")


def test_a_store_that_fails_is_told_of_and_loses_nothing(
    page: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with running_frontend() as address:
        open_part(page, address, "rules")
        page.find(".notice-warn", "Rules cannot be saved at the moment")
        page.click(".tools .primary")
        page.find(".unsaved", "1 change not saved")
        save(page)
        page.find("dialog .notice-bad", "The rules were not saved")
        assert page.find("dialog .dialog-buttons .primary").enabled
        page.click("dialog .dialog-buttons button", "Cancel")
        assert names(page) == ["new rule"]
        page.click(".unsaved button", "Discard")
        page.click("dialog .danger")
        page.open("about:blank")


def test_a_viewer_is_told_calmly(page: Browser, service: str) -> None:
    with forwarding(service, fields=STRANGER) as address:
        for part in PARTS:
            open_part(page, address, part)
            page.find("#panel .notice-info, #panel .card, #panel .empty")
            assert ("You may not read" in page.page_text()) == (part == "audit")
            assert not page.all(".notice-bad")
        open_part(page, address, "rules")
        page.find(".lock-note", "You cannot change the rules")
        assert not page.find(".tools button.primary", "Add a rule").enabled
        page.open("about:blank")
        # The browser notes that the audit trail is not for viewers, and nothing else.
        assert all("/api/audit" in entry["message"] for entry in page.console())


def test_names_of_others_do_not_run_and_nothing_is_wider_than_a_phone(page: Browser, service: str) -> None:
    long = "x" * 10_000
    put(
        service,
        {"name": HOSTILE[:128], "description": HOSTILE, "match": {"env": {"A" * 100: HOSTILE}}, "items": []},
        {
            **CPU,
            "items": [{"key": "extra_config", "value": {"text": long, HOSTILE: long}}, {"key": HOSTILE, "value": long}],
        },
        message=HOSTILE,
    )
    ask(
        service,
        "config?appId=" + "a" * 200,
        {"current_config": {"lmcache_instance_id": HOSTILE + "w" * 200}, "env_variables": {}},
    )
    page.resize(360, 740)
    for part in PARTS:
        open_part(page, service, part)
        for fold in page.all(".panel .unfold")[:2]:
            fold.click()
        until(page, lambda: not page.all(".panel .loading"), "what is folded out")
        width = page.run("return document.documentElement.scrollWidth")
        assert width <= 360, f"{part} is {width} pixels wide"
    assert page.run("return window.ran === undefined && !document.querySelector('main img, main b')")


def test_keys_alone_are_enough(page: Browser, service: str) -> None:
    put(service, CHUNKS, DISK)
    open_part(page, service, "rules")
    page.run("document.querySelector('#tab-rules').focus()")
    page.find("#tab-rules").type("\ue014")
    page.find("#tab-preview[aria-selected='true']")
    page.find("#tab-preview").type("\ue012")
    page.find("#tab-rules[aria-selected='true']")
    page.find(".rule:nth-child(2) .unfold").type("\ue007")
    retype(page, ".rule:nth-child(2) [aria-label='Value of local_disk']", "/elsewhere")
    page.find(".unsaved .primary").type("\ue007")
    page.find("#edit-message").type("by keys\ue007")
    page.find(".notice-ok", "in force")
    assert in_force(service)[1]["items"][0]["value"] == "/elsewhere"
