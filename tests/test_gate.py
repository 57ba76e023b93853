# SPDX-License-Identifier: Apache-2.0
"""The choke point, with requests as they come from all over."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import pytest

from lmcache_frontend.access.gate import Gate, Lookups
from lmcache_frontend.access.identity import Identity
from lmcache_frontend.access.rules import ANYBODY, CHANGES, READS, READS_SECRETS, SIGNS_IN, Need, Role
from lmcache_frontend.access.tokens import Tokens, make_token
from lmcache_frontend.errors import (
    Forbidden,
    FrontendError,
    MisdirectedRequest,
    StartError,
    TooManyRequests,
    Unauthorized,
)
from lmcache_frontend.http1.heads import parse_request
from lmcache_frontend.settings import Settings

OPERATOR_TOKEN = "operator-token-0123"
VIEWER_TOKEN = "viewer-token-012345"
TOKENS = Tokens(
    [make_token(OPERATOR_TOKEN, "team", Role.OPERATOR), make_token(VIEWER_TOKEN, "wall display", Role.VIEWER)]
)
FAR = "203.0.113.9"
NEAR = "127.0.0.1"
MOZILLA = "Mozilla/5.0 (X11)"
COOKIE = "lmcache_frontend_8000"


class Front:
    """A gate with a clock of its own, and what it was told of refusals."""

    def __init__(self, tokens: Tokens = TOKENS, **settings: Any) -> None:
        self.now_s = 0.0
        self.loaded = tokens
        self.asked_owner = 0
        lookups = Lookups(lambda: frozenset({"box.example"}), 500, self.owner, lambda uid: f"user {uid}")
        self.gate = Gate(Settings(**settings), lookups, lambda: self.loaded, lambda: self.now_s, own_cookie=COOKIE)
        self.refused: list[tuple[str, str, int]] = []
        self.gate.on_refused = lambda who, exchange, exc: self.refused.append((who.name, who.address, exc.status))

    def owner(self, exchange: Any) -> int | None:
        self.asked_owner += 1
        return 1000

    def may(self, exchange: Any, need: Need) -> Identity | FrontendError:
        """Give who may, or the refusal."""
        try:
            return self.gate.authorize(exchange, need)
        except FrontendError as exc:
            return exc


def asking(peer: str = FAR, method: str = "GET", *, host: str = "localhost:8000", **fields: str) -> Any:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    request = parse_request(f"{method} / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
    return SimpleNamespace(request=request, peer=(peer, 5), stream=SimpleNamespace(facts={}))


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic(token: str) -> str:
    return "Basic " + b64encode(f"me:{token}".encode()).decode()


@pytest.mark.parametrize("send", [bearer, basic])
def test_a_token_names_who_sends_it(send: Any) -> None:
    gate = Front().gate
    assert gate.identify(asking(authorization=send(OPERATOR_TOKEN))) == (Role.OPERATOR, "team", "token", FAR)
    assert gate.identify(asking(authorization=send(VIEWER_TOKEN))) == (Role.VIEWER, "wall display", "token", FAR)
    assert gate.identify(asking(authorization=send("wrong-token-0123456"))) == (
        Role.VIEWER,
        "anonymous",
        "anonymous",
        FAR,
    )


def test_a_token_counts_more_than_the_place() -> None:
    front = Front()
    assert front.gate.identify(asking(NEAR)) == (Role.OPERATOR, "user 1000", "local", NEAR)
    assert front.gate.identify(asking(NEAR, authorization=bearer(VIEWER_TOKEN))).role is Role.VIEWER
    assert front.gate.identify(asking(NEAR, authorization=bearer("for-the-node-itself"))).how == "local"
    assert Front(anonymous="operator").gate.identify(asking(authorization=bearer(VIEWER_TOKEN))).role is Role.OPERATOR


@pytest.mark.parametrize(
    ("anonymous", "passed"),
    [("none", [ANYBODY]), ("viewer", [ANYBODY, READS]), ("operator", [ANYBODY, READS, READS_SECRETS, CHANGES])],
)
def test_the_others_may_what_they_are_let(anonymous: str, passed: list[Need]) -> None:
    front = Front(anonymous=anonymous)
    needs = [ANYBODY, READS, READS_SECRETS, CHANGES]
    assert [need for need in needs if isinstance(front.may(asking(), need), Identity)] == passed
    assert [need for need in needs if front.gate.passes_anyone(need)] == [need for need in passed if need in needs[:2]]


def test_nobody_is_asked_who_they_are_for_what_changes_or_only_operators_read() -> None:
    gate = Front(anonymous="operator").gate
    assert not gate.passes_anyone(CHANGES)
    assert not gate.passes_anyone(READS_SECRETS)
    assert not gate.passes_anyone(SIGNS_IN)


def test_a_refusal_says_what_would_help() -> None:
    front = Front()
    refusal = front.may(asking(), CHANGES)
    assert isinstance(refusal, Unauthorized)
    assert "an operator: sign in, or send a token" in str(refusal)
    assert refusal.fields == (
        ("WWW-Authenticate", 'Bearer realm="lmcache_frontend", Basic realm="lmcache_frontend", charset="UTF-8"'),
    )
    browser = front.may(asking(user_agent=MOZILLA), CHANGES)
    assert isinstance(browser, Unauthorized)
    assert browser.fields == (("WWW-Authenticate", 'Bearer realm="lmcache_frontend"'),)
    viewer = front.may(asking(authorization=bearer(VIEWER_TOKEN)), CHANGES)
    assert isinstance(viewer, Forbidden)
    assert "wall display is a viewer" in str(viewer)
    without = Front(Tokens()).may(asking(), CHANGES)
    assert isinstance(without, Forbidden)
    assert "--token-file" in str(without)
    assert FAR in str(without)
    assert isinstance(Front(Tokens(), anonymous="none").may(asking(), READS), Forbidden)
    assert "needs a token" in str(Front(anonymous="none").may(asking(), READS))


def test_wrong_tokens_are_slowed_down_and_a_right_one_never() -> None:
    front = Front()
    statuses = [
        getattr(front.may(asking(authorization=bearer(f"wrong-{n}")), CHANGES), "status", 200) for n in range(7)
    ]
    assert statuses == [401] * 5 + [429] * 2
    refusal = front.may(asking(authorization=basic("wrong")), CHANGES)
    assert isinstance(refusal, TooManyRequests)
    assert refusal.fields == (("Retry-After", "60"),)
    assert isinstance(front.may(asking(authorization=bearer(OPERATOR_TOKEN)), CHANGES), Identity)
    assert isinstance(front.may(asking("203.0.113.10", authorization=bearer("wrong")), CHANGES), Unauthorized)
    assert isinstance(front.may(asking(), CHANGES), Unauthorized)
    front.now_s += 60.0
    assert isinstance(front.may(asking(authorization=bearer("wrong")), CHANGES), Unauthorized)


def test_a_wrong_token_is_let_be_where_none_is_needed() -> None:
    front = Front()
    for number in range(10):
        assert isinstance(front.may(asking(authorization=basic(f"a-proxys-password-{number}")), READS), Identity)
    assert front.refused == []


def test_a_get_that_changes_something_is_not_done_by_basic() -> None:
    front = Front()
    assert isinstance(front.may(asking(authorization=basic(OPERATOR_TOKEN)), CHANGES), Forbidden)
    assert isinstance(front.may(asking(authorization=basic(OPERATOR_TOKEN)), READS_SECRETS), Identity)
    assert isinstance(front.may(asking(method="POST", authorization=basic(OPERATOR_TOKEN)), CHANGES), Identity)
    assert isinstance(front.may(asking(authorization=bearer(OPERATOR_TOKEN)), CHANGES), Identity)


def test_a_page_of_another_site_changes_nothing_whoever_asks() -> None:
    front = Front()
    for exchange in (
        asking(NEAR, "POST", origin="http://evil.example"),
        asking(FAR, "POST", origin="http://evil.example", authorization=bearer(OPERATOR_TOKEN)),
        asking(NEAR, "GET", user_agent=MOZILLA),
        asking(NEAR, "POST", sec_fetch_site="cross-site"),
    ):
        assert isinstance(front.may(exchange, CHANGES), Forbidden)
    assert isinstance(front.may(asking(FAR, "POST", origin="http://evil.example"), SIGNS_IN), Forbidden)
    assert isinstance(front.may(asking(FAR, "POST", origin="http://localhost:8000"), SIGNS_IN), Identity)


def test_read_only_holds_for_everybody_and_does_not_keep_them_from_signing_in() -> None:
    front = Front(read_only=True)
    for exchange in (asking(NEAR), asking(), asking(authorization=bearer(OPERATOR_TOKEN))):
        refusal = front.may(exchange, CHANGES)
        assert isinstance(refusal, Forbidden)
        assert "--read-only" in str(refusal)
    assert isinstance(front.may(asking(NEAR), READS_SECRETS), Identity)
    assert isinstance(front.may(asking(method="POST"), SIGNS_IN), Identity)


def test_loopback_need_not_be_trusted() -> None:
    front = Front(trust_loopback=False)
    refusal = front.may(asking(NEAR), CHANGES)
    assert isinstance(refusal, Unauthorized)
    assert "--no-trust-loopback" in str(refusal)
    assert front.asked_owner == 0
    assert front.gate.identify(asking(NEAR)).how == "anonymous"


def test_a_network_of_operators() -> None:
    gate = Front(operator_network=("172.17.0.0/16",)).gate
    assert gate.identify(asking("172.17.0.1", host="box:8000")) == (
        Role.OPERATOR,
        "network 172.17.0.0/16",
        "network",
        "172.17.0.1",
    )
    assert gate.identify(asking("::ffff:172.17.0.1")).how == "network"
    assert gate.identify(asking("172.18.0.1")).how == "anonymous"
    assert gate.identify(asking("172.17.0.1", x_forwarded_for="172.17.0.1")).how == "anonymous"
    assert gate.identify(asking("172.17.0.1", via="1.1 x")).how == "anonymous"


def test_what_proxies_say_is_believed_of_trusted_ones_alone() -> None:
    networks: dict[str, Any] = {"trusted_proxy": ("10.0.0.0/8",), "operator_network": ("192.0.2.0/24", "10.0.0.0/8")}
    gate = Front(**networks).gate
    assert gate.identify(asking("10.0.0.1", x_forwarded_for="192.0.2.7")) == (
        Role.OPERATOR,
        "network 192.0.2.0/24",
        "network",
        "192.0.2.7",
    )
    assert gate.identify(asking("10.0.0.1", x_forwarded_for="192.0.2.7, 203.0.113.1")).address == "203.0.113.1"
    assert gate.identify(asking("11.0.0.1", x_forwarded_for="192.0.2.7")) == (
        0 + 1,
        "anonymous",
        "anonymous",
        "11.0.0.1",
    )
    # One that says nothing of its client makes nobody an operator.
    assert gate.identify(asking("10.0.0.1")).how == "anonymous"
    assert gate.identify(asking("10.0.0.1", x_forwarded_proto="https")).how == "anonymous"
    # Nobody behind a proxy is local.
    near = Front(trusted_proxy=("127.0.0.1",)).gate
    assert near.identify(asking(NEAR, x_forwarded_for="127.0.0.1")).how == "anonymous"
    assert near.identify(asking(NEAR)).how == "local"


def test_a_trusted_proxy_tells_the_host_and_the_scheme() -> None:
    front = Front(trusted_proxy=("10.0.0.1",), allow_host=frozenset({"dash.example"}))
    told = {"x_forwarded_host": "dash.example", "x_forwarded_proto": "https", "origin": "https://dash.example"}
    token = bearer(OPERATOR_TOKEN)
    assert isinstance(front.may(asking("10.0.0.1", "POST", authorization=token, **told), CHANGES), Identity)
    assert isinstance(front.may(asking("10.0.0.2", "POST", authorization=token, **told), CHANGES), Forbidden)
    assert front.gate.is_secure(asking("10.0.0.1", **told))
    assert not front.gate.is_secure(asking("10.0.0.2", **told))
    cookie = front.gate.sign_in(asking("10.0.0.1", **told), OPERATOR_TOKEN)[1]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
    front.gate.check_host(asking("10.0.0.1", **told))
    for host, forwarded in (("evil.example", "dash.example"), ("dash.example", "evil.example")):
        with pytest.raises(MisdirectedRequest):
            front.gate.check_host(asking("10.0.0.1", host=host, x_forwarded_host=forwarded))


def test_hosts_of_others_are_refused_but_to_who_sends_a_bearer_token() -> None:
    front = Front()
    front.gate.check_host(asking(host="box.example"))
    front.gate.check_host(asking(host="evil.example", authorization=bearer(VIEWER_TOKEN)))
    for exchange in (
        asking(NEAR, host="evil.example"),
        asking(host="evil.example", authorization=basic(OPERATOR_TOKEN)),
        asking(host="evil.example", authorization=bearer("wrong-token-0123456")),
    ):
        with pytest.raises(MisdirectedRequest, match="--allow-host"):
            front.gate.check_host(exchange)
    assert front.refused == [("anonymous", NEAR, 421), ("team", FAR, 421), ("anonymous", FAR, 421)]


def test_a_session_is_begun_used_and_ended() -> None:
    front = Front()
    gate = front.gate
    who, cookie = gate.sign_in(asking(), OPERATOR_TOKEN)
    assert who == (Role.OPERATOR, "team", "session", FAR)
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    pair = cookie.partition(";")[0]
    exchange = asking(cookie=f"a=b; {COOKIE}=of-another-page; {pair}")
    assert gate.identify(exchange) == who
    assert gate.authorize(exchange, CHANGES) == who
    assert "Max-Age=0" in gate.sign_out(exchange)
    # The same connection, the same bytes: the end holds at once.
    assert gate.identify(exchange).how == "anonymous"


def test_signing_in_with_a_wrong_token_is_slowed_down_too() -> None:
    front = Front()
    for status in [401] * 5 + [429]:
        with pytest.raises(FrontendError) as caught:
            front.gate.sign_in(asking(), "wrong-token-0123456")
        assert caught.value.status == status
        assert "wrong-token" not in str(caught.value)
    assert front.refused[-1] == ("anonymous", FAR, 429)
    assert front.gate.sign_in(asking(), OPERATOR_TOKEN)[0].role is Role.OPERATOR
    with pytest.raises(Forbidden, match="--token-file"):
        Front(Tokens()).gate.sign_in(asking(), "wrong-token-0123456")


def test_tokens_that_are_taken_back_are_so_at_once_and_for_sessions_too() -> None:
    front = Front()
    by_token = asking(authorization=bearer(OPERATOR_TOKEN))
    by_session = asking(cookie=front.gate.sign_in(asking(), OPERATOR_TOKEN)[1].partition(";")[0])
    assert [front.gate.identify(exchange).how for exchange in (by_token, by_session)] == ["token", "session"]
    front.loaded = Tokens([make_token(VIEWER_TOKEN, "wall display", Role.VIEWER)])
    front.gate.reload()
    assert front.gate.identify(by_token).how == front.gate.identify(by_session).how == "anonymous"


def test_tokens_that_cannot_be_read_again_leave_those_that_were(caplog: pytest.LogCaptureFixture) -> None:
    front = Front()

    def fail() -> Tokens:
        raise StartError("--token-file /t: line 3: a token of 2 characters")

    front.gate._load_tokens = fail
    front.gate.reload()
    assert front.gate.identify(asking(authorization=bearer(OPERATOR_TOKEN))).how == "token"
    assert "stay as they were: --token-file /t: line 3" in caplog.text


def test_our_authorization_is_known_and_others_are_not() -> None:
    gate = Front().gate
    assert gate.own_credentials(asking(authorization=bearer(VIEWER_TOKEN))).authorization
    assert gate.own_credentials(asking(NEAR, authorization=basic(OPERATOR_TOKEN))).authorization
    assert not gate.own_credentials(asking(authorization=bearer("a-node's-own-key-01"))).authorization
    assert not gate.own_credentials(asking(authorization="Digest x")).authorization
    assert gate.own_credentials(asking()) == (COOKIE, False)


def test_strangers_are_reached_from_home_alone() -> None:
    gate = Front(operator_network=("172.17.0.0/16",)).gate
    assert gate.why_not_at_home(asking(NEAR)) == gate.why_not_at_home(asking("172.17.0.1")) == ""
    assert FAR in gate.why_not_at_home(asking())
    assert "team" in gate.why_not_at_home(asking(NEAR, authorization=bearer(OPERATOR_TOKEN)))


def test_workers_need_a_token_or_to_be_on_this_machine() -> None:
    front = Front()
    assert front.gate.require_known(asking(authorization=basic(VIEWER_TOKEN))).name == "wall display"
    assert front.gate.require_known(asking(NEAR)).how == "local"
    with pytest.raises(Unauthorized, match="needs a token"):
        front.gate.require_known(asking())
    with pytest.raises(Unauthorized, match="not known"):
        front.gate.require_known(asking(authorization=basic("wrong")))
    with pytest.raises(Unauthorized):
        Front(anonymous="operator").gate.require_known(asking())
    assert front.refused[-1] == ("anonymous", FAR, 401)


def test_whether_signing_in_would_help() -> None:
    gate = Front().gate
    assert gate.signing_in_helps(asking())
    assert gate.signing_in_helps(asking(authorization=bearer(VIEWER_TOKEN)))
    assert not gate.signing_in_helps(asking(NEAR))
    assert not Front(Tokens()).gate.signing_in_helps(asking())


def test_the_owner_of_a_connection_is_asked_for_only_where_it_matters() -> None:
    front = Front()
    assert front.gate.passes_anyone(READS)
    front.gate.check_host(asking(NEAR))
    front.gate.own_credentials(asking(NEAR))
    assert front.asked_owner == 0


def test_of_several_authorizations_none_is_passed_on_where_one_is_ours() -> None:
    exchange = asking()
    head = f"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer other\r\nauthorization: {bearer(VIEWER_TOKEN)}\r\n\r\n"
    exchange.request = parse_request(head.encode())
    gate = Front().gate
    assert gate.identify(exchange).how == "anonymous"
    assert gate.own_credentials(exchange).authorization


def test_what_has_ended_meanwhile_does_not_pass_any_more() -> None:
    front = Front(anonymous="none")
    _, cookie = front.gate.sign_in(asking(), VIEWER_TOKEN)
    by_session = asking(cookie=cookie.partition(";")[0])
    by_token = asking(authorization=bearer(OPERATOR_TOKEN))
    assert front.gate.still_passes(by_session, READS)
    assert not front.gate.still_passes(by_session, READS_SECRETS)
    front.gate.sign_out(by_session)
    assert not front.gate.still_passes(by_session, READS)
    assert front.gate.still_passes(by_token, READS_SECRETS)
    front.loaded = Tokens()
    front.gate.reload()
    assert not front.gate.still_passes(by_token, READS_SECRETS)
    assert Front().gate.still_passes(asking(), READS)


def test_signing_in_anew_ends_the_session_before() -> None:
    front = Front()
    _, first = front.gate.sign_in(asking(), VIEWER_TOKEN)
    earlier = first.partition(";")[0]
    front.gate.sign_in(asking(cookie=earlier), OPERATOR_TOKEN)
    assert front.gate.identify(asking(cookie=earlier)).how == "anonymous"
