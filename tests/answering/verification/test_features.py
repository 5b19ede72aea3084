from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.verification.features import FEATURES, compute_features
from bot.answering.verification.lexicon import concepts
from bot.answering.verification.passages import (
    analyse_passage,
    analyse_sentence,
    contains_literally,
    split_stretches,
    stretch_similarities,
)
from bot.answering.verification.quantities import normal


def against(sentence: str, passage: str) -> set[str]:
    """Return the names of the features that speak against a sentence."""
    likeness = np.full(len(split_stretches(passage)), 0.9, np.float32)
    values = compute_features(analyse_sentence(sentence), analyse_passage(passage), likeness)
    return {name for name, value in zip(FEATURES[3:], values[3:], strict=True) if value}


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Keep it for thirty days.", "It is kept for 30 days."),
        ("保留三十天。", "It is kept for 30 days."),
        ("Set `ttl` to 300 before the move.", "One sets `ttl` to 300 ahead of a move."),
        ("Finance approves it.", "It is approved by the finance department."),
        ("财务部批准。", "It is approved by the finance department."),
        ("At most five days can be taken.", "Up to five days can be taken."),
        ("It is due within 36 months.", "It is due within three years."),
        ("SSO is set up by an owner.", "Single sign-on is set up by an owner."),
        ("A year costs 25 euros.", "It costs 25 euros annually."),
        ("Never more than 5 are kept.", "At most 5 are kept."),
    ],
)
def test_nothing_speaks_against_what_says_the_same(sentence: str, passage: str) -> None:
    assert against(sentence, passage) == set()


@pytest.mark.parametrize(
    ("sentence", "passage", "feature"),
    [
        ("It is kept for 31 days.", "It is kept for 30 days.", "number"),
        ("保留三十一天。", "It is kept for 30 days.", "number"),
        ("Send `after` along.", "Send `before` along.", "identifier"),
        ("请求头为 X-Token。", "The header is X-Sign.", "name"),
        ("酒店通过“携途”预订。", "酒店通过“途安”预订。", "name"),
        ("Copies are in Frankfurt and Paris.", "Copies are in Frankfurt and Dublin.", "name"),
        ("Legal approves it.", "It is approved by the finance department.", "rival"),
        ("法务部批准。", "It is approved by the finance department.", "rival"),
        ("Do it on Friday.", "Do it on Monday.", "rival"),
        ("Logs stay 90 days.", "Logs stay 7 years, tickets 90 days.", "binding"),
        ("E4 means that the door is open.", "E4: the water tap is closed; E7: the door is open.", "binding_wide"),
        ("Writes are not accepted.", "Writes are accepted.", "negation"),
        ("Dogs can be carried over.", "Cats cannot be carried over.", "undenied"),
        ("The tool does not delete pictures.", "The tool deletes pictures.", "denied"),
        ("Close it before the test.", "Close it after the test.", "new_side"),
        ("It can be cancelled at any time.", "It can be cancelled until May.", "scope"),
        ("It takes 5 calls per second.", "It takes 5 calls per minute.", "rate"),
        ("Pour water into acid, never acid into water.", "Pour acid into water, never water into acid.", "swapped"),
        ("男性不低于45公斤，女性不低于50公斤。", "男性不低于50公斤，女性不低于45公斤。", "swapped"),
        ("It uses HTTP.", "It uses HTTPS.", "name"),
        ("A single person may do it.", "Two people together may do it.", "scope"),
        ("Glasses are paid every year.", "Glasses are paid every two years.", "each"),
        ("Pour the water into the acid.", "Pour the acid into the water slowly.", "order"),
        ("It needs one approval.", "It needs two approvals.", "count"),
    ],
)
def test_each_contradiction_has_its_name(sentence: str, passage: str, feature: str) -> None:
    assert feature in against(sentence, passage)


def test_the_title_counts_as_said() -> None:
    likeness = np.full(1, 0.9, np.float32)
    values = compute_features(
        analyse_sentence("A VPN session ends."), analyse_passage("A session ends.", "VPN guide"), likeness
    )
    assert values[FEATURES.index("name")] == 0.0


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9))
def test_each_stretch_is_as_alike_as_its_more_alike_half(singles: list[float]) -> None:
    passage = " ".join(f"Sentence number {n}." for n in range(len(singles)))
    cosines = stretch_similarities(np.array(singles, np.float32))
    assert len(cosines) == len(split_stretches(passage)) == 2 * len(singles) - 1
    assert sum(analyse_passage(passage).single) == len(singles)
    assert list(cosines[len(singles) :]) == [max(pair) for pair in pairwise(cosines[: len(singles)])]


def test_two_passages_bear_out_together_what_neither_does_alone() -> None:
    one, other = analyse_passage("Tea costs 2 euros."), analyse_passage("Coffee costs 3 euros.")
    sentence = analyse_sentence("Tea costs 2 euros and coffee 3 euros.")
    number = FEATURES.index("number")
    assert compute_features(sentence, one, np.full(1, 0.9, np.float32))[number] == 1.0
    assert compute_features(sentence, one + other, np.full(2, 0.9, np.float32))[number] == 0.0


def test_a_literal_sentence_is_known_whatever_its_white_space() -> None:
    assert contains_literally("First, keep it cold. Then shake.", "Keep  it\ncold.")
    assert not contains_literally("Keep it cold.", "Keep it warm.")
    assert contains_literally("打开后，请保持冷藏。", "请保持冷藏")


def test_the_lexicon_meets_across_languages() -> None:
    english = concepts(normal("The finance department approves it on Fridays."))
    chinese = concepts(normal("财务部在周五批准。"))
    assert {c for c in english if c.exclusive} == {c for c in chinese if c.exclusive}


@given(st.text(max_size=120), st.text(min_size=1, max_size=300))
def test_any_texts_can_be_compared(sentence: str, passage: str) -> None:
    found = split_stretches(passage)
    if found:
        values = compute_features(
            analyse_sentence(sentence), analyse_passage(passage), np.full(len(found), 0.8, np.float32)
        )
        assert values.shape == (len(FEATURES),)
        assert np.isfinite(values).all()
