"""Which file imports which, read from the syntax trees without importing anything."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Source:
    """What a file names: its imports, also those inside functions, and its strings."""

    imports: list[ast.Import | ast.ImportFrom]
    strings: frozenset[str]


@functools.cache
def read_source(path: Path) -> Source:
    """Return what a file names."""
    imports: list[ast.Import | ast.ImportFrom] = []
    strings = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                strings.add(node.value)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return Source(imports, frozenset(strings))


def list_imports(path: Path) -> Iterator[str]:
    """Return the modules that a file imports or imports from."""
    for node in read_source(path).imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module or ""


def name_module(path: Path) -> str:
    """Return the name under which a file of the repository is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def list_imported_names(path: Path) -> frozenset[str]:
    """Return the names that a file imports from, with each imported name as if it were a module."""
    froms = [node for node in read_source(path).imports if isinstance(node, ast.ImportFrom)]
    return frozenset(f"{node.module}.{alias.name}" for node in froms for alias in node.names)


def list_files(*folders: str) -> dict[str, Path]:
    """Return the Python files below some folders of the repository by the names of their modules."""
    return {name_module(path): path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))}


class ImportGraph:
    """The modules of some folders, and which of them each one depends on."""

    def __init__(self, *folders: str) -> None:
        self.files = list_files(*folders)
        self._dependencies: dict[str, set[str]] = {}

    def find_dependencies(self, module: str) -> set[str]:
        """Return the modules that a module imports; with a module of a package, the package too.

        Modules whose name stands in a string count, because such a module may be run or loaded by its name.
        """
        if module not in self._dependencies:
            path = self.files[module]
            strings = self.files.keys() & read_source(path).strings
            found = {f"{name}.__main__" for name in strings} & self.files.keys()
            for name in {*list_imports(path), *list_imported_names(path), *strings}:
                parts = name.split(".")
                found |= self.files.keys() & {".".join(parts[: n + 1]) for n in range(len(parts))}
            self._dependencies[module] = found - {module}
        return self._dependencies[module]

    def find_reached(self, modules: Iterable[str]) -> set[str]:
        """Return some modules and all that they depend on, directly or through others."""
        reached: set[str] = set()
        waiting = set(modules)
        while waiting:
            reached |= waiting
            waiting = {name for one in waiting for name in self.find_dependencies(one)} - reached
        return reached
