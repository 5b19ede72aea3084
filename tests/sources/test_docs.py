"""docs/sources.md describes the options of every kind."""

from __future__ import annotations

import dataclasses
import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from knowledge.settings import SourceSpec
from knowledge.sources import registry

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
TABLES = [
    table
    for block in re.findall(r"^ *```toml\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
    for table in tomllib.loads(block).get("source", [])
    if table.get("kind") in registry.KINDS
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table['kind']}-{table['name']}")
def test_every_example_is_a_valid_table(table: dict[str, Any]) -> None:
    keys = {key: value for key, value in table.items() if key not in registry.COMMON_KEYS}
    options = importlib.import_module(registry.KINDS[table["kind"]]).KIND.options
    assert registry.read_options(options, SourceSpec(table["name"], table["kind"], keys, Path("/base")))


@pytest.mark.parametrize("kind", ["git", "objects", "sql"])
def test_every_key_is_described(kind: str) -> None:
    section = next(part for part in PAGE.split("\n## ") if f'kind = "{kind}"' in part)
    options = importlib.import_module(registry.KINDS[kind]).KIND.options
    lacks = [field.name for field in dataclasses.fields(options) if not re.search(rf"\b{field.name}\b", section)]
    assert lacks == []
