# SPDX-License-Identifier: Apache-2.0
"""The command line of ``lmcache-config-fetch``: flags in, table, file and exit status out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmcache_frontend.errors import BadGateway, BadRequest, Unreachable, UsageError
from lmcache_frontend.remote_config.application import same
from lmcache_frontend.remote_config.catalogue import release_of
from lmcache_frontend.remote_config.values import strict
from lmcache_frontend.remote_config.yaml_subset import load

from ..command_line import Example, file_path, make_parser
from ..connection import seconds
from ..console import Console, add_console_options, console_of, run
from ..exchange import Url, Wire, read_url
from ..files import read_text, write_atomically
from ..releases import add_release_option
from ..values import hidden
from .asking import DEFAULT_VARIABLES, BadAnswer, Question, ask, sent_variables
from .merged import ASKS_SINCE, FAILS_SINCE, Merged, Sources, infinite_keys, merge, variable_lines, yaml_text
from .showing import row_document, table_lines

PROGRAM = "lmcache-config-fetch"
DIFFERS = 4
FOR_LMCACHE = ("yaml", "env")
_PRIVATE = 0o600

DESCRIPTION = """\
Ask a configuration server as an LMCache worker would, and show what comes of it: each setting as the worker has it, as
the server gives it, and as LMCache would hold it then. With --write the outcome becomes the file that LMCache reads.

Secrets are hidden in tables and JSON. What is made for LMCache, --write and the formats yaml and env, holds them; only
on a terminal they are hidden there too. Proxies of the environment (https_proxy, no_proxy ...) are honoured as LMCache
honours them, but never for a loopback address."""

EXIT = """
exit status:
  0  fetched; with --check: nothing differs
  1  the answer was a refusal or no configuration, or a file could not be written
  2  usage: a flag, the configuration file or the address cannot be understood
  3  nobody could be reached
  4  with --check: something differs"""

EXAMPLES = (
    Example(f"{PROGRAM} --url http://config:8088/config --app-id chat", "what would a worker of this application get"),
    Example(
        f"{PROGRAM} --config base.yaml --write /etc/lmcache/lmcache.yaml",
        "before LMCache starts (init container, ExecStartPre): write the file it is to read",
    ),
    Example(
        f"{PROGRAM} --config base.yaml --write /etc/lmcache/lmcache.yaml --check",
        "has the server something that the written file lacks",
    ),
    Example(f"{PROGRAM} --config lmcache.yaml --format env --output lmcache.env", "the same as variables"),
)


class Fetched(NamedTuple):
    """Who was asked, for which application, whether that went well, and what came of it."""

    url: Url
    app_id: str
    merged: Merged
    is_answered: bool = True


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the tool and give its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    variables = os.environ if environment is None else environment
    return run(PROGRAM, lambda: _main(given, variables))


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(PROGRAM, DESCRIPTION, EXAMPLES)
    parser.epilog = f"{parser.epilog}\n{EXIT}"
    ask_for = parser.add_argument_group("what is asked")
    ask_for.add_argument("--url", help="the server; else LMCACHE_REMOTE_CONFIG_URL, else remote_config_url of --config")
    ask_for.add_argument(
        "--app-id", metavar="NAME", help="the application; else LMCACHE_APP_ID, else app_id of --config"
    )
    ask_for.add_argument(
        "--config",
        metavar="FILE",
        type=file_path,
        help="the worker's YAML file; else LMCACHE_CONFIG_FILE. LMCACHE_* variables go on top",
    )
    ask_for.add_argument(
        "--env-allow",
        metavar="GLOB",
        action="append",
        help=f"send the variables named so, instead of {' '.join(DEFAULT_VARIABLES)}; may be repeated",
    )
    ask_for.add_argument("--send-all-env", action="store_true", help="send every variable, as LMCache does")
    ask_for.add_argument("--method", choices=("GET", "POST"), default="GET", help="default: GET, as LMCache asks")
    ask_for.add_argument("--timeout", metavar="SECONDS", type=seconds, default=10.0, help="for all of it; default: 10")
    ask_for.add_argument("--ca", metavar="FILE", help="trust these certificates; else REQUESTS_CA_BUNDLE, the system's")
    ask_for.add_argument("--no-proxy", action="store_true", help="go straight, whatever proxy the environment names")
    make = parser.add_argument_group("what is made of it")
    add_release_option(make, "apply as this LMCache does")
    make.add_argument(
        "--write",
        metavar="FILE",
        type=file_path,
        help="write LMCache's YAML file where it says something else; whole or not at all",
    )
    make.add_argument(
        "--mode",
        metavar="OCTAL",
        type=_mode,
        default=_PRIVATE,
        help="mode of a new file with what is made for LMCache; default: 600",
    )
    make.add_argument("--check", action="store_true", help="write nothing and give 4 where something differs")
    make.add_argument(
        "--keep-going",
        action="store_true",
        help="where nothing can be fetched, give 0: a file of --write stays as it is, or is the local configuration",
    )
    make.add_argument("--show-secrets", action="store_true", help="hide nothing in tables and JSON")
    add_console_options(parser, ("table", "json", "yaml", "env"))
    return parser


def _mode(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o777:
        raise argparse.ArgumentTypeError(f"expected an octal mode such as 640, got {text!r}")
    return value


def _main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    options = _parser().parse_args(arguments)
    console = console_of(PROGRAM, options, environment)
    sources = Sources(_document(options, environment), environment, options.lmcache_version)
    fetched = _fetch(options, sources, console)
    _warn(fetched.merged, options, sources, console)
    # The file first: it is there whoever reads the rest, or does not.
    differs = _put(fetched, options, console) if options.write else fetched.merged.changed > 0
    console.result(_result(fetched, options, console), new_mode=options.mode if options.format in FOR_LMCACHE else None)
    _summarise(fetched, options, console)
    return DIFFERS if options.check and differs else 0


def _document(options: argparse.Namespace, environment: Mapping[str, str]) -> Mapping[Any, Any] | None:
    path = options.config or environment.get("LMCACHE_CONFIG_FILE")
    if not path:
        return None
    what = "--config" if options.config else "LMCACHE_CONFIG_FILE"
    text = read_text(path, what)
    try:
        document = load(text) or {}
    except BadRequest as exc:
        raise UsageError(f"{what}: {path}: {exc}") from exc
    if not isinstance(document, dict):
        raise UsageError(f"{what}: {path} holds a {type(document).__name__}, expected keys and values")
    return document


def _fetch(options: argparse.Namespace, sources: Sources, console: Console) -> Fetched:
    local = merge(sources, [])
    values = local.local.values
    text = options.url or values.get("remote_config_url")
    if not text:
        raise UsageError(
            "whom to ask: give --url, LMCACHE_REMOTE_CONFIG_URL, or remote_config_url in the file of --config"
        )
    url = read_url(text, "--url" if options.url else "remote_config_url")
    app_id = (values.get("app_id") or "") if options.app_id is None else options.app_id
    patterns = ["*"] if options.send_all_env else options.env_allow or DEFAULT_VARIABLES
    variables = sent_variables(sources.environment, patterns)
    console.detail(f"asking {url.shown}, with {len(variables)} variables: {' '.join(sorted(variables)) or 'none'}")
    question = Question(url, app_id, values, variables, options.method)
    ca = (
        options.ca or sources.environment.get("REQUESTS_CA_BUNDLE") or sources.environment.get("CURL_CA_BUNDLE") or None
    )
    proxies = None if options.no_proxy else sources.environment
    try:
        items = ask(question, Wire(options.timeout, ca), proxies, console.warn)
    except (Unreachable, BadGateway, BadAnswer) as exc:
        if not options.keep_going:
            raise
        console.warn(f"{exc}: going on without")
        return Fetched(url, app_id, local, False)
    return Fetched(url, app_id, merge(sources, items))


def _warn(merged: Merged, options: argparse.Namespace, sources: Sources, console: Console) -> None:
    """Say what people should know before they rely on the outcome."""
    version = options.lmcache_version
    release = release_of(version)
    for text in merged.local.failures:
        console.warn(text)
    for text in merged.local.notes:
        console.note(text)
    for row in merged.rows if options.format != "table" else ():
        if row.why.startswith(("refused", "skipped")):
            console.warn(f"{row.key or 'an item'}: {row.why}")
    infinite = infinite_keys(merged.local.values)
    if release < ASKS_SINCE:
        console.warn(f"LMCache {version} asks no configuration server, so that nothing of the answer is applied")
    elif release >= FAILS_SINCE and infinite and not options.write:
        console.note(
            f"LMCache {version} would not get this answer by itself, since it cannot send {' and '.join(infinite)} as "
            "infinite: make it finite, or let this tool write the file (--write)"
        )
    base = options.config or sources.environment.get("LMCACHE_CONFIG_FILE")
    if options.write and base and _are_one_file(base, options.write):
        console.warn(
            f"{base} is read and written: what the server no longer says stays in it, as if it were the user's"
        )
    if options.write or options.format == "yaml":
        for row in merged.rows:
            variable = f"LMCACHE_{row.key.upper()}"
            if row.changed and variable in sources.environment:
                console.warn(f"{variable} is set here; where LMCache has it too, it goes over {row.key} in the file")


def _are_one_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _result(fetched: Fetched, options: argparse.Namespace, console: Console) -> list[str]:
    merged = fetched.merged
    if options.format == "json":
        return json.dumps(_document_of(fetched, options), indent=2, ensure_ascii=False).splitlines()
    if options.format == "table":
        return list(table_lines(merged.rows, console.out, secrets=options.show_secrets)) if merged.rows else []
    # What LMCache is to read is whole in files and pipes; eyes on a terminal need no secrets.
    if console.out.interactive and not options.show_secrets and _hidden(merged) != merged:
        console.note("secrets are hidden on a terminal; --output FILE and --show-secrets do not hide them")
        merged = _hidden(merged)
    if options.format == "yaml":
        return yaml_text(merged, _head(fetched)).splitlines()
    return list(variable_lines(merged, options.lmcache_version))


def _hidden(merged: Merged) -> Merged:
    return merged._replace(written={name: hidden(name, value) for name, value in merged.written.items()})


def _document_of(fetched: Fetched, options: argparse.Namespace) -> dict[str, Any]:
    merged = fetched.merged
    written = merged.written if options.show_secrets else _hidden(merged).written
    return {
        "url": fetched.url.shown,
        "app_id": fetched.app_id,
        "lmcache_version": options.lmcache_version,
        "changed": merged.changed,
        "rows": [row_document(row, secrets=options.show_secrets) for row in merged.rows],
        "merged": strict(written),
        "failures": merged.local.failures,
        "notes": merged.local.notes,
    }


def _head(fetched: Fetched) -> str:
    application = f" for {json.dumps(fetched.app_id, ensure_ascii=False)}" if fetched.app_id else ""
    return f"Made by {PROGRAM} of {fetched.url.shown}{application}; edits will be lost."


def _put(fetched: Fetched, options: argparse.Namespace, console: Console) -> bool:
    """Write the file where it differs, unless only to check; say whether it did."""
    if not fetched.is_answered and os.path.exists(options.write):
        console.note(f"{options.write} stays as it is")
        return False
    present = _present(options.write)
    if present is not None and same(present, fetched.merged.written):
        console.note(f"{options.write} is as it should be")
        return False
    if options.check:
        console.note(f"{options.write} {'differs' if os.path.exists(options.write) else 'is not there'}")
    else:
        content = yaml_text(fetched.merged, _head(fetched)).encode()
        write_atomically(options.write, content, new_mode=options.mode)
        console.note(f"wrote {options.write}")
    return True


def _present(path: str) -> Any:
    """Give what the file holds now, None where it is no file or cannot be understood."""
    if not os.path.isfile(path):
        return None
    try:
        return load(read_text(path, "--write"))
    except (UsageError, BadRequest):
        return None


def _summarise(fetched: Fetched, options: argparse.Namespace, console: Console) -> None:
    if not fetched.is_answered:
        return
    count, changed = len(fetched.merged.rows), fetched.merged.changed
    application = f"application {fetched.app_id}" if fetched.app_id else "no application"
    what = f"{count} set, {changed} of them otherwise than before" if count else "nothing is set"
    console.note(f"{what}: {fetched.url.shown} for {application}, as LMCache {options.lmcache_version} applies it")
