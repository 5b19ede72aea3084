"""Configured weights of documents in a search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowledge.search.plan import plan_words
from knowledge.search.source_rules import make_document_weights
from knowledge.settings import PathWeight, SourceSpec
from tests.search.search_bench import EVERYWHERE, SearchBench, ids

SPEC = SourceSpec(
    "docs",
    "folder",
    {},
    Path("/srv"),
    weight=0.5,
    weights=(PathWeight("archive", 0.2), PathWeight("archive/keep/*.md", 1.0), PathWeight("**/images", 0.1)),
)


@pytest.mark.parametrize(
    ("document", "weight"),
    [
        ("guide.md", 0.5),
        ("archive/2019.md", 0.1),
        ("archive/keep/law.md", 0.5),
        ("a/b/images/x.md", 0.05),
        ("images/x.md", 0.05),
    ],
)
def test_the_last_matching_pattern_decides(document: str, weight: float) -> None:
    assert make_document_weights(SPEC)(document) == pytest.approx(weight)


async def test_a_light_document_comes_last_and_is_still_found(bench: SearchBench) -> None:
    await bench.add(
        {"a": "The searches take two milliseconds.", "b": "The searches take long at night, in the cellar."}
    )
    question = "how long do the searches take, in milliseconds?"
    assert await ids(bench.search(), question) == ["a", "b"]
    sure = (await bench.search().find_documents(plan_words(question, EVERYWHERE))).make_hits()[0].confidence
    bench.manifest["a"] = replace(bench.manifest["a"], weight=0.3)
    assert await ids(bench.search(), question) == ["b", "a"]
    weighed = {
        hit.id: hit for hit in (await bench.search().find_documents(plan_words(question, EVERYWHERE))).make_hits()
    }
    assert weighed["a"].confidence == sure, "how sure it is that a passage answers does not change"
