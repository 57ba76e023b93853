# SPDX-License-Identifier: Apache-2.0
"""The dashboard's files, the health answer that upstream's frontends look for, and who the client is.

Files are read into memory once, when the first is asked for, and served by exact path: nothing can be traversed to.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from lmcache_frontend import __version__
from lmcache_frontend.errors import NotFound, ServiceUnavailable, StartError
from lmcache_frontend.http1.exchange import Exchange
from lmcache_frontend.routes.services import Asset, Route, Services, respond_json, takes_gzip

INDEX = "index.html"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_FILE_FIELDS = (("X-Content-Type-Options", "nosniff"), ("Cross-Origin-Resource-Policy", "same-origin"))
# What only means something where a browser shows a file as a page; in forty scripts and style sheets it would be a
# quarter of all that is loaded.
_PAGE_FIELDS = (
    *_FILE_FIELDS,
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_NO_PAGES = ("text/javascript", "text/css")


def static_directory() -> Path:
    """Give the folder of the dashboard's files: within the installed package, else beside it in a clone.

    Raises: StartError.
    """
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "static", package.parent / "static"):
        if (directory / INDEX).is_file():
            return directory
    raise StartError(f"the dashboard's files are missing: no static/{INDEX} in {package} or beside it")


def load_assets(directory: Path) -> dict[str, Asset]:
    """Read every file below a folder: ``{path relative to it: Asset}``."""
    import hashlib

    assets = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            body = path.read_bytes()
            etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
            assets[path.relative_to(directory).as_posix()] = Asset(
                body, _content_type(path), etag, cache(partial(_compressed, body))
            )
    return assets


def index(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Serve the page."""
    _send(exchange, services.assets()[INDEX])


def static(exchange: Exchange, services: Services, parameters: dict[str, str]) -> None:
    """Serve a file of the page; upstream's address of the page leads to ours.

    Raises: NotFound.
    """
    path = parameters["path"]
    if path == INDEX:
        exchange.respond(308, fields=(("Location", "../"),))
        return
    asset = services.assets().get(path)
    if asset is None:
        raise NotFound("the dashboard has no such file")
    _send(exchange, asset)


def health(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say that the service runs, in upstream's words."""
    respond_json(exchange, {"status": "healthy", "service": "lmcache-monitor"})


def alive(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say that the process serves; nothing of the nodes matters."""
    respond_json(exchange, {"status": "alive"})


def ready(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say whether requests are welcome.

    Raises: ServiceUnavailable while the service ends.
    """
    if services.is_ending():
        raise ServiceUnavailable("the service is ending")
    respond_json(exchange, {"status": "ready"})


def whoami(exchange: Exchange, services: Services, _: dict[str, str]) -> None:
    """Say who the client is taken for, and what it may do here."""
    gate = services.gate
    who = gate.identify(exchange)
    respond_json(
        exchange,
        {
            "role": who.role.name.lower(),
            "name": who.name,
            "how": who.how,
            "read_only": services.settings.read_only,
            "sign_in": gate.signing_in_helps(exchange),
            "version": __version__,
            "tls": gate.is_secure(exchange),
        },
    )


def _compressed(body: bytes) -> bytes | None:
    import gzip

    compressed = gzip.compress(body, 9, mtime=0)
    return compressed if len(compressed) < len(body) else None


def _content_type(path: Path) -> str:
    content_type = _TYPES.get(path.suffix, "application/octet-stream")
    return f"{content_type}; charset=utf-8" if content_type.startswith("text/") else content_type


def _send(exchange: Exchange, asset: Asset) -> None:
    request = exchange.request
    guards = _FILE_FIELDS if asset.content_type.startswith(_NO_PAGES) else _PAGE_FIELDS
    fields = [*guards, ("ETag", asset.etag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
    if asset.etag in [tag.strip().removeprefix("W/") for tag in (request.get("if-none-match") or "").split(",")]:
        exchange.respond(304, fields=fields)
        return
    compressed = asset.compressed() if takes_gzip(exchange) else None
    if compressed is not None:
        fields.append(("Content-Encoding", "gzip"))
    exchange.respond(200, compressed or asset.body, asset.content_type, fields)


HEALTH_ROUTES = (
    Route("GET", "/health", health),
    Route("GET", "/livez", alive),
    Route("GET", "/readyz", ready),
    Route("GET", "/api/whoami", whoami),
)

ROUTES = (
    Route("GET", "/", index),
    Route("GET", "/static/{path...}", static),
    *HEALTH_ROUTES,
)
