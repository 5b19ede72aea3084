"""Measure customers' questions that are asked again: which get or are offered the verified answer of their intent.

BANKING77 has questions of a bank's customers with 77 intents. Each intent is a verified answer, with some of its
training questions as phrasings; each test question is asked. The thresholds were chosen on other sets. Usage:
``scripts/eval_customer_questions.py [PHRASINGS …]``, the numbers of phrasings of an answer (1, 5, 20).
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Question
from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from knowledge.embedding import find_calibration
from scripts.eval_sets import open_cached_embedder
from scripts.eval_verified import GivenAnswers, OpenLibrary, make_answer

_CHECKSUMS: Final = {
    "train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
    "test.csv": "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
}
_WHERE: Final = "https://github.com/PolyAI-LDN/task-specific-datasets (banking_data, CC BY 4.0)"
_PHRASINGS: Final = (1, 5, 20)


def read_rows(name: str) -> list[tuple[str, str]]:
    """Return the questions of a file with their intents; end with 2 if the file is missing or another one."""
    path = Path(os.environ.get("KVASIR_EVAL_DIR", ""), "banking77", name)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _CHECKSUMS[name]:
        print(f"This needs banking77/{name} in KVASIR_EVAL_DIR, from {_WHERE}\n    sha256 {_CHECKSUMS[name]}")
        sys.exit(2)
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]


async def measure(finder: VerifiedAnswerFinder, stored: GivenAnswers, phrasings: int) -> None:
    """Print what the test questions get where each intent has so many phrasings."""
    by_intent: dict[str, list[str]] = defaultdict(list)
    for text, intent in read_rows("train.csv"):
        by_intent[intent].append(text)
    stored.answers = [make_answer(name, texts[0], texts[1:phrasings]) for name, texts in by_intent.items()]
    counts: Counter[str] = Counter()
    rows = read_rows("test.csv")
    for text, intent in rows:
        same = await finder.find_same(Question(text))
        offered = [] if same is not None else [one.id for one in await finder.find_similar(Question(text))]
        if same is not None:
            counts["served, same intent" if same.id == intent else "served, other intent"] += 1
        elif offered:
            counts["offered, same intent" if offered[0] == intent else "offered, other intent"] += 1
        else:
            counts["nothing"] += 1
    print(f"{len(by_intent)} intents, {phrasings} phrasings each, {len(rows)} questions", flush=True)
    for kind, count in sorted(counts.items()):
        print(f"  {kind:24} {count:5}  {count / len(rows):6.1%}", flush=True)


async def main(numbers: Sequence[int]) -> None:
    """Measure with each number of phrasings."""
    embedder = await open_cached_embedder()
    stored = GivenAnswers()
    thresholds = find_calibration(embedder.identity).offers
    finder = VerifiedAnswerFinder(stored, OpenLibrary(), embed=embedder.embed_symmetric, thresholds=thresholds)
    for number in numbers:
        await measure(finder, stored, number)


if __name__ == "__main__":
    asyncio.run(main([int(number) for number in sys.argv[1:]] or _PHRASINGS))
