# SPDX-License-Identifier: Apache-2.0
"""Talk to a running frontend: JSON in and out, lines of JSON as they come, errors with the exit status they mean.

Which frontend and with which token is decided in `connection`; proxies of the environment are never used here, as a
token must go to nobody else. Redirects are not followed for the same reason, but told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

from lmcache_frontend import __version__
from lmcache_frontend.errors import BadGateway, FrontendError

from .exchange import Answer, Body, Incoming, Url, Wire, exchange, opened

LINE_LIMIT_BYTES = 16 * 1024 * 1024
_EXIT_STATUSES = {401: 5, 403: 5, 409: 6}
_SHOWN_CHARACTERS = 300


class ServerError(FrontendError):
    """The frontend said no: ``status`` is the answer's, ``document`` what it said, None where that is no JSON object.

    The exit status is 5 for 401 and 403, 6 for 409, else 1.
    """

    def __init__(self, status: int, message: str, document: dict[str, Any] | None = None) -> None:
        """Take what there is to show and to look at."""
        super().__init__(message)
        self.status = status
        self.exit_status = _EXIT_STATUSES.get(status, 1)
        self.document = document


class FrontendClient(NamedTuple):
    """A frontend at an address (a sub-path stays in front of every path), and how to go about it."""

    base: Url
    token: str | None = None
    wire: Wire = Wire()

    @property
    def shown(self) -> str:
        """Give the address for messages: without user information."""
        return self.base.shown.rstrip("/")

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read a document; what is None in the query is left out.

        Raises: as `send`.
        """
        return self.send("GET", path, query=query)

    def send(self, method: str, path: str, document: Any = None, *, query: Mapping[str, Any] | None = None) -> Any:
        """Send a document and give the answer's, None for an empty answer.

        Raises: ServerError for a status of 300 and above; Unreachable; BadGateway for what is no JSON.
        """
        body = None if document is None else json.dumps(document).encode()
        answer = self.request(method, path, body, query=query)
        if answer.status >= 300:
            raise self._refused(answer)
        return self._read(answer.body) if answer.body else None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send bytes and give the whole answer, of whichever status.

        Raises: Unreachable; BadGateway for what is no HTTP.
        """
        return exchange(self._url(path, query), method, self._head(body, fields), body, self.wire)

    def lines(self, method: str, path: str, document: Any = None) -> Iterator[Any]:
        """Yield the documents of an answer in lines of JSON, as they come; the time-out is one of silence.

        Raises: as `send`.
        """
        body = None if document is None else json.dumps(document).encode()
        with self.stream(method, path, body) as incoming:
            while line := incoming.read_line(LINE_LIMIT_BYTES):
                if not line.endswith(b"\n") and len(line) == LINE_LIMIT_BYTES:
                    raise BadGateway(f"{self.shown} sent a line of more than {LINE_LIMIT_BYTES} bytes")
                if line.strip():
                    yield self._read(line)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        body: Body = None,
        *,
        query: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
        any_status: bool = False,
    ) -> Iterator[Incoming]:
        """Give an answer to be read bit by bit in the block, of whichever status if so wished.

        Raises: as `send`.
        """
        with opened(self._url(path, query), method, self._head(body, fields), body, self.wire) as incoming:
            if incoming.status >= 300 and not any_status:
                content = incoming.read(LINE_LIMIT_BYTES)
                raise self._refused(Answer(incoming.status, incoming.reason, incoming.fields, content))
            yield incoming

    def _url(self, path: str, query: Mapping[str, Any] | None) -> Url:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        own_path, _, own_query = path.partition("?")
        parts = [part for part in (own_query, urlencode(given)) if part]
        return self.base._replace(path=self.base.path.rstrip("/") + own_path, query="&".join(parts))

    def _head(self, body: Body, fields: Mapping[str, str] | None = None) -> dict[str, str]:
        result = {"Accept": "application/json", "User-Agent": f"lmcache-frontend-tools/{__version__}"}
        if body is not None:
            result["Content-Type"] = "application/json"
        if self.token is not None:
            result["Authorization"] = f"Bearer {self.token}"
        return {**result, **(fields or {})}

    def _read(self, content: bytes) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise BadGateway(f"{self.shown} answered with something other than JSON: is a frontend there?") from exc

    def _refused(self, answer: Answer) -> ServerError:
        if answer.status in (301, 302, 303, 307, 308):
            location = answer.fields.get("Location", "nowhere")
            return ServerError(answer.status, f"{self.shown} leads on to {location}: name that address with --server")
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            document = None
        detail = document.get("detail") if document else None
        text = detail if isinstance(detail, str) else answer.body.decode("utf-8", "replace").strip()
        message = f"{text[:_SHOWN_CHARACTERS] or answer.reason} (status {answer.status} of {self.shown})"
        if answer.status == 401:
            message += "; give a token with --token-file or LMCACHE_FRONTEND_TOKEN"
        return ServerError(answer.status, message, document)
