"""Another host: a process that shares the manifest and sees other disks. A program for ``test_hosts.py``.

``python other_host.py HOME FOLDER QUESTIONS SYNCS SETUP`` runs the shell commands of SETUP in its own mount namespace,
asks so many questions, syncs the folder so often, and asks again. It prints what the last question of both times found,
the state of the manifest in between, and what the syncs said.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.library.library_bench import Bench, read_state, texts
from tests.sources.building import build
from tests.sync.doubles import passages


async def main(home: str, folder: str, questions: str, syncs: str, setup: str) -> None:
    """Print the outcome as JSON."""
    subprocess.run(["sh", "-ec", setup], check=True)  # noqa: ASYNC221 - before anything else runs
    bench = Bench(Path(home), passages)
    source = build("folder", Path("/"), name="docs", path=folder, watch=False)
    async with bench.library(source) as library:
        found: list[str] = []
        for _ in range(int(questions)):
            found = await texts(library, "lighthouse", limit=20)
        state = await read_state(library, source.key)
        errors = [(await library.refresh()).sources["docs"].error for _ in range(int(syncs))]
        after = await texts(library, "lighthouse", limit=20)
    print(json.dumps({"found": found, "state": state, "errors": errors, "after": sorted(after)}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
