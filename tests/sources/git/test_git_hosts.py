"""The address of a repository determines the links of its files."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.path_filter import compile_path_filter, find_literal_roots
from knowledge.sources.git.hosts import is_branch_name, parse_remote
from knowledge.sources.git.mirror import LogParser


@pytest.mark.parametrize(
    ("address", "host", "link"),
    [
        ("https://github.com/o/r.git", None, "https://github.com/o/r/blob/main/d/a%20b.md"),
        ("git@github.com:o/r.git", None, "https://github.com/o/r/blob/main/d/a%20b.md"),
        ("ssh://git@github.com/o/r", None, "https://github.com/o/r/blob/main/d/a%20b.md"),
        ("https://gitlab.com/g/sub/r.git", None, "https://gitlab.com/g/sub/r/-/blob/main/d/a%20b.md"),
        ("git@gitlab.example.com:g/r.git", None, "https://gitlab.example.com/g/r/-/blob/main/d/a%20b.md"),
        ("ssh://git@code.example.com:2222/g/r.git", "gitlab", "https://code.example.com/g/r/-/blob/main/d/a%20b.md"),
        ("https://code.example.com:8443/g/r", "gitlab", "https://code.example.com:8443/g/r/-/blob/main/d/a%20b.md"),
        ("https://codeberg.org/o/r", None, "https://codeberg.org/o/r/src/branch/main/d/a%20b.md"),
        ("http://[::1]:3000/o/r", "forgejo", "http://[::1]:3000/o/r/src/branch/main/d/a%20b.md"),
        ("git@bitbucket.org:o/r.git", None, "https://bitbucket.org/o/r/src/main/d/a%20b.md"),
        (
            "https://git.example.com/scm/ab/r.git", "bitbucket-server",
            "https://git.example.com/projects/AB/repos/r/browse/d/a%20b.md?at=refs%2Fheads%2Fmain",
        ),
        ("https://git.example.com/o/r", None, None),
        ("/srv/git/r.git", None, None),
        ("file:///srv/git/r.git", None, None),
    ],
)  # fmt: skip
def test_a_file_links_to_its_host(address: str, host: str | None, link: str | None) -> None:
    assert parse_remote(address, "/base", host).file_url("main", "d/a b.md") == link


def test_a_path_starts_at_the_configuration() -> None:
    assert parse_remote("../r", "/srv/conf").url == "/srv/r"


@pytest.mark.parametrize(
    ("patterns", "takes", "leaves"),
    [
        ((), "a.md d/a.md", ""),
        (("docs",), "docs docs/a.md docs/x/a.md", "docs2/a.md x/docs/a.md"),
        (("docs/",), "docs/a.md", "docs.md"),
        (("*.md",), "a.md", "d/a.md a.mdx"),
        (("**/*.md",), "a.md d/e/a.md", "a.txt"),
        (("docs/**",), "docs/a docs/x/a", "docs a/docs/x"),
        (("docs/**/guide",), "docs/guide/a docs/x/y/guide/a docs/guide", "docs/guides/a"),
        (("!old",), "a.md", "old/a.md old"),
        (("docs", "!docs/old", "docs/old/keep.md"), "docs/a docs/old/keep.md", "docs/old/a x"),
        (("a?c", "[x]"), "abc [x]/a", "a/c ac x"),
        (("a+b(c).md",), "a+b(c).md", "aab(c).md"),
    ],
)
def test_patterns_include_the_named_paths(patterns: tuple[str, ...], takes: str, leaves: str) -> None:
    matches = compile_path_filter(patterns)
    assert [path for path in takes.split() if not matches(path)] == []
    assert [path for path in leaves.split() if matches(path)] == []


@given(
    st.lists(st.text("ab/*!é.", min_size=1, max_size=6), max_size=3), st.text("ab/ée\u0301.", min_size=1, max_size=8)
)
def test_included_paths_are_below_a_literal_root(patterns: list[str], path: str) -> None:
    patterns = [pattern for pattern in patterns if pattern.strip("!/. ")]
    path = "/".join(part for part in path.split("/") if part)
    roots = find_literal_roots(patterns)
    if roots and path and compile_path_filter(patterns)(path):
        assert any(path == root or path.startswith(f"{root}/") for root in roots)


@pytest.mark.parametrize("name", ["main", "topic/x", "v1.2", "文档", "a@b", "x-y_z+w"])
def test_valid_branch_names_are_accepted(name: str) -> None:
    assert is_branch_name(name)


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a.lock",
                                  "a@{b", "a/", "a//b", "a\nb", "a."])  # fmt: skip
def test_invalid_branch_names_are_refused(name: str) -> None:
    assert not is_branch_name(name)


@given(st.lists(st.integers(1, 90), max_size=8))
def test_a_history_is_read_in_any_pieces(cuts: list[int]) -> None:
    one, two = "1" * 40, "2" * 40
    log = f"\1{one} 20\0\na.md\0\nb.md\0\1{two} 10\0\1{one} 5\0\n\nc\0".encode()
    history, found = LogParser(), list[tuple[str, int, str]]()
    edges = sorted({0, len(log), *(cut for cut in cuts if cut < len(log))})
    for start, stop in itertools.pairwise(edges):
        found += [(number, at, path) for number, at, paths in history.feed(log[start:stop]) for path in sorted(paths)]
    assert sorted(found) == sorted([(one, 20, "a.md"), (one, 20, "\nb.md"), (one, 5, "\nc")])
