"""The data of the search benches: passages, readers, viewers, questions, and a manifest.

Texts are runs of shuffled sentences of the public sets if KVASIR_EVAL_DIR names them, else words that follow Zipf's
law. Vectors are synthetic clusters with cosines like the embedder's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from knowledge.embedding import IDENTITY
from knowledge.interfaces import (
    EVERYONE,
    Chunk,
    CurrentChunk,
    ListedDocument,
    Matrix,
    Scope,
    SourceKey,
    Vector,
    Viewers,
    make_class_key,
)
from knowledge.search.access.audience_classes import AudienceClasses
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.records import AudienceList, IndexedDocument, IndexIdentity
from knowledge.sync.manifest.rows import slice_items
from scripts.eval_sets import PUBLISHED

DIMENSIONS = 384
GROUPS = 1000
MEMBERS = 5000
SOURCE = "bench"
KINDS = ("md", "md", "md", "html", "pdf", "docx")
PER_DOCUMENT = 20
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 1000
ALL = frozenset({SOURCE})


@dataclass(frozen=True, slots=True)
class BenchQuestion:
    """A question that a row answers."""

    text: str
    vector: Vector
    asker: Viewers


class FixedEmbedder:
    """An embedder with precomputed vectors, so that its time does not count."""

    identity = IDENTITY
    dimensions = DIMENSIONS
    trouble = ""

    def __init__(self, questions: Sequence[BenchQuestion]) -> None:
        self._vectors = {one.text: one.vector for one in questions}

    async def close(self) -> None:
        pass

    async def embed_query(self, text: str) -> Vector:
        """Return the question's vector."""
        return self._vectors[text]

    async def embed_symmetric(self, texts: Sequence[str]) -> Matrix:
        return await self.embed_passages(texts)

    async def embed_passages(self, texts: Sequence[str], **_: object) -> Matrix:
        """Raise: rows have their vectors."""
        raise NotImplementedError(len(texts))

    def count_tokens(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())


def load_sentences(rng: random.Random) -> tuple[list[str], str]:
    """Return sentences for passages, and their origin."""
    folder = os.environ.get("KVASIR_EVAL_DIR")
    if not folder or not all((Path(folder) / name).is_file() for name in PUBLISHED):
        words = [f"w{n}" for n in range(50_000)]
        weights = [1 / (n + 10) for n in range(50_000)]
        passages = [" ".join(rng.choices(words, weights, k=rng.randint(6, 30))) + "." for _ in range(20_000)]
        return passages, "generated words"
    texts = [
        paragraph["context"]
        for name in PUBLISHED
        for article in json.loads((Path(folder) / name).read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
    ]
    docs = sorted((Path(folder) / "apisix-docs").rglob("*.md"))
    texts += [path.read_text(encoding="utf-8", errors="replace") for path in docs]
    parts = [part.strip() for text in texts for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n\n+", text)]
    return [part for part in parts if 8 < len(part) < 1000], "xquad, cmrc2018 and apisix documents"


def make_texts(count: int, rng: random.Random) -> tuple[list[str], str]:
    """Return passages of about 800 characters, each a run of neighbouring sentences."""
    pool, origin = load_sentences(rng)
    passages = []
    for _ in range(count):
        start, text = rng.randrange(len(pool)), ""
        while len(text) < 500:
            text += (" " if text else "") + pool[start % len(pool)]
            start += rng.choice((1, 1, 1, 97))
        passages.append(text[:1500])
    return passages, origin


def make_clustered_vectors(count: int, rng: np.random.Generator, clusters: int = 2000) -> NDArray[np.float32]:
    """Return unit vectors whose cosines are about 0.75 at random and 0.9 within a cluster, as e5's are."""
    common = normalise(rng.normal(size=(1, DIMENSIONS)))
    centres = normalise(rng.normal(size=(clusters, DIMENSIONS)))
    own = normalise(rng.normal(size=(count, DIMENSIONS)))
    return normalise(0.86 * common + 0.38 * centres[rng.integers(clusters, size=count)] + 0.33 * own)


def normalise(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return the vectors with length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@cache
def choose_readers(document: int) -> frozenset[str]:
    """Return a document's readers: everybody for a third of them, else some groups."""
    rng = random.Random(document)
    return EVERYONE if rng.random() < 0.33 else frozenset(f"C{rng.randrange(GROUPS)}" for _ in range(2))


def make_person(number: int, groups: int) -> frozenset[str]:
    """Return the principals of a full member in some groups."""
    rng = random.Random(number)
    return frozenset({"*", f"U{number}", *(f"C{rng.randrange(GROUPS)}" for _ in range(groups))})


UNLIMITED = Viewers.of({"*", *(f"C{n}" for n in range(GROUPS))})
"""A person who may read everything, so that the store needs no filter."""
AUDIENCES = {
    "for_a_channel_of_5000": Viewers.of(*({*make_person(n, 10), "C0"} for n in range(MEMBERS))),
    "for_a_person_in_10_groups": Viewers.of(make_person(1, 10)),
    "for_a_person_in_300_groups": Viewers.of(make_person(2, 300)),
}


def make_passage(n: int, text: str) -> Chunk:
    """Return a row's passage; twenty rows make a document with one audience, one kind and one day."""
    document = n // PER_DOCUMENT
    modified_at = FIRST_DAY + timedelta(days=document * 37 % DAYS)
    audience, kind = make_class_key(choose_readers(document)), KINDS[document % len(KINDS)]
    return Chunk(f"id{n}", SOURCE, f"doc{document}.md", "Title", "Heading", text, None, audience, kind, modified_at)


def make_manifest_row(number: int) -> CurrentChunk:
    """Return the manifest's row of a passage."""
    of, document = make_passage(number, ""), number // PER_DOCUMENT
    return CurrentChunk("bench", choose_readers(document), FIRST_DAY, document, number, of.kind, of.modified_at)


@contextlib.asynccontextmanager
async def open_manifest_index(folder: Path, documents: int) -> AsyncIterator[IndexManifest]:
    """Yield an index of a manifest in SQLite with so many documents, which is filled once."""
    manifest = await open_manifest(f"sqlite:///{folder / f'manifest_{documents}.db'}")
    index = manifest.open_index(await manifest.add_index(IndexIdentity("bench", "bench", "bench", "bench")))
    key = SourceKey(SOURCE, "", "")
    for some in [] if await index.count_chunks() else slice_items(range(documents)):
        await index.switch_documents(
            key,
            [
                IndexedDocument(
                    ListedDocument(f"doc{n}.md", "1", readers=choose_readers(n)),
                    "1",
                    "",
                    "Title",
                    1.0,
                    (make_passage(PER_DOCUMENT * n, ""),),
                )
                for n in some
            ],
        )
    yield index
    await manifest.close()


def make_classes(index: IndexManifest) -> AudienceClasses:
    """Return the audience classes of the bench's only source."""

    async def read_audiences(_: AudienceList | None) -> AudienceList:
        found = await index.read_audiences()
        return replace(found, rows=frozenset(row._replace(source=SOURCE) for row in found.rows))

    return AudienceClasses(read_audiences, lambda: index.database.writes)


async def current(ids: Collection[str]) -> Mapping[str, CurrentChunk]:
    """Answer in place of the manifest."""
    return {id_: make_manifest_row(int(id_.removeprefix("id"))) for id_ in ids}


async def neighbours(ids: Collection[str], reach: int) -> Mapping[str, tuple[Sequence[str], Sequence[str]]]:
    """Answer in place of the manifest."""
    near = {}
    for id_ in ids:
        place = int(id_.removeprefix("id"))
        first = place - place % PER_DOCUMENT
        line = [n for n in range(place - reach, place + reach + 1) if first <= n < first + PER_DOCUMENT]
        near[id_] = [f"id{n}" for n in line if n < place], [f"id{n}" for n in line if n > place]
    return near


def make_scopes(one: BenchQuestion) -> dict[str, Scope]:
    """Return the scopes of a question by the name of their figure."""
    return {
        "search": Scope(ALL, UNLIMITED),
        "search_filtered_by_readers": Scope(ALL, one.asker),
        "search_filtered_by_kind": Scope(ALL, one.asker, kinds=frozenset({"pdf", "docx"})),
        "search_filtered_by_date": Scope(ALL, one.asker, after=FIRST_DAY + timedelta(days=DAYS - 90)),
        "search_filtered_by_all": Scope(
            ALL,
            one.asker,
            frozenset({"md", "html"}),
            FIRST_DAY + timedelta(days=100),
            FIRST_DAY + timedelta(days=700),
        ),
    }


def make_questions(texts: Sequence[str], vectors: NDArray[np.float32], count: int, seed: int) -> list[BenchQuestion]:
    """Return questions: each is a part of a row's text, with a vector near the row's."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    questions = []
    for n in range(count):
        row = rng.randrange(len(texts))
        start = rng.randrange(max(1, len(texts[row]) - 60))
        near = normalise((vectors[row] + 0.35 * normalise(noise.normal(size=(1, DIMENSIONS)))[0])[None])[0]
        text = f"{texts[row][start : start + 60]} {n}".strip()
        questions.append(BenchQuestion(text, near, Viewers.of(make_person(n, 10))))
    return questions
