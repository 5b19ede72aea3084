"""SIGKILL at every step of a sync into LanceDB: what answers is whole, and the next sync makes everything agree."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import signal
import sys
from pathlib import Path
from types import ModuleType

import pytest

from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.stores.local import LocalStore
from knowledge.sync.records import Identity
from knowledge.sync.state import open_manifest, sqlite_url
from tests.sources_bench import memories

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VICTIM = Path(__file__).parent / "victim.py"
IDENTITY = Identity("lancedb", "checksum", "blank lines", "words")
STEPS = [
    f"{when} {what}"
    for what in ("note", "write", "flip", "delete", "settle", "remove", "touch", "finish", "maintain")
    for when in ("before", "after")
]


async def killed(home: Path, root: Path, step: str, count: int = 1) -> bool:
    """Sync in a process of its own that dies at a step; returns whether it did, or came to its end without it."""
    process = await asyncio.create_subprocess_exec(sys.executable, str(VICTIM), str(home), str(root), step, str(count))
    status = await process.wait()
    assert status in (0, -signal.SIGKILL)
    return status != 0


def _victim() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kvasir_tests_victim", VICTIM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def run(home: Path, root: Path) -> None:
    """Sync to the end."""
    await _victim().main(home, root, "", 0)


async def sides(home: Path, root: Path) -> tuple[dict[str, list[str]], set[str], set[str], list[str]]:
    """Return what answers for each document, the manifest's ids, the store's ids, and what is pending."""
    manifest = await open_manifest(sqlite_url(home / "kvasir.db"))
    index = await manifest.index(IDENTITY)
    at = manifest.at(index)
    store = LocalStore(home / "lancedb")
    await store.open(index.name, 8)
    try:
        stored = {id_ async for ids in store.ids() for id_ in ids}
        texts = {}
        rows = await store._opened().query().select(["id", "text"]).to_list() if stored else []
        texts = {row["id"]: row["text"] for row in rows}
        key = registry.build(
            SourceSpec("docs", "folder", {"path": str(root)}, Path("/")), Path("/nowhere"), memories()
        ).key
        answers: dict[str, list[str]] = {}
        current = await at.current(sorted(stored), [key.id])
        for row in sorted(current, key=lambda row: (row.document, row.place)):
            answers.setdefault(row.document, []).append(texts[row.id])
        return answers, await at.chunk_ids(), stored, await at.pending(10)
    finally:
        await store.close()
        await manifest.close()


def fill(root: Path, generation: int) -> dict[str, list[str]]:
    """Write a generation of documents: some new, some changed, some gone, some only touched."""
    for path in root.glob("*.md"):
        path.unlink()
    wanted: dict[str, list[str]] = {}
    for n in range(24):
        if n % 12 == generation % 12:
            continue
        changed = generation if n % 3 else 0
        wanted[f"{n}.md"] = [f"document {n} part {part} of {changed if part else 0}" for part in range(1 + n % 4)]
        (root / f"{n}.md").write_text("\n\n".join(wanted[f"{n}.md"]))
    return wanted


async def check(home: Path, root: Path, old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    answers, _, _, _ = await sides(home, root)
    for document, texts in answers.items():
        assert texts in (old.get(document), new.get(document)), f"{document} shows a mix: {texts}"
    for document in old.keys() & new.keys():
        assert document in answers, f"{document} shows nothing"
    await run(home, root)
    answers, listed, stored, pending = await sides(home, root)
    assert answers == new
    assert listed == stored
    assert pending == []


@pytest.mark.parametrize("step", STEPS)
async def test_a_sync_killed_at_a_step_is_mended_by_the_next(tmp_path: Path, step: str) -> None:
    (home := tmp_path / "home").mkdir()
    (root := tmp_path / "root").mkdir()
    old = fill(root, 0)
    await run(home, root)
    new = fill(root, 1)
    assert await killed(home, root, step)
    await check(home, root, old, new)


async def test_syncs_killed_again_and_again_lose_and_double_nothing(tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    (root := tmp_path / "root").mkdir()
    dice = random.Random(7)
    old: dict[str, list[str]] = {}
    for generation in range(6):
        new = fill(root, generation)
        await killed(home, root, dice.choice(STEPS), dice.randint(1, 3))
        await check(home, root, old, new)
        old = new
