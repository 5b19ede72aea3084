"""BM25 scores of texts outside the store, compared with the store's scores of the same texts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lexical.bm25 import DEFAULT_WEIGHT_SHARE, TermWeights, compute_weights, estimate_weights
from knowledge.lexical.terms import index_terms
from knowledge.search.plan import plan_words
from tests.search.search_bench import EVERYWHERE, SearchBench

WORDS = [f"word{letter}{other}" for letter in "abcdefghijklmnop" for other in "abcdefghij"]


def _text(chance: random.Random) -> str:
    """Return words of which the first ones of the list are far more frequent, as in a language."""
    return " ".join(WORDS[int(len(WORDS) * chance.random() ** 3)] for _ in range(chance.randint(20, 60)))


@pytest.mark.slow
async def test_an_estimate_equals_the_stores_score(bench: SearchBench) -> None:
    """The best passage of each question is the unknown one. The others give the weights of the terms."""
    chance = random.Random(5)
    texts = {f"p{n}": _text(chance) for n in range(300)}
    await bench.add(texts)
    search = bench.search()
    off = []
    for _ in range(25):
        words = " ".join(chance.sample(sorted(set(texts[f"p{chance.randrange(300)}"].split())), 5))
        results = await search.find_documents(plan_words(words, EVERYWHERE))
        ideal, question = results.question.profile.ideal_bm25, results.question.plan.terms.split()
        best, *others = sorted(results.usable, key=lambda one: -one.bm25)
        scored_terms = [(index_terms(one.chunk.searchable_text), one.bm25) for one in others if one.bm25 > 0]
        reckoned = estimate_weights(question, ideal / len(question), scored_terms, []).score_terms(
            index_terms(best.chunk.searchable_text)
        )
        off.append(abs(reckoned - best.bm25) / ideal)
    assert sorted(off)[len(off) // 2] < 0.02
    assert max(off) < 0.15


def test_without_candidates_a_term_has_the_default_weight() -> None:
    assert estimate_weights(["a", "b"], 8.0, [], ["a c", "b"]).weights == {
        "a": 8 * DEFAULT_WEIGHT_SHARE,
        "b": 8 * DEFAULT_WEIGHT_SHARE,
    }
    assert estimate_weights([], 0.0, [("a", 1.0)], []).score_terms("a b") == 0.0


def test_a_term_in_no_candidate_is_the_rarest() -> None:
    weighed = estimate_weights(["a", "b"], 8.0, [("a x", 2.0), ("a y", 2.0)], [])
    assert weighed.weights["b"] == 8.0
    assert weighed.weights["a"] < 4.0


def test_a_term_in_every_passage_of_a_page_weighs_nothing() -> None:
    weighed = compute_weights(["leave", "porter"], ["leave", "leave day", "leave porter", "leave night"])
    assert weighed.weights["porter"] > 5 * weighed.weights["leave"]
    assert compute_weights(["a"], []).score_terms("a") >= 0


texts = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=12).map(" ".join)


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, unique=True),
    st.floats(0.1, 12),
    st.lists(st.tuples(texts, st.floats(0.01, 60)), max_size=12),
    texts,
)
def test_weights_stay_within_their_bounds(
    question: list[str], most: float, scored_terms: list[tuple[str, float]], text: str
) -> None:
    weighed = estimate_weights(question, most, scored_terms, [text])
    assert all(0 <= weight <= most for weight in weighed.weights.values())
    assert 0 <= weighed.score_terms(text) <= most * len(question) * 2.2


@pytest.mark.parametrize("more", ["a", "a a a"])
def test_more_of_a_term_never_scores_less_in_a_text_of_the_same_length(more: str) -> None:
    weighed = TermWeights({"a": 3.0}, 4.0)
    filled = " ".join([*more.split(), *["x"] * (6 - len(more.split()))])
    assert weighed.score_terms(filled) > weighed.score_terms("x x x x x x") == 0.0
