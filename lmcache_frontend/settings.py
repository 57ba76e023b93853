# SPDX-License-Identifier: Apache-2.0
"""All settings in one frozen value.

Flags go before ``LMCACHE_FRONTEND_*`` variables, these before ``--settings FILE``, that before the defaults. One table
describes every option; the flag, the variable and the key of the file follow from its name.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from lmcache_frontend import __version__
from lmcache_frontend.errors import UsageError

VARIABLE_PREFIX = "LMCACHE_FRONTEND_"
# A Kubernetes Service called lmcache-frontend puts LMCACHE_FRONTEND_PORT=tcp://... into every pod beside it.
_SERVICE_LINKS = ("tcp://", "udp://", "sctp://")
LOG_LEVELS = ("critical", "error", "warning", "warn", "info", "debug", "trace")
DEMO_DEFAULT_NODES = 8
DEMO_MOST_NODES = 1000
DEMO_FAULTS = (
    *("down", "slow", "stranger", "frozen", "bypassed", "drift", "old-version", "full-tier"),
    *("late-thread", "no-traffic", "stale-metrics"),
)
_PATTERN_LIMIT = 256


class Settings(NamedTuple):
    """What the service is told at its start."""

    host: str = "0.0.0.0"
    port: int = 8000
    config: str | None = None
    nodes: str | None = None
    demo: int = 0
    demo_fault: tuple[str, ...] = ()
    log_level: str = "warning"
    log_format: str = "text"
    poll_interval_s: float = 10.0
    prometheus_url: str | None = None
    connect_timeout_s: float = 5.0
    node_timeout_s: float = 60.0
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_timeout_s: float = 30.0
    drain_timeout_s: float = 10.0
    max_connections: int = 1024
    allow_host: frozenset[str] = frozenset()
    allow_target: tuple[str, ...] = ()
    socket_dir: str = "/tmp/lmcache_internal_api_server"
    store: str | None = None
    config_rules: str | None = None
    config_remember: tuple[str, ...] = ("HOSTNAME", "POD_*", "NODE_*")
    strict_config: bool = False
    token_file: str | None = None
    viewer_token_file: str | None = None
    anonymous: str = "viewer"
    trust_loopback: bool = True
    operator_network: tuple[str, ...] = ()
    read_only: bool = False
    trusted_proxy: tuple[str, ...] = ()
    config_auth: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None


class Option(NamedTuple):
    """An option: the field of `Settings`, how its text is read, what is shown in the help."""

    field: str
    read: Callable[[Any], Any]
    shown_as: str
    help: str

    @property
    def name(self) -> str:
        """Give the name as a flag and as a key of the settings file; seconds are understood there."""
        return self.field.removesuffix("_s").replace("_", "-")


class Program(NamedTuple):
    """A program that takes settings: its name, what it is, its variables' prefix, its options and their defaults."""

    name: str
    description: str
    variable_prefix: str
    options: tuple[Option, ...]
    defaults: Settings


def read_settings(arguments: Sequence[str], environment: Mapping[str, str], program: Program | None = None) -> Settings:
    """Put the settings together, for the whole service or for a program that takes some of them.

    Raises: UsageError, naming the flag, variable or key, what was got and what was expected.
    """
    program = program or SERVICE
    flags = vars(_parser(program).parse_args(arguments))
    path = flags.pop("settings", environment.get(f"{program.variable_prefix}SETTINGS"))
    values = {} if path is None else _read_file(path, program.options)
    for option in program.options:
        variable = program.variable_prefix + option.field.removesuffix("_s").upper()
        if variable in environment and not environment[variable].startswith(_SERVICE_LINKS):
            values[option.field] = _read(option, environment[variable], variable)
        if option.field in flags:
            values[option.field] = _read(option, flags[option.field], f"--{option.name}")
    return program.defaults._replace(**values)


def read_token(environment: Mapping[str, str], program: Program | None = None) -> tuple[str, str] | None:
    """Give the name and the value of the variable with a token; no setting, so that nothing shows it with them."""
    name = f"{(program or SERVICE).variable_prefix}TOKEN"
    value = environment.get(name, "").strip()
    return (name, value) if value and not value.startswith(_SERVICE_LINKS) else None


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(value: Any) -> float:
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", text) or not 0.0 < float(text) <= 86400.0:
        raise ValueError("expected seconds, more than 0 and at most 86400")
    return float(text)


def _choice(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return str(value)

    return read


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError("expected true or false")
    return str(value).lower() in ("true", "1", "yes")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a text that is not empty")
    return value


def _http_url(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError("expected an address as http://host:9090, without user information")
    return text.rstrip("/")


def _listing(value: Any) -> str:
    """Take node entries as JSON text, or, in a settings file, as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _texts(value: Any) -> tuple[str, ...]:
    parts = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) and part for part in parts):
        raise ValueError("expected texts")
    return tuple(word for part in parts for word in part.replace(",", " ").split())


def _patterns(value: Any) -> tuple[str, ...]:
    patterns = _texts(value)
    # What compiles them takes no longer ones, and is first asked once workers are waiting.
    if any(len(pattern) > _PATTERN_LIMIT for pattern in patterns):
        raise ValueError(f"expected patterns of at most {_PATTERN_LIMIT} characters")
    return patterns


def _networks(value: Any) -> tuple[str, ...]:
    from ipaddress import ip_network

    networks = _texts(value)
    for network in networks:
        try:
            if "%" in network:
                raise ValueError("it has a zone")
            ip_network(network)
        except ValueError as exc:
            raise ValueError(f"expected networks as 172.17.0.0/16: {exc}") from exc
    return networks


def _names(value: Any) -> frozenset[str]:
    return frozenset(name.lower() for name in _texts(value))


OPTIONS: tuple[Option, ...] = (
    Option("host", _text, "ADDRESS", "address to listen on"),
    Option("port", _integer(0, 65535), "PORT", "port to listen on; 0 takes a free one"),
    Option("nodes", _listing, "JSON", 'nodes, as [{"name": "n1", "host": "127.0.0.1", "port": 6999}]'),
    Option("config", _text, "FILE", "file of nodes or of proxies with nodes, in JSON; read again when it changes"),
    Option(
        "demo", _integer(0, DEMO_MOST_NODES), "N", f"show N simulated nodes ({DEMO_DEFAULT_NODES} without a number)"
    ),
    Option(
        "demo_fault", _texts, "KIND[:NODE]", f"what is wrong with one of them: {', '.join(DEMO_FAULTS)}; repeatable"
    ),
    Option("log_level", _choice(*LOG_LEVELS), "LEVEL", ", ".join(LOG_LEVELS)),
    Option("log_format", _choice("text", "json"), "FORMAT", "text, or json with one object a line"),
    Option("poll_interval_s", _seconds, "SECONDS", "how often each node is asked how it does"),
    Option("prometheus_url", _http_url, "URL", "a Prometheus that scrapes us, for figures of longer ago than is kept"),
    Option("connect_timeout_s", _seconds, "SECONDS", "how long a node may take to accept a connection"),
    Option("node_timeout_s", _seconds, "SECONDS", "how long a node may be silent (600 at least for slow requests)"),
    Option("head_timeout_s", _seconds, "SECONDS", "how long a client may take for a request head"),
    Option("idle_timeout_s", _seconds, "SECONDS", "how long a client's connection is kept without a request"),
    Option("body_timeout_s", _seconds, "SECONDS", "how long a body may make no progress"),
    Option("drain_timeout_s", _seconds, "SECONDS", "how long running requests may take when the service ends"),
    Option("max_connections", _integer(1, 100_000), "N", "connections at once; more get 503"),
    Option("allow_host", _names, "NAME", "host name that this server answers for; may be repeated"),
    Option("allow_target", _texts, "PATTERN", "address that may be reached without being a node, as 10.0.0.*:69??"),
    Option("socket_dir", _text, "DIR", "folder whose sockets local operators may reach without their being nodes"),
    Option("store", _text, "STORE", "where state is kept: sqlite:PATH, etcd://HOST:PORT/PREFIX or memory:"),
    Option(
        "config_rules", _text, "FILE", "file of remote configuration rules, in JSON or YAML, in place of edited ones"
    ),
    Option(
        "config_remember", _patterns, "PATTERN", "environment variables of workers that may be kept; may be repeated"
    ),
    Option("strict_config", _boolean, "", "refuse remote configuration rules that set keys LMCache does not know"),
    Option("token_file", _text, "FILE", "file of tokens that make operators: one a line, or name: token"),
    Option("viewer_token_file", _text, "FILE", "file of tokens that make viewers"),
    Option("anonymous", _choice("none", "viewer", "operator"), "ROLE", "what others may do: none, viewer, operator"),
    Option("trust_loopback", _boolean, "", "make no operators of people on this machine itself"),
    Option("operator_network", _networks, "CIDR", "network whose clients are operators; may be repeated"),
    Option("read_only", _boolean, "", "let nobody change anything, on nodes neither"),
    Option("trusted_proxy", _networks, "CIDR", "network of reverse proxies whose X-Forwarded-* fields are believed"),
    Option("config_auth", _boolean, "", "ask workers for a token, as in http://worker:TOKEN@HOST:PORT/config"),
    Option("tls_cert", _text, "FILE", "certificate to serve TLS with, in PEM, its chain after it"),
    Option("tls_key", _text, "FILE", "private key of the certificate, where that file does not hold it"),
    Option("tls_client_ca", _text, "FILE", "certificates that clients' certificates must be signed by"),
)
SERVICE = Program(
    "lmcache-frontend",
    "Dashboard, proxy and configuration server for LMCache nodes.",
    VARIABLE_PREFIX,
    OPTIONS,
    Settings(),
)
_REPEATABLE = ("demo_fault", "allow_host", "allow_target", "config_remember", "operator_network", "trusted_proxy")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise in place of printing the usage and exiting."""
        raise UsageError(message)


def _parser(program: Program) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program.name,
        description=program.description,
        epilog=f"Each option can also be a variable, as {program.variable_prefix}PORT, or a key of the settings file, "
        "as port.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for option in program.options:
        default = getattr(program.defaults, option.field)
        if default is True:
            parser.add_argument(f"--no-{option.name}", dest=option.field, help=option.help, action="store_false")
            continue
        shown = "" if default in (None, 0, (), frozenset()) else f" ({_shown(default)})"
        extra: dict[str, Any] = {}
        if option.field in _REPEATABLE:
            extra["action"] = "append"
        if option.field == "demo":
            extra.update(nargs="?", const=DEMO_DEFAULT_NODES)
        if option.read is _boolean:
            extra.update(action="store_true")
        else:
            extra.update(metavar=option.shown_as)
        parser.add_argument(f"--{option.name}", dest=option.field, help=option.help + shown, **extra)
    parser.add_argument("--settings", metavar="FILE", help="file of settings, a JSON object")
    parser.add_argument("--version", action="version", version=f"{program.name} {__version__}")
    return parser


def _shown(default: Any) -> str:
    return " ".join(default) if isinstance(default, tuple) else str(default)


def _read(option: Option, value: Any, origin: str) -> Any:
    try:
        return option.read(value)
    except ValueError as exc:
        raise UsageError(f"{origin} is {ascii(value)[:80]}, {exc}") from exc


def _read_file(path: str, known: tuple[Option, ...]) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise UsageError(f"cannot read the settings file {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise UsageError(f"the settings file {path} is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise UsageError(f"the settings file {path} is not JSON: nested too deeply") from exc
    if not isinstance(document, dict):
        raise UsageError(f"the settings file {path} does not hold a JSON object")
    options = {option.name: option for option in known}
    values = {}
    for key, value in document.items():
        option = options.get(str(key).replace("_", "-"))
        if option is None:
            raise UsageError(
                f"the settings file {path} has the unknown key {ascii(key)[:60]}, expected one of {', '.join(options)}"
            )
        values[option.field] = _read(option, value, f"{key} in {path}")
    return values
