#!/usr/bin/env python
"""Measure names, sizes and layout of the product's code: ``scripts/measure_code.py [--root DIR] [--list]``.

``--list`` names what each figure counts. Only ``bot``, ``engine`` and ``knowledge`` are measured.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("bot", "engine", "knowledge")
SMALL_LINES = 60
_PARTICIPLES = """
asked begun bound bought broken brought built caught chosen closed counted cut done drawn drunk eaten fallen felt
forgotten found fitted given gone grown had handed heard held hidden kept known laid led left lent lost made meant
measured met moved named needed opened owed paid played put refused said seen sent served shaken shown sold spent
spoken stated stood struck sworn taken taught told thought thrown torn understood used wanted weighed withdrawn won
worn written
"""
PARTICIPLES = frozenset(_PARTICIPLES.split())
"""Names that are only a participle or past form; any other name of one word that ends in ``ed`` counts as well."""
_NO_PARTICIPLES = frozenset(
    {"embed", "exceed", "expired", "feed", "need", "proceed", "seed", "shared", "shed", "speed"}
)


@dataclass(frozen=True, slots=True)
class Module:
    """A file with its syntax tree."""

    name: str
    path: Path
    lines: int
    tree: ast.Module


def read_modules(root: Path) -> list[Module]:
    """Return every module of the product below a folder."""
    found = []
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found.append(Module(name, path.relative_to(root), text.count("\n"), ast.parse(text)))
    return found


def list_functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions and methods of a module, without those that Python names."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__"):
            yield node


def list_names(module: Module) -> Iterator[str]:
    """Return the names that a module defines: functions, classes, fields and constants."""
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def is_participle(name: str) -> bool:
    """Return whether a name is one bare participle, which ``SourceDenied`` with its noun is not."""
    name = name.strip("_")
    if "_" in name or name not in {name.lower(), name.upper(), name.capitalize()}:
        return False
    word = name.lower()
    return word in PARTICIPLES or (word.endswith("ed") and word not in _NO_PARTICIPLES)


def list_imports(module: Module, names: frozenset[str]) -> set[str]:
    """Return the product's modules that a module imports, also for types only."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found |= {full if full in names else node.module} & names
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & names
    return found - {module.name}


def find_circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reach: dict[str, set[str]] = {}
    for name in graph:
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            for other in graph[waiting.pop()] - reached:
                reached.add(other)
                waiting.append(other)
        reach[name] = reached
    circles = {frozenset(b for b in reach[a] if a in reach[b]) for a in graph if a in reach[a]}
    return sorted(sorted(circle) for circle in circles)


def compute_p90(values: Sequence[int]) -> int:
    """Return the value that nine of ten do not exceed."""
    return sorted(values)[int(0.9 * (len(values) - 1))]


def measure_modules(modules: Sequence[Module]) -> dict[str, tuple[str, list[str]]]:
    """Return each figure with the names that it counts."""
    names = frozenset(module.name for module in modules)
    graph = {module.name: list_imports(module, names) for module in modules}
    callers: dict[str, set[str]] = defaultdict(set)
    for name, imported in graph.items():
        for other in imported:
            callers[other].add(name)
    folders = Counter(
        str(module.path.parent)
        for module in modules
        if module.path.name != "__init__.py" and module.path.parent.name != "versions"  # revisions only grow
    )
    functions = [function for module in modules for function in list_functions(module)]
    one_word = [function.name for function in functions if "_" not in function.name.strip("_")]
    participles = [f"{module.name}:{name}" for module in modules for name in list_names(module) if is_participle(name)]
    classes = Counter(
        node.name for module in modules for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)
    )
    sizes = [module.lines for module in modules if module.path.name != "__init__.py"]
    lengths = [(function.end_lineno or function.lineno) - function.lineno + 1 for function in functions]
    tiny = [
        module.name
        for module in modules
        if module.lines < SMALL_LINES and len(callers[module.name]) == 1 and module.path.name != "__init__.py"
    ]
    crowded = [f"{folder}: {count}" for folder, count in folders.most_common() if count > 15]
    longest = [f"{module.path}: {module.lines}" for module in modules if module.lines > 300]
    statements = sum(isinstance(node, ast.stmt) for module in modules for node in ast.walk(module.tree))
    repeated = sorted(name for name, count in classes.items() if count > 1)
    circles = [" ".join(circle) for circle in find_circles(graph)]
    return {
        "files": (f"{len(sizes)}", []),
        "lines": (f"{sum(module.lines for module in modules)}", []),
        "statements": (f"{statements}", []),
        "folders with more than 15 files": (f"{len(crowded)}", crowded),
        "most files in a folder": (f"{max(folders.values())}", []),
        "import circles": (f"{len(circles)}", circles),
        "functions": (f"{len(functions)}", []),
        "functions with one-word names": (f"{100 * len(one_word) / len(functions):.0f} %", sorted(set(one_word))),
        "bare participles": (f"{len(participles)}", participles),
        "class names that exist twice": (f"{len(repeated)}", repeated),
        "lines of a file, median / p90": (f"{statistics.median(sizes):.0f} / {compute_p90(sizes)}", longest),
        "lines of a function, median / p90": (f"{statistics.median(lengths):.0f} / {compute_p90(lengths)}", []),
        f"modules under {SMALL_LINES} lines with one caller": (f"{len(tiny)}", tiny),
    }


def format_figures(figures: dict[str, tuple[str, list[str]]], *, names: bool) -> Iterable[str]:
    """Return the lines to print."""
    for title, (value, counted) in figures.items():
        yield f"{title:42} {value}"
        if names:
            yield from (f"    {name}" for name in counted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--list", action="store_true", help="name what each figure counts")
    options = parser.parse_args()
    print("\n".join(format_figures(measure_modules(read_modules(options.root)), names=options.list)))
