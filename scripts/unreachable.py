#!/usr/bin/env python3
"""Lists modules of the package and of training that nothing imports: neither the library, nor the
command line, nor a training program.

    python scripts/unreachable.py        # exit 1 when there are any

Names in strings, as in `"training.material:add"`, count as imports: the package imports them on
first use.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gvcodec", "training")
#: Library, command line, modules that other programs import, training programs.
ROOTS = ("gvcodec", "gvcodec.__main__", "training.__main__")
ROOTS += ("gvcodec.gvc1d.compressai", "gvcodec.perceptual.dither")
_MODULE_NAME = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)+")


def modules(root: Path = ROOT) -> dict[str, Path]:
    """All modules by name."""
    paths = {}
    for path in sorted(path for name in PACKAGES for path in (root / name).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


def imports(path: Path, modules_by_name: dict[str, Path]) -> Iterator[str]:
    """Modules that a file imports, or names in strings other than docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules_by_name else node.module for name in names]
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts
        ):
            names = [match.group() for match in _MODULE_NAME.finditer(node.value)]
        yield from (name for name in names if name in modules_by_name)


def unreachable(root: Path = ROOT) -> list[str]:
    """Names of modules that are unreachable from `ROOTS`."""
    modules_by_name = modules(root)
    reachable: set[str] = set()
    # Commands and bases are found by their names; every program of training has `main`.
    programs = {
        name
        for name, path in modules_by_name.items()
        if re.fullmatch(r"gvcodec\.cli\.[a-z]\w*|gvcodec\.base\.(standard|gvc1d)", name)
        or (name.startswith("training.") and "def main(" in path.read_text(encoding="utf-8"))
    }
    waiting = [*ROOTS, *programs]
    while waiting:
        name = waiting.pop()
        if name not in reachable:
            reachable.add(name)
            parent = name.rpartition(".")[0]
            waiting += [
                *imports(modules_by_name[name], modules_by_name),
                *([parent] if parent else []),
            ]
    return sorted(set(modules_by_name) - reachable)


def main() -> int:
    modules_by_name = modules()
    total = sum(len(path.read_text().splitlines()) for path in modules_by_name.values())
    dead_lines = {
        name: len(modules_by_name[name].read_text().splitlines()) for name in unreachable()
    }
    for name, lines in dead_lines.items():
        print(f"{name}: {lines} lines")
    print(f"{sum(dead_lines.values())} of {total} lines are out of reach")
    return int(bool(dead_lines))


if __name__ == "__main__":
    sys.exit(main())
