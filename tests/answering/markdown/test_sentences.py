from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.answering.markdown.sentences import LINE_MAX_CHARS, Piece, Splitter, join_wrapped_lines, split_pieces

FRAGMENTS = [
    "a", "B ", "word ", ". ", ".", "! ", "?", "…", "...", "。", "！", "中文", "e.g. ", "Dr. ", "3.5", "[1]", "[1",
    "【2】", "[1, 2]", " ", "\n", "\n\n", "\r\n", "- ", "1. ", "2、", "# ", "| a | b |\n", "`", "```", "\n```\n",
    "~~~\n", "> ", "*", "**", "---\n", '"', "”", ")", "https://a.example/b.c?d=e ", "(", "](", "://",
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join) | st.text(max_size=80)


def split_into_chunks(text: str, cuts: list[int]) -> list[Piece]:
    splitter, pieces, start = Splitter(), [], 0
    for end in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        pieces += splitter.feed(text[start:end])
        start = end
    return pieces + splitter.flush()


@given(texts, st.lists(st.integers(0, 120), max_size=30))
def test_chunking_does_not_change_pieces(text: str, cuts: list[int]) -> None:
    assert split_into_chunks(text, cuts) == split_pieces(text)


@given(texts)
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(piece.lead + piece.text + piece.tail for piece in split_pieces(text)) == text


@settings(max_examples=min(15, settings().max_examples))
@given(st.text(alphabet="ab ,中", min_size=LINE_MAX_CHARS, max_size=3 * LINE_MAX_CHARS))
def test_text_without_full_stops_is_released(text: str) -> None:
    assert all(len(piece.text) <= LINE_MAX_CHARS for piece in split_pieces(text))
    assert split_into_chunks(text, list(range(0, len(text), 97))) == split_pieces(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.5 %. Pay now.", ["It costs 3.5 %.", "Pay now."]),
        ("See e.g. Dr. Smith. He knows.", ["See e.g. Dr. Smith.", "He knows."]),
        ("Open at 8 a.m. on Mondays. Closed at noon.", ["Open at 8 a.m. on Mondays.", "Closed at noon."]),
        ("Bring pens, paper etc. Then wait.", ["Bring pens, paper etc.", "Then wait."]),
        ("Go to https://a.example/b.html?x=1. Click.", ["Go to https://a.example/b.html?x=1.", "Click."]),
        ("Wait... then go. Done", ["Wait... then go.", "Done"]),
        ('He said "stop." Then left.', ['He said "stop."', "Then left."]),
        ("Keep it cold.[1][2] Shake it. [3]", ["Keep it cold.[1][2]", "Shake it. [3]"]),
        ("Keep it. [1, 2] Shake.【3】Use it", ["Keep it. [1, 2]", "Shake.【3】", "Use it"]),
        ("Linked. [1](https://a.example) Next.", ["Linked. [1](https://a.example)", "Next."]),
        ("Run `a. b` twice. End.", ["Run `a. b` twice.", "End."]),
        ("员工有15天年假。[1]试用期不得休假！可以吗？", ["员工有15天年假。[1]", "试用期不得休假！", "可以吗？"]),
        ("他说：“好的。”然后走了。", ["他说：“好的。”", "然后走了。"]),
        ("水温为2.5度。升级到v2.0版本……可以", ["水温为2.5度。", "升级到v2.0版本……可以"]),
        ("Version 1.2.3 is out. Get it.", ["Version 1.2.3 is out.", "Get it."]),
    ],
)  # fmt: skip
def test_text_is_split_into_sentences(text: str, expected: list[str]) -> None:
    assert [piece.text for piece in split_pieces(text) if piece.text] == expected


def test_line_kinds_are_recognized() -> None:
    text = "# Head\nIntro:\n\n- One. Two.\n2. Three\n| a |\n|---|\n> said\n```sh\nx. y\n```\n---\n"
    found = [(piece.kind, piece.lead, piece.text) for piece in split_pieces(text)]
    assert found == [
        ("heading", "", "# Head"),
        ("prose", "", "Intro:"),
        ("blank", "", ""),
        ("item", "- ", "One."),
        ("item", "", "Two."),
        ("item", "2. ", "Three"),
        ("table", "", "| a |"),
        ("table", "", "|---|"),
        ("item", "> ", "said"),
        ("code", "", "```sh\nx. y\n```"),
        ("rule", "", "---"),
    ]


def test_code_block_is_one_piece() -> None:
    splitter = Splitter()
    assert splitter.feed("```\nfirst. line\n") == []
    assert splitter.feed("second!\n```\nAfter") == [Piece("code", "", "```\nfirst. line\nsecond!\n```", "\n")]


def test_unclosed_code_block_is_released_at_end() -> None:
    assert [piece.kind for piece in split_pieces("```\nx = 1")] == ["code"]


def test_sentence_is_released_when_next_begins() -> None:
    splitter = Splitter()
    assert splitter.feed("First one. ") == []
    assert [piece.text for piece in splitter.feed("S")] == ["First one."]


def test_wrapped_lines_are_joined() -> None:
    text = "A line that\ngoes on here.\n\n- item that\n  goes on\n- other\n\n中文一行\n接着写。\n```\nkeep\nthis\n```\n"
    assert join_wrapped_lines(text) == (
        "A line that goes on here.\n\n- item that goes on\n- other\n\n中文一行接着写。\n```\nkeep\nthis\n```"
    )


def test_indented_code_in_list_is_unchanged() -> None:
    text = "10. Run:\n\n    ```sh\n    make setup\n\n    make run\n    ```\n\n11. Wait."
    assert join_wrapped_lines(text) == text
    assert [piece.kind for piece in split_pieces(text) if piece.text] == ["item", "code", "item"]
