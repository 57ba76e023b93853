#!python3
# SPDX-License-Identifier: Apache-2.0
"""LMCache runtime plugin: start the dashboard beside the process that launches this file, and end with it.

Its job is to find the package and hand over to ``lmcache_frontend.lmcache_plugin.launch``; it may be a copy or a
symlink anywhere. Source: the plugin launchers of LMCache 0.3.4 to 0.5.6 (vLLM) and 0.4.4 to 0.5.6 (MP server).

The file name: vLLM's launcher takes what stands before the first underscore for the role that may run the file, and
skips every other word than ``scheduler``, ``worker`` and ``all``; the MP server runs any name.

The first line: 0.3.4 to 0.3.9 take all of it after ``#!`` for the name of one program, so ``/usr/bin/env python3``
cannot start; 0.3.10 and later look for the same text on PATH and fall back to ``python`` where that fails. Without a
first line, 0.3.4 and 0.3.5 insist on ``python``, which slim images lack. A fixed path misses virtual environments.
The bare name ``python3`` is what all of them find on the node's own PATH.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

# Taken before anything else: once the parent is gone, this number would be the wrong one to watch.
_PARENT_PID = os.getppid()
_OLDEST_PYTHON = (3, 10)
_PACKAGE = "lmcache_frontend"


def role_in(environment: dict[str, str]) -> str:
    """Give the role in lower case, without the ``KVConnectorRole.`` of LMCache up to 0.3.12; empty in MP mode."""
    for name in ("LMCACHE_RUNTIME_PLUGIN_ROLE", "LMCACHE_PLUGIN_ROLE"):
        if name in environment:
            return environment[name].strip().rpartition(".")[2].lower()
    return ""


def package_folders(file_path: str, environment: dict[str, str]) -> list[str]:
    """List the folders that may hold the package, best first: the one asked for, then those around this very file."""
    here = os.path.dirname(os.path.realpath(file_path))
    above = os.path.dirname(here)
    folders = [environment.get("LMCACHE_FRONTEND_HOME", ""), os.path.dirname(above), here, above]
    return [folder for folder in folders if folder]


def import_launch(folders: list[str]) -> ModuleType | None:
    """Import the launch module from the first of the folders that has it, else as installed; None if nowhere.

    The folders never join the search path: other packages in them must not stand before the standard library.
    """
    import importlib.machinery
    import importlib.util

    for path in [*([folder] for folder in folders), None]:
        spec = importlib.machinery.PathFinder.find_spec(_PACKAGE, path)
        if spec is None or spec.loader is None or spec.origin is None:
            continue
        package = importlib.util.module_from_spec(spec)
        sys.modules[_PACKAGE] = package
        try:
            spec.loader.exec_module(package)
            return importlib.import_module(_PACKAGE + ".lmcache_plugin.launch")
        except ImportError:
            # Another distribution has a package of this name, without this module: forget it and look on.
            for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
                del sys.modules[name]
    return None


def main() -> int:
    """Run the dashboard until it is told to end or its parent is gone; give the exit status."""
    if role_in(dict(os.environ)) not in ("scheduler", ""):
        return 0
    if sys.version_info < _OLDEST_PYTHON:
        found = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(f"lmcache_frontend needs Python 3.10 or newer, and {sys.executable} is {found}", flush=True)
        return 1
    # A script's own folder leads the search path; in a folder of plugins, any file there could shadow the library.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    launch = import_launch(package_folders(__file__, dict(os.environ)))
    if launch is None:
        print(
            f"the package lmcache_frontend was not found: install it for {sys.executable}, make this file a symlink"
            " into its checkout, or set LMCACHE_FRONTEND_HOME to the folder that holds it",
            flush=True,
        )
        return 1
    status: int = launch.main(_PARENT_PID)
    return status


if __name__ == "__main__":
    sys.exit(main())
