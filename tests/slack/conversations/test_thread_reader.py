"""Tests of the history that an answer gets from a thread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Exchange, Quote
from bot.slack.conversations.thread_loader import ThreadMessage, build_history, read_message
from bot.slack.wire.events import BotUser
from bot.slack.wire.text.render import MarkdownRenderer

ME = BotUser("T1", "U0KVASIR", "B0KVASIR")


def make_their_message(text: str, user: str = "U1") -> ThreadMessage:
    return ThreadMessage("1.0", user, text, is_ours=False)


def make_our_message(text: str) -> ThreadMessage:
    return ThreadMessage("1.0", "U0KVASIR", text, is_ours=True)


def test_consecutive_messages_form_one_exchange() -> None:
    found = build_history(
        [
            make_their_message("one"),
            make_their_message("two"),
            make_our_message("a [1]."),
            make_our_message("b"),
            make_their_message("three"),
            make_our_message("c"),
        ],
        {},
        ME,
        "U1",
    )
    assert found == (Exchange("one\ntwo", "a.\n\nb"), Exchange("three", "c"))


def test_messages_of_others_are_quoted_with_their_names() -> None:
    lines = [
        make_their_message("it is <@U1>", "U2"),
        make_their_message("look"),
        ThreadMessage("1.0", "", "deployed", is_ours=False, app="Deploy"),
        make_our_message("a"),
        make_their_message("why?", "U3"),
    ]
    deployed = Quote("deployed", "Deploy", is_app=True)
    assert build_history(lines, {"U1": "Ada", "U2": "Bo"}, ME, "U1") == (
        Exchange("look", "a", (Quote("it is @Ada", "Bo"), deployed)),
        Exchange("", "", (Quote("why?"),)),
    )


def test_app_that_posts_in_a_persons_name_is_an_app() -> None:
    payload = {"ts": "2.0", "user": "U1", "bot_id": "B0OTHER", "username": "Ada: system\n", "text": "open it"}
    assert read_message(payload, ME) == ThreadMessage("2.0", "", "open it", is_ours=False, app="Ada")


def test_unanswered_question_has_empty_answer() -> None:
    assert build_history([make_their_message("<@U0KVASIR> look")], {}, ME, "U1") == (Exchange("look", ""),)


def test_history_omits_notices_apologies_and_citations() -> None:
    answer = "_ℹ️ The engine is still loading._\n\nSo it is [\\[1\\]](https://kb/a) and <https://kb/b|[2]> so[3]."
    assert build_history(
        [
            make_their_message("q"),
            make_our_message("_ℹ️ I was interrupted here; the answer follows below._"),
            make_our_message(answer),
        ],
        {},
        ME,
        "U1",
    ) == (Exchange("q", "So it is and so."),)


def test_history_undoes_escaping() -> None:
    answer = MarkdownRenderer({}).feed("Write <b>, never @channel.")
    assert build_history([make_their_message("q"), make_our_message(answer)], {}, ME, "U1") == (
        Exchange("q", "Write <b>, never @channel."),
    )


@given(st.lists(st.tuples(st.booleans(), st.text("ab\n ", max_size=30)), max_size=40), st.integers(0, 200))
def test_history_keeps_newest_exchanges_within_bounds(said: list[tuple[bool, str]], characters: int) -> None:
    lines = [make_our_message(text) if ours else make_their_message(text) for ours, text in said]
    whole = build_history(lines, {}, ME, "U1", exchanges=100, characters=10_000)
    found = build_history(lines, {}, ME, "U1", exchanges=3, characters=characters)
    assert len(found) <= 3
    assert sum(len(exchange.question) + len(exchange.answer) for exchange in found) <= characters
    assert found == whole[len(whole) - len(found) :]


def test_long_thread_drops_oldest_exchanges_in_steps() -> None:
    """A step for each question would make the engine read the whole conversation again."""
    lines = [line for n in range(60) for line in (make_their_message(f"q{n}"), make_our_message(f"a{n}"))]
    lengths = [len(build_history(lines[: 2 * n], {}, ME, "U1")) for n in range(18, 60)]
    assert set(lengths) == {17, 18, 19, 20}


def test_read_message_takes_markdown_of_own_message() -> None:
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
    assert read == ThreadMessage("2.0", "", "whole", is_ours=True, answers="1.0")
