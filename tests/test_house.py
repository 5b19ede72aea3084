"""The house keeps its straight lines: who may import whom, and which library lives in which room."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("bot", "engine", "knowledge")
MAY_IMPORT = {"bot": {"bot", "engine", "knowledge"}, "engine": {"engine"}, "knowledge": {"knowledge"}}
LIVES_IN = {
    "slack_bolt": ("bot/slack/", "bot/app.py"),
    "slack_sdk": ("bot/slack/", "bot/app.py"),
    "weaviate": ("knowledge/stores/weaviate/",),
    "lancedb": ("knowledge/stores/lancedb/store.py",),
    "apscheduler": ("knowledge/sync/schedule.py",),
    "trafilatura": ("knowledge/web/reading/main_text.py",),
    "protego": ("knowledge/web/crawling/robots.py",),
    "hishel": ("knowledge/web/reading/freshness.py",),
    "python_socks": ("knowledge/web/http/dialling.py",),
    "feedparser": ("knowledge/web/reading/feeds.py",),
    "sqlalchemy": (
        "knowledge/sync/manifest/",
        "knowledge/sources/sql/",
        "bot/storage/",
    ),
}


def modules(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py"))


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield node.module or ""


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if name.partition(".")[0] in ROOMS and name.partition(".")[0] not in MAY_IMPORT[room]
    ]
    assert wrong == []


def test_each_library_lives_in_its_room() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room in ROOMS
        for path in modules(room)
        for name in imports(path)
        if (homes := LIVES_IN.get(name.partition(".")[0])) and not str(path.relative_to(ROOT)).startswith(homes)
    ]
    assert wrong == []


def test_the_web_does_not_know_the_sources_that_go_through_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("knowledge/web")
        for name in imports(path)
        if name.startswith("knowledge.sources")
    ]
    assert wrong == []


def test_answering_does_not_know_slack() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("bot/answering")
        for name in imports(path)
        if name.startswith(("slack_", "bot.slack", "bot.sandbox"))
    ]
    assert wrong == []


def test_the_command_line_loads_no_heavy_library() -> None:
    """``kvasir --help`` has to be quick, so nothing large may be imported before a command is chosen."""
    heavy = "lancedb onnxruntime onnx weaviate slack_bolt slack_sdk sqlalchemy pydantic aiohttp numpy tiktoken rich"
    code = f"import bot.__main__, sys; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
