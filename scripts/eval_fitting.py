"""Measure what ``kvasir calibrate`` does for an embedder for which nothing was measured.

The stand-in for such an embedder is multilingual-e5-small as a server returns it: nothing is centred, and all cosines
are from 0.7 to 0.95. Search, checked sentences and offers are measured with its converted constants, without any, and
with the default embedder. Every sixth question of the public sets is asked; these sets need KVASIR_EVAL_DIR.

    [KVASIR_EVAL_DIR=…] scripts/eval_fitting.py
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from knowledge.embedding import find_calibration
from knowledge.embedding.calibration import UNCALIBRATED, EmbedderCalibration
from knowledge.embedding.fitting import fit_calibration
from knowledge.embedding.local_e5.embedder import E5Embedder
from knowledge.interfaces import Embedder, Matrix, Vector
from scripts import eval_support, eval_verified
from scripts.eval_retrieval import measure_halves, run_set
from scripts.eval_sets import folder_or_exit, load_question_sets, open_cached_embedder

_EVERY = 6


class ServedE5:
    """The shipped model without its centres, and with the prefix of passages for texts that are compared."""

    identity, trouble = "e5-as-served", ""

    def __init__(self, embedder: E5Embedder) -> None:
        self._embedder = embedder
        self.dimensions, self.count_tokens = embedder.dimensions, embedder.count_tokens
        self.close = embedder.close

    async def embed_query(self, text: str) -> Vector:
        """Embed a question."""
        vector: Vector = (await self._embedder.embed_symmetric([text]))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        """Embed passages."""
        return await self._embedder.embed_uncentred(texts)

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        """Embed texts that are compared with each other."""
        return await self._embedder.embed_uncentred(texts)


async def measure_search(embedder: Embedder, calibration: EmbedderCalibration) -> None:
    """Print ranks, and how often "I do not know" is wrong."""
    for one in load_question_sets(folder_or_exit()):
        some = replace(one, questions=one.questions[::_EVERY])
        scratch = Path(tempfile.gettempdir()) / "kvasir-eval"
        figures = measure_halves(await run_set("lancedb", some, embedder, scratch, calibration.search))["whole"]
        ranks = f"nDCG@10 {figures['ndcg@10']:5.1f}, R@1 {figures['recall@1']:5.1f}"
        print(f"{one.name:14} {ranks}, {figures['unknown']['0.3']}")


async def measure_all(label: str, embedder: Embedder, calibration: EmbedderCalibration) -> None:
    """Print the figures of one embedder with some constants."""
    print(f"── {label}")
    pairs = eval_support.collect_pairs(eval_support.COMMITTED, Path(), 350, 90)
    verified = await eval_support.verify_pairs(pairs, embedder.embed_symmetric, calibration=calibration.support)
    eval_support.print_report(eval_support.compute_report(verified))
    stored = eval_verified.GivenAnswers()
    library, embed = eval_verified.OpenLibrary(), embedder.embed_symmetric
    finder = VerifiedAnswerFinder(stored, library, embed=embed, thresholds=calibration.offers)
    await eval_verified.measure("hospital_and_bank", finder, stored)
    if os.environ.get("KVASIR_EVAL_DIR"):
        await measure_search(embedder, calibration)


async def main() -> None:
    """Measure and print."""
    default = await open_cached_embedder()
    assert isinstance(default, E5Embedder)
    served = ServedE5(default)
    converted = await fit_calibration(served)
    assert converted is not None
    await measure_all("the default embedder", default, find_calibration(default.identity))
    await measure_all("as served, converted constants", served, converted)
    await measure_all("as served, no constants", served, UNCALIBRATED)
    await default.close()


if __name__ == "__main__":
    asyncio.run(main())
