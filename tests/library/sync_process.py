"""A sync as a process of its own, from the library's settings: a program for ``test_production.py``.

``python sync_process.py`` reads the settings as JSON from standard input, writes a line for each report of progress,
then ``end`` and what the sync counted. With ``cluster``, it computes on the Ray cluster of that address.
``run_sync`` does the same in a fork (``tests/forks.py``).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.library_opening import open_node_embedder
from bot.wheels import WheelCache
from knowledge.opening import open_library
from knowledge.settings import ClusterSettings, KnowledgeSettings, SourceSpec
from knowledge.sync.report import SyncProgress
from knowledge.sync.running import run
from knowledge.sync.running.pipeline import PipelineLimits
from knowledge.sync.running.tools import SyncLimits


def settings_of(fields: dict[str, object], roots: dict[str, str]) -> KnowledgeSettings:
    """Return the settings that name these folders, each a source."""
    sources = tuple(SourceSpec(name, "folder", {"path": path}, Path("/")) for name, path in roots.items())
    paths = {name: Path(str(fields[name])) for name in ("home", "cache")}
    return KnowledgeSettings(**{**fields, **paths}, sources=sources)  # type: ignore[arg-type]


def run_sync(options: Mapping[str, Any]) -> None:
    """Sync in batches of some documents, each of which is reported.

    With ``killed_at``, a thread kills the process when so many documents are done and some are not.
    """
    limits = SyncLimits(progress_s=0.0, stages=PipelineLimits(batch=16))
    run.make_limits = lambda _: limits
    asyncio.run(_sync(options))


async def _sync(options: Mapping[str, Any]) -> None:
    def write_progress(progress: SyncProgress) -> None:
        print(progress.source, progress.done, progress.total, flush=True)  # noqa: T201 - the tests read it
        if options.get("killed_at", progress.total) <= progress.done < progress.total:
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGKILL)).start()

    settings = settings_of(options["settings"], options["roots"])
    if "cluster" in options:
        settings = dataclasses.replace(settings, cluster=ClusterSettings(options["cluster"]))
    unpack_wheel = WheelCache(settings.cache / "wheels").unpack_wheel
    async with open_library(settings, unpack_wheel, open_node_embedder=open_node_embedder) as library:
        report = await library.refresh(on_progress=write_progress)
    sources = {name: dataclasses.asdict(source) for name, source in report.sources.items()}
    print("end", json.dumps(sources), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    asyncio.run(_sync(json.load(sys.stdin)))
