# SPDX-License-Identifier: Apache-2.0
"""The exceptions of this project, each with the HTTP status and the exit status it stands for.

A message says what was got and what was expected, and is safe to show to whoever asked. Foreign exceptions are mapped
to these once, where they enter; these are answered once, in the server or at a tool's entry point.
"""

from __future__ import annotations


class FrontendError(Exception):
    """Anything that this project refuses or fails at, said in one line."""

    status = 500
    exit_status = 1

    def __init__(self, message: str, *, fields: tuple[tuple[str, str], ...] = ()) -> None:
        """Take the line to show, and header fields that belong to the answer (such as ``Allow``)."""
        super().__init__(message)
        self.fields = fields


class UsageError(FrontendError):
    """A flag, a variable or a settings file that says something impossible."""

    status = 400
    exit_status = 2


class Unreachable(FrontendError):
    """A tool found nobody at the address it was given."""

    status = 502
    exit_status = 3


class StartError(FrontendError):
    """The service cannot start: a taken port, an unreadable file."""


class BadRequest(FrontendError):
    """The request is malformed."""

    status = 400


class Forbidden(FrontendError):
    """The client may not do this."""

    status = 403
    exit_status = 5


class NotFound(FrontendError):
    """Nothing bears this name."""

    status = 404


class MethodNotAllowed(FrontendError):
    """The resource is there, but not for this method."""

    status = 405


class Unauthorized(FrontendError):
    """The server wants to know who asks."""

    status = 401
    exit_status = 5


class RequestTimeout(FrontendError):
    """The client was too slow with its request."""

    status = 408


class Conflict(FrontendError):
    """The name is taken, stands for more than one thing, or the thing has changed meanwhile."""

    status = 409
    exit_status = 6


class RevisionConflict(Conflict):
    """What is stored under a key is not at the revision that was expected."""

    def __init__(self, key: str, revision: int) -> None:
        """Take the key and the revision that it is at, 0 where it is not there."""
        super().__init__(f"{key} is at revision {revision}, which is not what was expected")
        self.key = key
        self.revision = revision


class ContentTooLarge(FrontendError):
    """A body that we read ourselves is past its limit."""

    status = 413


class UriTooLong(FrontendError):
    """The request target is past its limit."""

    status = 414


class ExpectationFailed(FrontendError):
    """``Expect`` asks for something other than ``100-continue``."""

    status = 417


class MisdirectedRequest(FrontendError):
    """The request names a host that this server does not answer for."""

    status = 421


class TooManyRequests(FrontendError):
    """The client has tried too often, and is to wait."""

    status = 429
    exit_status = 5


class HeadTooLarge(FrontendError):
    """The head has too many bytes or too many fields."""

    status = 431


class NotImplementedHere(FrontendError):
    """A transfer coding that HTTP/1.1 allows and this server lacks."""

    status = 501


class BadGateway(FrontendError):
    """The node refused the connection, broke it, or does not speak HTTP."""

    status = 502


class ServiceUnavailable(FrontendError):
    """Too much at once, or on the way out."""

    status = 503


class GatewayTimeout(FrontendError):
    """The node did not answer in time."""

    status = 504


class VersionNotSupported(FrontendError):
    """The request is of another major version of HTTP."""

    status = 505


class LoopDetected(FrontendError):
    """The request came through this kind of proxy too many times."""

    status = 508


class PeerClosed(FrontendError):
    """The other side closed or broke the connection; nothing can be answered."""

    status = 499
