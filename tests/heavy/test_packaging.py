# SPDX-License-Identifier: Apache-2.0
"""Every way to have the program: from a clone, from a wheel, from an editable install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers.talking import ask

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the files that git tracks, as a fresh clone has them."""
    target = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((ROOT / name).read_bytes())
    return target


def serve_and_look(command: list[str], directory: Path) -> None:
    """Start the program, look at the page and at a simulated node, end it, and check that it ends well."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(
        [*command, "--port", "0", "--host", "127.0.0.1", "--demo", "2"],
        cwd=directory,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        match = re.search(r":(\d+)/ with 2 nodes", process.stdout.readline())
        assert match, process.stderr and process.stderr.read()
        port = int(match[1])
        page = ask(port, "GET", "/")
        assert page.status == 200
        for path in re.findall(rb'(?:src|href)="(static/[^"]+)"', page.body):
            assert ask(port, "GET", "/" + path.decode()).status == 200, path
        assert ask(port, "GET", "/static/js/views/node.js").status == 200
        assert ask(port, "GET", "/proxy2/demo_worker0/version").status == 200
    finally:
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def environment(directory: Path, *install: str) -> Path:
    """Make an environment with something installed and give its folder of programs."""
    venv.create(directory, with_pip=True)
    programs = directory / "bin"
    subprocess.run(
        [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *install], check=True
    )
    return programs


def test_a_clone_runs_with_nothing_installed(clone: Path) -> None:
    serve_and_look([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(clone)!r}); "
                    "from lmcache_frontend.__main__ import main; sys.exit(main())"], clone.parent)  # fmt: skip
    serve_and_look([sys.executable, "-m", "lmcache_frontend"], clone)


def test_a_wheel_holds_everything_and_depends_on_nothing(clone: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(clone)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    tracked = {
        path.relative_to(clone / "static").as_posix() for path in (clone / "static").rglob("*") if path.is_file()
    }
    assert {f"lmcache_frontend/static/{name}" for name in tracked} <= names
    assert "lmcache_frontend/tools/__init__.py" in names
    assert "lmcache_frontend/lmcache_plugin/scheduler_lmc_frontend_plugin.py" in names
    assert not any(name.startswith(("tests/", "static/", "tools/")) for name in names)
    requirements = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    assert all("extra == 'test'" in line.replace('"', "'") for line in requirements), requirements
    programs = environment(tmp_path / "environment", str(wheel))
    serve_and_look([str(programs / "lmcache-frontend")], tmp_path)
    subprocess.run([programs / "python", "-c", "import lmcache_frontend.tools"], cwd=tmp_path, check=True)


def test_an_editable_install_serves_the_checkouts_files(clone: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "environment", "-e", str(clone))
    serve_and_look([str(programs / "lmcache-frontend")], tmp_path)
    subprocess.run([programs / "python", "-c", "import lmcache_frontend.tools"], cwd=tmp_path, check=True)
