# ruff: noqa: T201 - the parent reads what is printed
"""A second process on the same index: writes one row for each line of standard input, then prints the count.

With ``--file-limit BYTES`` no file may grow beyond that, as on a full disk; a refusal is printed by its class.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from knowledge.errors import StoreError
from knowledge.interfaces import Store
from knowledge.settings import KnowledgeSettings
from knowledge.stores.registry import make_store
from tests.stores.rows import DIMENSIONS, row


def store_of(kind: str, home: str, variables: str = "{}") -> Store:
    given = json.loads(variables)
    return make_store(KnowledgeSettings(Path(home), Path(home), "", store=kind, store_variables=given))


async def main(index: str, *store_arguments: str) -> None:
    store = store_of(*store_arguments)
    try:
        await store.open(index, DIMENSIONS)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await store.write([row(line.strip(), terms=f"term {line * 500}")])
            print(await store.count(), flush=True)
    except StoreError as error:
        print(type(error).__name__, error)
    finally:
        await store.close()


arguments = sys.argv[1:]
if arguments[0] == "--file-limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(arguments[1]), int(arguments[1])))
    arguments = arguments[2:]
asyncio.run(main(*arguments))
