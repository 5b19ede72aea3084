"""Questions with other ways to ask them, and with questions that ask something else."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAIR_SETS: Final = ("office", "hospital_and_bank")
"""The set on which the rules were chosen, and the untouched one."""
_FOLDER: Final = Path(__file__).with_name("eval_data")


@dataclass(frozen=True, slots=True)
class QuestionPairs:
    """A question, other ways to ask it, and questions that ask something else."""

    question: str
    paraphrases: tuple[str, ...]
    variants: tuple[str, ...]
    """The same words with politeness or other writing."""
    near_misses: tuple[tuple[str, str], ...]
    """What differs, and the question."""


@functools.cache
def read_question_pairs(name: str) -> tuple[QuestionPairs, ...]:
    """Return a committed set."""
    text = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8")
    return tuple(
        QuestionPairs(
            row["question"],
            tuple(row["paraphrases"]),
            tuple(row["variants"]),
            tuple((near["kind"], near["text"]) for near in row["near_misses"]),
        )
        for row in map(json.loads, text.splitlines())
    )
