"""Print the files of tests that a change can reach: ``python -m tests.changed_tests [--since REF]``.

``make check`` runs these. The change is what the working tree has and ``REF`` has not. Without ``--since`` that is what
is not committed, and the last commit if everything is. Tests that read files of the repository always run, because
imports do not show what they depend on.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.import_graph import ROOT, ImportGraph, name_module

FOLDERS = ("bot", "engine", "knowledge", "scripts", "tests")
EVERYTHING = ("pyproject.toml", "requirements/", "tests/conftest.py")
"""A change of these can change the result of every test."""
_READS_FILES = ("__file__", "import ROOT", "ROOT,")


def choose_tests(changed: Iterable[str]) -> list[str]:
    """Return the files of tests that a change of some files can reach, in their order."""
    graph = ImportGraph(*FOLDERS)
    paths = {name: path.relative_to(ROOT).as_posix() for name, path in graph.files.items()}
    tests = {name: path for name, path in paths.items() if path.rpartition("/")[2].startswith("test_")}
    changed = list(changed)
    if any(path.startswith(EVERYTHING) for path in changed):
        return sorted(tests.values())
    names = {name for path in changed for name in _find_modules(path, paths)}
    return sorted(
        path
        for name, path in tests.items()
        if any(word in (ROOT / path).read_text(encoding="utf-8") for word in _READS_FILES)
        or names & graph.find_reached({name, *_find_conftests(path)})
    )


def _find_modules(path: str, paths: dict[str, str]) -> set[str]:
    """Return the module of a file; for data, the modules of the nearest folder that has some."""
    if path.endswith(".py"):
        return {name_module(ROOT / path)} & paths.keys()
    for folder in PurePosixPath(path).parents:
        if found := {name for name, other in paths.items() if PurePosixPath(other).parent == folder}:
            return found
    return set()


def _find_conftests(path: str) -> set[str]:
    folders = [ROOT / folder for folder in PurePosixPath(path).parents]
    return {name_module(one) for folder in folders if (one := folder / "conftest.py").is_file()}


def _list_changed(since: str | None) -> list[str]:
    for ref in [since] if since else ["HEAD", "HEAD~1"]:
        changed = [*_run_git("diff", "--name-only", ref), *_run_git("ls-files", "--others", "--exclude-standard")]
        if changed or since:
            return changed
    return []


def _run_git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since")
    print("\n".join(choose_tests(_list_changed(parser.parse_args().since))))  # noqa: T201
