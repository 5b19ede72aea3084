"""Measure the cost of a sync; each figure has a baseline of the same run.

1. First sync against the bare embedder on the same texts: passages a second, and processor time, which other programs
   do not change. The two run in turns, so that both get the same noise.
2. Second sync of many unchanged files against ``git status`` over the same tree.
3. One changed file among them in a watched folder: the time from the change on disk until a search finds it.
4. Memory of a first sync of the largest documents that are read, four sources at the same time.
5. The manifest's answer to a search: 200 ids out of 100,000 chunks.

``python scripts/bench_sync.py FOLDER [--files 10000] [--passages 600] [--only first,second,change,memory,current]``;
FOLDER has the documents to embed. The files of figures 2 and 4 are in a temporary folder and get arithmetic vectors,
because only the later cost counts. Figure 3 uses the library as the bot opens it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.wheels import WheelCache
from knowledge.document_chunking import make_chunking
from knowledge.interfaces import (
    Chunk,
    DocumentContent,
    Embedder,
    ListedDocument,
    Matrix,
    SourceKey,
    Vector,
)
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.parsing import Parser
from knowledge.settings import KnowledgeSettings, SourceSpec
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import IndexedDocument, IndexIdentity
from scripts.eval_sets import find_cache, open_cached_embedder
from scripts.sync_bench import ArithmeticEmbedder, measure_memory, open_sync_tools, sync_folder

_GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "core.untrackedCache=false")


class Recorder:
    """The real embedder, which records its inputs."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.identity, self.dimensions = inner.identity, inner.dimensions
        self.batches: list[list[str]] = []

    async def embed_query(self, text: str) -> Vector:
        return await self._inner.embed_query(text)

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        self.batches.append(list(texts))
        return await self._inner.embed_passages(texts)

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)


@dataclass(frozen=True, slots=True)
class FirstSyncResult:
    """The result of the first figure."""

    sync_per_s: float
    bare_per_s: float
    sync_cpu_s: float
    bare_cpu_s: float
    passages: int


async def measure_first_sync(folder: Path, most: int, rounds: int) -> FirstSyncResult:
    """Sync ``folder`` and embed the same batches without a sync, in turns."""
    embedder = await open_cached_embedder()
    parser = Parser()
    synced_s, bare_s, synced_cpu_s, bare_cpu_s, passages = 0.0, 0.0, 0.0, 0.0, 0
    try:
        await embedder.embed_passages(["warm"] * 8)
        with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
            some = _copy_documents(folder, Path(scratch) / "documents", most, embedder)
            for turn in range(rounds):
                (home := Path(scratch) / str(turn)).mkdir()
                recorder = Recorder(embedder)
                async with open_sync_tools(home, recorder, make_chunking(parser, embedder)) as kit:
                    began, began_cpu = time.perf_counter(), cpu_s()
                    passages = (await sync_folder(kit, some)).chunks_written
                    synced_s += time.perf_counter() - began
                    synced_cpu_s += cpu_s() - began_cpu
                # The fair baseline: the same texts, as many at once as the embedder likes best.
                texts = [text for batch in recorder.batches for text in batch]
                began, began_cpu = time.perf_counter(), cpu_s()
                for start in range(0, len(texts), 128):
                    await embedder.embed_passages(texts[start : start + 128])
                bare_s += time.perf_counter() - began
                bare_cpu_s += cpu_s() - began_cpu
    finally:
        await parser.close()
        await embedder.close()
    return FirstSyncResult(passages * rounds / synced_s, passages * rounds / bare_s, synced_cpu_s, bare_cpu_s, passages)


def cpu_s() -> float:
    """Return the processor seconds of this process and its children."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _copy_documents(folder: Path, into: Path, most: int, embedder: Embedder) -> Path:
    """Copy documents with about ``most`` passages in all."""
    into.mkdir()
    tokens = 0
    for n, path in enumerate(sorted(folder.rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        tokens += embedder.count_tokens(text)
        (into / f"{n}-{path.name}").write_text(text, encoding="utf-8")
        if tokens > most * 130:
            break
    return into


async def split_at_blank_lines(
    key: SourceKey, listed: ListedDocument, content: DocumentContent
) -> tuple[str, Sequence[Chunk]]:
    """Return passages cut at blank lines, the cheapest way."""
    parts = [part for part in content.data.decode().split("\n\n") if part]
    name = listed.document
    return name, [
        Chunk(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}{n}{part}")), key.id, name, name, "", part, listed.url)
        for n, part in enumerate(parts)
    ]


def run_git(folder: Path, *argv: str) -> None:
    """Run git and wait for it, with nothing else at the same time."""
    subprocess.run([*_GIT, *argv], cwd=folder, check=True, capture_output=True)


async def measure_second_sync(files: int) -> tuple[list[float], list[float]]:
    """Return the seconds of several second syncs and of ``git status`` over the same files, in turns."""
    syncs: list[float] = []
    statuses: list[float] = []
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        (home := Path(scratch) / "home").mkdir()
        root = Path(scratch) / "tree"
        for n in range(files):
            folder = root / f"s{n % 20}" / f"t{n % 200}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"f{n}.md").write_text(f"# Document {n}\n\nThe text of document {n}.\n\nMore of {n}.")
        for argv in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
            run_git(root, *argv)
        async with open_sync_tools(home, ArithmeticEmbedder(), split_at_blank_lines) as kit:
            await sync_folder(kit, root)
            await asyncio.sleep(2.1)  # past the time within which a file may have changed unseen
            await sync_folder(kit, root)
            gc.freeze()  # as ``open_library_of_kinds`` does
            for _ in range(7):
                report = await sync_folder(kit, root)
                assert report.unchanged == files, report
                syncs.append(report.seconds)
                began = time.perf_counter()
                run_git(root, "status", "--porcelain")
                statuses.append(time.perf_counter() - began)
    return syncs, statuses


async def measure_change(files: int, rounds: int) -> list[float]:
    """Return the seconds from a change of one of many files until it is found, several times."""
    cache = find_cache()
    taken_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        root, home = Path(scratch) / "tree", Path(scratch) / "home"
        for n in range(files):
            folder = root / f"s{n % 20}" / f"t{n % 200}"
            folder.mkdir(parents=True, exist_ok=True)
            # All the same but one: they are embedded once.
            (folder / f"f{n}.md").write_text("# Notes\n\nNothing is written here that anybody would look for.")
        spec = SourceSpec("bench", "folder", {"path": str(root)}, root)
        settings = KnowledgeSettings(home, cache, f"sqlite:///{home / 'kvasir.db'}", (spec,))
        async with (
            open_library(settings, WheelCache(cache / "wheels").unpack_wheel) as library,
            library.syncs.watcher.run_in_background(),
        ):
            await library.refresh()
            await asyncio.sleep(3)
            for turn in range(rounds):
                word = f"quokka{turn}"
                (root / "s7" / "t7" / "f7.md").write_text(f"# Animals\n\nThe {word} lives on Rottnest Island.")
                began = time.perf_counter()
                while not await _finds(library, word):  # noqa: ASYNC110 - what is found lies in a store
                    await asyncio.sleep(0.02)
                taken_s.append(time.perf_counter() - began)
                await asyncio.sleep(3)
    return taken_s


async def _finds(library: Library, word: str) -> bool:
    found = await library.search(f"Where does the {word} live?")
    return any(word in hit.text for hit in found.hits)


async def measure_manifest_lookup(chunks: int, count: int) -> list[float]:
    """Return the seconds of many lookups of ``count`` ids among ``chunks`` in the manifest."""
    taken_s: list[float] = []
    key = SourceKey("bench", "folder", "/bench")
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        manifest = await open_manifest(f"sqlite:///{Path(scratch) / 'kvasir.db'}")
        at = manifest.open_index(await manifest.add_index(IndexIdentity("x", "x", "x", "x")))
        ids = [str(uuid.uuid4()) for _ in range(chunks)]
        for start in range(0, chunks, 1000):
            await at.switch_documents(
                key,
                [
                    IndexedDocument(
                        ListedDocument(f"{first}.md", "1"), "1", "x", "Title", 1.0,
                        tuple(Chunk(id_, key.id, f"{first}.md", "T", "H", "", None) for id_ in ids[first : first + 10]),
                    )
                    for first in range(start, start + 1000, 10)
                ],
            )  # fmt: skip
        dice = random.Random(1)
        for _ in range(200):
            some = dice.sample(ids, count)
            began = time.perf_counter()
            found = await at.find_current(some, [key.id])
            taken_s.append(time.perf_counter() - began)
            assert len(found) == count
        await manifest.close()
    return taken_s


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of them lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def measure(chosen: argparse.Namespace, figures: dict[str, float]) -> None:
    """Print and return the chosen figures."""
    if "current" in chosen.only:
        lookups_s = await measure_manifest_lookup(100_000, 200)
        figures |= {
            "current_p50_ms": 1e3 * percentile(lookups_s, 0.5),
            "current_p95_ms": 1e3 * percentile(lookups_s, 0.95),
        }
        print(f"current, 200 ids of 100,000 chunks: p50 {figures['current_p50_ms']:.2f} ms, ", end="")
        print(f"p95 {figures['current_p95_ms']:.2f} ms")
    if "second" in chosen.only:
        syncs, statuses = await measure_second_sync(chosen.files)
        figures |= {"second_sync_s": statistics.median(syncs), "git_status_s": statistics.median(statuses)}
        ratio = figures["second_sync_s"] / figures["git_status_s"]
        print(f"second sync of {chosen.files} unchanged files: {figures['second_sync_s']:.3f} s, ", end="")
        print(f"git status {figures['git_status_s']:.3f} s, ratio {ratio:.1f} (at most 10)")
    if "change" in chosen.only:
        found = await measure_change(chosen.files, 5)
        figures |= {"change_median_s": statistics.median(found), "change_worst_s": max(found)}
        print(f"one changed file of {chosen.files}, until it is found: {figures['change_median_s']:.2f} s, ", end="")
        print(f"worst of {len(found)} {max(found):.2f} s (at most 3)")
    if "memory" in chosen.only:
        all_mb, own_mb, parsing_mb = await measure_memory(45)
        figures |= {"grown_mb": all_mb, "grown_own_mb": own_mb, "parsing_mb": parsing_mb}
        print(f"four documents of 45 MB in four sources: {all_mb:.0f} MB more (at most 600); ", end="")
        print(f"the bot alone {own_mb:.0f} MB, the parsing process {parsing_mb:.0f} MB")
    if "first" in chosen.only:
        first = await measure_first_sync(chosen.folder, chosen.passages, chosen.rounds)
        figures |= {"first_sync_per_s": first.sync_per_s, "bare_per_s": first.bare_per_s}
        figures["first_sync_cpu_share"] = first.bare_cpu_s / first.sync_cpu_s
        print(f"first sync: {first.sync_per_s:.1f} passages/s over {first.passages}, ", end="")
        print(
            f"bare embedder {first.bare_per_s:.1f}, {first.sync_per_s / first.bare_per_s:.0%} (at least 90 %); ", end=""
        )
        print(f"in processor time {figures['first_sync_cpu_share']:.0%}")


async def main() -> None:
    """Print the figures, and as JSON on the last line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--files", type=int, default=10_000)
    arguments.add_argument("--passages", type=int, default=600)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument(
        "--only", type=lambda text: text.split(","), default=["current", "second", "change", "memory", "first"]
    )
    figures: dict[str, float] = {}
    await measure(arguments.parse_args(), figures)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    asyncio.run(main())
