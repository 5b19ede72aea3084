"""Test that the documentation agrees with the code."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from bot.__main__ import build_parser
from bot.security.checks import SEVERITIES

ROOT = Path(__file__).parents[2]
ROOT_PAGES = [ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY")]
PAGES = [*ROOT_PAGES, *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> set[str]:
    (group,) = [action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return set(group.choices)


def test_the_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `kvasir (\w+)", readme, flags=re.MULTILINE)) == commands()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_name_exist(page: Path) -> None:
    for command in re.findall(r"`kvasir ([a-z]+)", page.read_text(encoding="utf-8")):
        assert command in commands(), f"{page.name}: kvasir {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_that_pages_name_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_headings_lead_to_one(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / target if target else page), f"{page.name}: {target}#{anchor}"


def test_the_readme_lists_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)#\s:]+\.md)", readme)}
    assert set(PAGES) - listed == {ROOT / "README.md"}


def test_pages_that_files_name_exist() -> None:
    files = [ROOT / ".env.example", *(path for path in (ROOT / "deploy").rglob("*") if path.is_file())]
    files += [path for folder in ("bot", "engine", "knowledge", "scripts") for path in (ROOT / folder).rglob("*.py")]
    for file in files:
        for page in re.findall(r"\bdocs/[\w-]+\.md", file.read_text(encoding="utf-8")):
            assert (ROOT / page).is_file(), f"{file}: {page}"


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "docs/security.md", "docs/benchmarks.md"])
def test_paths_that_pages_name_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:bot|engine|knowledge|scripts|tests|deploy)/[\w/.-]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    table = text.partition("## Which promises does Kvasir make?")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| ")][1:]
    rows = [row for row in rows if not row[1].startswith(" ---")]
    assert len(rows) > 20
    for _, promise, _, test, _ in rows:
        found = re.fullmatch(r" `(tests/[\w/.]+\.py)(?:::(\w+))?` ", test)
        assert found, promise
        code = (ROOT / found[1]).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {found[2] or 'test_'}", code, flags=re.MULTILINE), test


def test_the_security_page_names_every_check() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w-]+)` \| (high|medium) \|", page, flags=re.MULTILINE)
    assert dict(named) == dict(SEVERITIES)


def test_pages_name_no_registry() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pypi\.org|/simple/|registry\.npmjs", text), page.name
