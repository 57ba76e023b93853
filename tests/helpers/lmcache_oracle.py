# SPDX-License-Identifier: Apache-2.0
"""Asks LMCache itself what it makes of values, of answers of a configuration server, and of files and variables.

The interpreter that has LMCache runs this file as a script: ``QUESTIONS ANSWERS``, two JSON files. It imports nothing
of this project. ``ask`` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_LIMIT_S = 300.0
_MADE_UP = "lmcacheengineconfig_"


def ask(
    python: str, questions: Mapping[str, Sequence[Any]], directory: Path, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Ask in one process; give the answers by the names of the questions, in their order."""
    asked, answered = directory / "questions.json", directory / "answers.json"
    asked.write_text(json.dumps(questions))
    finished = subprocess.run(
        [python, __file__, str(asked), str(answered)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_LIMIT_S,
    )
    assert finished.returncode == 0, finished.stdout.decode(errors="replace")[-4000:]
    answers: dict[str, Any] = json.loads(answered.read_text())
    return answers


def _coercion(lmcache: Any, question: list[Any]) -> list[Any]:
    key, value = question
    config = lmcache.Config.from_defaults()
    accepted = lmcache.base.validate_and_set_config_value(config, key, value)
    return [accepted, getattr(config, key, None)]


def _application(lmcache: Any, question: dict[str, Any]) -> dict[str, Any]:
    config = _from_file(lmcache, question["document"])
    failed = False
    try:
        lmcache.base.apply_remote_configs(config, {"configs": question["configs"]})
    except Exception:
        failed = True
    return {"failed": failed, "values": _values(config)}


def _local(lmcache: Any, question: dict[str, Any]) -> dict[str, Any]:
    os.environ.update(question["environment"])
    try:
        if question["document"] is None:
            config = lmcache.Config.from_env()
            config.validate()
        else:
            config = _from_file(lmcache, question["document"])
            config.update_config_from_env()
    except Exception as exc:
        return {"failed": f"{type(exc).__name__}: {exc}"}
    finally:
        for name in question["environment"]:
            del os.environ[name]
    return {"failed": "", "values": _values(config), "user_set": sorted(config._user_set_keys)}


def _definition(lmcache: Any, key: str) -> Any:
    return lmcache.definitions[key]["default"] if key in lmcache.definitions else "no such key"


def _names(lmcache: Any, question: None) -> list[str]:
    return list(lmcache.definitions)


def _from_file(lmcache: Any, document: Any) -> Any:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        lmcache.yaml.safe_dump(document, file, sort_keys=False)
        file.flush()
        return lmcache.Config.from_file(file.name)


def _values(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = config.to_dict()
    if str(values["lmcache_instance_id"]).startswith(_MADE_UP):
        values["lmcache_instance_id"] = None
    return values


def _main(asked: str, answered: str) -> None:
    import logging
    from types import SimpleNamespace

    import yaml
    from lmcache.v1 import config, config_base

    logging.disable(logging.CRITICAL)
    lmcache = SimpleNamespace(
        Config=config.LMCacheEngineConfig, definitions=config._CONFIG_DEFINITIONS, base=config_base, yaml=yaml
    )
    answerers: dict[str, Callable[[Any, Any], Any]] = {
        "names": _names,
        "defaults": _definition,
        "coercions": _coercion,
        "applications": _application,
        "locals": _local,
    }
    questions = json.loads(Path(asked).read_text())
    answers = {name: [answerers[name](lmcache, question) for question in questions[name]] for name in questions}
    Path(answered).write_text(json.dumps(answers, default=repr))


if __name__ == "__main__":
    _main(*sys.argv[1:])
