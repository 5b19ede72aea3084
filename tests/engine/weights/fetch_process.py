"""A process that downloads weights, for a test to kill: CACHE ENDPOINT REPO."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.planning.variant import Checkpoint
from engine.weights.origin import WeightsSource
from engine.weights.store import WeightsStore

if __name__ == "__main__":
    cache, endpoint, repo = sys.argv[1:]
    weights = WeightsStore(Path(cache), WeightsSource(endpoint=endpoint))
    asyncio.run(weights.provide_checkpoint(Checkpoint(repo, "bf16"), lambda _, __: None))
