from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.markdown.composer import Composer
from bot.answering.markdown.sentences import Piece, split_pieces


def compose_text(text: str, keep: Callable[[Piece], bool], hold: Callable[[Piece], bool] = lambda _: False) -> str:
    composer, out = Composer(), ""
    for piece in split_pieces(text):
        if piece.kind in {"blank", "rule"}:
            composer.skip_line(piece)
        elif hold(piece) or piece.kind == "heading":
            composer.hold_piece(piece)
        elif keep(piece):
            out += composer.keep_piece(piece, piece.text)
        else:
            composer.drop_piece(piece)
    assert composer.shown_chars == len(out)
    return out


def drop_pieces_with(*words: str) -> Callable[[Piece], bool]:
    return lambda piece: not any(word in piece.text for word in words)


def test_kept_text_is_unchanged() -> None:
    text = "# Head\n\nOne. Two.\n\n- a\n- b\n\n1. c\n2. d\n\n```\ncode\n```\nEnd."
    assert compose_text(text, drop_pieces_with()) == text


def test_dropped_sentence_leaves_no_gap() -> None:
    assert compose_text("One. Bad. Three.", drop_pieces_with("Bad")) == "One. Three."
    assert compose_text("One.\nBad.\n\nThree.", drop_pieces_with("Bad")) == "One.\n\nThree."
    assert compose_text("Bad. One.", drop_pieces_with("Bad")) == "One."
    assert compose_text("一。坏。三。", drop_pieces_with("坏")) == "一。三。"


def test_dropped_item_removes_its_line() -> None:
    assert compose_text("- One.\n- Bad.\n- Three.", drop_pieces_with("Bad")) == "- One.\n- Three."
    assert compose_text("- Bad. But good.\n- Three.", drop_pieces_with("Bad")) == "- But good.\n- Three."


def test_numbered_list_is_renumbered() -> None:
    assert (
        compose_text("1. One.\n2. Bad.\n3. Three.\n4. Four.", drop_pieces_with("Bad")) == "1. One.\n2. Three.\n3. Four."
    )
    assert compose_text("1. One.\n\nText.\n\n1. Again.", drop_pieces_with()) == "1. One.\n\nText.\n\n1. Again."


def test_heading_without_text_is_dropped() -> None:
    text = "# Top\n\n## Empty\n\nBad.\n\n## Full\n\nGood.\n\n## Last\n\nBad."
    assert compose_text(text, drop_pieces_with("Bad")) == "# Top\n\n## Full\n\nGood."


def test_introduction_waits_for_following_text() -> None:
    hold = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert compose_text("Steps:\n\n1. Go.", drop_pieces_with(), hold) == "Steps:\n\n1. Go."
    assert compose_text("Steps:\n\n1. Bad.\n\nOther text.", drop_pieces_with("Bad"), hold) == "Other text."


def test_lead_in_without_items_is_dropped() -> None:
    text = "# Head\n\nPrices:\n\n| Bad |\n\nSteps:\n\n1. One."
    lead_in = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert compose_text(text, drop_pieces_with("Bad"), lead_in) == "# Head\n\nSteps:\n\n1. One."


def test_lead_in_with_remaining_item_is_kept() -> None:
    hold = lambda piece: piece.text.endswith(":")  # noqa: E731
    assert compose_text("Steps:\n\n- Bad.\n\n- Bad.\n\n- Good.", drop_pieces_with("Bad"), hold) == "Steps:\n\n- Good."
    assert compose_text("Steps:\n1. Bad.\n2. Go.", drop_pieces_with("Bad"), hold) == "Steps:\n1. Go."


@given(
    st.lists(
        st.sampled_from(
            ["Good one. ", "Bad one. ", "\n", "\n\n", "- Good item.\n", "- Bad item.\n", "# H\n", "2. Bad\n"]
        )
    ).map("".join)
)
def test_composer_shows_exactly_the_kept_pieces(text: str) -> None:
    out = compose_text(text, drop_pieces_with("Bad"))
    assert "Bad" not in out
    assert out.count("Good") == text.count("Good")
    assert out == out.strip("\n")
    assert "\n\n\n" not in out
