# SPDX-License-Identifier: Apache-2.0
"""``python3 -m tests [PYTEST ARGUMENT ...]``: run the fast suite in an environment made for it, ``.venv``.

The environment is made once, and again when pyproject.toml or the interpreter changes. The whole suite runs in two
processes at once, each with half of the modules; what the second says is shown after the first.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
# With others the suite is chosen from, or ends early: then one process is what is meant.
FOR_THE_WHOLE = frozenset({"-q", "-v", "-vv", "-qq"})


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
    command = [str(python), "-m", "pytest", *sys.argv[1:]]
    if FOR_THE_WHOLE.issuperset(sys.argv[1:]):
        return run_in_halves(command)
    return subprocess.run(command, cwd=ROOT).returncode


def run_in_halves(command: list[str]) -> int:
    """Run a pytest command over both halves of the modules; give the first exit status that is not 0."""
    # Large modules take long, as a rule: they are dealt out to and fro, so that neither half has the larger ones.
    paths = sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
    modules = [str(path.relative_to(ROOT)) for path in paths]
    with tempfile.TemporaryFile() as said:
        second = subprocess.Popen(
            [*command, *modules[1::4], *modules[2::4]], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT
        )
        first = subprocess.run([*command, *modules[::4], *modules[3::4]], cwd=ROOT)
        second.wait()
        said.seek(0)
        print(said.read().decode(errors="replace"), end="", flush=True)
    return first.returncode or second.returncode


if __name__ == "__main__":
    sys.exit(main())
