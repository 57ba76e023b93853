# SPDX-License-Identifier: Apache-2.0
"""The rules that hold for the whole source tree."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lmcache_frontend"

# From top to bottom: a room may import from the floors below its own.
FLOORS = (
    ("__main__", "lmcache_plugin"),
    ("command",),
    ("app",),
    ("demo",),
    ("routes",),
    ("actions",),
    ("access", "asking", "state"),
    ("remote_config",),
    ("fleet",),
    ("cluster",),
    ("audit", "exposition"),
    ("store",),
    ("http1",),
    ("settings", "logs", "traffic", "masking", "files"),
    ("errors",),
    ("__init__",),
)
ENTRY_POINTS = ("__main__", "lmcache_plugin", "tools")


def sources() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))
    yield from sorted((ROOT / "tools").rglob("*.py"))


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


class Source(NamedTuple):
    """What the rules look at in a file: modules with the line of their import, functions with first and last line."""

    line_count: int
    imports: tuple[tuple[str, int], ...]
    functions: tuple[tuple[str, int, int], ...]


@cache
def source(path: Path) -> Source:
    """Read a file, once for all tests."""
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef))
    return Source(
        text.count("\n"),
        tuple(imports(path, nodes)),
        tuple((node.name, node.lineno, node.end_lineno or 0) for node in functions),
    )


def imports(path: Path, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Yield each imported module in full, with its line; functions' own imports included."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                # The tools are `tools` in a clone and `lmcache_frontend.tools` when installed.
                assert ROOT / "tools" in path.parents, f"{path}:{node.lineno}: relative import"
                continue
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                is_module = (ROOT / Path(*full.split("."))).with_suffix(".py").exists()
                is_package = (ROOT / Path(*full.split("."))).is_dir()
                yield (full if is_module or is_package else module), node.lineno


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"{room} has no floor: add it to FLOORS where it belongs")


def own_room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", [path for path in sources() if PACKAGE in path.parents], ids=str)
def test_imports_point_down(path: Path) -> None:
    room = own_room(path)
    for module, line in source(path).imports:
        if module.split(".")[0] == "lmcache_frontend":
            imported = room_of(module)
            assert imported == room or floor_of(imported) > floor_of(room), f"{path.name}:{line} imports {module}"
            assert imported == room or imported not in ENTRY_POINTS


@pytest.mark.parametrize("path", list(sources()), ids=str)
def test_only_the_standard_library_is_imported(path: Path) -> None:
    known = sys.stdlib_module_names | {"lmcache_frontend"}
    assert {module for module, _ in source(path).imports if module.split(".")[0] not in known} == set()


def test_no_circles_among_modules() -> None:
    graph: dict[str, set[str]] = {}
    for path in sources():
        if PACKAGE not in path.parents:
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module, _ in source(path).imports if module.startswith("lmcache_frontend.")} - {name}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for imported in graph.get(name, ()):
            visit(imported, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_modules_and_functions_stay_of_a_size_to_read() -> None:
    for path in sources():
        assert source(path).line_count <= 400, path
        for name, first, last in source(path).functions:
            assert last - first < 50, f"{path}:{first} {name}"


def test_no_markup_is_made_from_strings_in_the_page() -> None:
    for path in (ROOT / "static").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in text, f"{path}: {word}"


def test_the_package_list_is_complete() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    tools = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "tools").rglob("__init__.py")}
    for package in packages | {"lmcache_frontend.static"} | {f"lmcache_frontend.{name}" for name in tools}:
        assert f'"{package}"' in text, f"{package} is not listed in pyproject.toml"
