"""A second process on the same index: writes one row for each line of standard input, then prints the count."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from knowledge.interfaces import Store
from tests.stores.rows import DIMENSIONS, row


def store_of(kind: str, *where: str) -> Store:
    if kind == "lancedb":
        from knowledge.stores.local import LocalStore  # noqa: PLC0415 - only the one that is needed

        return LocalStore(Path(where[0]))
    from knowledge.stores.weaviate import WeaviateStore  # noqa: PLC0415

    return WeaviateStore(*where)


async def main(index: str, *store_arguments: str) -> None:
    store = store_of(*store_arguments)
    await store.open(index, DIMENSIONS)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await store.write([row(line.strip())])
        print(await store.count(), flush=True)  # noqa: T201 - the parent reads it
    await store.close()


asyncio.run(main(*sys.argv[1:]))
