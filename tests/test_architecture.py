"""The architecture of ARCHITECTURE.md: who may import whom, and where each vendor library is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from tests.import_graph import ROOT, list_imported_names, list_imports, name_module

PACKAGES = ("bot", "engine", "knowledge")
MAY_IMPORT = {"bot": {"bot", "engine", "knowledge"}, "engine": {"engine"}, "knowledge": {"knowledge"}}
IMPORTED_IN = {
    "slack_bolt": ("bot/slack/", "bot/app.py"),
    "slack_sdk": ("bot/slack/", "bot/app.py"),
    "pyarrow": ("knowledge/stores/lancedb/", "bot/profiles/transactions/table_file.py"),
    "weaviate": ("knowledge/stores/weaviate/",),
    "lancedb": ("knowledge/stores/lancedb/",),
    "onnxruntime": ("knowledge/embedding/local/",),
    "tokenizers": ("knowledge/embedding/local/", "engine/client/tokens.py"),
    "mcp": ("bot/api/mcp_server.py",),
    "ray": ("knowledge/ray_cluster/connection.py",),
    "apscheduler": ("knowledge/sync/schedule.py",),
    "trafilatura": ("knowledge/parsing/formats/main_text.py",),
    "rapidocr": ("knowledge/parsing/formats/recognition.py",),
    "cv2": ("knowledge/parsing/formats/recognition.py",),
    "protego": ("knowledge/web/crawling/robots.py",),
    "hishel": ("knowledge/web/reading/freshness.py",),
    "python_socks": ("knowledge/web/http/connections.py",),
    "stdnum": ("knowledge/masking/",),
    "phonenumbers": ("knowledge/masking/",),
    "feedparser": ("knowledge/web/reading/feeds.py",),
    "alembic": ("knowledge/database/", "knowledge/sync/manifest/versions/", "bot/storage/versions/"),
    "sqlalchemy": (
        "knowledge/database/",
        "knowledge/sync/manifest/",
        "knowledge/sources/sql/",
        "knowledge/stores/postgresql/",
        "bot/storage/",
    ),
}


def modules(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in list_imports(path)
        if name.partition(".")[0] in PACKAGES and name.partition(".")[0] not in MAY_IMPORT[package]
    ]
    assert wrong == []


def test_each_vendor_library_is_imported_in_one_place() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in PACKAGES
        for path in modules(package)
        for name in list_imports(path)
        if (homes := IMPORTED_IN.get(name.partition(".")[0])) and not str(path.relative_to(ROOT)).startswith(homes)
    ]
    assert wrong == []


def layers() -> list[list[str]]:
    """Return the layers of all packages as ARCHITECTURE.md lists them, the lowest first."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = text.partition("```layers\n")[2].partition("```")[0]
    return [line.split() for line in block.splitlines() if line.strip()]


def layer_name(module: str, known: Collection[str]) -> str:
    """Return the entry of the layers that a module belongs to: the longest one that it begins with."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in known), module)


def test_sub_packages_import_only_those_in_lower_layers() -> None:
    levels = {name: level for level, names in enumerate(layers()) for name in names}
    wrong = []
    for package in PACKAGES:
        for path in modules(package):
            own = layer_name(name_module(path), levels)
            for name in list_imported_names(path):
                other = layer_name(name, levels)
                if name.startswith(f"{package}.") and other != own and levels[other] >= levels[own]:
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []


def test_features_do_not_import_each_other() -> None:
    room = "bot.slack.features."
    wrong = []
    for path in modules("bot/slack/features"):
        own = name_module(path).removeprefix(room).split(".")[0]
        wrong += [
            f"{path.relative_to(ROOT)} imports {name}"
            for name in list_imported_names(path)
            if name.startswith(room) and name.removeprefix(room).split(".")[0] not in {"kit", own}
        ]
    assert wrong == []


def test_every_sub_package_has_a_layer() -> None:
    named = {name for names in layers() for name in names}
    found = {name_module(path) for package in PACKAGES for path in modules(package)}
    unnamed = {one for one in found if layer_name(one, named) not in named}
    assert unnamed == {*PACKAGES, "knowledge.web", "bot.slack"}
    assert {name for name in named if not any(layer_name(one, named) == name for one in found)} == set()


def test_folders_of_tests_mirror_packages() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.glob("*/**/test_*.py")}
    mirrored = {
        folder
        for folder in folders
        for path in (ROOT / folder, ROOT / "bot" / folder, ROOT / "knowledge" / folder)
        if path.is_dir() or path.with_suffix(".py").is_file()
    }
    assert {folder.as_posix() for folder in folders - mirrored} == {"e2e", "evals", "soak", "engine/real"}


def find_circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reachable: dict[str, set[str]] = {}
    for name in graph:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = set(graph[waiting.pop()]) - found
            found |= new
            waiting += new
        reachable[name] = found
    circles = {frozenset(b for b in reachable[a] if a in reachable[b]) for a in graph if a in reachable[a]}
    return sorted(sorted(circle) for circle in circles)


def test_no_modules_import_each_other() -> None:
    """Imports for types only count as well, and imports inside functions."""
    paths = {name_module(path): path for package in PACKAGES for path in modules(package)}
    graph = {
        module: {
            name if name in paths else name.rpartition(".")[0]
            for name in list_imported_names(path)
            if name in paths or name.rpartition(".")[0] in paths
        }
        - {module}
        for module, path in paths.items()
    }
    assert find_circles(graph) == []


def test_circles_are_found() -> None:
    assert find_circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == [["b", "c"]]


def test_answering_does_not_know_slack() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("bot/answering")
        for name in list_imports(path)
        if name.startswith(("slack_", "bot.slack", "bot.sandbox"))
    ]
    assert wrong == []


def test_messages_know_no_other_part_of_the_bot() -> None:
    low = ("bot.messages", "bot.errors", "bot.languages")
    paths = [*modules("bot/messages"), ROOT / "bot/errors.py"]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in list_imports(path)
        if name.startswith("bot") and not name.startswith(low)
    ]
    assert wrong == []


def test_programs_in_scripts_find_each_other() -> None:
    """The environment has the packages. Scripts and tests are found only from the repository's folder."""
    for path in sorted((ROOT / "scripts").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        uses_others = "\nfrom scripts." in text or "\nfrom tests." in text
        assert not ('"__main__"' in text and uses_others) or "sys.path.insert(0, " in text, path


def test_the_command_line_loads_no_heavy_library() -> None:
    """``kvasir --help`` has to be quick, so nothing large may be imported before a command is chosen."""
    heavy = "lancedb onnxruntime onnx weaviate slack_bolt slack_sdk sqlalchemy pydantic aiohttp numpy tiktoken rich"
    code = f"import bot.__main__, sys; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
