"""The order and the confidence, as pure functions."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.interfaces import Candidate, Chunk, Hit
from knowledge.language import is_cjk
from knowledge.search.ranking.fusion import (
    QueryProfile,
    ScoredCandidate,
    compute_lexical_weight,
    estimate_background,
    estimate_best_confidence,
    estimate_confidence,
    fuse_candidates,
    is_related,
    penalise_repeats,
    profile_query,
)
from tests.search.search_bench import CALIBRATION

ENGLISH, CHINESE = "The office opens at nine.", "办公室九点开门。"


def candidate(id_: str, bm25: float, cosine: float, text: str = ENGLISH) -> Candidate:
    return Candidate(Chunk(id_, "docs", f"{id_}.md", "", "", text, None), bm25, cosine)


QUESTION = QueryProfile(ideal_bm25=50, cjk=False, calibration=CALIBRATION)


def test_the_score_is_the_measured_formula() -> None:
    fused = fuse_candidates([candidate("a", 8, 0.35), candidate("b", 10, 0.20), candidate("c", 0, 0.40)], QUESTION)
    assert [(one.candidate.chunk.id, round(one.score, 4)) for one in fused] == [
        ("a", round(0.15 * 0.8 + 0.85 * 0.35 / 0.4, 4)),
        ("c", 0.85),
        ("b", round(0.15 + 0.85 * 0.2 / 0.4, 4)),
    ]


@pytest.mark.parametrize(("best", "weight"), [(0, 0.15), (10, 0.15), (17.5, 0.275), (25, 0.4), (60, 0.4)])
def test_terms_weigh_more_if_the_best_candidate_has_more_of_them(best: float, weight: float) -> None:
    assert compute_lexical_weight(best, QUESTION) == pytest.approx(weight)
    assert compute_lexical_weight(
        best, QueryProfile(ideal_bm25=0, cjk=False, calibration=CALIBRATION)
    ) == pytest.approx(0.15)


def test_in_a_short_question_the_terms_weigh_less() -> None:
    """In short questions, two words are together somewhere by chance."""
    assert compute_lexical_weight(
        50, QueryProfile(ideal_bm25=50, cjk=False, calibration=CALIBRATION, terms=3)
    ) == pytest.approx(0.15 + 0.25 / 2)


def test_repeated_documents_lose_score() -> None:
    def of(document: str, n: int, score: float) -> ScoredCandidate:
        return ScoredCandidate(
            Candidate(Chunk(f"{document}{n}", "docs", document, "", "", "Text.", None), 0.0, score), score
        )

    ranked = [of("a", 1, 1.0), of("a", 2, 0.95), of("a", 3, 0.9), of("b", 1, 0.87), of("c", 1, 0.5)]
    assert [one.candidate.chunk.id for one in penalise_repeats(ranked)] == ["a1", "b1", "a2", "a3", "c1"]
    assert [round(one.score, 3) for one in penalise_repeats(ranked)] == [1.0, 0.87, 0.76, 0.54, 0.5]


def test_of_equal_passages_the_questions_language_comes_first() -> None:
    mixed = [candidate("a", 5, 0.4, CHINESE), candidate("b", 5, 0.398)]
    assert [one.candidate.chunk.id for one in fuse_candidates(mixed, QUESTION)] == ["b", "a"]
    assert [
        one.candidate.chunk.id
        for one in fuse_candidates(mixed, QueryProfile(ideal_bm25=50, cjk=True, calibration=CALIBRATION))
    ] == ["a", "b"]
    far = [candidate("a", 5, 0.4, CHINESE), candidate("b", 5, 0.3)]
    assert [one.candidate.chunk.id for one in fuse_candidates(far, QUESTION)] == ["a", "b"]


def test_no_candidates_fuse_to_none() -> None:
    assert fuse_candidates([], QUESTION) == ()


def test_without_lexical_hits_the_cosine_decides() -> None:
    fused = fuse_candidates([candidate("a", 0, 0.2), candidate("b", 0, 0.4)], QUESTION)
    assert [(one.candidate.chunk.id, round(one.score, 4)) for one in fused] == [("b", 0.85), ("a", 0.425)]


def test_without_positive_cosines_the_terms_decide() -> None:
    fused = fuse_candidates([candidate("a", 0, -0.1), candidate("b", 0, 0.0), candidate("c", 5, -0.2)], QUESTION)
    assert [one.candidate.chunk.id for one in fused] == ["c", "b", "a"]
    assert [one.score for one in fused] == [0.15, 0, 0]


candidates = st.lists(
    st.builds(candidate, st.uuids().map(str), st.floats(0, 60), st.floats(-1, 1)),
    max_size=30,
    unique_by=lambda one: one.chunk.id,
)


@given(candidates, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_inputs_order(some: list[Candidate], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fuse_candidates(some, QUESTION) == fuse_candidates(shuffled, QUESTION)
    assert sorted(one.candidate.chunk.id for one in fuse_candidates(some, QUESTION)) == sorted(
        one.chunk.id for one in some
    )
    assert all(0 <= one.score <= 1 for one in fuse_candidates(some, QUESTION))


def test_equal_scores_are_ordered_by_id() -> None:
    fused = fuse_candidates([candidate(id_, 1, 0.8) for id_ in "cab"], QUESTION)
    assert [one.candidate.chunk.id for one in fused] == ["a", "b", "c"]


@given(
    st.builds(candidate, st.just("a"), st.floats(0, 60), st.floats(-1, 1), st.sampled_from([ENGLISH, CHINESE])),
    st.builds(QueryProfile, ideal_bm25=st.floats(0, 60), cjk=st.booleans(), calibration=st.just(CALIBRATION)),
    st.floats(-1, 1),
)
def test_confidence_is_a_share_and_grows_with_the_evidence(
    one: Candidate, question: QueryProfile, behind: float
) -> None:
    sure = estimate_confidence(one, question, behind)
    assert 0 <= sure <= 1
    assert estimate_confidence(Candidate(one.chunk, one.bm25 + 1, one.cosine), question, behind) >= sure
    assert estimate_confidence(Candidate(one.chunk, one.bm25, one.cosine + 0.01), question, behind) >= sure


@pytest.mark.parametrize("text", [ENGLISH, CHINESE])
def test_confidence_separates_answers_from_similar_passages(text: str) -> None:
    """The medians measured on xquad: questions with their passage, and without it."""
    question = QueryProfile(ideal_bm25=10, cjk=text == CHINESE, calibration=CALIBRATION)
    with_it, without, behind = (
        ((0.57, 7.3), (0.42, 3.0), 0.255) if text == ENGLISH else ((0.586, 4.7), (0.458, 2.0), 0.277)
    )
    assert estimate_confidence(candidate("a", with_it[1], with_it[0], text), question, behind) > 0.6
    assert estimate_confidence(candidate("a", without[1], without[0], text), question, behind) < 0.4
    assert estimate_confidence(candidate("a", 0, 0.35, text), question, behind) < 0.1


def test_across_languages_the_cosine_is_relative_to_the_pool() -> None:
    question = QueryProfile(ideal_bm25=10, cjk=True, calibration=CALIBRATION)
    outstanding = candidate("a", 0, 0.45, ENGLISH)
    assert estimate_confidence(outstanding, question, 0.22) > 0.6
    assert estimate_confidence(outstanding, question, 0.36) < CALIBRATION.answerable


def hit(sure: float, text: str = ENGLISH) -> Hit:
    return Hit("a", "docs", "a.md", "", "", None, text, 0.5, sure, datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("hits", "sure"),
    [
        ([], 0.0), ([hit(0.2)], 0.2), ([hit(0.2), hit(0.7)], 0.7), ([hit(0.8), hit(0.7)], 0.8),
        ([hit(0.2), hit(0.1), hit(0.9)], 0.2), ([hit(0.2), hit(0.7, CHINESE)], 0.2),
        ([hit(0.2, CHINESE), hit(0.7)], 0.7),
    ],
)  # fmt: skip
def test_a_second_passage_in_the_questions_language_counts_too(hits: list[Hit], sure: float) -> None:
    assert estimate_best_confidence("when does the office open", hits) == sure


def test_the_background_is_the_mean_after_the_best() -> None:
    assert estimate_background([], 0.2) == pytest.approx(0.2)
    assert estimate_background([0.9], 0.2) == pytest.approx(0.2)
    assert estimate_background([0.9] * 10 + [0.3] * 30, 0.2) == pytest.approx((30 * 0.3 + 10 * 0.2) / 40)
    assert estimate_background([0.9] * 2 + [0.3] * 6, 0.2) == pytest.approx((6 * 0.3 + 10 * 0.2) / 16)


def test_the_ideal_counts_each_term_once_at_its_rarest() -> None:
    assert profile_query("a b a", "a b a", 100, CALIBRATION).ideal_bm25 == pytest.approx(2 * math.log(1 + 99.5 / 1.5))
    assert profile_query("", "", 100, CALIBRATION).ideal_bm25 == 0
    assert profile_query("a", "a", 0, CALIBRATION).ideal_bm25 > 0


@pytest.mark.parametrize(
    ("text", "cjk"),
    [
        ("", False), ("How do I add a source?", False), ("如何添加来源？", True), ("如何配置 limit-req", True),
        ("Apache APISIX 安装", False), ("ソースを追加する", True), ("소스를 추가", True), ("123 !?", False),
        ("what does 中 mean in this long English question", False),
    ],
)  # fmt: skip
def test_the_language_follows_the_script(text: str, *, cjk: bool) -> None:
    assert is_cjk(text) is cjk


# ── Whether a passage has anything to do with a question ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rows", "bm25", "cosine", "text", "related"),
    [
        (10_000, 0, 0.38, ENGLISH, True),
        (10_000, 0, 0.35, ENGLISH, False),
        (100, 0, 0.32, ENGLISH, True),  # in a small store, chance finds nothing so near
        (100_000, 0, 0.38, ENGLISH, False),
        (10_000, 0, 0.38, CHINESE, True),
        (10_000, 0, 0.31, CHINESE, False),
        (10_000, 26, 0.1, ENGLISH, True),  # an error code that nothing else has
        (10_000, 20, 0.1, ENGLISH, False),
    ],
)
def test_related_passage_shares_meaning_or_rare_words(
    rows: int, bm25: float, cosine: float, text: str, *, related: bool
) -> None:
    question = QueryProfile(ideal_bm25=50, cjk=False, calibration=CALIBRATION, rows=rows)
    assert is_related([candidate("other", 0, 0.0), candidate("a", bm25, cosine, text)], question) is related


def test_chinese_texts_are_closer_to_each_other() -> None:
    question = QueryProfile(ideal_bm25=50, cjk=True, calibration=CALIBRATION)
    assert not is_related([candidate("a", 0, 0.39, CHINESE)], question)
    assert is_related([candidate("a", 0, 0.42, CHINESE)], question)


def test_only_passages_of_another_language_need_a_lower_cosine() -> None:
    assert is_related([candidate("a", 0, 0.31, CHINESE), candidate("b", 0, 0.2, CHINESE)], QUESTION)
    assert not is_related([candidate("a", 0, 0.28, CHINESE)], QUESTION)
    assert not is_related([candidate("a", 0, 0.31, CHINESE), candidate("b", 0, 0.2)], QUESTION)


def test_nothing_is_related_to_no_passage() -> None:
    assert not is_related([], QUESTION)


def test_without_vectors_only_words_relate() -> None:
    question = QueryProfile(ideal_bm25=50, cjk=False, calibration=CALIBRATION, dense=False)
    assert not is_related([candidate("a", 20, 0.9)], question)
    assert is_related([candidate("a", 30, 0.0)], question)
