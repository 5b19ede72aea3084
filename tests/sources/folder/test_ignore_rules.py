"""Ignore patterns, compared with git's own results."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.sources.folder.ignore_rules import IgnoreRules, parse_patterns

PATHS = (
    "a.md",
    "a.tmp",
    "b/a.md",
    "b/c/a.md",
    "b/c/x.tmp",
    "c/a.md",
    "drafts/n.md",
    "b/drafts/n.md",
    "a b.md",
    "#a.md",
)
PIECES = st.sampled_from(
    ["a", "b", "c", "x", "*", "?", "**", "/", "/", ".md", ".tmp", "drafts", "[ab]", "[!a]", "!", " ", "\\#", "#"]
)
LINES = st.lists(PIECES, min_size=1, max_size=5).map("".join)


def is_ignored(rules: IgnoreRules, path: str) -> bool:
    parents = [path[:place] for place, letter in enumerate(path) if letter == "/"]
    return any(rules.ignores_entry(parent, folder=True) for parent in parents) or rules.ignores_entry(
        path, folder=False
    )


@pytest.mark.parametrize(
    ("patterns", "ignored"),
    [
        (["*.tmp"], {"a.tmp", "b/c/x.tmp"}),
        (["drafts/**"], {"drafts/n.md"}),
        (["drafts/"], {"drafts/n.md", "b/drafts/n.md"}),
        (["/a.md"], {"a.md"}),
        (["b/*", "!b/c"], {"b/a.md", "b/drafts/n.md"}),
        (["# note", "", "  ", "**/c/a.md"], {"b/c/a.md", "c/a.md"}),
        (["b", "!b/c/a.md"], {"b/a.md", "b/c/a.md", "b/c/x.tmp", "b/drafts/n.md"}),
        (["\\#a.md"], {"#a.md"}),
        (["a**/*"], {"a b.md", "a.md", "a.tmp"}),
        (["a**/.md"], {"a.md"}),
        (["b/d**/n.md"], {"b/drafts/n.md"}),
        (["***/n.md"], {"drafts/n.md", "b/drafts/n.md"}),
        (["/a**"], {"a b.md", "a.md", "a.tmp"}),
        (["?**/*.md"], {"b/a.md", "c/a.md", "drafts/n.md"}),
        (["[", "[b-a]", "!", "/", "\\"], set()),
    ],
)
def test_patterns_mean_the_same_as_in_git(patterns: list[str], ignored: set[str]) -> None:
    rules = IgnoreRules(patterns)
    assert {path for path in PATHS if is_ignored(rules, path)} == ignored


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ignoring")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def git_ignores(root: Path, lines: list[str]) -> set[str]:
    (root / ".git" / "info" / "exclude").write_text("\n".join(lines) + "\n")
    command = ["git", "check-ignore", "--no-index", "-z", "--stdin"]
    done = subprocess.run(command, cwd=root, input="\0".join(PATHS).encode(), capture_output=True, check=False)
    return set(filter(None, done.stdout.decode().split("\0")))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, min_size=1, max_size=4))
def test_any_patterns_ignore_the_same_as_git(repository: Path, lines: list[str]) -> None:
    rules = IgnoreRules(parse_patterns("\n".join(lines)))
    assert {path for path in PATHS if is_ignored(rules, path)} == git_ignores(repository, lines)
