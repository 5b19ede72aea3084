"""Tests of the history that an answer gets from a thread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange
from bot.slack.events import BotUser
from bot.slack.posting.render import MarkdownRenderer
from bot.slack.turns.thread_reader import ThreadMessage, build_history, read_message

ME = BotUser("T1", "U0KVASIR", "B0KVASIR")


def they(text: str, user: str = "U1") -> ThreadMessage:
    return ThreadMessage("1.0", user, text, ours=False)


def we(text: str) -> ThreadMessage:
    return ThreadMessage("1.0", "U0KVASIR", text, ours=True)


def test_exchanges_join_what_was_said_in_a_row() -> None:
    found = build_history([they("one"), they("two"), we("a [1]."), we("b"), they("three"), we("c")], {}, ME)
    assert found == (Exchange("one\ntwo", "a.\n\nb"), Exchange("three", "c"))


def test_what_nobody_answered_has_an_empty_answer() -> None:
    assert build_history([they("<@U0KVASIR> look")], {}, ME) == (Exchange("look", ""),)


def test_notices_apologies_and_citation_numbers_are_left_out() -> None:
    answer = "_ℹ️ The engine is still loading._\n\nSo it is [\\[1\\]](https://kb/a) and <https://kb/b|[2]> so[3]."
    assert build_history(
        [they("q"), we("_ℹ️ I was interrupted here; the answer follows below._"), we(answer)], {}, ME
    ) == (Exchange("q", "So it is and so."),)


def test_what_was_defused_for_slack_reads_as_it_was_meant() -> None:
    answer = MarkdownRenderer({}).feed("Write <b>, never @channel.")
    assert build_history([they("q"), we(answer)], {}, ME) == (Exchange("q", "Write <b>, never @channel."),)


@given(st.lists(st.tuples(st.booleans(), st.text("ab\n ", max_size=30)), max_size=40), st.integers(0, 200))
def test_history_is_bounded_and_keeps_the_newest(said: list[tuple[bool, str]], characters: int) -> None:
    lines = [we(text) if ours else they(text) for ours, text in said]
    whole = build_history(lines, {}, ME, exchanges=100, characters=10_000)
    found = build_history(lines, {}, ME, exchanges=3, characters=characters)
    assert len(found) <= 3
    assert sum(len(exchange.question) + len(exchange.answer) for exchange in found) <= characters
    assert found == whole[len(whole) - len(found) :]


def test_a_long_thread_loses_its_oldest_exchanges_in_steps() -> None:
    """Or each new question would have the engine read the whole conversation anew."""
    lines = [line for n in range(60) for line in (they(f"q{n}"), we(f"a{n}"))]
    lengths = [len(build_history(lines[: 2 * n], {}, ME)) for n in range(18, 60)]
    assert set(lengths) == {17, 18, 19, 20}


def test_a_message_of_ours_is_read_from_its_markdown() -> None:
    read = read_message(
        {
            "ts": "2.0",
            "bot_id": "B0KVASIR",
            "text": "short…",
            "blocks": [{"type": "markdown", "text": "whole"}, {"type": "context", "elements": []}],
            "metadata": {"event_type": "kvasir_answer", "event_payload": {"question": "1.0"}},
        },
        ME,
    )
    assert read == ThreadMessage("2.0", "", "whole", ours=True, answers="1.0")
