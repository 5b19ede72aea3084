"""Separating thinking and answer, for any chunks and with or without a parser in the server."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.client.reasoning import ReasoningDecoder
from engine.interfaces import ContentDelta, ReasoningDelta

_words = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<thi", "nk>", "</", "think>", "\n", "a", " b", "思考", "<", ">", "答案。"]
    ),
    max_size=14,
).map("".join)


def _run(
    decoder: ReasoningDecoder, pieces: list[tuple[str, str]], finish: Literal["stop", "length", "abort"] = "stop"
) -> tuple[str, str]:
    out = [piece for reasoning, content in pieces for piece in decoder.decode(reasoning, content)]
    out += decoder.flush(finish)
    assert all(piece.text for piece in out)
    return (
        "".join(piece.text for piece in out if isinstance(piece, ReasoningDelta)),
        "".join(piece.text for piece in out if isinstance(piece, ContentDelta)),
    )


def _cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(_words, st.lists(st.integers(0, 100), max_size=12), st.booleans())
@example("<think>a</think>\n\nanswer", [3, 8, 14], False)
def test_any_chunks_of_unsplit_text_agree(text: str, cuts: list[int], opens: bool) -> None:  # noqa: FBT001
    """Without a parser in the server, any chunks give the same thinking and answer, without tags."""
    make = lambda: ReasoningDecoder(thinks=True, opens_think=opens, split_by_server=False)  # noqa: E731
    whole = _run(make(), [("", text)])
    assert _run(make(), [("", part) for part in _cut(text, cuts)]) == whole
    assert _run(make(), [("", letter) for letter in text]) == whole


@given(_words, _words, st.lists(st.integers(0, 100), max_size=12), st.sampled_from(["stop", "length"]))
def test_any_chunks_of_a_split_stream_agree(
    reasoning: str, content: str, cuts: list[int], finish: Literal["stop", "length"]
) -> None:
    """With a parser in the server, the same, and users see no complete tag."""
    make = lambda: ReasoningDecoder(thinks=True, opens_think=True)  # noqa: E731
    parts = [(part, "") for part in _cut(reasoning, cuts)] + [("", part) for part in _cut(content, cuts)]
    whole = _run(make(), [(reasoning, ""), ("", content)], finish)
    assert _run(make(), parts, finish) == whole


def test_leading_newlines_are_removed() -> None:
    """SGLang leaves the newlines between the closing tag and the answer."""
    decoder = ReasoningDecoder(thinks=True, opens_think=True)
    assert _run(decoder, [("\nI look.", ""), ("", "\n"), ("", "\n\nForty"), ("", "\n-two")]) == (
        "I look.",
        "Forty\n-two",
    )


def test_thinking_becomes_the_answer_if_the_model_stopped() -> None:
    decoder = ReasoningDecoder(thinks=True, opens_think=True)
    assert _run(decoder, [("The price ", ""), ("is 12.", "")]) == ("The price is 12.", "The price is 12.")


@pytest.mark.parametrize("finish", ["length", "abort"])
def test_truncated_thinking_is_no_answer(finish: Literal["length", "abort"]) -> None:
    decoder = ReasoningDecoder(thinks=True, opens_think=True)
    assert _run(decoder, [("The price ", ""), ("is ", "")], finish) == ("The price is ", "")


def test_separated_thinking_wins_over_the_settings() -> None:
    """The catalogue says that the template opens the thinking, but the server already separates it."""
    decoder = ReasoningDecoder(thinks=True, opens_think=True, split_by_server=False)
    assert _run(decoder, [("Hm.", ""), ("", "Answer.")]) == ("Hm.", "Answer.")


def test_tags_stay_in_text_of_a_model_without_thinking() -> None:
    decoder = ReasoningDecoder(thinks=False)
    assert _run(decoder, [("", "Write <think> and </think>."), ("", " <thi")]) == (
        "",
        "Write <think> and </think>. <thi",
    )
