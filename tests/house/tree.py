"""The tree of sources that the rules look at, and what a module imports, uses and calls."""

import ast
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("producers", "streams", "consumers")

Tree = Mapping[str, str]
"""Path from the top, with slashes -> text. What is no text is there as the empty string."""


class Use(NamedTuple):
    """A name in a module with its imports resolved: `t()` after `from time import time as t` uses `time.time`."""

    line: int
    name: str


def real_tree() -> Tree:
    """Return what is committed, and what would be by `git add --all`; without git, all that is not hidden."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = set(filter(None, listed.stdout.split("\0")))
    else:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        paths = {path.as_posix() for path in found if not any(part.startswith((".", "__pyc")) for part in path.parts)}
    return {path: _text(ROOT / path) for path in sorted(paths) if (ROOT / path).is_file()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def modules(tree: Tree, *rooms: str) -> Iterator[tuple[str, str]]:
    """Yield path and source of the Python modules in these rooms, or everywhere."""
    for path, source in tree.items():
        if path.endswith(".py") and (not rooms or path.split("/")[0] in rooms):
            yield path, source


@lru_cache(maxsize=1_000)
def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(source)


def imports(source: str) -> Iterator[Use]:
    """Yield every imported module or name, wherever the import stands, by its full name."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (Use(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (Use(node.lineno, f"{module}.{alias.name}") for alias in node.names)


def uses(source: str) -> Iterator[Use]:
    """Yield every name and dotted name in a module, resolved."""
    known = _aliases(source)
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, known)):
            yield Use(node.lineno, name)


def calls(source: str) -> Iterator[tuple[ast.Call, str]]:
    """Yield every call and the resolved name of what is called, or its last part after a dot."""
    known = _aliases(source)
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Call):
            last = f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else ""
            yield node, dotted(node.func, known) or last


def dotted(node: ast.expr, known: Mapping[str, str]) -> str:
    """Return `a.b.c` for such an expression with its first part resolved, and nothing for any other."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (front := dotted(node.value, known)):
        return f"{front}.{node.attr}"
    return ""


@lru_cache(maxsize=1_000)
def _aliases(source: str) -> Mapping[str, str]:
    known: dict[str, str] = {}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def is_in(name: str, places: "frozenset[str] | tuple[str, ...]") -> bool:
    """Return whether a dotted name is one of these, or something within one of them."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in places for end in range(1, len(parts) + 1))
