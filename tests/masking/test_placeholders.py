"""Placeholders in prompts: what an engine sees, and what comes back in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.masking import NameIndex, PlaceholderDecoder, Placeholders

TEXT = "Ann Lee (ann@example.com) and Bo Xu; Ann Lee again, password=hunter22"


def make_placeholders() -> Placeholders:
    return Placeholders(names=NameIndex(["Ann Lee", "Bo Xu"]))


def test_equal_texts_have_one_placeholder() -> None:
    placeholders = make_placeholders()
    (hidden,) = placeholders.hide_texts([TEXT])
    assert hidden == "[PERSON-1] ([EMAIL-1]) and [PERSON-2]; [PERSON-1] again, password=[SECRET-1]"
    assert placeholders.restore_text(hidden) == TEXT


def test_a_longer_conversation_keeps_its_beginning() -> None:
    """The engine's prefix cache needs that."""
    first, second = make_placeholders().hide_texts([TEXT]), make_placeholders().hide_texts([TEXT, "Bo Xu, Cy Ho"])
    assert second[0] == first[0]


def test_a_placeholder_in_a_text_is_not_used() -> None:
    placeholders = make_placeholders()
    assert placeholders.hide_texts(["Ann Lee writes [PERSON-1]"]) == ["[PERSON-2] writes [PERSON-1]"]
    assert placeholders.restore_text("[PERSON-1] is no [PERSON-2]") == "[PERSON-1] is no Ann Lee"


def test_what_is_found_next_to_a_placeholder_has_one() -> None:
    """As masks have it: the digits of a card hide the end of the phone number before it."""
    text = "030 12345678 4111 1111 1111 1111 ends"
    placeholders = make_placeholders()
    assert placeholders.hide_texts([text]) == ["[PHONE-1] [CARD-1] ends"]
    assert placeholders.restore_text("[PHONE-1] [CARD-1] ends") == text


@given(
    st.lists(st.sampled_from(["[PERSON-1]", "[EMAIL-1]", "[1]", "[", "]", "[PERSON-9]", "[PERS", "a", "-1]", "中"])),
    st.data(),
)
def test_pieces_are_restored_like_the_whole(parts: list[str], data: st.DataObject) -> None:
    placeholders = make_placeholders()
    placeholders.hide_texts([TEXT])
    whole = "".join(parts)
    decoder, restored, at = PlaceholderDecoder(placeholders), "", 0
    while at < len(whole):
        size = data.draw(st.integers(1, 12))
        restored += decoder.decode(whole[at : at + size])
        at += size
    assert restored + decoder.flush() == placeholders.restore_text(whole)
