"""Tests of how tables are cut over messages: no row is cut, and each part has the table's head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.posting.message_sink import POST_CHARACTERS, STREAM_CHARACTERS
from bot.slack.wire.text import cutting
from tests.slack.running_bot import RunningBot, get_markdown, make_script

HEAD = "| room | beds |\n|---|--:|\n"


def make_rows(count: int, width: int = 10) -> list[str]:
    return [f"| room {n} {'x' * width} | {n} |\n" for n in range(count)]


def read_rows(pieces: list[str]) -> list[str]:
    """Return the rows of a table that is cut over pieces, after checking that each part has its head."""
    rows: list[str] = []
    for piece in pieces:
        if "| room " in piece:
            _, head, part = piece.partition(HEAD)
            assert head, piece
            rows += [line for line in part.splitlines(keepends=True) if line.startswith("| room ")]
    return rows


@given(st.integers(0, 90), st.integers(0, 60), st.integers(200, 700), st.text("ab \n", max_size=250))
def test_table_over_several_messages_keeps_its_head_and_rows(count: int, width: int, limit: int, before: str) -> None:
    rows = make_rows(count, width)
    text = f"{before}\n\n{HEAD}{''.join(rows)}\nAfter it.\n"
    pieces = cutting.split_message(text, limit)
    assert all(len(piece) <= limit for piece in pieces)
    assert read_rows(pieces) == rows
    assert "".join(pieces).replace(HEAD, "") == text.replace(HEAD, "")
    assert not any(piece.startswith(HEAD) and "| room " not in piece for piece in pieces if count)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_sentences_that_arrive_one_after_another_are_not_cut(lengths: list[int], together: list[int]) -> None:
    sentences = [f"({n}) {'word ' * (length // 5)}end." for n, length in enumerate(lengths)]
    texts, message, waiting = [], "", list(sentences)
    for count in together:
        pending = "".join(f"{one} " for one in waiting[:count])
        del waiting[:count]
        while pending:
            piece, pending = cutting.split_at_row(message, pending, 200 - len(message), may_be_empty=bool(message))
            message += piece
            if pending:
                texts.append(message)
                message = ""
    texts.append(message)
    assert all(len(text) <= 200 for text in texts)
    assert [sentence for sentence in sentences if sum(sentence in text for text in texts) != 1] == []


def test_text_after_a_table_gets_no_head() -> None:
    assert cutting.keep_opening(HEAD, "\nAfter it.") == ""
    assert cutting.keep_opening(HEAD, "| a | 1 |\n") == HEAD
    assert cutting.keep_opening("```\n", "plain") == "```\n"


def test_table_in_a_code_fence_is_code() -> None:
    assert cutting.make_opening(f"```\n{HEAD}| a | 1 |\n") == "```\n"


@pytest.mark.parametrize("streams", [True, False])
async def test_long_table_has_its_head_in_each_message(bot: RunningBot, *, streams: bool) -> None:
    if not streams:
        await bot.sandbox.faults({"method": "chat.startStream", "error": "unknown_method", "times": -1})
    methods = ("canvases.create", "files.getUploadURLExternal")  # so that the text stays in the messages
    await bot.sandbox.faults(*({"method": one, "error": "missing_scope", "times": -1} for one in methods))
    rows = make_rows(2 * (STREAM_CHARACTERS if streams else POST_CHARACTERS) // 40, 20)
    bot.answerer.script = make_script("The rooms:\n\n", HEAD, *rows, "\nThat is all.")
    ts = await bot.ask()
    await bot.wait_for_answer(ts)
    answers = [get_markdown(message) for message in await bot.list_answers(ts)]
    assert len(answers) > 1
    assert read_rows(answers) == rows
    assert "That is all." in answers[-1]
