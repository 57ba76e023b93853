# SPDX-License-Identifier: Apache-2.0
"""The choke point: who sends a request, and whether it may do what it asks for.

What a request needs is the rule table's to say (`rules`); what tells a client's role stands in `clients`, `tokens`,
`sessions` and `forwarded`. Files are read, and the machine is asked, by callables that are handed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from lmcache_frontend.access import clients, identity
from lmcache_frontend.access.clients import Client
from lmcache_frontend.access.credentials import BASIC, BEARER, Shown, read_authorization, read_cookies
from lmcache_frontend.access.identity import Identity
from lmcache_frontend.access.rules import READ_METHODS, Need, Role
from lmcache_frontend.access.sessions import Sessions
from lmcache_frontend.access.throttle import Throttle
from lmcache_frontend.access.tokens import Token, Tokens
from lmcache_frontend.errors import Forbidden, FrontendError, MisdirectedRequest, TooManyRequests, Unauthorized
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.http1.forwarding import Own
from lmcache_frontend.settings import Settings

if TYPE_CHECKING:
    from lmcache_frontend.access.forwarded import Network

logger = logging.getLogger(__name__)

REALM = "lmcache_frontend"
_ROLES = {"none": Role.NONE, "viewer": Role.VIEWER, "operator": Role.OPERATOR}
_NEEDED = {Role.VIEWER: "this needs a token", Role.OPERATOR: "this needs an operator"}


class Lookups(NamedTuple):
    """How the machine is asked: our host names, our user, the user that owns the peer's end, and a user's name.

    ``owner`` is None on systems that cannot tell.
    """

    own_names: Callable[[], frozenset[str]]
    own_uid: int
    owner: Callable[[Exchange], int | None] | None
    user_name: Callable[[int], str]


class _Proof(NamedTuple):
    """What a request shows: a token that is known and how it came; ``shown`` is what it sent in ``Authorization``."""

    token: Token | None
    how: str
    shown: Shown | None


class Gate:
    """Decides for every request; one for the service."""

    def __init__(
        self,
        settings: Settings,
        lookups: Lookups,
        load_tokens: Callable[[], Tokens],
        clock: Callable[[], float],
        *,
        own_cookie: str,
    ) -> None:
        """Read the tokens; ``clock`` gives seconds and never goes back, ``own_cookie`` is the name of ours.

        Raises: what ``load_tokens`` raises.
        """
        self.own_cookie = own_cookie
        self.tokens = load_tokens()
        self.sessions = Sessions(clock)
        # Called with every refusal, in the thread of the request; what it raises would be answered.
        self.on_refused: Callable[[Identity, Exchange, FrontendError], None] = lambda *_: None
        self._cookie_alone, self._cookie_and_authorization = Own(own_cookie), Own(own_cookie, authorization=True)
        self._load_tokens = load_tokens
        self._throttle = Throttle(clock)
        self._settings = settings
        self._lookups = lookups
        self._anonymous = _ROLES[settings.anonymous]
        self._operator_networks = _read_networks(settings.operator_network)
        self._trusted_proxies = _read_networks(settings.trusted_proxy)
        self.trusts_proxies = bool(self._trusted_proxies)

    def reload(self) -> None:
        """Read the tokens again; what cannot be read leaves those in force that were."""
        try:
            self.tokens = self._load_tokens()
        except FrontendError as exc:
            logger.error("the tokens stay as they were: %s", exc)

    def passes_anyone(self, need: Need) -> bool:
        """Say whether everybody may do this, so that nobody need be asked who they are."""
        return need.role <= self._anonymous and need.role < Role.OPERATOR and not need.changes

    def check_host(self, exchange: Exchange) -> None:
        """Refuse a host name that a hostile page could have pointed at us.

        Raises: MisdirectedRequest.
        """
        request = exchange.request
        try:
            for host in {request.host, self.client(exchange).host}:
                clients.check_host(host, allowed=self._settings.allow_host, own_names=self._lookups.own_names)
        except MisdirectedRequest as exc:
            proof = self._proof(exchange)
            if proof.token is None or proof.shown is None or proof.shown.scheme != BEARER:
                self.on_refused(self.identify(exchange), exchange, exc)
                raise
            return
        # What was checked here is not looked at again, unless a proxy may tell another one with each request.
        exchange.stream.facts["host"] = request.host

    def identify(self, exchange: Exchange) -> Identity:
        """Say who sends a request: a token or session counts most, then where it comes from. Never raises."""
        facts, request, tokens = exchange.stream.facts, exchange.request, self.tokens
        known = facts.get("identity")
        if known is not None and known[0] is request and known[1] is tokens:
            who: Identity = known[2]
            return who
        client = self.client(exchange)
        proof = self._proof(exchange)
        if proof.token is None:
            who = self._by_place(exchange, client)
        else:
            who = Identity(max(proof.token.role, self._anonymous), proof.token.name, proof.how, client.address)
        if proof.how != identity.SESSION:
            # The same request on this connection comes from the same client.
            facts["identity"] = (request, tokens, who)
        return who

    def authorize(self, exchange: Exchange, need: Need) -> Identity:
        """Let a request pass and say who sends it, or say what would be needed.

        Raises: Unauthorized where signing in would help, TooManyRequests for who keeps sending wrong tokens, Forbidden.
        """
        who = self.identify(exchange)
        try:
            self._check(exchange, need, who)
        except FrontendError as exc:
            self.on_refused(who, exchange, exc)
            raise
        return who

    def still_passes(self, exchange: Exchange, need: Need) -> bool:
        """Say whether a request that was let pass would pass now: its session or token may have ended meanwhile."""
        return self.passes_anyone(need) or self.identify(exchange).role >= need.role

    def require_known(self, exchange: Exchange) -> Identity:
        """Let those pass that are not anonymous, and say who it is.

        Raises: Unauthorized, TooManyRequests, Forbidden.
        """
        who = self.identify(exchange)
        if who.how == identity.ANONYMOUS:
            exc = self._refusal(exchange, who, Need(Role.VIEWER, False))
            self.on_refused(who, exchange, exc)
            raise exc
        return who

    def why_not_at_home(self, exchange: Exchange) -> str:
        """Say why a client is not an operator by the place that it connects from; empty where it is one."""
        who = self.identify(exchange)
        if who.how in (identity.LOCAL, identity.NETWORK):
            return ""
        if who.how == identity.ANONYMOUS:
            return self._why_not_local(self.client(exchange))
        return f"you are here by {who.name}"

    def own_credentials(self, exchange: Exchange) -> Own:
        """Say which of a request's credentials are for us and nobody else to see: our cookie, and a token of ours."""
        request = exchange.request
        value = request.combined.get("authorization")
        if value is None:
            return self._cookie_alone
        # Of several fields, which say nothing together, each may hold a token of ours.
        several = [text for name, text in request.fields if name.lower() == "authorization"]
        for text in [value] if len(several) == 1 else several:
            shown = read_authorization(text)
            if shown is not None and self._known(exchange, shown) is not None:
                return self._cookie_and_authorization
        return self._cookie_alone

    def sign_in(self, exchange: Exchange, text: str) -> tuple[Identity, str]:
        """Begin a session for who has a token, in place of any before; give who that is, and the ``Set-Cookie`` for it.

        Raises: Unauthorized, TooManyRequests, Forbidden.
        """
        client = self.client(exchange)
        token = self.tokens.find(text)
        if token is None:
            who = self.identify(exchange)
            exc = self._wrong_token(client)
            self.on_refused(who, exchange, exc)
            raise exc
        for session_id in self._cookies(exchange):
            self.sessions.end(session_id)
        cookie = self._cookie(client, self.sessions.begin(token))
        return Identity(max(token.role, self._anonymous), token.name, identity.SESSION, client.address), cookie

    def sign_out(self, exchange: Exchange) -> str:
        """End the sessions that a request shows; give the ``Set-Cookie`` that makes the browser forget."""
        for session_id in self._cookies(exchange):
            self.sessions.end(session_id)
        return self._cookie(self.client(exchange), "") + "; Max-Age=0"

    def signing_in_helps(self, exchange: Exchange) -> bool:
        """Say whether who sends a request could do more with a token."""
        return self.identify(exchange).role < self.tokens.greatest_role

    def is_secure(self, exchange: Exchange) -> bool:
        """Say whether the client speaks TLS, with us or with a trusted proxy."""
        return self.client(exchange).is_secure

    def client(self, exchange: Exchange) -> Client:
        """Give what is known of who sent a request."""
        request, peer, lookup = exchange.request, exchange.peer, self._lookups.owner
        fields = request.combined
        peer_host = clients.plain_address(str(peer[0])) if peer else ""
        is_forwarded = clients.is_forwarded(fields)
        address, host, is_secure = peer_host, request.host, self._settings.tls_cert is not None
        if is_forwarded and _network_of(peer_host, self._trusted_proxies) is not None:
            from lmcache_frontend.access.forwarded import read_forwarded

            told = read_forwarded(fields, self._trusted_proxies)
            address, host, is_secure = told.address or address, told.host or host, told.is_secure
        return Client(
            peer_host=peer_host,
            http_minor_version=request.minor_version,
            host=host,
            fields=fields,
            own_uid=self._lookups.own_uid,
            owner=None if lookup is None else lambda: lookup(exchange),
            address=address,
            is_secure=is_secure,
        )

    def _check(self, exchange: Exchange, need: Need, who: Identity) -> None:
        client, method = self.client(exchange), exchange.request.method
        if need.changes and need.role > Role.NONE and self._settings.read_only:
            raise Forbidden("this frontend was started with --read-only: nothing is changed through it")
        if who.role < need.role:
            raise self._refusal(exchange, who, need)
        clients.check_page(client, method, need)
        if need.changes and method in READ_METHODS and who.how == identity.TOKEN:
            shown = self._proof(exchange).shown
            if shown is not None and shown.scheme == BASIC:
                # Browsers send what they were once told with every later request, whoever's page it is for.
                raise Forbidden("a GET that changes something, with Basic authorization: expected Bearer")

    def _refusal(self, exchange: Exchange, who: Identity, need: Need) -> FrontendError:
        """Say why somebody may not, and what would help."""
        client = self.client(exchange)
        needed = _NEEDED[need.role]
        if who.how in (identity.TOKEN, identity.SESSION):
            return Forbidden(f"{needed}, and {who.name} is a {who.role.name.lower()}")
        reason = self._why_not_local(client)
        if self.tokens.greatest_role < need.role:
            return Forbidden(f"{needed}, who connects from this machine itself; {reason}; --token-file lets others in")
        if self._proof(exchange).shown is not None:
            return self._wrong_token(client)
        return Unauthorized(f"{needed}: sign in, or send a token ({reason})", fields=_challenge(client))

    def _wrong_token(self, client: Client) -> FrontendError:
        if self.tokens.greatest_role == Role.NONE:
            return Forbidden("nobody can sign in here: there is no token; --token-file names a file of them")
        wait_s = self._throttle.note_wrong(client.address)
        if wait_s:
            return TooManyRequests(
                f"too many wrong tokens, try again in {wait_s} s", fields=(("Retry-After", str(wait_s)),)
            )
        return Unauthorized("the token that was sent is not known here", fields=_challenge(client))

    def _by_place(self, exchange: Exchange, client: Client) -> Identity:
        """Say who sends a request that shows no token, by where it comes from."""
        if not self._why_not_local(client):
            facts = exchange.stream.facts
            network = _network_of(client.address, self._operator_networks)
            if network is not None:
                return Identity(Role.OPERATOR, f"network {network}", identity.NETWORK, client.address)
            if "user" not in facts:
                uid = client.owner() if client.owner is not None else None
                facts["user"] = "local" if uid is None else self._lookups.user_name(uid)
            return Identity(Role.OPERATOR, facts["user"], identity.LOCAL, client.address)
        return Identity(self._anonymous, "anonymous", identity.ANONYMOUS, client.address)

    def _why_not_local(self, client: Client) -> str:
        """Say why a client is neither local nor in a network of operators; empty where it is."""
        if _network_of(client.address, self._operator_networks) is not None and not self._is_hidden(client):
            return ""
        if not self._settings.trust_loopback:
            return "it was started with --no-trust-loopback"
        return clients.why_not_local(client)

    def _is_hidden(self, client: Client) -> bool:
        """Say whether a client is behind a proxy that does not tell who it is, or that is not to be believed."""
        if _network_of(client.peer_host, self._trusted_proxies) is not None:
            return client.address == client.peer_host
        return clients.is_forwarded(client.fields) or client.http_minor_version == 0

    def _proof(self, exchange: Exchange) -> _Proof:
        value = exchange.request.combined.get("authorization")
        shown = None if value is None else read_authorization(value)
        token = None if shown is None else self._known(exchange, shown)
        if token is not None:
            return _Proof(token, identity.TOKEN, shown)
        for session_id in self._cookies(exchange):
            token = self.sessions.find(session_id, self.tokens)
            if token is not None:
                return _Proof(token, identity.SESSION, shown)
        return _Proof(None, "", shown)

    def _known(self, exchange: Exchange, shown: Shown) -> Token | None:
        """Find a token; the same request on this connection is looked up once."""
        facts, tokens = exchange.stream.facts, self.tokens
        known = facts.get("token")
        if known is None or known[0] is not exchange.request or known[1] is not tokens or known[2] != shown.text:
            known = facts["token"] = (exchange.request, tokens, shown.text, tokens.find(shown.text))
        token: Token | None = known[3]
        return token

    def _cookies(self, exchange: Exchange) -> list[str]:
        value = exchange.request.combined.get("cookie")
        return [] if value is None else read_cookies(value, self.own_cookie)

    def _cookie(self, client: Client, session_id: str) -> str:
        secure = "; Secure" if client.is_secure else ""
        return f"{self.own_cookie}={session_id}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _read_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    if not texts:
        return ()
    from lmcache_frontend.access.forwarded import read_networks

    return read_networks(texts)


def _network_of(address: str, networks: tuple[Network, ...]) -> Network | None:
    if not networks:
        return None
    from lmcache_frontend.access.forwarded import network_of

    return network_of(address, networks)


def _challenge(client: Client) -> tuple[tuple[str, str], ...]:
    """Give the field of a 401; a browser would ask for a password by itself if it were offered Basic."""
    bearer = f'Bearer realm="{REALM}"'
    is_browser = "mozilla/" in client.fields.get("user-agent", "").lower()
    return (("WWW-Authenticate", bearer if is_browser else f'{bearer}, Basic realm="{REALM}", charset="UTF-8"'),)
