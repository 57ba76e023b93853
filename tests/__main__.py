# SPDX-License-Identifier: Apache-2.0
"""``python3 -m tests [PYTEST ARGUMENT ...]``: run the fast suite in an environment made for it, ``.venv``.

The environment is made once, and again when pyproject.toml or the interpreter changes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"


def main() -> int:
    """Make the environment where it is not there yet, run pytest in it, and give its exit status."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "made-for"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", ".[test]"]
        if status := subprocess.run(install, cwd=ROOT).returncode:
            return status
        stamp.write_text(wanted)
    return subprocess.run([python, "-m", "pytest", *sys.argv[1:]], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
