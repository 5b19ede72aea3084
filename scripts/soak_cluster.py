"""Run three Weaviate nodes on this machine and kill them in turn while questions and syncs run.

Each round kills one node as a crash would, changes documents, syncs, restarts the node and waits until it has caught
up. Some documents are deleted, some closed to the channel, some new. The result has the numbers of questions, failures,
leaks, and stale rows that the manifest refused, and whether store and manifest agree. The exit status is 1 if a
question failed, something leaked, or they do not agree.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.stores.weaviate.placement import Placement
from knowledge.stores.weaviate.store import WeaviateStore
from tests.services import weaviate_cluster
from tests.stores.rows import DIMENSIONS
from tests.stores.weaviate.test_cluster import INDEX, OTHERS, PATIENT, ClusterSearch, Witness, asking, names, store_on
from tests.sync.doubles import open_rig


async def run_soak(folder: Path, minutes: float, seed: int) -> bool:
    """Run rounds until the time is over; return whether no error occurred."""
    choose = random.Random(seed)
    with weaviate_cluster(folder) as cluster:
        async with open_rig(f"sqlite:///{folder / 'kvasir.db'}") as rig:
            store = store_on(cluster)
            await store.open(INDEX, DIMENSIONS)
            search_bench = ClusterSearch(rig, store)
            search_bench.shelf.put(names(0, 400))
            await search_bench.sync()
            ends, rounds, refused, newest = time.monotonic() + 60 * minutes, 0, 0, 400
            async with asking(search_bench, names(0, 400)) as questions:
                while time.monotonic() < ends:
                    rounds += 1
                    node = choose.choice([*cluster.nodes, await asyncio.to_thread(cluster.leader)])
                    node.kill()
                    open_ones = [name for name, (_, who) in search_bench.shelf.documents.items() if who != OTHERS]
                    some = choose.sample(open_ones, 20)
                    search_bench.shelf.remove(some[:10])
                    search_bench.shelf.put(some[10:], OTHERS)
                    search_bench.shelf.put(names(newest, newest + 20))
                    newest += 20
                    report = await search_bench.sync()
                    if report.error is None:
                        questions.gone |= set(some)
                    await asyncio.to_thread(node.start)
                    # Through the node that was down: what it missed is what the manifest has to refuse.
                    returned = WeaviateStore(
                        node.url, node.grpc_url, node.api_key, placement=Placement(replicas=3), limits=PATIENT
                    )
                    await returned.open(INDEX, DIMENSIONS)
                    witness = Witness(returned)
                    documents = await search_bench.shown("shelf common things", store=witness, limit=100)
                    await returned.close()
                    questions.leaked |= documents & questions.gone
                    refused += len({one.chunk.document for one in witness.proposed} & questions.gone)
                    print(
                        f"round {rounds}: {questions.asked} asked, {len(questions.failed)} failed, "
                        f"{len(questions.leaked)} leaked, {refused} refused, sync {report.error or 'well'}",
                        flush=True,
                    )
                    await asyncio.sleep(8)
            await search_bench.sync()
            agrees = await search_bench.agrees()
            print(
                f"{rounds} rounds, {questions.asked} questions, failed: {[str(one) for one in questions.failed]}, "
                f"leaked: {sorted(questions.leaked)}, store and manifest agree: {agrees}"
            )
            await store.close()
            return agrees and not questions.failed and not questions.leaked


def main() -> None:
    """Run and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kvasir-soak-") as folder:
        sys.exit(not asyncio.run(run_soak(Path(folder), options.minutes, options.seed)))


if __name__ == "__main__":
    main()
