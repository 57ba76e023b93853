# SPDX-License-Identifier: Apache-2.0
"""``python3 -m tests [PYTEST ARGUMENT ...]``: run the fast suite in an environment made for it, ``.venv``.

The environment is made once, and again when pyproject.toml or the interpreter changes. The whole suite runs in
parts, two at once; what a part says is shown when it and those before it are done.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PARTS, AT_ONCE = 6, 2
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
        return run_in_parts(command)
    return subprocess.run(command, cwd=ROOT).returncode


def run_in_parts(command: list[str]) -> int:
    """Run a pytest command over the modules in parts, two at a time; give the first exit status that is not 0."""
    # Large modules take long, as a rule: each part gets some of them, and who is done early takes another part.
    paths = sorted((ROOT / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
    modules = [str(path.relative_to(ROOT)) for path in paths]
    status = 0
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for done in workers.map(run_part, ([*command, *modules[first::PARTS]] for first in range(PARTS))):
            print(done.stdout.decode(errors="replace"), end="", flush=True)
            status = status or done.returncode
    return status


def run_part(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run one part and keep what it says."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main())
