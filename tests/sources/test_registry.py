"""Errors in a ``[[source]]`` table name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.errors import SourceMisconfigured
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from tests.sources.building import memories


def build(kind: str, **options: object) -> None:
    registry.build_source(SourceSpec("docs", kind, options, Path("/base")), Path("/nowhere"), memories())


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("foldr", {"path": "x"}, "Did you mean “folder”?"),
        ("folder", {"paht": "x"}, "Did you mean “path”?"),
        ("folder", {"path": "x", "suffix": []}, "Did you mean “suffixes”?"),
        ("folder", {"path": "x", "shedule": "* * * * *"}, "Did you mean “schedule”?"),
        (
            "folder",
            {"path": "x", "zzz": 1},
            "watch, disk, name, kind, schedule, readers, workspaces, rights, max_age,",
        ),
        ("folder", {}, "needs the key “path”"),
        ("folder", {"path": 3}, "path must be a text in quotes"),
        ("folder", {"path": "x", "suffixes": "md"}, "suffixes must be a list of strings"),
        ("folder", {"path": "x", "max_mb": "big"}, "max_mb must be a number"),
        ("folder", {"path": "x", "max_mb": True}, "max_mb must be a number"),
        ("folder", {"path": "x", "max_mb": float("nan")}, "max_mb must be a number above 0"),
        ("folder", {"path": "x", "max_mb": float("inf")}, "max_mb must be a number above 0"),
        ("folder", {"path": "x", "max_mb": 0}, "max_mb must be a number above 0"),
        ("folder", {"path": "x", "exclude": "drafts"}, "exclude must be a list of strings"),
        ("folder", {"path": "x\0y"}, "is not a path"),
        ("folder", {"path": "~nobody-of-this-name/x"}, "is not a path"),
        ("folder", {"path": "\udcff"}, "is not a path"),
    ],
)
def test_a_mistake_is_named(kind: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(SourceMisconfigured) as caught:
        build(kind, **options)
    assert says in str(caught.value)
    assert "docs" in str(caught.value)


def test_a_relative_path_starts_at_the_configuration(tmp_path: Path) -> None:
    source = registry.build_source(
        SourceSpec("docs", "folder", {"path": "../x", "max_mb": 3}, tmp_path / "conf"), Path("/nowhere"), memories()
    )
    assert source.key.root == str(tmp_path / "x")


def test_a_path_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    source = registry.build_source(
        SourceSpec("docs", "folder", {"path": "~/x"}, Path("/conf")), Path("/nowhere"), memories()
    )
    assert source.key.root == "/home/somebody/x"
