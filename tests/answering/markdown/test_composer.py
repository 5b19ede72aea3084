from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.markdown.composer import Composer
from bot.answering.markdown.sentences import Piece, split_pieces


def composed(text: str, keep: Callable[[Piece], bool], hold: Callable[[Piece], bool] = lambda _: False) -> str:
    composer, out = Composer(), ""
    for piece in split_pieces(text):
        if piece.kind in {"blank", "rule"}:
            composer.space(piece)
        elif hold(piece) or piece.kind == "heading":
            composer.hold(piece)
        elif keep(piece):
            out += composer.keep(piece, piece.text)
        else:
            composer.drop(piece)
    assert composer.shown_chars == len(out)
    return out


def without(*words: str) -> Callable[[Piece], bool]:
    return lambda piece: not any(word in piece.text for word in words)


def test_what_is_kept_whole_reads_as_it_was() -> None:
    text = "# Head\n\nOne. Two.\n\n- a\n- b\n\n1. c\n2. d\n\n```\ncode\n```\nEnd."
    assert composed(text, without()) == text


def test_a_dropped_sentence_leaves_no_hole() -> None:
    assert composed("One. Bad. Three.", without("Bad")) == "One. Three."
    assert composed("One.\nBad.\n\nThree.", without("Bad")) == "One.\n\nThree."
    assert composed("Bad. One.", without("Bad")) == "One."
    assert composed("一。坏。三。", without("坏")) == "一。三。"


def test_a_dropped_item_takes_its_line_with_it() -> None:
    assert composed("- One.\n- Bad.\n- Three.", without("Bad")) == "- One.\n- Three."
    assert composed("- Bad. But good.\n- Three.", without("Bad")) == "- But good.\n- Three."


def test_numbered_lists_close_their_ranks() -> None:
    assert composed("1. One.\n2. Bad.\n3. Three.\n4. Four.", without("Bad")) == "1. One.\n2. Three.\n3. Four."
    assert composed("1. One.\n\nText.\n\n1. Again.", without()) == "1. One.\n\nText.\n\n1. Again."


def test_headings_show_only_with_what_they_head() -> None:
    text = "# Top\n\n## Empty\n\nBad.\n\n## Full\n\nGood.\n\n## Last\n\nBad."
    assert composed(text, without("Bad")) == "# Top\n\n## Full\n\nGood."


def test_an_introduction_waits_for_what_it_introduces() -> None:
    hold = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert composed("Steps:\n\n1. Go.", without(), hold) == "Steps:\n\n1. Go."
    assert composed("Steps:\n\n1. Bad.\n\nOther text.", without("Bad"), hold) == "Other text."


def test_a_lead_in_goes_with_all_that_it_leads_to() -> None:
    text = "# Head\n\nPrices:\n\n| Bad |\n\nSteps:\n\n1. One."
    lead_in = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert composed(text, without("Bad"), lead_in) == "# Head\n\nSteps:\n\n1. One."


def test_a_list_keeps_its_lead_in_if_any_item_is_left() -> None:
    hold = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert composed("Steps:\n\n- Bad.\n\n- Bad.\n\n- Good.", without("Bad"), hold) == "Steps:\n\n- Good."
    assert composed("Steps:\n1. Bad.\n2. Go.", without("Bad"), hold) == "Steps:\n1. Go."


@given(
    st.lists(
        st.sampled_from(
            ["Good one. ", "Bad one. ", "\n", "\n\n", "- Good item.\n", "- Bad item.\n", "# H\n", "2. Bad\n"]
        )
    ).map("".join)
)
def test_nothing_dropped_shows_and_everything_kept_does(text: str) -> None:
    out = composed(text, without("Bad"))
    assert "Bad" not in out
    assert out.count("Good") == text.count("Good")
    assert out == out.strip("\n")
    assert "\n\n\n" not in out
