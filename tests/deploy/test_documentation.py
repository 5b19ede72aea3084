"""What the documents repeat from the code is true."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from bot.__main__ import parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> set[str]:
    (group,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
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


def test_pages_name_no_registry() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pypi\.org|/simple/|registry\.npmjs", text), page.name
